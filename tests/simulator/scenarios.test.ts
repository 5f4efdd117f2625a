import { type Field, modelSchema, type Model } from "../../configs/model";
import {
  batteryMeasurements,
  freezableField,
  scenariosOf,
  type Scenario,
} from "../../configs/scenarios";
import type { StoredPoint } from "../../configs/reading";
import { cellTemperatureOf } from "../../simulator/physics";
import { faultAt } from "../../simulator/publisher";
import { advance, startSimulation, type Unit } from "../../simulator/units";
import {
  projectModels,
  simulated,
  type SimulatedStep,
  type SimulatedTime,
} from "../support/simulated";

const from = Date.UTC(2026, 10, 27, 12);
const named = projectModels.map((model): [string, Model] => [model.name, model]);
const modelOf = (name: string): Model => {
  const found = projectModels.find((model) => model.name === name);
  if (!found) throw new Error(`there is no model ${name}`);
  return found;
};

/** Numbers of the first unit's fields of a quantity, a list for each field, in the order of time. */
function numbersOf(
  model: Model,
  steps: SimulatedStep[],
  wanted: (field: Field) => boolean,
  unit = /(^|\D)1$/,
): Map<Field, number[]> {
  const found = new Map<Field, number[]>();
  for (const { points } of steps)
    for (const [field, value] of points.flatMap((point) => fieldsOf(model, point, unit)))
      if (wanted(field)) found.set(field, [...(found.get(field) ?? []), value]);
  return found;
}

function fieldsOf(model: Model, point: StoredPoint, unit: RegExp): [Field, number][] {
  const measurement = model.measurements.find(({ name }) => name === point.table);
  if (!Object.values(point.tags).some((tag) => unit.test(tag))) return [];
  return (measurement?.fields ?? []).flatMap((field): [Field, number][] => {
    const value = point.fields[field.name];
    return typeof value === "number" || typeof value === "bigint" ? [[field, Number(value)]] : [];
  });
}

const run = (
  model: Model,
  seconds: number,
  scenario?: Scenario,
  more: Partial<SimulatedTime> = {},
) => [...simulated({ model, from, seconds, interval: 5, units: 1, scenario, ...more })];
const battery = (model: Model) => batteryMeasurements(model).flatMap((m) => m.fields);
const normalTemperatures = (model: Model): [low: number, high: number] =>
  battery(model).find(({ quantity, range }) => quantity === "temperature" && range)?.range ?? [
    10, 40,
  ];
const last = (values: number[]) => values.at(-1) ?? NaN;

describe.each(named)("the simulator with the model %s", (_, model) => {
  test("stays within every normal range, and nothing is dropped", () => {
    const outside = new Set<string>();
    for (const { points, drops } of simulated({ model, from, seconds: 1440, interval: 5 })) {
      expect(drops).toEqual([]);
      for (const [{ name, range }, value] of points.flatMap((p) => fieldsOf(model, p, /./)))
        if (range && (value < range[0] || value > range[1])) outside.add(`${name} ${value}`);
    }
    expect([...outside]).toEqual([]);
  });

  test("keeps its temperatures and its charge over a day", () => {
    let units = startSimulation(model, 1, 1);
    const states = Array.from({ length: 8640 }, () => {
      units = advance(units, 10);
      return units.map(({ unit, state }) => [
        cellTemperatureOf(unit, state, "highest"),
        cellTemperatureOf(unit, state, "lowest"),
        state.soc,
      ]);
    }).flat();
    const [{ unit }] = units as [Unit];
    const [highest = [], lowest = [], soc = []] = [0, 1, 2].map((i) =>
      states.map((values) => values[i] ?? NaN),
    );
    const [low, high] = normalTemperatures(model);
    expect(Math.max(...highest)).toBeLessThan(high);
    expect(Math.min(...lowest)).toBeGreaterThan(low);
    expect(Math.min(...soc)).toBeGreaterThan(unit.socBounds[0]);
    expect(Math.max(...soc)).toBeLessThan(unit.socBounds[1]);
  });

  test.each(scenariosOf(model))("is the same each time with %s", (scenario) => {
    const once = run(model, 120, scenario);
    expect(run(model, 120, scenario)).toEqual(once);
    expect(run(model, 120)).not.toEqual(once);
  });

  test.each(scenariosOf(model))("has no trace of %s in another unit", (scenario) => {
    const others = (steps: SimulatedStep[]) =>
      steps.map(({ points }) =>
        points.filter(({ tags }) => Object.values(tags).every((tag) => !/(^|\D)1$/.test(tag))),
      );
    const [with_, without] = [scenario, undefined].map((one) => run(model, 120, one, { units: 2 }));
    expect(others(with_ ?? [])).toEqual(others(without ?? []));
  });
});

