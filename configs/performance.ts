import { ExactSum } from "./exact-sum";
import {
  type Figure,
  figuresOf,
  healthTrend,
  type Indicators,
  powerOf,
  spreadsOf,
} from "./indicators";
import type { Field, Measurement } from "./model";
import { isNumber, isState, mostStates, otherState } from "./rollups";
import type { Unit } from "./units";
import { type Day, daysOf } from "./zones";

/** Table of the day tier with what each unit did, a row for each day and unit. */
export const performanceTable = ({ name }: Pick<Measurement, "name">): string =>
  `${name}-performance`;

/**
 * Columns of a {@link performanceTable} beside the tags and `_at`, by their place in
 * {@link Indicators}. Energies are kWh, times s, and the state of charge %.
 */
export const performanceColumns = [
  ["_rows", "int"],
  ["_expected", "int"],
  ["_seconds", "float"],
  ["_reported", "float"],
  ["_charged", "float"],
  ["_discharged", "float"],
  ["_soc_first", "float"],
  ["_soc_last", "float"],
  ["_soc_low", "float"],
  ["_soc_high", "float"],
  ["_soc_way", "float"],
  ["_capacity", "float"],
  ["_health", "float"],
  ["_spread_voltage_mean", "float"],
  ["_spread_voltage_most", "float"],
  ["_spread_temperature_mean", "float"],
  ["_spread_temperature_most", "float"],
  // Seconds in each state, and outside the normal range, by the field: objects in JSON.
  ["_states", "string"],
  ["_outside", "string"],
] as const satisfies readonly (readonly [string, Field["type"]])[];

/** Name of a column of {@link performanceColumns}. */
export type PerformanceColumn = (typeof performanceColumns)[number][0];

/** What a row of a {@link performanceTable} holds. */
export type PerformanceRow = Partial<Record<PerformanceColumn, number | string>>;

/** A row of what a unit did. Of a field's states those that lasted longest have a name. */
export function rowOf(day: Indicators): PerformanceRow {
  const { soc, spread } = day;
  const row: Record<PerformanceColumn, number | string | undefined> = {
    _rows: day.rows,
    _expected: day.expected,
    _seconds: day.seconds,
    _reported: day.reported,
    _charged: day.charged,
    _discharged: day.discharged,
    _soc_first: soc?.first,
    _soc_last: soc?.last,
    _soc_low: soc?.low,
    _soc_high: soc?.high,
    _soc_way: soc?.way,
    _capacity: day.capacity,
    _health: day.health,
    _spread_voltage_mean: spread.voltage?.mean,
    _spread_voltage_most: spread.voltage?.most,
    _spread_temperature_mean: spread.temperature?.mean,
    _spread_temperature_most: spread.temperature?.most,
    _states: sorted(day.states, (states) => sorted(longest(states))),
    _outside: sorted(day.outside),
  };
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== undefined));
}

