import type { Builder, Dataquery } from "@grafana/grafana-foundation-sdk/cog";
import type { countedTables } from "../configs/influxdb";
import { type Field, type Measurement, sourcesOf, type Tag } from "../configs/model";
import { isFlag, type PoweredCircuit, poweredCircuits } from "../configs/rollups";
import { durationSeconds, type Unit } from "../configs/units";

export { isFlag, isState, poweredCircuits } from "../configs/rollups";

/**
 * uids of Grafana's data sources. Dashboards read the InfluxQL ones: of `rollups` the reader answers from
 * a tier what is long, and of `telemetry` InfluxDB itself; `history` has the alerts that are over. `sql`
 * is for Explore.
 */
export const sources = {
  telemetry: "bess-influx-01",
  rollups: "bess-influx-rollups",
  pipeline: "bess-influx-pipeline",
  history: "bess-influx-history",
  sql: "bess-influx-sql",
} as const;

/** uid of a data source that speaks InfluxQL. */
export type InfluxQlSource = Exclude<(typeof sources)[keyof typeof sources], typeof sources.sql>;

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
  /** Data source. Default: the telemetry's. */
  source?: InfluxQlSource | undefined;
  /** Legend. Default: none, for a table has columns instead. */
  legend?: string | undefined;
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

/**
 * Legend that names a unit by its first tag; the tables show all. In brackets, as Grafana's
 * versions differ in where `$tag_id` ends.
 */
export function unitLegend({ tags: [tag] }: Measurement, suffix = ""): string {
  return (tag ? `[[tag_${tag.name}]] ${suffix}` : suffix).trim();
}

/** One InfluxQL query: `SELECT … FROM … WHERE … GROUP BY …`. */
const influxQl = (select: string, from: string, where: string[], groupBy?: string) =>
  `SELECT ${select} FROM ${from} WHERE ${where.join(" AND ")}` +
  (groupBy === undefined ? "" : ` GROUP BY ${groupBy}`);

/** Condition that keeps to the dashboard's time range. */
export const inTimeRange = "$timeFilter";

/** Groups by Grafana's interval and by unit, with a null where nothing came. */
const byIntervalAndUnit = (m: Measurement) => `time($__interval), ${byUnit(m)} fill(null)`;

/** Series by unit: `select` aggregated by Grafana's interval. */
export const series = (m: Measurement, select: string) =>
  influxQl(select, quote(m.name), [inTimeRange, chosen(m)], byIntervalAndUnit(m));

/** Names of the two series that a band is drawn between. */
export const bandEnds = { low: "min", high: "max" } as const;

/**
 * The lowest and the highest value in each interval, of all units that are chosen: of which band a series
 * is the end Grafana knows by its name, so it cannot be one for each unit.
 * @param sign as {@link discharging} says: what is turned round has its ends exchanged.
 */
const band = (of: string, from: string, where: string[], sign: string) => {
  const [low, high] = sign ? ["max", "min"] : ["min", "max"];
  return influxQl(
    `${low}(${of})${sign} AS "${bandEnds.low}", ${high}(${of})${sign} AS "${bandEnds.high}"`,
    from,
    where,
    "time($__interval) fill(null)",
  );
};

/** The band of a field. @param sign what it is multiplied by, as {@link discharging} says. */
export const bandSeries = (m: Measurement, f: Field, sign = "") =>
  band(quote(f.name), quote(m.name), [inTimeRange, chosen(m)], sign);

/**
 * The end of the dashboard's time range: its last hour, and of what has hundreds of cells the last
 * messages. All rows of a long range would be read for the latest value alone.
 */
const atEnd = (m: Measurement) => {
  const seconds = cellTag(m) ? Math.max(60, 3 * durationSeconds(m.interval)) : 3600;
  return `time > ${"${__to}"}ms - ${Math.ceil(seconds)}s AND time <= ${"${__to}"}ms`;
};

/** Tag that numbers the cells or modules of a unit: the place of each in a list. */
export const cellTag = (m: Measurement): Tag | undefined =>
  sourcesOf(m)
    .flatMap(({ tags }) => tags)
    .find(({ place }) => place?.index !== undefined)?.tag;

/** Latest values by unit at the end of the dashboard's time range. */
export const latest = (m: Measurement, select: string) =>
  influxQl(select, quote(m.name), [atEnd(m), chosen(m)], byUnit(m));

/** Values of a tag. It names a time, since InfluxDB 3 looks back 24 h without one. */
export const tagValues = (tables: string[], tag: string) =>
  `SHOW TAG VALUES FROM ${tables.map(quote).join(", ")} WITH KEY = ${quote(tag)} ` +
  "WHERE time > now() - 7d";

/** Mean of a field by unit. @param sign what it is multiplied by, as {@link discharging} says. */
export const meanSeries = (m: Measurement, f: Field, sign = "") =>
  series(m, `mean(${quote(f.name)})${sign} AS ${quote(f.name)}`);

/** Means of several fields by unit. */
export const meansSeries = (m: Measurement, fields: Field[]) =>
  series(m, fields.map(({ name }) => `mean(${quote(name)}) AS ${quote(name)}`).join(", "));

/** How far a highest value is over the lowest one, by unit. */
export const spreadSeries = (m: Measurement, highest: Field, lowest: Field) =>
  series(m, `mean(${quote(highest.name)}) - mean(${quote(lowest.name)}) AS "spread"`);

/** The extreme one of the latest values of a unit's cells, with the cell. */
export function extreme(m: Measurement, f: Field, cell: Tag, which: "highest" | "lowest"): string {
  const each = latest(m, `last(${quote(f.name)}) AS "value"`);
  const selected = which === "highest" ? "max" : "min";
  return influxQl(
    `${selected}("value") AS ${quote(which)}, ${quote(cell.name)} AS "${which} cell"`,
    `(${each})`,
    [atEnd(m)],
    m.tags.flatMap((t) => (t === cell ? [] : [quote(t.name)])).join(", "),
  );
}

