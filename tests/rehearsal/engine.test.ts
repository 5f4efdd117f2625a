import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { environment } from "../../automation/programs";
import { homeWithoutLogs, localBackend } from "../../automation/backend";
import { modelWith, modelWithField } from "../support/models";
import { RehearsedSite } from "../support/rehearsal";

const base = RehearsedSite.empty();
let first: string[];

beforeAll(async () => {
  first = await base.preview();
  await base.up();
});

afterAll(() => RehearsedSite.removeAll());

const stateOfHealth = { name: "soh", path: "soh", type: "float", meaning: "State of health." };
const containers = (steps: string[]) => steps.filter((step) => step.includes(" Container:"));

test("a first preview plans everything, whatever is not known yet", () => {
  expect(containers(first)).toEqual(
    ["explorer", "grafana", "influxdb", "mosquitto", "rollup", "simulator", "telegraf"].map(
      (service) => `create Container:dev-${service}`,
    ),
  );
  expect(first).toContain("create Dashboard:dev-grafana-bess-overview");
});

test("a second up changes nothing", async () => {
  expect(await base.copy().up()).toEqual([]);
});

test("another field in the model replaces Telegraf and Rollup alone", async () => {
  const site = base.copy();
  const model = modelWithField(site.folder, stateOfHealth);
  const steps = await site.up({ model, simulator: { enabled: false } });
  // The simulator publishes the model too, and so is left out here.
  expect(containers(steps)).toEqual([
    "delete Container:dev-simulator",
    "replace Container:dev-rollup",
    "replace Container:dev-telegraf",
  ]);
  expect(steps).toContain("update Command:dev-influxdb-schema");
  expect(steps).toContain("update Dashboard:dev-grafana-bess-battery");
});

describe("a measurement", () => {
  const sessionSteps = async (change: Parameters<typeof modelWith>[1]) => {
    const site = base.copy();
    const steps = await site.up({
      model: modelWith(site.folder, change),
      simulator: { enabled: false },
    });
    return steps.filter((step) => step.includes("-session-"));
  };

  test("of another topic has a session of its own, and the former one goes", async () => {
    expect(await sessionSteps((battery) => (battery.topic = "pack/+/status"))).toEqual([
      "create Command:dev-telegraf-session-dead8f13",
      "delete Command:dev-telegraf-session-c8c03084",
    ]);
  });

  test("that is renamed keeps its session", async () => {
    expect(await sessionSteps((battery) => (battery.name = "pack"))).toEqual([
      "update Command:dev-telegraf-session-c8c03084",
    ]);
  });
});

test("another image of one service replaces that service alone", async () => {
  const steps = await base.copy().up({ images: { grafana: "grafana/grafana:13.1.2" } });
  expect(steps).toEqual([
    "replace Command:dev-grafana-ready",
    "replace Container:dev-grafana",
    "replace RemoteImage:dev-grafana",
  ]);
});

test("a rotated secret changes only what uses it", async () => {
  expect(containers(await base.copy().up({ rotate: { gateway: "a" } }))).toEqual([
    "replace Container:dev-mosquitto",
    "replace Container:dev-simulator",
  ]);
  const token = await base.copy().up({ rotate: { influxGrafana: "a" } });
  expect(containers(token)).toEqual([]);
  expect(token).toEqual([
    "replace Command:dev-influxdb-token-grafana",
    "replace RandomId:dev-influxdb-token-grafana",
    ...["history", "influxql", "pipeline", "rollups", "sql"].map(
      (source) => `update DataSource:dev-grafana-${source}`,
    ),
  ]);
});

test("a service that never answers fails the update, and the next one heals the site", async () => {
  const site = RehearsedSite.empty();
  expect(
    await site.failingUp([{ resource: "Container:dev-telegraf", kind: "unhealthy", seconds: 1 }]),
  ).toContain("the container dev-telegraf is not healthy");
  const healthy = () => site.engine().state.containers["dev-telegraf"]?.healthy;
  expect(healthy()).toBe(false);
  await site.up();
  expect(healthy()).toBe(true);
  expect(await site.up()).toEqual([]);
});

test("an update that repeats the check of a service that died later mends it, once", async () => {
  const site = base.copy();
  const engine = site.engine();
  engine.save(() =>
    Object.assign(engine.state.containers["dev-telegraf"] ?? {}, { healthy: false }),
  );
  expect(await site.up()).toEqual([]);
  expect(await site.upReplacing("**-telegraf-ready", "**-none-ready")).toEqual([
    "replace Command:dev-telegraf-ready",
  ]);
  expect(site.engine().state.containers["dev-telegraf"]?.healthy).toBe(true);
  expect(await site.up()).toEqual([]);
});

