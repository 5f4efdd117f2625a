import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { comparePlans } from "../../automation";
import { renderedPlan } from "../../automation/rendered";
import { groupSites } from "../../fleet/report";
import { temporaryFolder } from "../support/programs";

// Regenerate with: UPDATE_GOLDEN=1 npx jest tests/fleet/every-change; then read it.
const update = process.env.UPDATE_GOLDEN === "1";

const folder = temporaryFolder();
afterAll(() => folder.remove());

/** A measurement of a model, as its file has it. */
interface Measurement {
  name: string;
  topic: string;
  time: object;
  tags: Record<string, unknown>[];
  fields: Record<string, unknown>[];
}

let models = 0;

/** The default model after a change of its table `battery`, or of all of them. */
function model(change: (battery: Measurement, all: Measurement[]) => void): { model: string } {
  const read: { measurements: Measurement[] } = parse(
    readFileSync("configs/telemetry.yaml", "utf8"),
  );
  const battery = read.measurements.find(({ name }) => name === "battery");
  if (!battery) throw new Error("the default model has no table battery");
  change(battery, read.measurements);
  const file = join(folder.path, `${models++}.yaml`);
  writeFileSync(file, stringify(read));
  return { model: file };
}

const field = (battery: Measurement, name = "voltage") => {
  const found = battery.fields.find((one) => one.name === name);
  if (!found) throw new Error(`battery has no field ${name}`);
  return found;
};
const soh = { name: "soh", path: "soh", type: "float", unit: "%", meaning: "State of health." };
const site = { name: "kiel-1", engine: "ssh://bess@kiel-1.example", profile: "pi" };
const server = { profile: "server" };
const pagerduty = { pagerduty: { key: "0123456789abcdef" } };
const images = (change: object) => ({ images: change });

/** A kind of change, the site before it and after it, and what confirms it where data is lost. */
type Kind = [kind: string, before: object, after: object, confirmed?: string];

