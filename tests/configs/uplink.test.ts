import { readdirSync } from "node:fs";
import { join } from "node:path";
import { loadModel } from "../../configs/model";
import {
  minuteOf,
  rawFindings,
  revisions,
  rowsMetric,
  sampleTime,
  uplinkSchema,
  uplinkSeries,
} from "../../configs/uplink";

const model = loadModel("configs/telemetry.yaml");
const named = (start: string) =>
  uplinkSeries(model).flatMap(({ metric }) => (metric.startsWith(start) ? [metric] : []));

test("a number crosses as its average, lowest, highest and last", () => {
  expect(named("bess_battery_voltage")).toEqual([
    "bess_battery_voltage_volts_avg",
    "bess_battery_voltage_volts_min",
    "bess_battery_voltage_volts_max",
    "bess_battery_voltage_volts_last",
  ]);
});

test("a power that is derived crosses in watts", () => {
  expect(named("bess_pcs_power_ac_watts")).toContain("bess_pcs_power_ac_watts_avg");
});

test("a mode crosses as a set of states, with the time in each", () => {
  const mode = uplinkSeries(model).filter(({ rolled }) => rolled.name === "operation_mode");
  expect(mode.map(({ metric, label }) => [metric, label])).toEqual([
    ["bess_bess_operation_mode", "bess_bess_operation_mode"],
    ["bess_bess_operation_mode_seconds", "bess_bess_operation_mode"],
  ]);
});

test("a text crosses as an info, and energy as a counter", () => {
  const [battery] = model.measurements.filter(({ name }) => name === "battery");
  const field = battery?.fields[0];
  if (!battery || !field) throw new Error("the model has no battery");
  const plain = { ...field, range: undefined, limits: undefined, maxRate: undefined };
  const made = uplinkSeries({
    ...model,
    measurements: [
      {
        ...battery,
        fields: [
          { ...plain, name: "firmware", type: "string", unit: "", quantity: "other" },
          { ...plain, name: "discharged", unit: "kWh", quantity: "energy" },
          { ...plain, name: "share_percent", unit: "%", quantity: "other" },
        ],
      },
    ],
  });
  expect(made.map(({ metric }) => metric)).toEqual([
    "bess_battery_firmware_info",
    "bess_battery_discharged_kilowatt_hours_total",
    "bess_battery_share_percent_avg",
    "bess_battery_share_percent_min",
    "bess_battery_share_percent_max",
    "bess_battery_share_percent_last",
  ]);
});

const models = readdirSync("configs/models").filter((name) => name.endsWith(".yaml"));

test.each(["telemetry.yaml", ...models.map((name) => join("models", name))])(
  "%s gives each metric a name of its own that Prometheus takes",
  (file) => {
    const all = loadModel(join("configs", file));
    const names = [
      ...uplinkSeries(all).map(({ metric }) => metric),
      ...all.measurements.map(rowsMetric),
    ];
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => !/^[a-z][a-z0-9_]*$/.test(name))).toEqual([]);
  },
);

test("each sending of a minute has a later time, which tells the minute", () => {
  const start = 1_795_819_500 - (1_795_819_500 % 60);
  const times = Array.from({ length: revisions }, (_, i) => sampleTime(start, i));
  expect(new Set(times).size).toBe(revisions);
  expect([...times].sort((a, b) => a - b)).toEqual(times);
  expect(new Set(times.map((time) => Math.ceil(time / revisions)))).toHaveProperty("size", 1);
  expect(new Set(times.map(minuteOf))).toEqual(new Set([start]));
  expect(sampleTime(start, 1000)).toBe(sampleTime(start, revisions - 1));
});

test("only numbers cross at full rate", () => {
  expect(rawFindings(model, ["battery.soc"])).toEqual([]);
  expect(rawFindings(model, ["battery.sock", "bess.operation_mode"])).toEqual([
    "battery.sock is no field of the model",
    "bess.operation_mode is a string: only a number crosses at full rate",
  ]);
});

test.each([
  ["http://hub.example/api/v1/write"],
  ["https://user:word@hub.example/api/v1/write"],
  ["hub.example"],
])("%s is no address of a hub", (url) => {
  expect(uplinkSchema.safeParse({ url, token: "t".repeat(20) }).success).toBe(false);
});
