import {
  type Field,
  first,
  type Measurement,
  type Model,
  sourcesOf,
  type Tag,
} from "../configs/model";
import type { Reading } from "../configs/payload";
import { batteryMeasurements, freezableField } from "../configs/scenarios";
import { durationSeconds } from "../configs/units";
import { conversion } from "../configs/plan";
import { buildMessages, mostUnits, sentNumber } from "../configs/message";
import { basePerUnit, fromCelsius, type Unit } from "./units";
import {
  type BatteryState,
  cellTemperatureOf,
  cellVoltageOf,
  linkIsDown,
  noise,
  phases,
} from "./physics";

/** A message that is published. */
export type Message = [topic: string, payload: string];

/** Typical values of quantities that the physics does not cover, in the field's unit. */
const typical: Partial<Record<Field["quantity"], number>> = {
  state_of_health: 98,
  frequency: 50,
  quality: 0,
};

/** First slot of {@link noise} for values outside the physics, which uses the slots below. */
const firstSlot = 16;

/** Mean of the phase currents' magnitudes, in A. */
const lineCurrent = (state: BatteryState): number =>
  phases.reduce((sum, phase) => sum + Math.abs(state.phases[phase].current), 0) / phases.length;

/** Which of the cells or sensors a field is of: an extreme one, or the one by its place. */
const whichOf = (field: Field, { fields }: Measurement): number | "highest" | "lowest" =>
  field.extreme ??
  fields
    .filter(({ quantity, extreme }) => quantity === field.quantity && extreme === undefined)
    .indexOf(field) + 1;

/** Whether an AC current has no sign: it is a magnitude then. */
const isMagnitude = ({ circuit, range }: Field) => circuit !== "dc" && range?.[0] === 0;

/** A temperature, in °C: of the cells, or of what is no battery. */
const temperatureOf = (
  field: Field,
  measurement: Measurement,
  model: Model,
  { unit, state }: Unit,
) =>
  batteryMeasurements(model).includes(measurement)
    ? cellTemperatureOf(unit, state, whichOf(field, measurement))
    : state.inverterTemperature;

/** A field's value by the physics, in the field's unit; undefined where it has none. */
function physicalValue(
  field: Field,
  measurement: Measurement,
  model: Model,
  one: Unit,
): number | undefined {
  if (field.quantity === "temperature")
    return fromCelsius(temperatureOf(field, measurement, model, one), field.unit);
  const base =
    field.quantity === "cell_voltage"
      ? cellVoltageOf(one.unit, one.state, whichOf(field, measurement))
      : electricalValue(field, one.state);
  return base === undefined ? undefined : base / basePerUnit(field.unit);
}

/** An electrical value in base units (W, not kW); undefined where it is none. */
function electricalValue(field: Field, state: BatteryState): number | undefined {
  const { quantity, circuit, positive } = field;
  const { voltage, current } = circuit === "dc" ? state : state.phases[circuit];
  const sign = positive === "charging" ? -1 : 1;
  switch (quantity) {
    // No battery management system counts further.
    case "state_of_charge":
      return Math.min(Math.max(state.soc + state.countError, 0), 100);
    case "voltage":
      return voltage;
    case "current":
      return isMagnitude(field) ? Math.abs(current) : sign * current;
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
 * A value as it is stored once a gateway has sent it, with no more digits than it sends. A scale below 1 means a finer unit such as mA, which gateways send as whole numbers.
 */
function storedValue(field: Field, reading: Reading, value: number): number {
  if (field.type === "int") return Math.round(value);
  const { factor, addend, divisor } = conversion(field, reading);
  const digits = factor < divisor ? 1 : 1000;
  const sent = Math.round(Number(sentNumber(field, reading, value)) * digits) / digits;
  return (sent * factor + addend) / divisor;
}

/** Whether a mode field is set: the first while the unit runs, the second while in standby. */
function modeFlag(field: Field, measurement: Measurement, state: BatteryState): boolean {
  const flags = measurement.fields.filter((f) => f.quantity === "mode" && f.type !== "string");
  return flags.indexOf(field) === (state.mode === "standby" ? 1 : 0);
}

/** The unit as a field's sensor sees it: a frozen one keeps what it saw when it froze. */
const seenBy = (field: Field, model: Model, one: Unit): Unit =>
  one.fault?.scenario === "sensor-frozen" && freezableField(model) === field
    ? { ...one, state: one.fault.begin }
    : one;

function valueOf(
  field: Field,
  measurement: Measurement,
  model: Model,
  { unit, state, ...others }: Unit,
): number | string | boolean {
  if (field.quantity === "mode") {
    if (field.type === "string") return state.mode;
    const flag = modeFlag(field, measurement, state);
    return field.type === "bool" ? flag : Number(flag);
  }
  if (field.type === "bool") return false;
  if (field.type === "string") return "ok";
  const wobble = noise(unit.seed, state.tick, firstSlot + measurement.fields.indexOf(field));
  return storedValue(
    field,
    readingOf(field, measurement),
    physicalValue(field, measurement, model, { unit, state, ...others }) ??
      plausibleValue(field, wobble),
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
    unit: unit.number - 1,
    fields: measurement.fields.map(
      (field) => [field, valueOf(field, measurement, model, seenBy(field, model, unit))] as const,
    ),
  }).map(({ topic, payload }) => [topic, payload]);
}

/** Where a clock begins that has lost its battery. */
const firstOfClock = Date.UTC(2000, 0, 1);

/** The time on a unit's own clock, in ms since 1970. */
const ownTime = ({ fault, state }: Unit, time: number): number =>
  fault?.scenario === "clock-wrong"
    ? firstOfClock + (state.elapsed - fault.begin.elapsed) * 1000
    : time;

/** Part of a payload that is left of one that is cut off. */
const leftOf = 0.6;

/** A payload as broken firmware sends it: JSON is cut off, and a number is an error. */
function malformed(payload: string): string {
  if (/^[[{]/.test(payload)) return payload.slice(0, Math.floor(payload.length * leftOf));
  return payload === "" || Number.isNaN(Number(payload)) ? payload : "#ERR";
}

/** Whether a measurement's messages are lost, or the unit has no topic for them. */
function isLost(model: Model, measurement: Measurement, one: Unit): boolean {
  const { number, unit, state, fault } = one;
  if (number > mostUnits(measurement)) return true;
  if (fault?.scenario === "pack-silent") return batteryMeasurements(model).includes(measurement);
  const longest = Math.max(...model.measurements.map((m) => durationSeconds(m.interval)));
  return fault?.scenario === "link-flaps" && linkIsDown(unit, state, longest);
}

/**
 * The messages of a unit: one for each of the model's measurements, or for each of its values. A fault
 * of the unit takes some away, or breaks them.
 * @param time time of the measurement, in ms since 1970.
 */
export function messagesOf(model: Model, unit: Unit, time: number): Message[] {
  const messages = model.measurements
    .filter((measurement) => !isLost(model, measurement, unit))
    .flatMap((measurement) => messagesOfPart(model, measurement, unit, ownTime(unit, time)));
  return unit.fault?.scenario === "payload-malformed" && unit.state.tick % 3 === 0
    ? messages.map(([topic, payload]) => [topic, malformed(payload)])
    : messages;
}
