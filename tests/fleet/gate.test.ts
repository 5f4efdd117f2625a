import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadModel, type Model, modelSchema } from "../../configs/model";
import { docker } from "../../fleet/engine";
import { gate, gateMessage, markedSeries, unhealthyContainers } from "../../fleet/rollout/gate";
import { toRepeat } from "../../fleet/services";
import { askingForFacts, containerFacts, standInForDocker } from "../support/docker";
import { temporaryFolder } from "../support/programs";

const model = loadModel(join(__dirname, "../../configs/telemetry.yaml"));
const folder = temporaryFolder();
const path = process.env.PATH;
const at = (file: string) => join(folder.path, file);

const standIn = (cases: Record<string, string>) => standInForDocker(folder.path, cases);

beforeAll(() => (process.env.PATH = `${folder.path}:${path}`));
afterAll(() => {
  process.env.PATH = path;
  folder.remove();
});

const place = {
  ssh: {},
  site: "kiel",
  containers: ["kiel-mosquitto", "kiel-influxdb"],
  restarts: 0,
};
const args = {
  ...place,
  model,
  retention: "90d",
  gatewayPassword: "gateway-secret",
  grafanaPassword: "grafana-secret",
  limitSeconds: 2,
};
const facts = (service: string, change: object = {}) =>
  `echo '${containerFacts(`kiel-${service}`, change)}'`;
const healthy = {
  "ps -aq": "echo a b",
  [askingForFacts]: `${facts("mosquitto")}; ${facts("influxdb")}`,
};
const influxdb = (change: object) => ({
  ...healthy,
  [askingForFacts]: `${facts("mosquitto")}; ${facts("influxdb", change)}`,
  "inspect --format {{with": "printf '\\fexit code 0: fine\\fexit code 7: no\\nanswer\\n'",
  logs: "echo 'thread main panicked' >&2",
});

test("an update repeats the check of a service that is not well, and of no other", async () => {
  standIn(influxdb({ state: "exited" }));
  expect((await toRepeat({ name: "kiel", ssh: {} })).urns).toEqual(["**-influxdb-ready"]);
  standIn({ "ps -aq": "exit 1" });
  expect((await toRepeat({ name: "kiel", ssh: {} })).urns).toEqual([]);
});

describe("the containers of a site", () => {
  test.each<[string, Record<string, string>, string[]]>([
    ["are well", healthy, []],
    [
      "lack one",
      { ...healthy, [askingForFacts]: facts("mosquitto") },
      ["kiel-influxdb is missing"],
    ],
    ["are not there", {}, ["no container of kiel is there"]],
    [
      "have one that was restarted",
      influxdb({ restarts: 3 }),
      ["kiel-influxdb was restarted 3 times, and 0 are allowed"],
    ],
  ])("%s", async (_, cases, wrong) => {
    standIn(cases);
    expect(await unhealthyContainers(place)).toEqual(wrong);
  });

  test.each([
    [
      "has ended",
      { state: "exited", exitCode: 1 },
      "exited since 2026-11-27T12:00:00Z, exit code 1",
    ],
    ["does not answer", { health: "unhealthy" }, "running and unhealthy since"],
  ])("have one that %s, which is told with its log", async (_, change, said) => {
    standIn(influxdb(change));
    const [report = "", ...others] = await unhealthyContainers(place);
    expect(others).toEqual([]);
    expect(report).toContain(`influxdb is not well: the container kiel-influxdb is ${said}`);
    expect(report).toContain("\n  last health check: exit code 7: no answer\n");
    expect(report).toContain("\n    thread main panicked\n");
  });
});

test("the marked message lies before what dashboards show, and within the retention", () => {
  const now = Date.parse("2026-11-24T12:00:00.123Z");
  const { topic, payload, query } = gateMessage(model, "90d", now);
  expect(topic).toBe("bess/rollout-gate/status");
  expect(JSON.parse(payload)).toMatchObject({ timestamp: "2026-11-16T12:00:00.123Z" });
  expect(query).toContain(`time >= ${Date.parse("2026-11-16T12:00:00Z")}ms`);
  expect(JSON.parse(gateMessage(model, "2d", now).payload)).toMatchObject({
    timestamp: "2026-11-23T12:00:00.123Z",
  });
});

test("the series of an update lies apart from the gate's message, each second a row of its own", () => {
  const now = Date.parse("2026-11-24T12:00:00Z");
  const series = markedSeries(model, "90d", now);
  if (!series) throw new Error("no series");
  const times = [0, 1, 1500].map((n) => JSON.parse(series.message(n).payload).timestamp);
  expect(times).toEqual([
    "2026-11-16T11:00:00.000Z",
    "2026-11-16T11:00:01.000Z",
    "2026-11-16T11:25:00.000Z",
  ]);
  expect(series.sql).toBe(
    `SELECT count(*) AS count FROM "bess" WHERE "id" = 'rollout-gate' AND ` +
      "time >= '2026-11-16T11:00:00.000Z' AND time < '2026-11-16T11:30:00.000Z'",
  );
  // A gate at the end of the longest series has its message later.
  const gate = gateMessage(model, "90d", now + 1500 * 1000);
  expect(JSON.parse(gate.payload).timestamp > "2026-11-16T11:30").toBe(true);
  // A short retention has no room for both.
  expect(markedSeries(model, "1h", now)).toBeUndefined();
});

