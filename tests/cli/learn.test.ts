import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { proposalText } from "../../cli/learn";
import { guessField } from "../../cli/learn/guess";
import { Topics } from "../../cli/learn/heard";
import { propose } from "../../cli/learn/propose";
import { bess } from "../../cli/program";
import { readRecorded, type Recorded } from "../../cli/recording";
import { type Field, type Model, modelSchema } from "../../configs/model";
import { readerOf, type Stored } from "../../configs/reading";
import { temporaryFolder } from "../support/programs";

const recordings = join(__dirname, "../../configs/models/recordings");

const second = 1_000_000_000n;
const start = BigInt(Date.UTC(2026, 10, 20, 8)) * 1_000_000n;

/** Messages of a topic, one every ten seconds. */
const every10s = (topic: string, payloads: unknown[]): Recorded[] =>
  payloads.map((payload, i) => ({
    topic,
    payload: typeof payload === "string" ? payload : JSON.stringify(payload),
    time: start + BigInt(i) * 10n * second,
    retained: false,
  }));

/** The model that is proposed for messages. */
function learned(messages: Recorded[]): Model {
  const topics = new Topics();
  for (const message of messages) topics.add(message);
  return modelSchema.parse(parse(proposalText("learned", propose(topics.all).drafts)));
}

/** What a model stores of messages: rows by table, and what it drops. */
function stored(model: Model, messages: Recorded[]) {
  const read = readerOf(model);
  const results = messages.map(({ topic, payload, time }) => read(topic, payload, time ?? start));
  return {
    points: results.flatMap(({ points }) => points),
    drops: results.flatMap(({ drops }) => drops.map(({ reason, field }) => `${field} ${reason}`)),
  };
}

const measurementOf = (model: Model, name: string) => {
  const found = model.measurements.find((m) => m.name === name);
  if (!found)
    throw new Error(
      `there is no ${name} among ${model.measurements.map((m) => m.name).join(", ")}`,
    );
  return found;
};

test.each(readdirSync(recordings))("%s: what is proposed stores what was recorded", (file) => {
  const messages = readFileSync(join(recordings, file), "utf8")
    .split("\n")
    .flatMap((line) => readRecorded(line) ?? []);
  const { points, drops } = stored(learned(messages), messages);
  const noValue = /not a number|empty payload|none of the declared fields|wrong type/;
  expect(drops.filter((drop) => !noValue.test(drop))).toEqual([]);
  expect(points.length).toBeGreaterThan(0);
  expect(drops.length).toBeLessThan(messages.length / 5);
});

describe("the form of messages", () => {
  test("a value per topic: units that have the same names are one table", () => {
    const names = ["voltage", "current", "soc", "temperature"];
    const messages = ["battery_1", "battery_2", "inverter_1"].flatMap((unit) =>
      names.flatMap((name) =>
        every10s(`sa/${unit}/${unit.startsWith("inv") ? `pv_${name}` : name}/state`, [
          "1.5",
          "nan",
        ]),
      ),
    );
    const model = learned(messages);
    expect(model.measurements.map(({ name, topic, names: at }) => [name, topic, at])).toEqual([
      ["battery", ["sa/battery_1/+/state", "sa/battery_2/+/state"], { segment: 2 }],
      ["inverter", "sa/inverter_1/+/state", { segment: 2 }],
    ]);
    expect(measurementOf(model, "battery").tags).toMatchObject([{ name: "id", segment: 1 }]);
  });

  test("topics of any depth: all below the unit is the name", () => {
    const paths = ["Soc", "Dc/0/Voltage", "Dc/0/Current", "System/Cells/Max/Voltage"];
    const model = learned(
      ["512", "513"].flatMap((id) =>
        paths.flatMap((path) => every10s(`N/c0ffee51b001/battery/${id}/${path}`, [{ value: 5 }])),
      ),
    );
    expect(model.measurements).toMatchObject([
      { name: "battery", topic: "N/+/battery/+/#", names: { segment: "#" }, value: "value" },
    ]);
    expect(measurementOf(model, "battery").fields.map(({ path, name }) => path ?? name)).toEqual(
      expect.arrayContaining(
        ["Soc", "Dc/0/Voltage"].map((path) => (path === "Soc" ? "Soc" : path)),
      ),
    );
  });

  test("a list of names and values: one table for each kind of unit", () => {
    const values = [
      { id: "B.R1.SOC", v: 50 },
      { id: "B.R2.SOC", v: 51 },
      { id: "B.PCS1.P", v: -3 },
    ];
    const messages = every10s("scada", [{ ts: 1795161600000, values }]);
    const model = learned(messages);
    expect(model.measurements.map(({ name }) => name)).toEqual(["r", "pcs"]);
    expect(stored(model, messages).points).toMatchObject([
      { table: "r", tags: { id: "R1" }, fields: { soc: 50 }, time: start },
      { table: "r", tags: { id: "R2" }, fields: { soc: 51 }, time: start },
      { table: "pcs", tags: { id: "PCS1" }, fields: { p: -3 }, time: start },
    ]);
  });

  test("lists and objects of units, a text of JSON, and what stands around them", () => {
    const modules = [
      { sn: "A1", soc: 5 },
      { sn: "A2", soc: 6 },
    ];
    const list = every10s("plant/pack/data", [
      { ts: "2026-11-20T08:00:00Z", pack_voltage: 52, modules },
    ]);
    const points = stored(learned(list), list).points;
    expect(points).toMatchObject([
      { table: "pack", fields: { pack_voltage: 52 }, time: start },
      { table: "module", tags: { sn: "A1" }, fields: { soc: 5 }, time: start },
      { table: "module", tags: { sn: "A2" }, fields: { soc: 6 }, time: start },
    ]);
    const object = every10s("plant/pack/data", [
      { inner: JSON.stringify({ P1: { soc: 5 }, P2: { soc: 6 } }) },
    ]);
    expect(
      stored(learned(object), object).points.map(({ tags, fields }) => [tags.id, fields.soc]),
    ).toEqual([
      ["P1", 5],
      ["P2", 6],
    ]);
  });

  test("an id that some messages lack is optional", () => {
    const messages = every10s("b/1/status", [
      { id: 1, group_id: 2, soc: 5 },
      { id: 1, soc: 5 },
    ]);
    const model = learned(messages);
    expect(measurementOf(model, "b").tags).toMatchObject([
      { name: "id", optional: false },
      { name: "group_id", optional: true },
    ]);
    expect(stored(model, messages).drops).toEqual([]);
  });
});