const showing = (scenario: Scenario) => named.filter(([, m]) => scenariosOf(m).includes(scenario));

describe.each(showing("cell-overheats"))("a cell that overheats: %s", (_, model) => {
  const hot = (steps: SimulatedStep[]) => {
    const [field] = battery(model).filter(({ quantity }) => quantity === "temperature");
    return { field, values: numbersOf(model, steps, (f) => f === field).get(field as Field) ?? [] };
  };

  test("leaves the normal range within ten minutes, gradually, and cools down again", () => {
    const { field, values } = hot(run(model, 3600, "cell-overheats", { faultFor: 600 }));
    const [, high = NaN] = field?.range ?? [];
    expect(Number(values[119])).toBeGreaterThan(high);
    const steepest = Math.max(...values.slice(1).map((value, i) => value - (values[i] ?? NaN)));
    expect(steepest).toBeLessThan(3);
    expect(last(values)).toBeLessThan(high);
  });

  test("leaves every other value as it is", () => {
    const others = (scenario?: Scenario) =>
      numbersOf(model, run(model, 600, scenario), ({ quantity }) => quantity !== "temperature");
    expect(others("cell-overheats")).toEqual(others());
  });
});

describe.each(showing("cell-drifts"))("a cell that drifts: %s", (_, model) => {
  test("leaves the other cells by over 50 mV in ten minutes, and is balanced again", () => {
    const lowest = (scenario?: Scenario) => {
      const steps = run(model, 1800, scenario, { faultFor: 600 });
      const [field] = battery(model).filter(
        ({ quantity, extreme }) => quantity === "cell_voltage" && extreme === "lowest",
      );
      return numbersOf(model, steps, (f) => f === field).get(field as Field) ?? [];
    };
    const [with_, without] = [lowest("cell-drifts"), lowest()];
    const apart = without.map((value, i) => value - (with_[i] ?? NaN));
    expect(Number(apart[119])).toBeGreaterThan(0.05);
    expect(Number(apart[6])).toBeLessThan(0.02);
    expect(Math.abs(last(apart))).toBeLessThan(0.005);
  });
});

describe.each(showing("pack-silent"))("a silent pack: %s", (_, model) => {
  test("sends nothing more of its battery, and the unit's others go on", () => {
    const steps = run(model, 120, "pack-silent", { faultFrom: 60 });
    const tables = (part: SimulatedStep[]) => new Set(numbersOf(model, part, () => true).keys());
    const silent = new Set(battery(model));
    expect([...tables(steps.slice(0, 12))].some((field) => silent.has(field))).toBe(true);
    expect([...tables(steps.slice(12))].filter((field) => silent.has(field))).toEqual([]);
  });
});

describe.each(showing("sensor-frozen"))("a frozen sensor: %s", (_, model) => {
  test("repeats its last value, while the same value of another sensor moves", () => {
    const frozen = freezableField(model);
    const values = numbersOf(
      model,
      run(model, 600, "sensor-frozen", { faultFrom: 100 }),
      () => true,
    );
    const ofFrozen = values.get(frozen as Field)?.slice(20) ?? [];
    expect(new Set(ofFrozen).size).toBe(1);
    for (const [field, all] of values)
      if (field !== frozen && ["voltage", "current"].includes(field.quantity))
        expect(new Set(all.slice(20)).size).toBeGreaterThan(10);
  });
});

describe.each(showing("link-flaps"))("a link that flaps: %s", (_, model) => {
  test("is down about two thirds of the time, many times", () => {
    const steps = run(model, 3600, "link-flaps");
    const up = steps.map(({ points }) =>
      points.some(({ tags }) => Object.values(tags).some((tag) => /(^|\D)1$/.test(tag))),
    );
    const share = up.filter(Boolean).length / up.length;
    expect(share).toBeGreaterThan(0.2);
    expect(share).toBeLessThan(0.5);
    expect(up.filter((is, i) => i > 0 && is !== up[i - 1]).length).toBeGreaterThanOrEqual(10);
  });
});

test("a set point that is ignored is followed by a third", () => {
  const model = modelOf("m5bat");
  const values = numbersOf(model, run(model, 360, "set-point-ignored"), () => true);
  const of = (quantity: Field["quantity"]) =>
    [...values].find(([field]) => field.quantity === quantity)?.[1] ?? [];
  of("power_set_point").forEach((wanted, i) => {
    if (Math.abs(wanted) > 100) expect(Number(of("power")[i]) / wanted).toBeCloseTo(1 / 3, 1);
  });
  expect(Math.max(...of("power_set_point"))).toBeGreaterThan(300);
});

