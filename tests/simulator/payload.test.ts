import { join } from "node:path";
import {
  loadModel,
  modelSchema,
  type Field,
  type Measurement,
  type Model,
  pathOf,
  topicsOf,
} from "../../configs/model";
import { type Json, valueAt } from "../../configs/message";
import { messagesOf } from "../../simulator/payload";
import { advance, basePerUnit, sizeUnit, startSimulation, type Unit } from "../../simulator/units";

const root = join(__dirname, "../..");
const defaultModel = loadModel(join(root, "configs/telemetry.yaml"));
const m5bat = loadModel(join(root, "configs/models/m5bat.yaml"));
const at = Date.UTC(2026, 10, 24, 12);

/** The states of three units over two dispatch cycles, every three seconds. */
function history(model: Model): Unit[] {
  let units = startSimulation(model, 3, 1);
  return Array.from({ length: 240 }, () => (units = advance(units, 3))).flat();
}

/** The first that meets a condition. @throws Error where none does. */
function first<T>(items: readonly T[], condition: (item: T) => boolean = () => true): T {
  const found = items.find(condition);
  if (found === undefined) throw new Error("no item meets the condition");
  return found;
}

const fieldOf = (
  measurement: Measurement,
  quantity: Field["quantity"],
  circuit: Field["circuit"] = "dc",
) => first(measurement.fields, (field) => field.quantity === quantity && field.circuit === circuit);

/** A model's measurements with the messages of a unit. */
const measured = (model: Model, unit: Unit) => {
  const messages = messagesOf(model, unit, at);
  expect(messages).toHaveLength(model.measurements.length);
  return messages.map(([topic, payload], i) => ({
    topic,
    payload: JSON.parse(payload) as Json,
    measurement: model.measurements[i] as Measurement,
  }));
};

/** The payloads of a unit by the default model: `bess`, `battery` and `pcs`. */
const payloadsOf = (unit: Unit) =>
  messagesOf(defaultModel, unit, at).map(([, payload]) => JSON.parse(payload)) as [
    Json,
    Json,
    Json,
  ];

/** What Telegraf would store of a field. */
const stored = (payload: Json, field: Field) =>
  (valueAt(payload, pathOf(field)) as number) * field.scale;

describe.each([
  ["the default model", defaultModel],
  ["M5BAT's model", m5bat],
])("messages of %s", (_, model) => {
  const members = history(model);

  test("hold every field of every measurement, of its type and within its range", () => {
    for (const member of members) {
      for (const { payload, measurement } of measured(model, member)) {
        for (const field of measurement.fields) {
          const value = valueAt(payload, pathOf(field));
          expect([field.path, typeof value]).toEqual([
            field.path,
            field.type === "string" ? "string" : "number",
          ]);
          if (field.type === "int") expect(Number.isInteger(value)).toBe(true);
          if (!field.range) continue;
          expect(stored(payload, field)).toBeGreaterThanOrEqual(field.range[0]);
          expect(stored(payload, field)).toBeLessThanOrEqual(field.range[1]);
        }
      }
    }
  });

  test("never stick to the end of a range: the unit is sized to the model", () => {
    const quantities = ["voltage", "current", "power", "state_of_charge"];
    for (const member of members) {
      for (const { payload, measurement } of measured(model, member)) {
        for (const field of measurement.fields) {
          if (field.range && quantities.includes(field.quantity))
            expect(field.range).not.toContain(stored(payload, field));
        }
      }
    }
  });

  test("show all modes, and a state of charge that visibly moves", () => {
    const states = members.filter(({ number }) => number === 1).map(({ state }) => state);
    expect(new Set(states.map(({ mode }) => mode))).toEqual(
      new Set(["charging", "discharging", "standby"]),
    );
    const socs = states.map(({ soc }) => soc);
    expect(Math.max(...socs) - Math.min(...socs)).toBeGreaterThan(10);
  });

  test("have a topic of the measurement's pattern", () => {
    for (const { topic, measurement } of measured(model, first(members)))
      expect(topic).toMatch(
        new RegExp(`^${first(topicsOf(measurement)).replace(/\+/g, "[^/+]+")}$`),
      );
  });
});