/** An object in JSON whose keys are in order, so that equal ones have one spelling. */
function sorted<Value>(
  object: Record<string, Value>,
  text: (value: Value) => string = JSON.stringify,
): string {
  const parts = Object.entries(object)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${JSON.stringify(key)}:${text(value)}`);
  return `{${parts.join(",")}}`;
}

function longest(states: Record<string, number>): Record<string, number> {
  const all = Object.entries(states).sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
  const rest = new ExactSum();
  for (const [, seconds] of all.slice(mostStates)) rest.add(seconds);
  const named = Object.fromEntries(all.slice(0, mostStates));
  if (all.length > mostStates) named[otherState] = (named[otherState] ?? 0) + rest.value;
  return named;
}

/** What a row of a {@link performanceTable} says. */
export function indicatorsOf(row: PerformanceRow): Indicators {
  const number = (column: PerformanceColumn) => {
    const value = row[column];
    return value === undefined ? undefined : Number(value);
  };
  const object = <Value>(column: PerformanceColumn) =>
    JSON.parse(String(row[column] ?? "{}")) as Record<string, Value>;
  const [first, last, low, high, way] = [
    number("_soc_first"),
    number("_soc_last"),
    number("_soc_low"),
    number("_soc_high"),
    number("_soc_way"),
  ];
  const [charged, discharged] = [number("_charged"), number("_discharged")];
  const [capacity, health] = [number("_capacity"), number("_health")];
  const spread: Indicators["spread"] = {};
  for (const quantity of ["voltage", "temperature"] as const) {
    const [mean, most] = [number(`_spread_${quantity}_mean`), number(`_spread_${quantity}_most`)];
    if (mean !== undefined && most !== undefined) spread[quantity] = { mean, most };
  }
  return {
    rows: number("_rows") ?? 0,
    expected: number("_expected") ?? 0,
    seconds: number("_seconds") ?? 0,
    reported: number("_reported") ?? 0,
    ...(charged !== undefined && { charged }),
    ...(discharged !== undefined && { discharged }),
    ...(first !== undefined &&
      last !== undefined &&
      low !== undefined &&
      high !== undefined && { soc: { first, last, low, high, way: way ?? 0 } }),
    ...(capacity !== undefined && { capacity }),
    ...(health !== undefined && { health }),
    states: object("_states"),
    outside: object("_outside"),
    spread,
  };
}

/**
 * Where the row of a day is stored: all days of a calendar's month lie a second apart from its beginning
 * in UTC on, and so in one file. Where the day really begins stands in `_at`.
 * @param day name of the day, such as `2026-11-27`.
 */
export function timeOfDay(day: string): number {
  const [year = 0, month = 1, date = 1] = day.split("-").map(Number);
  return Date.UTC(year, month - 1) / 1000 + date - 1;
}

/** The day whose row is stored at a time; the reverse of {@link timeOfDay}. */
export function dayOfTime(time: number): string {
  const at = new Date(time * 1000);
  const [year, month] = [at.getUTCFullYear(), at.getUTCMonth()];
  const begin = Date.UTC(year, month) / 1000;
  return new Date(Date.UTC(year, month, 1 + time - begin)).toISOString().slice(0, 10);
}

/** A day of a zone that begins before a moment or at it, with its whole length. */
export function dayAt(time: number, zone: string): Day {
  // No day is longer than 25 hours; the last one that begins by then is whole but for its end.
  const days = daysOf(time - 26 * 3600, time + 26 * 3600, zone);
  const index = days.findIndex(({ from, to }) => time >= from && time < to);
  const [day, before] = [days[index], days[index - 1]];
  if (!day || !before) throw new RangeError(`no day of ${zone} at ${time}`);
  return day;
}

/** Where a day of a zone begins. @param name such as `2026-11-27`. */
export function startOfDay(name: string, zone: string): number {
  const near = Date.parse(name) / 1000;
  const day = daysOf(near - 40 * 3600, near + 40 * 3600, zone).find((each) => each.name === name);
  return day?.from ?? near;
}

/** Tables that queries name: the figures of a {@link Measurement} by unit or of all, by day or month. */
export const figureTables = ({ name }: Pick<Measurement, "name">) => ({
  daily: `${name}-daily`,
  monthly: `${name}-monthly`,
  siteDaily: `${name}-site-daily`,
  siteMonthly: `${name}-site-monthly`,
});

/** A figure that a measurement has, whatever its rows say. */
export type NamedFigure = Pick<Figure, "name"> & { unit: Unit | "%/year" };

/**
 * The figures that a measurement can have, in the order in which people read them. The time in a state is
 * not among them where only rows tell which states there are: its names match {@link statePattern}.
 */
export function figureNames(m: Measurement): NamedFigure[] {
  const zero = { mean: 0, most: 0 };
  const empty: Indicators = {
    rows: 0,
    expected: 0,
    seconds: 0,
    reported: 0,
    states: {},
    outside: Object.fromEntries(
      m.fields
        .filter((field) => field.range && isNumber(field) && !isState(field))
        .map(({ name }) => [name, 0]),
    ),
    spread: Object.fromEntries(spreadsOf(m).map(([quantity]) => [quantity, zero])),
  };
  const has = (quantity: Field["quantity"], unit?: Unit) =>
    m.fields.some((field) => field.quantity === quantity && (!unit || field.unit === unit));
  const [powered, soc, health] = [
    powerOf(m) !== undefined,
    has("state_of_charge", "%"),
    has("state_of_health"),
  ];
  const needs: Record<string, boolean> = {
    energy_charged: powered,
    energy_discharged: powered,
    round_trip_efficiency: powered,
    soc_change: soc,
    equivalent_full_cycles: soc,
    depth_of_discharge: soc,
    capacity: powered && soc,
    state_of_health: health,
  };
  return figuresOf(empty).filter(({ name }) => needs[name] ?? true);
}

/** A regular expression of the names of the time in each state of a field. */
export const statePattern = ({ name }: Pick<Field, "name">): string => `^hours_${name}_`;

/** What units did in the same span, as one: sums, and means where a sum says nothing. */
export function across(units: readonly Indicators[]): Figure[] {
  const all = units.map((unit) => new Map(figuresOf(unit).map((each) => [each.name, each])));
  const names = [...new Set(all.flatMap((figures) => [...figures.keys()]))];
  const values = (name: string) => all.flatMap((figures) => figures.get(name)?.value ?? []);
  const sum = (numbers: readonly number[]) => {
    const exact = new ExactSum();
    for (const number of numbers) exact.add(number);
    return exact.value;
  };
  const share = (part: number[], whole: number[]) =>
    sum(whole) > 0 ? (100 * sum(part)) / sum(whole) : undefined;
  const combined = (name: string): number | undefined => {
    const found = values(name);
    if (name === "round_trip_efficiency")
      return share(values("energy_discharged"), values("energy_charged"));
    if (name === "availability")
      return share(
        units.map(({ reported }) => reported),
        units.map(({ seconds }) => seconds),
      );
    if (name === "completeness")
      return share(
        units.map(({ rows }) => rows),
        units.map(({ expected }) => expected),
      );
    if (found.length === 0) return undefined;
    if (name.startsWith("energy_") || name.startsWith("hours_") || name === "capacity")
      return sum(found);
    return name.endsWith("_max") ? Math.max(...found) : sum(found) / found.length;
  };
  return names.map((name) => ({
    name,
    unit: all.flatMap((figures) => figures.get(name)?.unit ?? [])[0] ?? "",
    value: combined(name),
  }));
}

/** A day that a unit has a row of. */
export interface PerformanceDay {
  /** As `2026-11-27`. */
  name: string;
  /** Where it begins, in s since 1970. */
  from: number;
  indicators: Indicators;
}

/** The change of the state of health over days, a figure of a month. */
export const trendOf = (days: readonly PerformanceDay[]): NamedFigure & Pick<Figure, "value"> => ({
  name: "state_of_health_trend",
  unit: "%/year",
  value: healthTrend(
    days.flatMap(({ from, indicators: { health } }) =>
      health === undefined ? [] : [[from, health] as const],
    ),
  ),
});