/** What makes a current or a power positive while the battery discharges, whatever the model stores. */
const discharging = ({ positive }: Field) => (positive === "charging" ? " * -1" : "");

/** Last value of a field by unit: what a text, a flag or a mode is within an interval. */
export const lastSeries = (m: Measurement, f: Field) =>
  series(m, `last(${quote(f.name)}) AS ${quote(f.name)}`);

/** One power of a measurement, measured or derived. */
export interface Power {
  title: string;
  meaning: string;
  unit: Unit;
  query: string;
  /** Its lowest and highest value. */
  band: string;
  /** Its latest value by unit. */
  latest: string;
}

/**
 * Powers at a glance: those that are measured; without any, that of the DC side and that of all AC
 * phases together, as far as they can be derived.
 */
export function powers(m: Measurement): Power[] {
  const measured = m.fields.filter((f) => f.quantity === "power");
  if (measured.length > 0)
    return measured.map((f) => ({
      title: sentence(f.meaning),
      meaning: f.meaning,
      unit: f.unit,
      query: meanSeries(m, f, discharging(f)),
      band: bandSeries(m, f, discharging(f)),
      latest: latest(m, `last(${quote(f.name)})${discharging(f)} AS "power"`),
    }));
  const derivable = poweredCircuits(m);
  const dc = derivable.filter(({ circuit }) => circuit === "dc");
  const ac = derivable.filter(({ circuit }) => circuit !== "dc");
  return [
    ...(dc.length > 0 ? [derivedPower(m, dc, "DC power")] : []),
    ...(ac.length > 0 ? [derivedPower(m, ac, "AC power")] : []),
  ];
}

/**
 * Power as the sum of each circuit's voltage by current, multiplied point by point before the mean
 * is taken.
 */
export function derivedPower(m: Measurement, of: PoweredCircuit[], title: string): Power {
  const products = of.map(
    ({ voltage, current }) =>
      `${quote(voltage.name)} * ${quote(current.name)}${discharging(current)}`,
  );
  const points = (during: string) =>
    influxQl(`${products.join(" + ")} AS "power"`, quote(m.name), [during, chosen(m)], byUnit(m));
  const inRange = `(${points(inTimeRange)})`;
  const isAc = of.some(({ circuit }) => circuit !== "dc");
  const caveat = isAc ? "; the power factor is not measured" : "";
  return {
    title,
    meaning: `Voltage by current, point by point${caveat}.`,
    unit: "W",
    query: influxQl('mean("power") AS "power"', inRange, [inTimeRange], byIntervalAndUnit(m)),
    band: band('"power"', inRange, [inTimeRange], ""),
    latest: influxQl('last("power") AS "power"', `(${points(atEnd(m))})`, [atEnd(m)], byUnit(m)),
  };
}

/**
 * Part of the expected messages that came, in percent: of each of the last twelve periods of five
 * minutes, longer where few messages are due. They end now, so that the last one is whole; an empty
 * one counts 0, so that a unit that has fallen silent is still shown.
 */
export function received(m: Measurement): string {
  const interval = durationSeconds(m.interval);
  const period = Math.max(300, Math.ceil(10 * interval));
  return influxQl(
    `count(${anyField(m)}) * ${(100 * interval) / period} AS "received"`,
    quote(m.name),
    [`time > now() - ${12 * period}s`, "time < now()", chosen(m)],
    `time(${period}s, now()), ${byUnit(m)} fill(0)`,
  );
}

/** Messages that a unit is expected to send in a minute. */
export const expectedPerMinute = (m: Measurement) => 60 / durationSeconds(m.interval);

/** Time of each unit's latest point of the last hour, whatever time range the dashboard shows. */
export const newest = (m: Measurement) =>
  influxQl(`last(${anyField(m)})`, quote(m.name), [lastHour, chosen(m)], byUnit(m));

/** Time of a measurement's latest point of the last hour, of whatever unit. */
export const newestOfAll = (m: Measurement) =>
  influxQl(`last(${anyField(m)})`, quote(m.name), [lastHour]);

const lastHour = "time > now() - 1h";

/** A field that stands for the message where any would do: the first one. */
function anyField({ name, fields: [field] }: Measurement): string {
  if (!field) throw new RangeError(`${name} has no field`);
  return quote(field.name);
}

/** A table of the pipeline's database that counts what is no telemetry. */
export type Counted = (typeof countedTables)[keyof typeof countedTables];

/** What a table has counted of each kind in the dashboard's time range, and what it showed last. */
export const countedLast = ({ table, tags, last }: Counted) =>
  influxQl(
    `sum("count") AS "count", last(${quote(last)}) AS ${quote(last)}`,
    quote(table),
    [inTimeRange],
    tags.map(quote).join(", "),
  );

/** A meaning as a title: without its full stop. */
export const sentence = (meaning: string) => meaning.replace(/\.$/, "");

/** Flags of which each stands for one mode of the unit. */
export function modeFlags(m: Measurement): Field[] {
  const flags = m.fields.filter((f) => f.quantity === "mode" && isFlag(f));
  return flags.length > 1 ? flags : [];
}

/**
 * One number for all mode flags, a bit for each: one row shows a unit's mode, and two modes at once
 * too.
 */
export const flagsSeries = (m: Measurement) =>
  series(
    m,
    `${modeFlags(m)
      .map((f, i) => `last(${quote(f.name)}) * ${2 ** i}`)
      .join(" + ")} AS "mode"`,
  );
