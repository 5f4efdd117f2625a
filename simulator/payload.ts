import type { Field, Measurement, Model } from "../configs/model";
import { basePerUnit, type Member } from "./fleet";
import { fillTopic, formatTime, place, type Json } from "../configs/message";
import { noise, phases, type State } from "./physics";

/** A message as it is published. */
export type Message = [topic: string, payload: Json];

/** What a quantity that the physics does not cover is around, in the field's unit, where its range allows it. */
const typical: Partial<Record<Field["quantity"], number>> = {
  state_of_health: 98,
  frequency: 50,
  temperature: 25,
  quality: 0,
};

/** First noise slot of the values outside the physics; the physics uses those below. */
const firstSlot = 16;

/** Mean of the phase currents' magnitudes, in A. */
const lineCurrent = (state: State): number =>
  phases.reduce((sum, phase) => sum + Math.abs(state.phases[phase].current), 0) / phases.length;

/** The physics' value of a field in base units (W, not kW), or undefined where it has none. */
function physical({ quantity, circuit }: Field, state: State): number | undefined {
  const { voltage, current } = circuit === "dc" ? state : state.phases[circuit];
  switch (quantity) {
    case "state_of_charge":
      return state.soc;
    case "voltage":
      return voltage;
    case "current":
      return current;
    // In and out are seen from the grid: a unit draws or feeds, never both.
    case "current_in":
      return state.mode === "charging" ? lineCurrent(state) : 0;
    case "current_out":
      return state.mode === "discharging" ? lineCurrent(state) : 0;
    case "power":
      return state.acPower;
    case "power_set_point":
      return state.powerSetPoint;
    case "reactive_power":
      return state.reactivePower;
    case "reactive_power_set_point":
      return 0;
    default:
      return undefined;
  }
}

/** A value around the typical one, else around the middle of the range. */
function plausible({ quantity, range }: Field, wobble: number): number {
  const usual = typical[quantity];
  const inRange = usual !== undefined && (!range || (range[0] <= usual && usual <= range[1]));
  const centre = inRange ? usual : range ? (range[0] + range[1]) / 2 : 0;
  return centre * (1 + 0.001 * wobble);
}

/**
 * A stored value as the payload carries it: clamped to the range, then in the payload's own unit.
 * A scale below 1 means a finer unit such as mA, which the fleet sends as whole numbers.
 */
function carried({ type, scale, range }: Field, stored: number): number {
  const clamped = range ? Math.min(Math.max(stored, range[0]), range[1]) : stored;
  if (type === "int" || scale < 1) return Math.round(clamped / scale);
  return Math.round((clamped / scale) * 1000) / 1000;
}

/** Several mode fields are one-hot in their order: the first while the unit runs, the second in standby. */
function modeFlag(field: Field, measurement: Measurement, state: State): boolean {
  const flags = measurement.fields.filter((f) => f.quantity === "mode" && f.type !== "string");
  return flags.indexOf(field) === (state.mode === "standby" ? 1 : 0);
}

function valueOf(
  field: Field,
  measurement: Measurement,
  { unit, state }: Member,
): number | string | boolean {
  if (field.quantity === "mode") {
    if (field.type === "string") return state.mode;
    const flag = modeFlag(field, measurement, state);
    return field.type === "bool" ? flag : Number(flag);
  }
  if (field.type === "bool") return false;
  if (field.type === "string") return "ok";
  const base = physical(field, state);
  const wobble = noise(unit.seed, state.tick, firstSlot + measurement.fields.indexOf(field));
  return carried(
    field,
    base === undefined ? plausible(field, wobble) : base / basePerUnit(field.unit),
  );
}

/** Id of a unit's part that a measurement reports, such as `battery-1`. */
const idOf = (measurement: Measurement, { number }: Member): string =>
  `${measurement.name}-${number}`;

/** Value of a tag: the first tells the part itself, any other the unit it belongs to, after the model's first measurement. */
function tagValue(
  model: Model,
  measurement: Measurement,
  member: Member,
  tag: Measurement["tags"][number],
): string {
  return idOf(tag === measurement.tags[0] ? measurement : model.measurements[0], member);
}

function messageOf(model: Model, measurement: Measurement, member: Member, time: number): Message {
  const payload: Json = {};
  place(payload, measurement.time.path, formatTime(time, measurement.time.format));
  for (const tag of measurement.tags) {
    if (tag.path) place(payload, tag.path, tagValue(model, measurement, member, tag));
  }
  for (const field of measurement.fields)
    place(payload, field.path, valueOf(field, measurement, member));
  const topic = fillTopic(measurement.topic, (segment) => {
    const tag = measurement.tags.find((t) => t.segment === segment);
    return tag ? tagValue(model, measurement, member, tag) : idOf(measurement, member);
  });
  return [topic, payload];
}

/**
 * What a unit publishes: one message for each of the model's measurements.
 * @param time the event's time, in ms since 1970.
 */
export function messages(model: Model, member: Member, time: number): Message[] {
  return model.measurements.map((measurement) => messageOf(model, measurement, member, time));
}
