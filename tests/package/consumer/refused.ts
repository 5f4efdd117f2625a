import { Site } from "bess-telemetry";

// Programs that the compiler refuses; none of them is run.
const text = (value: string) => value;

// @ts-expect-error -- a site has a name
new Site("kiel-1", {});
// @ts-expect-error -- there is no such key
new Site("kiel-1", { name: "kiel-1", mqt: {} });
// @ts-expect-error -- there is no such service
new Site("kiel-1", { name: "kiel-1", transform: { telegraff: {} } });
// @ts-expect-error -- Telegraf has no such file
new Site("kiel-1", { name: "kiel-1", transform: { telegraf: { files: { "/etc/hosts": text } } } });
// @ts-expect-error -- the image stays the site's own
new Site("kiel-1", { name: "kiel-1", transform: { telegraf: { container: { image: "x:1" } } } });
