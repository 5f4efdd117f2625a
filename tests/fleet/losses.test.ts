import { withSecretPlaceholders } from "../../configs/secret-placeholders";
import { findSite } from "../../configs/sites";
import { requireConfirmed } from "../../fleet";
import { localBackend, rehearsedStack } from "../../automation";
import { temporaryFolder } from "../support/programs";

// The stack's state is that of a rehearsal: nobody contacts a site for this.
const folder = temporaryFolder();
const dev = findSite("dev");
const retaining = (retention: string) => ({
  ...dev,
  settings: { ...dev.settings, retention },
});

const variables = localBackend(folder.path);
const former = { ...process.env };
beforeAll(async () => {
  const site = withSecretPlaceholders(retaining("30d").settings);
  await rehearsedStack("dev", {
    folder: folder.path,
    config: { "bess-telemetry:site": site },
  }).up();
  Object.assign(process.env, variables);
}, 120_000);
afterAll(() => {
  process.env = former;
  folder.remove();
});

const refusal = (...args: Parameters<typeof requireConfirmed>) =>
  requireConfirmed(...args).then(
    () => Promise.reject(new Error("it was not refused")),
    (error: Error) => error.message,
  );

test("an update that loses nothing needs no confirmation", async () =>
  expect(await requireConfirmed(retaining("30d"), [])).toEqual([]));

test("an update that loses data is refused, with the line that confirms it", async () => {
  const told = await refusal(retaining("1h"), []);
  expect(told).toMatch(
    /^the update is refused:\n  - retention 30d -> 1h: Rows older than `1h` are lost/,
  );
  expect(told).toContain("npx bess up --stack dev --confirm 'retention 30d -> 1h'");
});

test("a confirmed one is told", async () => {
  const confirmed = await requireConfirmed(retaining("1h"), ["retention 30d -> 1h"]);
  expect(confirmed.map(({ change }) => change)).toEqual(["retention 30d -> 1h"]);
});

test("what confirms another change is refused", async () => {
  const told = await refusal(retaining("30d"), ["retention 30d -> 1h"]);
  expect(told).toContain('--confirm is "retention 30d -> 1h": the update loses nothing by that');
});

test("a stack that was never deployed loses nothing", async () => {
  const site = findSite("kiel-1");
  const settings = { ...site.settings, retention: "1h" };
  expect(await requireConfirmed({ ...site, settings }, [])).toEqual([]);
});
