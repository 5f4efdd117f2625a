import * as pulumi from "@pulumi/pulumi";
import { Site } from "bess-telemetry";

/** A site that has its token from the hub's stack, as docs/hub.md tells it. */
export = async () => {
  const hub = new pulumi.StackReference("organization/consumer/hub");
  const { value: addresses } = await hub.getOutputDetails("addresses");
  const { value: ca } = await hub.getOutputDetails("certificate");
  const token = hub.requireOutput("siteTokens").apply((tokens) => tokens["kiel-2"]);
  const site = new Site(pulumi.getStack(), {
    name: "kiel-2",
    mqtt: { port: 1884 },
    grafana: { port: 3002 },
    explorer: { enabled: false },
    uplink: {
      url: (addresses as { write: string }).write,
      token,
      // A simulated hub's is empty; a hub that was given its own has no such output.
      ca: (ca as string | undefined) || undefined,
    },
  });
  return { revision: site.revision, token };
};
