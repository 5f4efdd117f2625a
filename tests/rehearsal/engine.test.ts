import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { environment } from "../../automation/programs";
import { localBackend } from "../../automation/backend";
import { RehearsedSite } from "../support/rehearsal";

const base = RehearsedSite.empty();
let first: string[];

beforeAll(async () => {
  first = await base.preview();
  await base.up();
});

afterAll(() => RehearsedSite.removeAll());

const containers = (steps: string[]) => steps.filter((step) => step.includes(" Container:"));

test("a first preview plans everything, whatever is not known yet", () => {
  expect(containers(first)).toEqual(
    ["explorer", "grafana", "influxdb", "mosquitto", "simulator", "telegraf"].map(
      (service) => `create Container:dev-${service}`,
    ),
  );
  expect(first).toContain("create Dashboard:dev-grafana-bess-overview");
});

test("a second up changes nothing", async () => {
  expect(await base.copy().up()).toEqual([]);
});

test("a field more in the model replaces Telegraf, and no other service that runs without it", async () => {
  const model = readFileSync(join(__dirname, "../../configs/telemetry.yaml"), "utf8");
  const site = base.copy();
  const file = join(site.folder, "model.yaml");
  writeFileSync(
    file,
    model.replace(
      /^.*name: soc,/m,
      (line) =>
        `      - { name: soh, path: soh, type: float, unit: "%", meaning: State of health. }\n${line}`,
    ),
  );
  const steps = await site.up({ model: file, simulator: { enabled: false } });
  // The simulator publishes the model too, and so is left out here.
  expect(containers(steps)).toEqual([
    "delete Container:dev-simulator",
    "replace Container:dev-telegraf",
  ]);
  expect(steps).toContain("update Command:dev-influxdb-schema");
  expect(steps).toContain("update Dashboard:dev-grafana-bess-battery");
});

test("another image of one service replaces that service alone", async () => {
  const steps = await base.copy().up({ images: { grafana: "grafana/grafana:13.1.2" } });
  expect(steps).toEqual(["replace Container:dev-grafana", "replace RemoteImage:dev-grafana"]);
});

test("a rotated secret touches only who uses it", async () => {
  expect(containers(await base.copy().up({ rotate: { gateway: "a" } }))).toEqual([
    "replace Container:dev-mosquitto",
    "replace Container:dev-simulator",
  ]);
  const token = await base.copy().up({ rotate: { influxGrafana: "a" } });
  expect(containers(token)).toEqual([]);
  expect(token).toEqual([
    "replace Command:dev-influxdb-token-grafana",
    "replace RandomId:dev-influxdb-token-grafana",
    ...["influxql", "pipeline", "sql"].map((source) => `update DataSource:dev-grafana-${source}`),
  ]);
});

test("a service that never answers fails the update, and the next one heals the site", async () => {
  const site = RehearsedSite.empty();
  expect(
    site.failingUp([{ resource: "Container:dev-telegraf", kind: "unhealthy", seconds: 1 }]),
  ).toContain("failed to be in healthy state");
  await site.within(({ engine }) =>
    expect(engine().held.containers["dev-telegraf"].healthy).toBe(false),
  );
  await site.up();
  await site.within(({ engine }) =>
    expect(engine().held.containers["dev-telegraf"].healthy).toBe(true),
  );
  expect(await site.up()).toEqual([]);
});

test("a resource that fails leaves the others standing, and the next update makes it", async () => {
  const site = RehearsedSite.empty();
  expect(
    site.failingUp([{ resource: "Container:dev-grafana", kind: "fail", seconds: 1 }]),
  ).toContain("Container:dev-grafana fails");
  expect(await site.up()).toContain("create Container:dev-grafana");
  expect(await site.up()).toEqual([]);
});

test("no data source is made before the default one: Grafana would make the first the default", async () => {
  const site = RehearsedSite.empty();
  const sources = ["influxql", "pipeline", "sql"].map(
    (source) => `create DataSource:dev-grafana-${source}`,
  );
  expect(
    site.failingUp([{ resource: "DataSource:dev-grafana-influxql", kind: "fail", seconds: 1 }]),
  ).toContain("DataSource:dev-grafana-influxql fails");
  expect(await site.up()).toEqual(expect.arrayContaining(sources));
});

test("a refresh finds a container that vanished, and the next update brings it back", async () => {
  const site = base.copy();
  await site.within(({ engine }) => engine().removeContainer("dev-telegraf"));
  expect(await site.up()).toEqual([]);
  await site.refresh();
  expect(await site.up()).toEqual(["create Container:dev-telegraf"]);
});

test("destroy keeps the data volumes, and purge does not", async () => {
  const site = base.copy();
  await site.destroy();
  await site.within(({ engine }) => {
    expect(engine().held.containers).toEqual({});
    expect(engine().held.networks).toEqual({});
    expect(Object.keys(engine().held.volumes).sort()).toEqual(
      ["explorer", "grafana", "influxdb", "mosquitto"].map((service) => `dev-${service}-data`),
    );
  });
  const purged = base.copy();
  await purged.up({ purge: true });
  await purged.destroy({ purge: true });
  await purged.within(({ engine }) => expect(engine().held.volumes).toEqual({}));
});

test("an unreachable engine fails the update, by name", () => {
  const said = base
    .copy()
    .failingUp([{ resource: "engine", kind: "fail", seconds: 1 }], { engine: "ssh://pi@far" });
  expect(said).toContain("ssh://pi@far: failed to connect to any docker daemon");
});

test("no secret stands in the state's file, nor in what the simulated engine keeps", async () => {
  const command = spawnSync("pulumi", ["stack", "export", "--show-secrets", "--stack", "dev"], {
    cwd: join(base.folder, "stacks/dev"),
    env: { ...environment(), ...localBackend(base.folder) },
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  const secrets = plaintexts(JSON.parse(command.stdout).deployment.resources);
  expect(secrets).toHaveLength(10);
  const kept = [base.stateFile, await base.within(({ engine }) => engine().file)].map((file) =>
    readFileSync(file),
  );
  for (const secret of secrets) for (const file of kept) expect(file.includes(secret)).toBe(false);
});

/** Every generated password and token of a state that was exported in plain. */
function plaintexts(
  resources: { type: string; outputs?: Record<string, { plaintext?: string }> }[],
): string[] {
  const made = {
    "random:index/randomPassword:RandomPassword": "result",
    "command:local:Command": "stdout",
  } as Record<string, string>;
  return resources
    .filter(({ type, outputs }) => made[type] && outputs?.[made[type]]?.plaintext)
    .map(({ type, outputs }) => (JSON.parse(outputs![made[type]].plaintext!) as string).trim())
    .filter((text) => text.length > 0);
}