const kinds: Kind[] = [
  ["retention shortened", server, { ...server, retention: "10d" }, "retention 365d -> 10d"],
  ["retention lengthened", { retention: "10d" }, { retention: "90d" }],
  [
    "a tier kept for less long",
    {},
    { retention: { minute: "90d" } },
    "retention.minute 365d -> 90d",
  ],
  ["a tier kept for longer", {}, { retention: { day: "7300d" } }],
  ["retention in other words", { retention: "14d" }, { retention: "2w" }],
  ["profile with a shorter retention", {}, { profile: "dev" }, "retention 90d -> 30d"],
  [
    "profile with a shorter queue",
    { profile: "server", retention: "90d" },
    { profile: "pi", retention: "90d" },
  ],
  [
    "limit of an alert",
    {},
    model((battery) => {
      field(battery).limits = [600, 880];
    }),
  ],
  [
    "alert that goes, and one that comes",
    {},
    model((battery) => {
      delete field(battery).limits;
      field(battery, "current").stuckAfter = "30m";
    }),
  ],
  [
    "contact that goes, and who is told of what",
    { alerts: { contacts: { duty: pagerduty, office: pagerduty } } },
    { alerts: { contacts: { duty: { ...pagerduty, severities: ["critical"] } } } },
  ],
  ["purge on", {}, { purge: true }, "purge false -> true"],
  ["purge off", { purge: true }, {}],
  [
    "field's type",
    {},
    model((battery) => {
      const { name, path, meaning } = field(battery);
      battery.fields = battery.fields.map((one) =>
        one.name === name ? { name, path, meaning, type: "string" } : one,
      );
    }),
    "type battery.voltage float -> string",
  ],
  [
    "field turned into a tag",
    {},
    model((battery) => {
      battery.fields = battery.fields.filter(({ name }) => name !== "voltage");
      battery.tags.push({ name: "voltage", path: "v", optional: true, meaning: "Voltage." });
    }),
    "type battery.voltage float -> tag",
  ],
  [
    "tag renamed",
    {},
    model((battery) => {
      delete field(battery, "soc").drift;
      Object.assign(battery.tags[1] ?? {}, { name: "string" });
    }),
    "tags battery id, group_id -> id, string",
  ],
  [
    "tag removed",
    {},
    model((battery) => {
      delete field(battery, "soc").drift;
      battery.tags.pop();
    }),
    "tags battery id, group_id -> id",
  ],
  [
    "tag added",
    {},
    model((battery) => battery.tags.push({ name: "rack", path: "rack", meaning: "Rack." })),
    "tags battery id, group_id -> id, group_id, rack",
  ],
  [
    "tag from another place",
    {},
    model((battery) => Object.assign(battery.tags[1] ?? {}, { path: "g" })),
  ],
  [
    "topic changed",
    {},
    model((battery) => (battery.topic = "bat/+/status")),
    "topic battery battery/+/status -> bat/+/status",
  ],
  ["topic widened", model((battery) => (battery.topic = "battery/1/status")), {}],
  [
    "topic narrowed",
    {},
    model((battery) => {
      battery.topic = "battery/1/status";
      battery.tags = battery.tags.map((tag) => ("segment" in tag ? { ...tag, segment: 1 } : tag));
    }),
    "topic battery battery/+/status -> battery/1/status",
  ],
  ["field added", {}, model((battery) => battery.fields.push(soh))],
  ["field removed", {}, model((battery) => battery.fields.pop()), "column battery.voltage -> none"],
  ["field renamed", {}, model((battery) => (field(battery).name = "dc_voltage"))],
  ["field from another path", {}, model((battery) => (field(battery).path = "volts"))],
  [
    "field in another unit",
    {},
    model((battery) => Object.assign(field(battery), { unit: "kW", scale: 0.5 })),
  ],
  [
    "field's range, meaning and quantity",
    {},
    model((battery) => Object.assign(field(battery), { range: [650, 840], meaning: "Other." })),
  ],
  [
    "time from another path",
    {},
    model((battery) => (battery.time = { path: "ts", format: "unix" })),
  ],
  [
    "measurement added",
    {},
    model((battery, all) =>
      all.push({ ...battery, name: "meter", topic: "meter/+/status", fields: [soh] }),
    ),
  ],
  [
    "measurement removed",
    {},
    model((battery, all) => all.splice(all.indexOf(battery), 1)),
    "table battery -> none",
  ],
  ["measurement renamed", {}, model((battery) => (battery.name = "batteries"))],
  [
    "measurement renamed, with a field less",
    {},
    model((battery) => {
      battery.name = "batteries";
      battery.fields.pop();
    }),
    "column battery.voltage -> none",
  ],
  [
    "model exchanged",
    {},
    { model: "configs/models/m5bat.yaml" },
    "model bess, battery, pcs -> unit",
  ],
  [
    "InfluxDB lowered",
    {},
    images({ influxdb: "influxdb:3.11.2-core" }),
    "image influxdb influxdb:3.12.2-core -> influxdb:3.11.2-core",
  ],
  ["InfluxDB raised", {}, images({ influxdb: "influxdb:3.13.0-core" })],
  [
    "Mosquitto lowered",
    {},
    images({ mosquitto: "eclipse-mosquitto:2.1.1-alpine" }),
    "image mosquitto eclipse-mosquitto:2.1.2-alpine -> eclipse-mosquitto:2.1.1-alpine",
  ],
  ["Mosquitto raised", {}, images({ mosquitto: "eclipse-mosquitto:2.2.0-alpine" })],
  [
    "Grafana lowered",
    {},
    images({ grafana: "grafana/grafana:12.4.0" }),
    "image grafana grafana/grafana:13.1.1 -> grafana/grafana:12.4.0",
  ],
  ["Grafana raised", {}, images({ grafana: "grafana/grafana:13.2.0" })],
  [
    "Explorer lowered",
    {},
    images({ explorer: "influxdata/influxdb3-ui:1.8.0" }),
    "image explorer influxdata/influxdb3-ui:1.9.0 -> influxdata/influxdb3-ui:1.8.0",
  ],
  ["Explorer raised", {}, images({ explorer: "influxdata/influxdb3-ui:1.10.0" })],
  ["Telegraf lowered", {}, images({ telegraf: "telegraf:1.38.0-alpine" })],
  ["Telegraf raised", {}, images({ telegraf: "telegraf:1.40.0-alpine" })],
  ["image by its digest", {}, images({ influxdb: `influxdb@sha256:${"0".repeat(64)}` })],
  ["images from a mirror", {}, images({ mirror: "mirror.lan:5000" })],
  ["images no longer pulled", {}, images({ pull: "never" })],
  ["site renamed", {}, { name: "kiel-9" }, "name kiel-1 -> kiel-9"],
  [
    "site moved to another host",
    {},
    { engine: "ssh://bess@kiel-9.example" },
    "engine ssh://bess@kiel-1.example -> ssh://bess@kiel-9.example",
  ],
  ["host spelled otherwise", {}, { engine: "ssh://bess@KIEL-1.example:22" }],
  ["ssh options", {}, { ssh: { jump: "gateway.example" } }],
  ["host prepared", {}, { host: { prepare: true } }],
  ["host rebooted", { host: { prepare: true } }, { host: { prepare: true, reboot: true } }],
  ["storage.max", {}, { storage: { max: "40GB" } }],
  ["MQTT's port", {}, { mqtt: { port: 1884 } }],
  ["MQTT for all networks", {}, { mqtt: { address: "0.0.0.0" } }],
  ["MQTT for the host alone", { mqtt: { address: "0.0.0.0" } }, {}],
  ["MQTT without anonymous gateways", { mqtt: { anonymous: true } }, {}],
  ["WebSocket off", { mqtt: { websocket: { enabled: true } } }, {}],
  ["gateway's password", {}, { rotate: { gateway: "2" } }],
  ["Telegraf's password", {}, { rotate: { telegraf: "2" } }],
  ["a token of InfluxDB", {}, { rotate: { influxGrafana: "2" } }],
  ["InfluxDB published", {}, { influxdb: {} }],
  ["InfluxDB no longer published", { influxdb: {} }, {}],
  ["Explorer off", {}, { explorer: { enabled: false } }],
  ["Explorer off, with purge", { purge: true }, { purge: true, explorer: { enabled: false } }],
  ["Grafana's port", {}, { grafana: { port: 4000 } }],
  ["Grafana without a login", {}, { grafana: { anonymous: true } }],
  ["simulator on", {}, { simulator: { enabled: true } }],
  [
    "simulator's units",
    { simulator: { enabled: true } },
    { simulator: { enabled: true, units: 3 } },
  ],
];

