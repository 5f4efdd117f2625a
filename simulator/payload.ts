import {
  type Field,
  first,
  type Measurement,
  type Model,
  sourcesOf,
  type Tag,
} from "../configs/model";
import type { Reading } from "../configs/payload";
import { conversion } from "../configs/plan";
import { buildMessages, sentNumber } from "../configs/message";
import { basePerUnit, type Unit } from "./units";
import { noise, phases, type BatteryState } from "./physics";

/** A message that is published. */
export type Message = [topic: string, payload: string];

/** Typical values of quantities that the physics does not cover, in the field's unit. */
const typical: Partial<Record<Field["quantity"], number>> = {
  state_of_health: 98,
  frequency: 50,
  temperature: 25,
  quality: 0,
};

/** First slot of {@link noise} for values outside the physics, which uses the slots below. */
const firstSlot = 16;

/** Mean of the phase currents' magnitudes, in A. */
const lineCurrent = (state: BatteryState): number =>
  phases.reduce((sum, phase) => sum + Math.abs(state.phases[phase].current), 0) / phases.length;

/** A field's value by the physics in base units (W, not kW); undefined where it has none. */
function physicalValue(field: Field, state: BatteryState): number | undefined {
  const { quantity, circuit, positive } = field;
  const { voltage, current } = circuit === "dc" ? state : state.phases[circuit];
  const sign = positive === "charging" ? -1 : 1;
  switch (quantity) {
    case "state_of_charge":
      return state.soc;
    case "voltage":
      return voltage;
    case "current":
      return sign * current;
    // A unit draws from the grid or feeds it, never both.
    case "current_in":
      return state.mode === "charging" ? lineCurrent(state) : 0;
    case "current_out":
      return state.mode === "discharging" ? lineCurrent(state) : 0;
    case "power":
      return sign * state.acPower;
    case "power_set_point":
      return sign * state.powerSetPoint;
    case "reactive_power":
      return state.reactivePower;
    case "reactive_power_set_point":
      return 0;
    default:
      return undefined;
  }
}

/** A value near the typical one; near the middle of the range where that is outside of it. */
function plausibleValue({ quantity, range }: Field, wobble: number): number {
  const usual = typical[quantity];
  const inRange = usual !== undefined && (!range || (range[0] <= usual && usual <= range[1]));
  const centre = inRange ? usual : range ? (range[0] + range[1]) / 2 : 0;
  return centre * (1 + 0.001 * wobble);
}

/** How a field is read in the measurement's first form. */
const readingOf = (field: Field, measurement: Measurement): Reading =>
  first(sourcesOf(measurement)).fields.find((entry) => entry.field === field)?.reading ?? field;

/**
 * A value as it is stored once a gateway has sent it: clamped to the range, and with no more digits than
 * it sends. A scale below 1 means a finer unit such as mA, which gateways send as whole numbers.
 */
function storedValue(field: Field, reading: Reading, value: number): number {
  const { type, range } = field;
  const clamped = range ? Math.min(Math.max(value, range[0]), range[1]) : value;
  if (type === "int") return Math.round(clamped);
  const { factor, addend, divisor } = conversion(field, reading);
  const digits = factor < divisor ? 1 : 1000;
  const sent = Math.round(Number(sentNumber(field, reading, clamped)) * digits) / digits;
  return (sent * factor + addend) / divisor;
}

/** Whether a mode field is set: the first while the unit runs, the second while in standby. */
function modeFlag(field: Field, measurement: Measurement, state: BatteryState): boolean {
  const flags = measurement.fields.filter((f) => f.quantity === "mode" && f.type !== "string");
  return flags.indexOf(field) === (state.mode === "standby" ? 1 : 0);
}

function valueOf(
  field: Field,
  measurement: Measurement,
  { unit, state }: Unit,
): number | string | boolean {
  if (field.quantity === "mode") {
    if (field.type === "string") return state.mode;
    const flag = modeFlag(field, measurement, state);
    return field.type === "bool" ? flag : Number(flag);
  }
  if (field.type === "bool") return false;
  if (field.type === "string") return "ok";
  const base = physicalValue(field, state);
  const wobble = noise(unit.seed, state.tick, firstSlot + measurement.fields.indexOf(field));
  return storedValue(
    field,
    readingOf(field, measurement),
    base === undefined ? plausibleValue(field, wobble) : base / basePerUnit(field.unit),
  );
}

/** Id of the part of a unit that a measurement reports, such as `battery-1`. */
const idOf = (measurement: Measurement, { number }: Unit): string =>
  `${measurement.name}-${number}`;

/**
 * Value of a tag. The first tag names the part itself, any other the unit that it belongs to, by
 * the model's first measurement.
 */
function tagValue(model: Model, measurement: Measurement, unit: Unit, tag: Tag): string {
  // oxlint-disable-next-line typescript/no-non-null-assertion -- the schema asks for a measurement
  return idOf(tag === measurement.tags[0] ? measurement : model.measurements[0]!, unit);
}

function messagesOfPart(
  model: Model,
  measurement: Measurement,
  unit: Unit,
  time: number,
): Message[] {
  return buildMessages(measurement, {
    time,
    tag: (tag) => tagValue(model, measurement, unit, tag),
    level: idOf(measurement, unit),
    fields: measurement.fields.map((field) => [field, valueOf(field, measurement, unit)] as const),
  }).map(({ topic, payload }) => [topic, payload]);
}

/**
 * The messages of a unit: one for each of the model's measurements, or for each of its values.
 * @param time time of the measurement, in ms since 1970.
 */
export function messagesOf(model: Model, unit: Unit, time: number): Message[] {
  return model.measurements.flatMap((measurement) =>
    messagesOfPart(model, measurement, unit, time),
  );
}
