import { Records, type RolloutRecord } from "../../fleet/rollout";
import {
  type DeployedRevision,
  Rollout,
  type RolloutOptions,
  SiteError,
} from "../../fleet/rollout/rollout";
import { temporaryFolder } from "../support/programs";

/** What a rollout meets at a stand-in site, each time it opens its stack. */
type Visit = "works" | "unreachable" | "broken";

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => (folder = temporaryFolder()));
afterEach(() => folder.remove());

/**
 * Rolls out to stand-in sites, by what each meets visit by visit, the last ever after.
 * @returns the record, and all that was reported.
 */
async function rollOut(
  waves: Record<string, Record<string, Visit[]>>,
  options: Partial<RolloutOptions> = {},
  stop = new AbortController(),
  onReport?: (line: string) => unknown,
) {
  const sites = Object.entries(waves).flatMap(([wave, visits]) =>
    Object.keys(visits).map((name) => ({ name, wave })),
  );
  const remaining = new Map(
    Object.values(waves).flatMap((visits) =>
      Object.entries(visits).map(([name, list]) => [name, [...list]]),
    ),
  );
  const deployed = new Map<string, DeployedRevision>();
  const reported: string[] = [];
  const open = ({ name }: { name: string }) => {
    const visits = remaining.get(name) ?? [];
    const visit = visits.length > 1 ? visits.shift() : visits[0];
    if (visit === "unreachable") throw new SiteError("unreachable", "no route to host");
    return {
      deployedRevision: async () => deployed.get(name),
      up: async () => ({ update: 1 }),
      verify: async () => (visit === "broken" ? ["no message arrives"] : []),
      recordRevision: async (revision: DeployedRevision) => void deployed.set(name, revision),
    };
  };
  const records = new Records(folder.path);
  const report = ({ site, text }: { site?: string; text: string }) => {
    const line = [site, text].filter(Boolean).join(" ");
    reported.push(line);
    onReport?.(line);
  };
  const all = {
    parallel: 1,
    budget: 0,
    soakSeconds: 0,
    attempts: 3,
    backoffSeconds: 0.01,
    ...options,
  };
  const record = await new Rollout(
    open,
    records,
    records.begin("up", "two", sites),
    all,
    report,
    stop.signal,
  ).run(Object.keys(waves), sites, () => "two");
  return { record, reported, deployed };
}

const results = ({ sites }: RolloutRecord) =>
  Object.fromEntries(Object.entries(sites).map(([name, { result }]) => [name, result]));

test("a site that cannot be reached gives its turn to the others, and is tried again later", async () => {
  const { record, reported } = await rollOut({
    all: { aachen: ["unreachable", "works"], kiel: ["works"], luebeck: ["works"] },
  });
  expect(record.outcome).toBe("done");
  expect(
    reported
      .filter((line) => / cannot be reached| verified/.test(line))
      .map((line) => line.split(" ").slice(0, 2).join(" ")),
  ).toEqual(["aachen cannot", "kiel verified", "luebeck verified", "aachen verified"]);
  expect(record.sites.aachen).toMatchObject({ result: "verified", attempts: 2 });
});

test("it is tried as often as asked, later each time, and fails nobody", async () => {
  const { record, reported } = await rollOut({ all: { aachen: ["unreachable"], kiel: ["works"] } });
  expect(record.outcome).toBe("done");
  expect(record.sites.aachen).toMatchObject({
    result: "unreachable",
    attempts: 3,
    reason: "no route to host",
  });
  expect(reported.filter((line) => line.startsWith("aachen cannot"))).toEqual(
    [0.01, 0.02].map((wait) => `aachen cannot be reached, next try in ${wait} s: no route to host`),
  );
});

test("an interruption ends the wait for it at once, and starts nothing further", async () => {
  const stop = new AbortController();
  const { record } = await rollOut(
    { all: { aachen: ["unreachable", "works"], kiel: ["works"] }, later: { luebeck: ["works"] } },
    { backoffSeconds: 3600 },
    stop,
    (line) => line.startsWith("kiel verified") && stop.abort(),
  );
  expect(record.outcome).toBe("stopped");
  expect(results(record)).toEqual({ aachen: "unreachable", kiel: "verified", luebeck: "skipped" });
});

test("a wave of which no site could be reached halts the rollout", async () => {
  const { record } = await rollOut({
    canary: { aachen: ["unreachable"] },
    rest: { kiel: ["works"] },
  });
  expect(record).toMatchObject({
    outcome: "halted",
    reason: "no site of wave canary could be brought to the revision",
  });
  expect(results(record)).toEqual({ aachen: "unreachable", kiel: "skipped" });
});

test("a site that stops working during the soak halts the rollout, and is not verified", async () => {
  const { record, deployed } = await rollOut(
    { canary: { aachen: ["works", "broken"] }, rest: { kiel: ["works"] } },
    { soakSeconds: 0.01 },
  );
  expect(record).toMatchObject({
    outcome: "halted",
    reason: "1 of 1 site of wave canary failed, and its budget is 0",
  });
  expect(record.sites.aachen?.reason).toBe("its gate, after the soak: no message arrives");
  expect(deployed.get("aachen")).toEqual({ revision: "two", verified: false });
  expect(results(record)).toEqual({ aachen: "failed", kiel: "skipped" });
});

test("a link that is down for a moment after the soak is no failure", async () => {
  const { record } = await rollOut(
    { canary: { aachen: ["works", "unreachable", "works"] }, rest: { kiel: ["works"] } },
    { soakSeconds: 0.01 },
  );
  expect(record.outcome).toBe("done");
  expect(results(record)).toEqual({ aachen: "verified", kiel: "verified" });
});

test("once the budget is spent, the sites that wait are skipped", async () => {
  const { record } = await rollOut({
    all: { aachen: ["works"], kiel: ["broken"], luebeck: ["works"], husum: ["works"] },
  });
  expect(record.outcome).toBe("halted");
  expect(results(record)).toEqual({
    aachen: "verified",
    kiel: "failed",
    luebeck: "skipped",
    husum: "skipped",
  });
});