const rendered = new Map<string, ReturnType<typeof renderedPlan>>();

/** Many changes begin at the same site. */
function render(change: object): ReturnType<typeof renderedPlan> {
  const key = JSON.stringify(change);
  const plan = rendered.get(key) ?? renderedPlan("kiel-1", { ...site, ...change });
  rendered.set(key, plan);
  return plan;
}

const planOf = async (before: object, after: object) =>
  comparePlans({ site: "kiel-1" }, await render(before), await render(after));

const goldenFile = join(__dirname, "golden", "every-change.md");
const head = "| change | sentences | refused without |\n| --- | --- | --- |\n";
const rows = new Map<string, string>();
const golden = update ? "" : readFileSync(goldenFile, "utf8");

const row = (kind: string, sentences: readonly string[], confirmed?: string) =>
  `| ${kind} | ${sentences.join("<br>") || "(none: nothing changes)"} | ${confirmed ? `\`${confirmed}\`` : ""} |\n`;

test.each(kinds)("%s", async (...[kind, before, after, confirmed]: Kind) => {
  const plan = await planOf(before, after);
  const [group] = await groupSites([plan]);
  const { changes = [], sentences = [], violations = [] } = group?.example ?? {};
  const losses = changes.filter(({ loses }) => loses).map(({ change }) => change);
  expect(losses).toEqual(confirmed === undefined ? [] : [confirmed]);
  // What is lost comes first, and nothing beside it says that nothing is.
  if (confirmed !== undefined && !confirmed.startsWith("purge"))
    expect(sentences.join(" ")).not.toMatch(/nothing is lost|stored data (stays|is in its volume)/);
  const confirm = confirmed === undefined ? [] : [{ sites: ["kiel-1"], change: confirmed }];
  const [allowed] = await groupSites([plan], { confirm });
  expect(violations.map(({ rule }) => rule).includes("data-kept")).toBe(
    confirmed !== undefined && !confirmed.startsWith("purge"),
  );
  expect(allowed?.example.violations.map(({ rule }) => rule)).not.toContain("data-kept");
  const line = row(kind, sentences, confirmed);
  rows.set(kind, line);
  if (!update) expect(golden).toContain(line);
});

test("the table has every kind, and no other", () => {
  const table = head + [...rows.values()].join("");
  if (update) writeFileSync(goldenFile, table);
  expect(table).toBe(readFileSync(goldenFile, "utf8"));
});
