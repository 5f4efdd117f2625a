import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { Engine } from "../../rehearsal";
import { Records, type RolloutRecord, withSession, workingTree } from "../../fleet/rollout";
import { failureReason } from "../../fleet/rollout/session";
import { begunContainers } from "../../fleet/state";
import { rehearsedStack, root, StackError } from "../../automation";
import { processTree } from "../../bench/processes";
import { temporaryFolder, until } from "../support/programs";
import type { RolloutCase } from "../support/rollout";

const images = {
  one: "telegraf:1.39.3-alpine",
  two: "telegraf:1.40.0-alpine",
  three: "telegraf:1.41.0-alpine",
};
const waves = { canary: ["kiel"], rest: ["aachen", "luebeck"] };

let folder: ReturnType<typeof temporaryFolder>;
/** A fleet that is at revision one, and works: made once, and copied by each test that begins there. */
let deployed: ReturnType<typeof temporaryFolder>;
beforeAll(async () => {
  folder = deployed = temporaryFolder();
  const { record } = await rollout({
    waves: { all: ["aachen", "kiel", "luebeck"] },
    parallel: 3,
    // New sites are claimed as well.
    share: { name: "first", claimSeconds: 600 },
  });
  expect(record.outcome).toBe("done");
}, 120_000);
beforeEach(() => (folder = temporaryFolder()));
afterEach(() => folder.remove());
afterAll(() => deployed.remove());

const beginDeployed = () => cpSync(deployed.path, folder.path, { recursive: true });

/** @param options whether it may be killed: it then writes its state as it goes on. */
const begin = (told: Partial<RolloutCase>, { killed = true } = {}) =>
  spawn(
    process.execPath,
    [
      "cli/bess.js",
      "../tests/support/rollout",
      JSON.stringify({ folder: folder.path, kind: "up", commit: "one", waves, images, ...told }),
    ],
    {
      cwd: root,
      // A group of its own, as a terminal gives a command.
      detached: true,
      env: { ...process.env, ...(killed && { PULUMI_SKIP_CHECKPOINTS: "false" }) },
    },
  );

function lastRecord(): RolloutRecord {
  const record = new Records(join(folder.path, "rollouts")).last();
  if (!record) throw new Error("no rollout was recorded");
  return record;
}

/** Runs a rollout to its end. @returns what it printed, and its record. */
async function rollout(
  told: Partial<RolloutCase>,
): Promise<{ said: string; record: RolloutRecord; code: number | null }> {
  const child = begin(told, { killed: false });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (said += data));
  const code = await new Promise<number | null>((done) => child.on("close", done));
  return { said, code, record: lastRecord() };
}

const results = ({ sites }: RolloutRecord) =>
  Object.fromEntries(Object.entries(sites).map(([name, { result }]) => [name, result]));
const engine = (site: string) => Engine.open(join(folder.path, "engines"), `ssh://bess@${site}`);
function container(site: string, service: string) {
  const found = engine(site).state.containers[`${site}-${service}`];
  if (!found) throw new Error(`${site}-${service} is missing`);
  return found;
}
/** The image that a site's Telegraf runs, by its id, which names the revision. */
const telegraf = (site: string) => engine(site).state.containers[`${site}-telegraf`]?.image;

test("a canary that fails its gate stops the rollout, and no other site is touched", async () => {
  beginDeployed();
  const before = {
    aachen: telegraf("aachen"),
    luebeck: telegraf("luebeck"),
    kiel: telegraf("kiel"),
  };
  const kiel = engine("kiel");
  kiel.save(() => {
    Object.assign(kiel.state.containers["kiel-grafana"] ?? {}, { healthy: false });
    delete kiel.state.containers["kiel-rollup"];
  });
  const { record } = await rollout({ commit: "two" });
  expect(record).toMatchObject({
    outcome: "halted",
    reason: "1 of 1 site of wave canary failed, and its budget is 0",
  });
  expect(results(record)).toEqual({ kiel: "failed", aachen: "skipped", luebeck: "skipped" });
  expect(record.sites.kiel).toMatchObject({
    previous: "one",
    reason: expect.stringMatching(
      /^its gate: .*(kiel-grafana is unhealthy.*kiel-rollup is missing|kiel-rollup is missing.*kiel-grafana is unhealthy)$/,
    ),
  });
  expect(telegraf("kiel")).not.toBe(before.kiel);
  expect([telegraf("aachen"), telegraf("luebeck")]).toEqual([before.aachen, before.luebeck]);
}, 120_000);