describe("messages of the default model", () => {
  const all = history(defaultModel);
  const running = first(
    all,
    ({ number, state }) => number === 2 && state.mode === "discharging" && state.current > 50,
  );
  const [bess, battery, pcs] = payloadsOf(running);

  test("have its topics, ids, group and time", () => {
    expect(messagesOf(defaultModel, running, at).map(([topic]) => topic)).toEqual([
      "bess/bess-2/status",
      "battery/battery-2/status",
      "pcs/pcs-2/status",
    ]);
    expect(bess).toMatchObject({ id: "bess-2", timestamp: "2026-11-24T12:00:00.000Z" });
    expect(battery).toMatchObject({ id: "battery-2", group_id: "bess-2" });
    expect(pcs).toMatchObject({ id: "pcs-2", group_id: "bess-2" });
  });

  test("carry whole mA and mV", () => {
    for (const payload of [bess, battery, pcs]) {
      for (const [path, value] of Object.entries(payload)) {
        if (/current|voltage/.test(path))
          expect([path, Number.isInteger(value)]).toEqual([path, true]);
      }
    }
  });

  test("are of one battery: both ends of the DC link agree, and the phases carry its power", () => {
    expect(pcs).toMatchObject({ dc_voltage: battery.voltage, dc_current: battery.current });
    const watts = ["a", "b", "c"].reduce(
      (sum, p) =>
        sum + ((pcs[`ac_${p}_voltage`] as number) * (pcs[`ac_${p}_current`] as number)) / 1e6,
      0,
    );
    const dcWatts = ((battery.voltage as number) * (battery.current as number)) / 1e6;
    expect(watts / dcWatts).toBeCloseTo(running.unit.efficiency, 3);
  });

  test("show the direction by the current's sign, by the mode, and by current in or out", () => {
    const charging = first(all, ({ state }) => state.mode === "charging" && state.current < -50);
    const [bessCharging, batteryCharging] = payloadsOf(charging);
    expect(battery.current).toBeGreaterThan(0);
    expect(bess).toMatchObject({ operation_mode: "discharging", ac_current_in: 0 });
    expect(bess.ac_current_out).toBeGreaterThan(0);
    expect(batteryCharging.current).toBeLessThan(0);
    expect(bessCharging).toMatchObject({ operation_mode: "charging", ac_current_out: 0 });
    expect(bessCharging.ac_current_in).toBeGreaterThan(0);
  });
});

describe("M5BAT's messages", () => {
  const measurement = first(m5bat.measurements);
  const messageOf = (unit: Unit): [string, Json] => {
    const [topic, payload] = first(messagesOf(m5bat, unit, at));
    return [topic, JSON.parse(payload) as Json];
  };
  const all = history(m5bat);

  test("are one-hot in mode: the first while running, the second in standby", () => {
    for (const member of all) {
      const [topic, payload] = messageOf(member);
      expect(topic).toBe(`m5bat/unit-${member.number}/evaluation`);
      const modes = [payload.Mode_PQ, payload.Mode_Stop, payload.Mode_Silent, payload.Mode_Wait];
      expect(modes).toEqual(member.state.mode === "standby" ? [0, 1, 0, 0] : [1, 0, 0, 0]);
    }
  });

  test("balance power in kW with current and voltage in tenths", () => {
    const running = first(all, ({ state }) => state.current > 300);
    const [, payload] = messageOf(running);
    const value = (quantity: Field["quantity"]) => stored(payload, fieldOf(measurement, quantity));
    const dcWatts = value("voltage") * value("current");
    const acWatts = value("power") * basePerUnit("kW");
    expect(acWatts / dcWatts).toBeCloseTo(running.unit.efficiency, 2);
  });
});