test("a failing resource leaves the others in place, and the next update creates it", async () => {
  const site = RehearsedSite.empty();
  expect(
    await site.failingUp([{ resource: "Container:dev-grafana", kind: "fail", seconds: 1 }]),
  ).toContain("Container:dev-grafana fails");
  expect(await site.up()).toContain("create Container:dev-grafana");
  expect(await site.up()).toEqual([]);
});

// Grafana makes the first data source its default.
test("no data source is created before the default one", async () => {
  const site = RehearsedSite.empty();
  const sources = ["influxql", "pipeline", "sql"].map(
    (source) => `create DataSource:dev-grafana-${source}`,
  );
  expect(
    await site.failingUp([
      { resource: "DataSource:dev-grafana-influxql", kind: "fail", seconds: 1 },
    ]),
  ).toContain("DataSource:dev-grafana-influxql fails");
  expect(await site.up()).toEqual(expect.arrayContaining(sources));
});

test("a refresh finds a container that vanished, and the next update brings it back", async () => {
  const site = base.copy();
  site.engine().removeContainer("dev-telegraf");
  expect(await site.up()).toEqual([]);
  await site.refresh();
  expect(await site.up()).toEqual([
    "create Container:dev-telegraf",
    "replace Command:dev-telegraf-ready",
  ]);
});

test("destroy keeps the data volumes, and purge does not", async () => {
  const site = base.copy();
  await site.destroy();
  const { containers, networks, volumes } = site.engine().state;
  expect(containers).toEqual({});
  expect(networks).toEqual({});
  expect(Object.keys(volumes).sort()).toEqual(
    ["explorer", "grafana", "influxdb", "mosquitto", "rollup"].map(
      (service) => `dev-${service}-data`,
    ),
  );
  const purged = base.copy();
  await purged.up({ purge: true });
  await purged.destroy({ purge: true });
  expect(purged.engine().state.volumes).toEqual({});
});

test("an unreachable engine fails the update, by name", async () => {
  const output = await base
    .copy()
    .failingUp([{ resource: "engine", kind: "fail", seconds: 1 }], { engine: "ssh://pi@far" });
  expect(output).toContain("ssh://pi@far: failed to connect to any docker daemon");
});

test("no secret stands in the state's file, nor in what the simulated engine keeps", async () => {
  const exported = spawnSync("pulumi", ["stack", "export", "--show-secrets", "--stack", "dev"], {
    cwd: join(base.folder, "stacks/dev"),
    env: { ...environment(), ...localBackend(base.folder) },
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  const secrets = plaintexts(JSON.parse(exported.stdout).deployment.resources);
  expect(secrets).toHaveLength(13);
  const kept = [base.stateFile, base.engine().file].map((file) => readFileSync(file));
  for (const secret of secrets) for (const file of kept) expect(file.includes(secret)).toBe(false);
});

test("Pulumi writes no log of a rehearsal, and an earlier one goes", () => {
  const home = join(base.folder, "home");
  const logs = () =>
    readdirSync(home, { recursive: true }).filter((file) => `${file}`.endsWith(".log"));
  expect(readdirSync(home)).toContain("workspaces");
  expect(logs()).toEqual([]);
  const other = join(RehearsedSite.empty().folder, "home");
  mkdirSync(join(other, "logs"), { recursive: true });
  writeFileSync(join(other, "logs/dev-20260101T000000.log"), "");
  expect(homeWithoutLogs(other)).toEqual({ PULUMI_HOME: other });
  expect(readdirSync(other, { recursive: true })).toEqual(["logs"]);
});

/** Every generated password and token of a state that was exported in plain. */
function plaintexts(
  resources: { type: string; outputs?: Record<string, { plaintext?: string }> }[],
): string[] {
  const secretOutputs: Record<string, string> = {
    "random:index/randomPassword:RandomPassword": "result",
    "command:local:Command": "stdout",
  };
  return resources
    .map(({ type, outputs }) => outputs?.[secretOutputs[type] ?? ""]?.plaintext)
    .map((json) => (json === undefined ? "" : (JSON.parse(json) as string).trim()))
    .filter((text) => text.length > 0);
}