test.each<[what: string, payload: object, time: object]>([
  ["ISO 8601", { ts: "2026-11-20T08:00:00Z" }, { path: "ts", format: "iso8601", zone: "UTC" }],
  ["a Unix time in ms", { t: 1795161600000 }, { path: "t", format: "unix_ms", zone: "UTC" }],
  [
    "a local time",
    { Zeit: "20.11.2026 09:00:00" },
    { path: "Zeit", format: "DD.MM.YYYY HH:mm:ss", zone: "Europe/Berlin" },
  ],
  [
    "a date and a clock",
    { date: "2026-11-20", time: "08:00:00" },
    { path: ["date", "time"], format: "iso8601", zone: "UTC" },
  ],
])("%s is found as the time", (_, payload, time) => {
  const [measurement] = learned(every10s("b/1", [{ soc: 5, ...payload }])).measurements;
  expect(measurement?.time).toMatchObject(time);
});

test.each<[key: string, values: Stored[], guess: Partial<Field>]>([
  ["soc", [55.5], { type: "float", unit: "%", quantity: "state_of_charge" }],
  ["SOC", [555, 556], { unit: "%", scale: 0.1 }],
  ["soh", [0.98], { unit: "%", scale: 100, quantity: "state_of_health" }],
  ["state_of_charge", [80, 81], { type: "float", quantity: "state_of_charge" }],
  ["current", [-21560], { unit: "A", sent: "mA", quantity: "current" }],
  ["minCellVoltage", [3251], { unit: "V", sent: "mV" }],
  ["pack_v", [52.1], { unit: "V", quantity: "voltage" }],
  ["cell_mV", [3251], { unit: "V", sent: "mV" }],
  ["Ac/Out/L2/V", [230], { unit: "V", quantity: "voltage", circuit: "ac_b" }],
  ["Leistung_kW", ["-0,65"], { unit: "kW", quantity: "power", number: { decimal: "," } as never }],
  ["Spannung", ["52,31 V"], { unit: "V", number: { decimal: ",", suffix: "V" } as never }],
  ["coolant", ["0x1F"], { type: "int", number: { base: 16 } as never }],
  ["temperature", [298.1], { unit: "°C", sent: "K" }],
  ["grid_power", [-412], { unit: "W" }],
  ["mode", ["run"], { type: "string", quantity: "mode" }],
  ["mode", [2], { type: "int", quantity: "mode" }],
  ["door", ["ON", "OFF"], { type: "bool" }],
  ["errors", [3], { type: "int" }],
])("%s, sent as %j, is guessed", (key, values, guess) => {
  expect(guessField(key, values)).toMatchObject(guess);
});

test("a power that is not the battery's, and a part of a voltage, have no quantity", () => {
  expect(
    ["grid_power", "max_cell_voltage", "charge_current_limit"].map(
      (key) => guessField(key, [5]).quantity,
    ),
  ).toEqual([undefined, undefined, undefined]);
});

test("the command prints a model that can be used, and what it leaves out", async () => {
  const folder = temporaryFolder();
  const printed = jest.spyOn(console, "log").mockImplementation();
  const told = jest.spyOn(console, "error").mockImplementation();
  const file = join(folder.path, "all.ndjson");
  const line = (topic: string, payload: string) =>
    JSON.stringify({ tst: "2026-11-20T08:00:00.000000+0000", topic, payload });
  writeFileSync(
    file,
    [line("b/1", '{"soc":5}'), "Error: lost", line("gw/lwt", "online")].join("\n"),
  );
  await bess().parseAsync(["learn", "--recording", file, "--name", "mine"], { from: "user" });
  const text = String(printed.mock.calls[0]?.[0]);
  expect(modelSchema.parse(parse(text)).name).toBe("mine");
  expect(text).toContain('# Left out: gw/lwt ("online")');
  expect(told.mock.calls).toEqual([["lines that are no recorded messages: 1"]]);
  printed.mockRestore();
  told.mockRestore();
  folder.remove();
});