describe("any other model", () => {
  const model = (field: object, more: object = {}) =>
    modelSchema.parse({
      name: "other",
      title: "Other",
      measurements: [
        {
          name: "cell",
          title: "Cell",
          meaning: "One.",
          topic: "plant/+/cell/+",
          interval: "1s",
          time: { path: "meta.at", format: "unix_ms" },
          tags: [
            { name: "cell", segment: 3, meaning: "Cell." },
            { name: "plant", segment: 1, meaning: "Plant." },
            { name: "maker", path: "meta.maker.id", meaning: "Maker." },
          ],
          fields: [
            { name: "value", path: "data.inner.value", type: "float", meaning: "Value.", ...field },
          ],
          ...more,
        },
      ],
    });
  const messageOf = (made: Model): [string, Json] => {
    const [topic, payload] = first(
      messagesOf(made, first(advance(startSimulation(made, 1, 1), 1)), at),
    );
    return [topic, JSON.parse(payload) as Json];
  };
  const value = (field: object) => valueAt(messageOf(model(field))[1], "data.inner.value");

  test("gets nested paths, and its tags in the topic's segments", () => {
    const [topic, payload] = messageOf(model({ quantity: "state_of_charge" }));
    expect(topic).toBe("plant/cell-1/cell/cell-1");
    expect(payload).toMatchObject({
      meta: { at, maker: { id: "cell-1" } },
      data: { inner: { value: expect.any(Number) } },
    });
  });

  test.each([
    ["the middle of the range", { range: [20, 40] }, 30],
    ["a grid's frequency", { quantity: "frequency", unit: "Hz", range: [47, 52] }, 50],
    [
      "a health inside a range that the typical one is not in",
      { quantity: "state_of_health", range: [0, 50] },
      25,
    ],
    ["a quality that finds nothing", { quantity: "quality", type: "int", range: [0, 1] }, 0],
  ])("gets %s", (_, field, expected) => {
    expect(Math.abs((value(field) as number) - expected)).toBeLessThanOrEqual(0.001 * expected);
  });

  test("gets strings and booleans where it asks for them", () => {
    expect(value({ type: "string" })).toBe("ok");
    expect(value({ type: "bool" })).toBe(false);
    expect(typeof value({ type: "bool", quantity: "mode" })).toBe("boolean");
  });

  test("has the sign that its model says", () => {
    const current = { quantity: "current", unit: "A", range: [-100, 50] };
    const [out, into] = ["discharging", "charging"].map((positive) =>
      value({ ...current, positive }),
    );
    expect(out).not.toBe(0);
    expect(into).toBe(-Number(out));
  });

  test.each([
    ["iso8601", "2026-11-24T12:00:00.000Z"],
    ["unix", at / 1e3],
    ["unix_ms", at],
    ["unix_us", at * 1e3],
    ["unix_ns", at * 1e6],
  ])("gets its time as %s", (format, expected) => {
    expect(messageOf(model({}, { time: { path: "t", format } }))[1].t).toBe(expected);
  });

  test("sizes its unit by the tightest of its ranges", () => {
    expect(
      sizeUnit(model({ quantity: "current", unit: "A", range: [-100, 50] }), 1).dispatchCurrent,
    ).toBeCloseTo(40);
    const byPower = sizeUnit(model({ quantity: "power", unit: "kW", range: [-10, 10] }), 1);
    expect(byPower.dispatchCurrent * 850).toBeLessThan(10_000);
    expect(
      sizeUnit(model({ quantity: "voltage", circuit: "ac_a", unit: "V", range: [100, 140] }), 1)
        .phaseVoltage,
    ).toBe(120);
    expect(
      sizeUnit(model({ quantity: "state_of_charge", unit: "%", range: [20, 100] }), 1).socBounds,
    ).toEqual([20, 95]);
  });
});
