import type { Builder, Dataquery } from "@grafana/grafana-foundation-sdk/cog";
import { circuits, type Field, type Measurement } from "../configs/model";
import { durationSeconds, type Unit } from "../configs/units";

/** uids of Grafana's data sources. The dashboards read the two InfluxQL ones; `sql` is for Explore. */
export const sources = {
  telemetry: "bess-influx-01",
  pipeline: "bess-influx-pipeline",
  sql: "bess-influx-sql",
} as const;

/** uid of a data source that speaks InfluxQL. */
export type InfluxQlSource = typeof sources.telemetry | typeof sources.pipeline;

/** Reference to an InfluxQL data source, as panels and variables hold it. */
export const reference = (uid: InfluxQlSource) => ({ type: "influxdb", uid });

/** One InfluxQL query of a panel, as Grafana's InfluxDB data source stores it. */
export interface InfluxQuery extends Dataquery {
  refId: string;
  datasource: { type: string; uid: string };
  query: string;
  rawQuery: true;
  resultFormat: "time_series" | "table";
  alias?: string;
}

/** What a target adds to its query. */
export interface TargetOptions {
  source?: InfluxQlSource;
  /** Legend; a table has columns instead. */
  legend?: string;
}

/** Builds an {@link InfluxQuery}: a time series if it has a legend, else a table. */
export class InfluxQueryBuilder implements Builder<Dataquery> {
  constructor(
    private readonly query: string,
    private readonly options: TargetOptions,
    private readonly refId: string,
  ) {}

  build(): InfluxQuery {
    const { source = sources.telemetry, legend } = this.options;
    return {
      refId: this.refId,
      datasource: reference(source),
      query: this.query,
      rawQuery: true,
      resultFormat: legend === undefined ? "table" : "time_series",
      ...(legend !== undefined && { alias: legend }),
      _implementsDataqueryVariant() {},
    };
  }
}

/** Double-quotes an InfluxQL identifier. */
export const quote = (name: string) => `"${name}"`;

/** Condition that keeps the units chosen in the dashboard's variables. */
export const chosen = (m: Measurement) =>
  m.tags.map((t) => `${quote(t.name)} =~ /^$${t.name}$/`).join(" AND ");

/** Every tag, for they tell the units apart only together. */
export const byUnit = (m: Measurement) => m.tags.map((t) => quote(t.name)).join(", ");

/** Legend that names a unit by its first tag; the tables show all. In brackets, as Grafana's versions differ in where `$tag_id` ends. */
export const unitLegend = (m: Measurement, suffix = "") =>
  `[[tag_${m.tags[0].name}]] ${suffix}`.trim();

const within = "$timeFilter";

/** Series by unit: `select` aggregated by Grafana's interval, with a null where nothing came. */
export const series = (m: Measurement, select: string) =>
  `SELECT ${select} FROM ${quote(m.name)} WHERE ${within} AND ${chosen(m)} GROUP BY time($__interval), ${byUnit(m)} fill(null)`;

/** Latest values by unit within the dashboard's time range. */
export const latest = (m: Measurement, select: string) =>
  `SELECT ${select} FROM ${quote(m.name)} WHERE ${within} AND ${chosen(m)} GROUP BY ${byUnit(m)}`;

/** Values of a tag. The time is said since InfluxDB 3 looks back 24 h without it. */
export const tagValues = (tables: string[], tag: string) =>
  `SHOW TAG VALUES FROM ${tables.map(quote).join(", ")} WITH KEY = ${quote(tag)} WHERE time > now() - 7d`;

/** Mean of a field by unit. */
export const meanSeries = (m: Measurement, f: Field) =>
  series(m, `mean(${quote(f.name)}) AS ${quote(f.name)}`);

/** Last value of a field by unit: what a text, a flag or a mode is within an interval. */
export const lastSeries = (m: Measurement, f: Field) =>
  series(m, `last(${quote(f.name)}) AS ${quote(f.name)}`);

/** One power of a measurement, measured or derived. */
export interface Power {
  title: string;
  meaning: string;
  unit: Unit;
  query: string;
}

/** Circuits whose power can be derived: both voltage and current are measured, in V and A. */
export function derivable(m: Measurement): Field["circuit"][] {
  return circuits.filter((circuit) => voltage(m, circuit) && current(m, circuit));
}