test("once a refresh has seen what was changed by hand, the next rollout mends it", async () => {
  beginDeployed();
  const kiel = engine("kiel");
  kiel.save(() => delete kiel.state.containers["kiel-telegraf"]);
  await rollout({ kind: "refresh" });
  const { record } = await rollout({});
  expect(results(record)).toEqual({
    kiel: "verified",
    aachen: "up-to-date",
    luebeck: "up-to-date",
  });
  expect(container("kiel", "telegraf").healthy).toBe(true);
}, 120_000);

test("a site that was removed is made again by the next rollout", async () => {
  beginDeployed();
  await rollout({ kind: "down", waves: { canary: ["kiel"] } });
  expect(engine("kiel").state.containers).toEqual({});
  const { record } = await rollout({ waves: { canary: ["kiel"] } });
  expect(results(record)).toEqual({ kiel: "verified" });
}, 120_000);

test("an unreachable site is tried again, passed over, and resumed", async () => {
  const { record, said } = await rollout({
    parallel: 1,
    faults: { aachen: [{ resource: "engine", kind: "fail", seconds: 1 }] },
  });
  expect(record.outcome).toBe("done");
  expect(said).toMatch(/aachen cannot be reached[^]*luebeck verified[^]*aachen unreachable/);
  expect(results(record)).toEqual({ kiel: "verified", aachen: "unreachable", luebeck: "verified" });
  expect(record.sites.aachen).toMatchObject({
    attempts: 2,
    reason: expect.stringContaining("failed to connect to any docker daemon"),
  });
  const resumed = await rollout({ kind: "resume" });
  expect(results(resumed.record)).toEqual({
    kiel: "up-to-date",
    aachen: "verified",
    luebeck: "up-to-date",
  });
}, 120_000);

test("a site that fails within the budget fails alone, whatever runs beside it", async () => {
  const { record } = await rollout({
    budget: 1,
    parallel: 3,
    waves: { all: ["aachen", "kiel", "luebeck"] },
    faults: { kiel: [{ resource: "Container:kiel-grafana", kind: "unhealthy", seconds: 1 }] },
  });
  expect(record.outcome).toBe("done");
  expect(results(record)).toEqual({ aachen: "verified", kiel: "failed", luebeck: "verified" });
  expect(record.sites.kiel?.reason).toContain("the container kiel-grafana is not healthy");
}, 60_000);

test("a rollback brings each site back to its own former revision", async () => {
  beginDeployed();
  const one = telegraf("kiel");
  await rollout({ commit: "two", waves: { rest: ["aachen", "luebeck"] } });
  const two = telegraf("aachen");
  await rollout({ commit: "three" });
  expect(telegraf("kiel")).not.toBe(one);
  const { record } = await rollout({ kind: "rollback" });
  expect(results(record)).toEqual({ kiel: "verified", aachen: "verified", luebeck: "verified" });
  expect([telegraf("kiel"), telegraf("aachen"), telegraf("luebeck")]).toEqual([one, two, two]);
}, 180_000);

test("a rollback mends a site whose update failed", async () => {
  beginDeployed();
  const one = telegraf("kiel");
  await rollout({
    commit: "two",
    faults: { kiel: [{ resource: "Container:kiel-telegraf", kind: "unhealthy", seconds: 1 }] },
  });
  const { record } = await rollout({ kind: "rollback" });
  expect(record.sites.kiel?.result).toBe("verified");
  expect([telegraf("kiel"), container("kiel", "telegraf").healthy]).toEqual([one, true]);
}, 120_000);

test("a revision that never worked at a site is not gone back to", async () => {
  const alone = { all: ["kiel"] };
  beginDeployed();
  const one = telegraf("kiel");
  const broken = await rollout({
    waves: alone,
    commit: "two",
    faults: { kiel: [{ resource: "Container:kiel-telegraf", kind: "unhealthy", seconds: 1 }] },
  });
  expect(results(broken.record)).toEqual({ kiel: "failed" });
  const { record } = await rollout({ waves: alone, commit: "three" });
  expect(record.sites.kiel).toMatchObject({ result: "verified", previous: "one" });
  await rollout({ waves: alone, kind: "rollback" });
  expect(telegraf("kiel")).toBe(one);
}, 120_000);

