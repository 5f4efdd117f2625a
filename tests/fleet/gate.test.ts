import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadModel } from "../../configs/model";
import { docker, gate, gateMessage, unhealthyContainers } from "../../fleet/rollout/gate";
import { temporaryFolder } from "../support/programs";

const model = loadModel(join(__dirname, "../../configs/telemetry.yaml"));
const folder = temporaryFolder();
const path = process.env.PATH;
const at = (file: string) => join(folder.path, file);

/**
 * Puts a stand-in for Docker's client first on the PATH: it notes what it is asked, and answers by
 * the case.
 */
function standIn(cases: Record<string, string>): void {
  const answers = Object.entries(cases).map(([asked, answer]) => `*"${asked}"*) ${answer} ;;`);
  writeFileSync(
    at("docker"),
    `#!/bin/sh\necho "$@" >> ${at("asked")}\ncase "$*" in\n${answers.join("\n")}\nesac\n`,
  );
  chmodSync(at("docker"), 0o755);
  writeFileSync(at("asked"), "");
}

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
const healthy = {
  "ps -aq": "echo a b",
  inspect: "echo '/kiel-mosquitto running healthy 0'; echo '/kiel-influxdb running healthy 0'",
};

describe("the containers of a site", () => {
  test.each<[string, string, string[]]>([
    ["are well", healthy.inspect, []],
    ["lack one", "echo '/kiel-mosquitto running healthy 0'", ["kiel-influxdb is missing"]],
    [
      "have one that has ended",
      "echo '/kiel-mosquitto exited unhealthy 0'; echo '/kiel-influxdb running healthy 0'",
      ["kiel-mosquitto is exited"],
    ],
    [
      "have one that does not answer",
      "echo '/kiel-mosquitto running healthy 0'; echo '/kiel-influxdb running unhealthy 0'",
      ["kiel-influxdb is unhealthy"],
    ],
    [
      "have one that was restarted",
      "echo '/kiel-mosquitto running healthy 0'; echo '/kiel-influxdb running healthy 3'",
      ["kiel-influxdb was restarted 3 times, and 0 are allowed"],
    ],
  ])("%s", async (_, inspect, wrong) => {
    standIn({ ...healthy, inspect });
    expect(await unhealthyContainers(place)).toEqual(wrong);
  });

  test("are not there", async () => {
    standIn({});
    expect(await unhealthyContainers(place)).toEqual(["no container of kiel is there"]);
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
      { inspect: "echo '/kiel-mosquitto running healthy 0'" },
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