/** Powers at a glance: those that are measured; without any, those of the DC side and of all AC phases together. */
export function powers(m: Measurement): Power[] {
  const measured = m.fields.filter((f) => f.quantity === "power");
  if (measured.length > 0)
    return measured.map((f) => ({
      title: sentence(f.meaning),
      meaning: f.meaning,
      unit: f.unit,
      query: meanSeries(m, f),
    }));
  const [dc, ac] = [derivable(m).filter((c) => c === "dc"), derivable(m).filter((c) => c !== "dc")];
  return [
    ...(dc.length > 0 ? [derivedPower(m, dc, "DC power")] : []),
    ...(ac.length > 0 ? [derivedPower(m, ac, "AC power")] : []),
  ];
}

/** Power as the sum of each circuit's voltage by current, multiplied point by point before the mean is taken. */
export function derivedPower(m: Measurement, of: Field["circuit"][], title: string): Power {
  const product = of
    .map((c) => `${quote(voltage(m, c)!.name)} * ${quote(current(m, c)!.name)}`)
    .join(" + ");
  const points = `SELECT ${product} AS "power" FROM ${quote(m.name)} WHERE ${within} AND ${chosen(m)} GROUP BY ${byUnit(m)}`;
  return {
    title,
    meaning: `Voltage by current, point by point${of.some((c) => c !== "dc") ? "; the power factor is not measured" : ""}.`,
    unit: "W",
    query: `SELECT mean("power") AS "power" FROM (${points}) WHERE ${within} GROUP BY time($__interval), ${byUnit(m)} fill(null)`,
  };
}

/**
 * Part of the expected messages that came, in percent: of each of the last twelve stretches of five minutes, longer
 * where few messages are due. They end now, so that the last is whole, and are filled, so that a unit that has
 * fallen silent shows 0 and does not vanish.
 */
export function received(m: Measurement): string {
  const interval = durationSeconds(m.interval);
  const stretch = Math.max(300, Math.ceil(10 * interval));
  const select = `count(${quote(steady(m).name)}) * ${(100 * interval) / stretch} AS "received"`;
  const where = `time > now() - ${12 * stretch}s AND time < now() AND ${chosen(m)}`;
  return `SELECT ${select} FROM ${quote(m.name)} WHERE ${where} GROUP BY time(${stretch}s, now()), ${byUnit(m)} fill(0)`;
}

/** Messages that a unit is expected to send in a minute. */
export const expectedPerMinute = (m: Measurement) => 60 / durationSeconds(m.interval);

/** Time of the latest point of each unit, if it is younger than an hour, whatever time the dashboard shows. */
export const newest = (m: Measurement) =>
  `SELECT last(${quote(steady(m).name)}) FROM ${quote(m.name)} WHERE time > now() - 1h AND ${chosen(m)} GROUP BY ${byUnit(m)}`;

/** Time of a measurement's latest point, of whatever unit, if it is younger than an hour. */
export const newestOfAll = (m: Measurement) =>
  `SELECT last(${quote(steady(m).name)}) FROM ${quote(m.name)} WHERE time > now() - 1h`;

/** The field that stands for the message where any would do: the first declared. */
const steady = (m: Measurement) => m.fields[0];

/** A meaning as a title: without its full stop. */
export const sentence = (meaning: string) => meaning.replace(/\.$/, "");

/** Whether a field is an integer that is 0 or 1. */
export const isFlag = (f: Field) => f.type === "int" && f.range?.[0] === 0 && f.range[1] === 1;

/** Whether a field is drawn as states over time, not as a line. */
export const isState = (f: Field) =>
  f.type === "string" || f.type === "bool" || f.quantity === "mode" || isFlag(f);

/** Flags of which each stands for one mode of the unit. */
export function modeFlags(m: Measurement): Field[] {
  const flags = m.fields.filter((f) => f.quantity === "mode" && isFlag(f));
  return flags.length > 1 ? flags : [];
}

/** One number for all mode flags, a bit for each, so that one row shows a unit's mode, and any two at once too. */
export const flagsSeries = (m: Measurement) =>
  series(
    m,
    `${modeFlags(m)
      .map((f, i) => `last(${quote(f.name)}) * ${2 ** i}`)
      .join(" + ")} AS "mode"`,
  );

const ofCircuit =
  (quantity: Field["quantity"], unit: Unit) => (m: Measurement, circuit: Field["circuit"]) =>
    m.fields.find((f) => f.quantity === quantity && f.circuit === circuit && f.unit === unit);
const voltage = ofCircuit("voltage", "V");
const current = ofCircuit("current", "A");