test("a killed rollout is resumed without doing a site twice", async () => {
  const slow = {
    luebeck: [{ resource: "Container:luebeck-telegraf", kind: "slow", seconds: 30 } as const],
  };
  const child = begin({ faults: slow, parallel: 1 });
  let complaints = "";
  child.stderr.on("data", (data) => (complaints += data));
  const state = join(folder.path, ".pulumi/stacks/bess-telemetry/luebeck.json");
  const telegrafIsBegun = () =>
    existsSync(state) &&
    /"pending_operations":\s*\[[^]*::luebeck-telegraf"/.test(readFileSync(state, "utf8"));
  await until("luebeck's Telegraf is being made", telegrafIsBegun, 90);
  child.kill("SIGKILL");
  await new Promise((done) => child.on("close", done));
  expect(complaints).toBe("");
  const killed = lastRecord();
  expect(killed.outcome).toBe("running");
  expect(results(killed)).toEqual({ kiel: "verified", aachen: "verified", luebeck: "running" });
  const { record, said } = await rollout({ kind: "resume" });
  expect(said).toContain("an earlier rollout was killed");
  expect(record.sites.luebeck?.reason).toBeUndefined();
  expect(results(record)).toEqual({
    kiel: "up-to-date",
    aachen: "up-to-date",
    luebeck: "verified",
  });
}, 120_000);

/** The worker process that runs a `pulumi` for a rollout. */
function busyWorker(rollout: number): number | undefined {
  const tree = processTree(rollout);
  const pulumi = tree.find(
    ({ name, parent }) => name === "pulumi" && tree.some(({ pid }) => pid === parent),
  );
  return pulumi?.parent;
}

/** Waits until a rollout has printed something. */
const printed = (child: ReturnType<typeof begin>, text: string) =>
  new Promise<void>((done) =>
    child.stdout.on("data", (data) => String(data).includes(text) && done()),
  );

const slowly = (site: string, seconds: number) => ({
  [site]: [{ resource: `Container:${site}-telegraf`, kind: "slow", seconds } as const],
});

test("a worker process that is killed fails its own site, and the rollout goes on", async () => {
  const child = begin({
    faults: slowly("kiel", 60),
    budget: 1,
    waves: { all: ["kiel", "aachen"] },
  });
  await printed(child, "aachen verified");
  const worker = busyWorker(child.pid ?? 0);
  expect(worker).toEqual(expect.any(Number));
  process.kill(worker ?? 0, "SIGKILL");
  await new Promise((done) => child.on("close", done));
  const record = lastRecord();
  expect(record.outcome).toBe("done");
  expect(results(record)).toEqual({ kiel: "failed", aachen: "verified" });
  expect(record.sites.kiel?.reason).toBe("its worker process was killed (SIGKILL)");
  // What it had begun is no reason for the next rollout to fail.
  const next = await rollout({ waves: { all: ["kiel", "aachen"] } });
  expect(results(next.record)).toEqual({ kiel: "verified", aachen: "up-to-date" });
}, 180_000);

test("Ctrl-C finishes the sites in progress, and begins no other", async () => {
  const child = begin({
    faults: slowly("kiel", 5),
    parallel: 1,
    waves: { all: ["kiel", "aachen"] },
  });
  await printed(child, "kiel running");
  await until("the update runs", () => busyWorker(child.pid ?? 0) !== undefined);
  // A terminal sends it to every process of the group.
  process.kill(-(child.pid ?? 0), "SIGINT");
  await new Promise((done) => child.on("close", done));
  const record = lastRecord();
  expect(record.outcome).toBe("stopped");
  expect(results(record)).toEqual({ kiel: "verified", aachen: "skipped" });
}, 120_000);

describe("a look for drift", () => {
  const alone = { waves: { all: ["kiel"] } };
  /** What it finds at kiel. */
  async function drift(): Promise<unknown> {
    const child = begin({ ...alone, kind: "drift" }, { killed: false });
    let said = "";
    child.stdout.on("data", (data) => (said += data));
    await new Promise((done) => child.on("close", done));
    return JSON.parse(said)[0][1];
  }
  const rollingOut = {
    value: {
      differences: [],
      rollout: expect.stringMatching(
        /^a rollout to two has begun at 20\S+Z, and not ended there; |is locked by/,
      ),
    },
  };

  test("tells a rollout that runs, or was killed, from what was changed by hand", async () => {
    beginDeployed();
    expect(await drift()).toEqual({ value: { differences: [] } });
    const kiel = engine("kiel");
    kiel.save(() => delete kiel.state.containers["kiel-telegraf"]);
    const byHand = { value: { differences: ["delete Container:kiel-telegraf"] } };
    expect(await drift()).toEqual(byHand);

    const child = begin({ ...alone, commit: "two", faults: slowly("kiel", 60) });
    await until("the update runs", () => busyWorker(child.pid ?? 0) !== undefined);
    expect(await drift()).toEqual(rollingOut);
    child.kill("SIGKILL");
    await new Promise((done) => child.on("close", done));
    expect(await drift()).toEqual(rollingOut);

    await rollout({ ...alone, kind: "resume", commit: "two" });
    expect(await drift()).toEqual({ value: { differences: [] } });
  }, 180_000);
});

test("a record and a tag of the release before are read", async () => {
  beginDeployed();
  const file = join(folder.path, "rollouts/20200101000000-up.json");
  const former = {
    ...lastRecord(),
    id: "20200101000000-up",
    sites: {
      kiel: { wave: "all", result: "there", before: "zero" },
      aachen: { wave: "all", result: "left" },
    },
  };
  rmSync(join(folder.path, "rollouts"), { recursive: true });
  mkdirSync(join(folder.path, "rollouts"));
  writeFileSync(file, JSON.stringify(former));
  expect(lastRecord().sites).toEqual({
    kiel: { wave: "all", result: "up-to-date", previous: "zero" },
    aachen: { wave: "all", result: "skipped" },
  });

  const site = { name: "kiel", engine: "ssh://bess@kiel" };
  const stack = rehearsedStack("kiel", {
    folder: folder.path,
    config: { "bess-telemetry:site": site },
    existing: true,
  });
  const { "bess-telemetry:deployed-revision": deployed } = await stack.tags();
  expect(deployed).toBe("one - verified");
  await stack.setTag("bess-telemetry:standing", "one - verified");
  await stack.removeTag("bess-telemetry:deployed-revision");
  const again = await rollout({ waves: { all: ["kiel"] } });
  expect(results(again.record)).toEqual({ kiel: "up-to-date" });
}, 120_000);

test("a second rollout refuses while one runs, and names it", async () => {
  const first = begin({
    faults: { kiel: [{ resource: "Network:kiel-data", kind: "slow", seconds: 20 }] },
  });
  await new Promise<void>((done) =>
    first.stdout.on("data", (data) => String(data).includes("kiel running") && done()),
  );
  const second = await rollout({});
  expect(second).toMatchObject({
    code: 1,
    said: expect.stringContaining(`a rollout is running: process ${first.pid}`),
  });
  const started = processTree(first.pid ?? 0);
  first.kill("SIGKILL");
  // What it had started writes into the folder until it has seen that.
  const isGone = ({ pid }: { pid: number }) => processTree(pid).length === 0;
  await until("what it had started has ended", () => started.every(isGone), 30);
}, 60_000);

test("a runner renews its claim while the engine works there", async () => {
  beginDeployed();
  const tags = join(folder.path, ".pulumi/stacks/bess-telemetry/kiel.pulumi-tags");
  const share = { name: "night", claimSeconds: 6 };
  const told = { waves: { all: ["kiel"] }, commit: "two", faults: slowly("kiel", 8), share };
  const child = begin(told, { killed: false });
  let isDone = false;
  child.once("close", () => (isDone = true));
  const claims = new Set<string>();
  const isEnded = () => {
    const [claim] = / two \S+ night\/\S+/.exec(readFileSync(tags, "utf8")) ?? [];
    if (claim !== undefined) claims.add(claim);
    return isDone;
  };
  await until("the rollout has ended", isEnded, 90);
  expect(claims.size).toBeGreaterThan(2);
  expect(results(lastRecord())).toEqual({ kiel: "verified" });
  expect(readFileSync(tags, "utf8")).toContain('"two one verified"');
}, 120_000);

test("a container that a killed update had begun to make is not one that the state holds", () => {
  const container = (id: string | undefined, name: string) => ({
    type: "docker:index/container:Container",
    id,
    inputs: { name },
  });
  const pending_operations = [
    { type: "creating", resource: container(undefined, "kiel-influxdb") },
    { type: "updating", resource: container("b", "kiel-grafana") },
    {
      type: "creating",
      resource: { type: "docker:index/network:Network", inputs: { name: "kiel-data" } },
    },
  ];
  // What it replaces is held until it is made, under the same name.
  const resources = [container("a", "kiel-influxdb"), container("b", "kiel-grafana")];
  expect(begunContainers({ resources, pending_operations })).toEqual({
    names: ["kiel-influxdb"],
    held: new Set(["a", "b"]),
  });
  expect(begunContainers({})).toEqual({ names: [], held: new Set() });
});

describe("a lock whose holder has this host's name, and is not here", () => {
  const gone = 4_194_304;
  /** A stack that is locked until its lock is taken away. */
  function lockedStack() {
    const stack = rehearsedStack("kiel", { folder: folder.path, config: {} });
    let isLocked = true;
    stack.tags = async () => {
      if (!isLocked) return {};
      throw new StackError(
        "command",
        "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to " +
          "end or delete the lock file with `pulumi cancel`.\n" +
          `  file:///locks/kiel/1.json: created by ci@${hostname()} (pid ${gone}) at 2026-11-28`,
      );
    };
    stack.cancel = async () => void (isLocked = false);
    return stack;
  }
  const workDir = () => join(folder.path, "stacks/kiel");
  const lookAt = () =>
    withSession(
      { name: "kiel", stack: "kiel", wave: "all" },
      workingTree(),
      lockedStack,
      (session) => session.deployedRevision(),
    );
  beforeEach(() => mkdirSync(workDir(), { recursive: true }));

  test("is another machine's, where nothing that began here was killed", async () => {
    await expect(lookAt()).rejects.toThrow(`its stack is locked by ci@${hostname()}`);
  });

  test("is taken away, where something was", async () => {
    writeFileSync(join(workDir(), `engine-${gone}`), "");
    await expect(lookAt()).resolves.toBeUndefined();
  });
});

test("a failure is told without what the provider and Pulumi say around it", () => {
  const said = `sdk-v2/provider2.go:572: sdk.helper_schema: Unable to start container: no such file: provider=docker@5.2.0
    error: creating urn:pulumi:kiel::bess-telemetry::bess:index:Site$docker:index/container:Container::kiel-telegraf: 1 error occurred:
    	* Unable to start container: no such file
    error: update failed
  * urn:pulumi:kiel::bess-telemetry::docker:index/container:Container::kiel-influxdb, interrupted while creating`;
  expect(failureReason(new Error(said))).toBe(
    "Unable to start container: no such file; kiel-telegraf",
  );
});

test("a service that does not come up is told with all that its check has found", () => {
  const report = [
    "influxdb does not come up: the container kiel-influxdb is restarting, exit code 101",
    "  last lines of its log:",
    "    thread main panicked",
  ];
  const said = ` ++ command:local:Command kiel-influxdb-ready creating failed error: exit status 1: running "sh -s":
Diagnostics:
  command:local:Command (kiel-influxdb-ready):
    error: exit status 1: running "ssh pi@kiel 'sh -s'":
${report.map((line) => `    ${line}`).join("\n")}

  pulumi:pulumi:Stack (bess-telemetry-kiel):
    error: update failed
`;
  expect(failureReason(new Error(said))).toBe(report.join("\n"));
});

test("a host that is refused is told with every finding, once", () => {
  const told =
    "The host ssh://pi@kiel cannot carry the site kiel, and no container was touched:\n      - its clock is off\n      - it lacks memory\n";
  const said = `${told}    error: update failed\n +  bess:index:Host kiel creating error: ${told.split("\n")[0]}\n  bess:index:Host (kiel):\n    error: ${told}\nResources:\n    - 3 deleted`;
  expect(failureReason(new Error(said))).toBe(
    "The host ssh://pi@kiel cannot carry the site kiel, and no container was touched: its clock is off; it lacks memory",
  );
});