describe.each(showing("over-voltage"))("an over-voltage at the end of a charge: %s", (_, model) => {
  test("comes gradually, stays while the fault lasts, and goes by discharging", () => {
    const steps = run(model, 3600, "over-voltage", { faultFor: 1200, interval: 10 });
    const [field] = battery(model).filter(
      ({ quantity, circuit }) => quantity === "voltage" && circuit === "dc",
    );
    const values = numbersOf(model, steps, (f) => f === field).get(field as Field) ?? [];
    const [, high = NaN] = field?.range ?? [];
    expect(Number(values[5])).toBeLessThan(high);
    expect(values.slice(100, 120).every((value) => value > high)).toBe(true);
    expect(last(values)).toBeLessThan(high);
    const soc = numbersOf(model, steps, (f) => f.quantity === "state_of_charge");
    expect(Math.max(...[...soc.values()].flat())).toBe(100);
  });
});

describe.each(showing("soc-jump"))("a state of charge that jumps: %s", (_, model) => {
  test("jumps once by over 20 %, within its range, and no other value changes", () => {
    const values = (scenario?: Scenario, of: (f: Field) => boolean = () => true) =>
      numbersOf(model, run(model, 600, scenario, { faultFrom: 300 }), of);
    const isSoc = ({ quantity }: Field) => quantity === "state_of_charge";
    expect(values("soc-jump", (f) => !isSoc(f))).toEqual(values(undefined, (f) => !isSoc(f)));
    for (const [{ range = [0, 100] }, all] of values("soc-jump", isSoc)) {
      const steps = all.slice(1).map((value, i) => Math.abs(value - (all[i] ?? NaN)));
      expect(steps.filter((step) => step > 20)).toHaveLength(1);
      expect(Math.min(...all)).toBeGreaterThan(Number(range[0]));
    }
  });
});

describe.each(showing("clock-wrong"))("a wrong clock: %s", (_, model) => {
  test("counts on from the year 2000, so that each row is dropped for its time", () => {
    const steps = run(model, 60, "clock-wrong", { faultFrom: 30 });
    const drops = steps.flatMap((step) => step.drops);
    expect(steps.slice(0, 6).flatMap((step) => step.drops)).toEqual([]);
    expect(new Set(drops.map(({ reason }) => reason))).toEqual(
      new Set(["time outside the believed"]),
    );
    expect(steps.slice(6).flatMap(({ points }) => points)).toEqual([]);
  });
});

describe.each(showing("payload-malformed"))("malformed payloads: %s", (_, model) => {
  test("are every third, dropped and counted; the others are stored", () => {
    const steps = run(model, 600, "payload-malformed");
    const broken = steps.filter(({ drops }) => drops.length > 0);
    expect(broken).toHaveLength(40);
    expect(
      new Set(broken.flatMap(({ drops }) => drops.map(({ reason }) => reason))).size,
    ).toBeGreaterThan(0);
    expect(
      steps.filter(({ points, drops }) => points.length > 0 && drops.length === 0),
    ).toHaveLength(80);
  });
});

test("a model that lacks what a scenario needs does not show it", () => {
  const bare = modelSchema.parse({
    name: "bare",
    title: "Bare",
    measurements: [
      {
        name: "meter",
        title: "Meter",
        meaning: "One.",
        topic: "meter/+",
        interval: "1s",
        tags: [{ name: "id", segment: 1, meaning: "Id." }],
        fields: [{ name: "value", type: "float", meaning: "Value." }],
      },
    ],
  });
  expect(scenariosOf(bare)).toEqual(["pack-silent", "link-flaps", "payload-malformed"]);
});

describe("the fault at a time", () => {
  const configured = { scenario: "soc-jump", unit: 1 } as const;
  const order = { scenario: "cell-drifts", unit: 2, until: 1000 } as const;
  test.each([
    ["is the configured one without an order", undefined, configured],
    ["is the ordered one until its end", order, { scenario: "cell-drifts", unit: 2 }],
    ["is the configured one after an order's end", { ...order, until: 500 }, configured],
    ["is none where normal is ordered", { scenario: "normal", unit: 1, until: null }, undefined],
  ] as const)("%s", (_, ordered, expected) => {
    expect(faultAt(ordered, configured, 500)).toEqual(expected);
  });
});