describe("the marked message of another model", () => {
  const now = Date.parse("2026-11-24T12:00:00Z");
  const field = { name: "soc", type: "float", meaning: "Charge." };
  const other = (measurement: object): Model =>
    modelSchema.parse({
      name: "other",
      title: "Other",
      measurements: [
        {
          name: "unit",
          title: "Unit",
          meaning: "One.",
          interval: "1s",
          fields: [field],
          ...measurement,
        },
      ],
    });
  const tag = (place: object) => ({ name: "id", meaning: "Id.", ...place });
  const time = { path: "$.t", format: "DD.MM.YYYY HH:mm" };

  test.each<[what: string, measurement: object, topic: string, payload: string, condition: string]>(
    [
      [
        "with a time of its own lies at that time",
        { topic: "u/+", tags: [tag({ segment: 1 })], time },
        "u/rollout-gate",
        '{"soc":0,"t":"16.11.2026 12:00"}',
        `"id" = 'rollout-gate' AND time >= 1794830400000ms AND time <= 1794830400999ms`,
      ],
      [
        "without one has a mark of its own",
        {
          topic: "u/+/#",
          tags: [tag({ segment: 1, split: "-", part: 0 })],
          names: { segment: -1 },
        },
        "u/rollout_gate_1795521600/soc",
        "0",
        `"id" = 'rollout_gate_1795521600' AND time >= now() - 1h`,
      ],
      [
        "whose tags take no text is a unit's own",
        { topic: "u", each: "modules", tags: [tag({ index: 1 })], time },
        "u",
        '{"modules":[{"soc":0}],"t":"16.11.2026 12:00"}',
        `"id" = '1' AND time >= 1794830400000ms AND time <= 1794830400999ms`,
      ],
      [
        "that has bits alone is one of them",
        { topic: "u/+", tags: [tag({ segment: 1 })], fields: [{ ...field, type: "bool", bit: 2 }] },
        "u/rollout-gate-1795521600",
        '{"soc":0}',
        `"id" = 'rollout-gate-1795521600' AND time >= now() - 1h`,
      ],
    ],
  )("%s", (_, measurement, topic, payload, condition) =>
    expect(gateMessage(other(measurement), "90d", now)).toEqual({
      topic,
      payload,
      query: `SELECT "soc" FROM "unit" WHERE ${condition}`,
    }),
  );
});

describe("the gate", () => {
  test("is passed where the message is stored and shown; no password stands in an argument", async () => {
    standIn({
      ...healthy,
      "kiel-mosquitto sh": `cat > ${at("published")}`,
      "kiel-influxdb bash": `cat > ${at("checked")}`,
    });
    expect(await gate(args)).toEqual([]);
    expect(readFileSync(at("published"), "utf8")).toMatch(
      /^-u gateway\n-P gateway-secret\n[^]*-t bess\/rollout-gate\/status\n-m \{.*\}\n$/,
    );
    expect(readFileSync(at("checked"), "utf8")).toMatch(/api\/ds\/query/);
    expect(readFileSync(at("asked"), "utf8")).not.toMatch(/secret/);
  });

  test.each<[string, Record<string, string>, string]>([
    [
      "a container that is not well, before anything is published",
      { [askingForFacts]: facts("mosquitto") },
      "kiel-influxdb is missing",
    ],
    [
      "a broker that refuses",
      { "kiel-mosquitto sh": "echo 'Connection error: Not authorised' >&2; exit 5" },
      "the broker did not take the marked message: Connection error: Not authorised",
    ],
    [
      "a message that does not arrive",
      { "kiel-influxdb bash": "echo 'the marked message was not in InfluxDB within 2 s'" },
      "the marked message was not in InfluxDB within 2 s",
    ],
  ])("tells %s", async (_, change, wrong) => {
    standIn({ ...healthy, ...change });
    expect(await gate(args)).toEqual([wrong]);
  });

  test("is finished at Ctrl-C in a terminal: it asks in a session of its own", async () => {
    standIn({ version: "cut -d ' ' -f 6 /proc/$$/stat" });
    const own = readFileSync("/proc/self/stat", "utf8").split(" ")[5];
    const session = (await docker(place, ["version"])).trim();
    expect(session).toMatch(/^\d+$/);
    expect(session).not.toBe(own);
  });
});
