import { type Field, type Measurement, type Model, sourcesOf } from "./model";

/** Faults that the simulated BESS can show. */
export const scenarioNames = [
  "cell-overheats",
  "cell-drifts",
  "pack-silent",
  "sensor-frozen",
  "link-flaps",
  "set-point-ignored",
  "over-voltage",
  "soc-jump",
  "clock-wrong",
  "payload-malformed",
] as const;

/** A fault of one simulated unit. */
export type Scenario = (typeof scenarioNames)[number];

/** What a scenario is, and what a model must have to show it. */
interface ScenarioEntry {
  /** What happens, in a sentence. */
  meaning: string;
  /** What a model must have to show it; nothing where every model can. */
  needs?: Need;
}

/** What a model must have. */
interface Need {
  what: string;
  has(model: Model): boolean;
}

const quantitiesOf = (m: Measurement) => m.fields.map(({ quantity }) => quantity);

/** Whether a measurement is of the battery itself, not of an inverter or the plant. */
const isOfBattery = (m: Measurement) =>
  quantitiesOf(m).some((quantity) => quantity === "state_of_charge" || quantity === "cell_voltage");

/** The measurements that a unit's battery management system sends; all where none is told apart. */
export function batteryMeasurements({ measurements }: Model): Measurement[] {
  const found = measurements.filter(isOfBattery);
  return found.length > 0 ? found : measurements;
}

/** Quantities whose sensor can freeze, the first that there is: each moves while a unit works. */
const moving: readonly Field["quantity"][] = ["voltage", "current", "power", "state_of_charge"];

/** The field whose sensor freezes. */
export function freezableField(model: Model): Field | undefined {
  const fields = batteryMeasurements(model).flatMap((m) => m.fields);
  const found = moving.map((quantity) =>
    fields.find((f) => f.quantity === quantity && f.circuit === "dc" && f.type === "float"),
  );
  return found.find((f) => f !== undefined);
}

/** Needs a field of a battery with one of these quantities. */
const aField = (what: string, ...quantities: Field["quantity"][]): Need => ({
  what,
  has: (model) =>
    batteryMeasurements(model)
      .flatMap((m) => m.fields)
      .some((f) => quantities.includes(f.quantity) && f.circuit === "dc"),
});

/** Every scenario. docs/simulator.md is generated from it. */
export const scenarios: Record<Scenario, ScenarioEntry> = {
  "cell-overheats": {
    meaning: "A cell heats itself by a side reaction, beyond the normal range within minutes.",
    needs: aField("a temperature of a battery", "temperature"),
  },
  "cell-drifts": {
    meaning: "A cell loses charge through a leak: its voltage leaves those of the others.",
    needs: aField("a voltage of a cell", "cell_voltage"),
  },
  "pack-silent": {
    meaning: "The battery's messages stop; the unit's others go on.",
  },
  "sensor-frozen": {
    meaning: "A sensor repeats its last value while the unit works.",
    needs: { what: "a value that moves", has: (model) => freezableField(model) !== undefined },
  },
  "link-flaps": {
    meaning: "The unit's link drops about every minute; what was due meanwhile is lost.",
  },
  "set-point-ignored": {
    meaning: "The inverter has lost two of three stacks: it gives a third of its set point.",
    needs: {
      what: "a set point of the power",
      has: ({ measurements }) =>
        measurements.some((m) => quantitiesOf(m).includes("power_set_point")),
    },
  },
  "over-voltage": {
    meaning: "Charging does not end at the full battery, but at a voltage beyond the normal range.",
    needs: aField("a voltage of a battery", "voltage", "cell_voltage"),
  },
  "soc-jump": {
    meaning: "The battery management system loses count: the state of charge jumps, nothing else.",
    needs: aField("a state of charge", "state_of_charge"),
  },
  "clock-wrong": {
    meaning: "The unit's clock begins at the year 2000 again.",
    needs: {
      what: "a time in its messages",
      has: ({ measurements }) => measurements.flatMap(sourcesOf).some(({ time }) => time),
    },
  },
  "payload-malformed": {
    meaning: "Every third message is cut off, or has an error in the place of a number.",
  },
};

/** The scenarios that a model can show. */
export const scenariosOf = (model: Model): Scenario[] =>
  scenarioNames.filter((name) => scenarios[name].needs?.has(model) ?? true);

/** Why a model cannot show a scenario, with those that it can; nothing where it can. */
export function scenarioFindings(key: string, scenario: Scenario, model: Model): string[] {
  const shown = scenariosOf(model);
  return shown.includes(scenario)
    ? []
    : [
        `${key} is "${scenario}": it needs ${scenarios[scenario].needs?.what}, which the model ` +
          `${model.name} has not; it shows ${shown.join(", ")}`,
      ];
}
