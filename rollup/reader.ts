import { sqlName } from "../configs/databases";
import { databases } from "../configs/influxdb";
import {
  aggregatesOf,
  columnOf,
  columnType,
  type Retention,
  type Rolled,
  rolledOf,
  type Tier,
  tierNames,
  tiers,
  tierTables,
} from "../configs/rollups";
import { durationSeconds } from "../configs/units";
import { type Database, type TableColumns } from "./database";
import { type Condition, type Expression, neededBy, type Query } from "./influxql";
import { type Asked, type Column, Gathered, type Take } from "./gathered";
import { inSpan, selected } from "./tier-rows";
import type { Value } from "./roll";

/** What the reader must know of the tiers. */
export interface Tiers {
  /** Before this moment all rows of a tier are there; seconds since 1970. */
  complete(tier: Tier): number;
  columns: Record<Tier, TableColumns>;
  raw: TableColumns;
}

/** Part of a query's range that one tier answers, or the rows themselves. In ns since 1970. */
export interface Segment {
  source: Tier | "raw";
  start: bigint;
  end: bigint;
}

/** How a query is answered. */
export interface Plan {
  /** Seconds of the buckets that are asked for: longer than the query's where nothing finer is left. */
  step: number;
  segments: Segment[];
}

const second = 1_000_000_000n;

/** The beginning of the bucket that a moment lies in. Both in ns since 1970. */
const wholeOf = (time: bigint, seconds: number): bigint => {
  const length = BigInt(seconds) * second;
  return (time / length) * length;
};

/** Whether a value of a longer bucket cannot stand for a part of it. */
const addsUp = (value: Expression): boolean =>
  "operator" in value
    ? addsUp(value.left) || addsUp(value.right)
    : "aggregate" in value && (value.aggregate === "sum" || value.aggregate === "count");

/**
 * What answers a range without a seam: the coarsest tier wherever it has whole buckets of the query's,
 * and finer ones before and after them, down to the rows.
 * @param interval seconds of the query's buckets.
 * @param complete until when a tier has all rows, in seconds since 1970.
 */
export function segmentsOf(
  start: bigint,
  end: bigint,
  interval: number,
  complete: (tier: Tier) => number,
): Segment[] {
  const cover = (from: bigint, to: bigint, fitting: readonly Tier[]): Segment[] => {
    if (from >= to) return [];
    const tier = fitting.at(-1);
    if (!tier) return [{ source: "raw", start: from, end: to }];
    const finer = fitting.slice(0, -1);
    const length = BigInt(tiers[tier].seconds) * second;
    const first = ((from + length - 1n) / length) * length;
    const known = BigInt(complete(tier)) * second;
    const last = ((to < known ? to : known) / length) * length;
    if (first >= last) return cover(from, to, finer);
    return [
      ...cover(from, first, finer),
      { source: tier, start: first, end: last },
      ...cover(last, to, finer),
    ];
  };
  return cover(
    start,
    end,
    tierNames.filter((tier) => interval % tiers[tier].seconds === 0),
  );
}

/** An aggregate of a rolled value, which a bucket holds at the place that it has in {@link cellsOf}. */
interface Cell {
  index: number;
  rolled: Rolled;
  name: string;
}

/** What a bucket holds of each {@link Cell}. */
type Bucket = (Value | undefined)[];

/** Buckets of each unit. */
type Units = Map<string, { tags: string[]; buckets: Map<number, Bucket> }>;

const text = (value: string) => `'${value.replaceAll("'", "''")}'`;

export function condition({ tag, operator, value }: Condition): string {
  const column = `coalesce(${sqlName(tag)}, '')`;
  const sql = { "=": "=", "!=": "!=", "=~": "~", "!~": "!~" }[operator];
  return `${column} ${sql} ${text(value)}`;
}

/** Whether any value meets a condition. */
export const isAlways = ({ operator, value }: Condition): boolean =>
  operator === "=~" && ["^.*$", ".*"].includes(value);

/** A time of SQL. @param time in ns since 1970. */
const sqlTimeOf = (time: bigint): string => {
  const seconds = new Date(Number(time / second) * 1000).toISOString().slice(0, 19);
  return `'${seconds}.${String(time % second).padStart(9, "0")}Z'`;
};

/** Answers queries from the tiers, and where those have no rows yet from the rows. */
export class Reader {
  private readonly gathered: Gathered;

  constructor(
    database: Pick<Database, "rows">,
    private readonly known: Tiers,
    private readonly retention: Retention,
  ) {
    this.gathered = new Gathered(database);
  }

  /** How a query is answered; undefined where the rows alone answer it as well. */
  plan({ start, end, interval, columns }: Query, now: number): Plan | undefined {
    if (start < 0n || end <= start) return undefined;
    const isKept = (source: Tier | "raw", until: bigint) =>
      Number(until / second) > now - durationSeconds(this.retention[source]);
    // Of what has left the finer tiers, the finest that is left stands for each part of its buckets.
    const finest = (["raw", ...tierNames] as const).find((source) => isKept(source, end));
    if (finest === undefined) return undefined;
    const step = finest === "raw" ? interval : Math.max(interval, tiers[finest].seconds);
    if (step > interval && columns.some(({ value }) => addsUp(value))) return undefined;
    const [from, to] =
      step > interval
        ? [wholeOf(start, step), wholeOf(end - 1n, step) + BigInt(step) * second]
        : [start, end];
    const segments = segmentsOf(from, to, step, (tier) => this.known.complete(tier));
    const rolled = segments
      .filter(({ source }) => source !== "raw")
      .reduce((sum, segment) => sum + segment.end - segment.start, 0n);
    if (step === interval && rolled < leastRolled) return undefined;
    // What retention has taken need not be asked for.
    return { step, segments: segments.filter(({ source, end: until }) => isKept(source, until)) };
  }

  /**
   * The answer to a query, as InfluxDB gives it: one series for each unit.
   * @param authorization value of the client's header.
   * @param time how a time is written, of seconds since 1970.
   */
  async answer(
    query: Query,
    { step, segments }: Plan,
    authorization: string,
    time: (seconds: number) => number | string,
    signal?: AbortSignal,
  ): Promise<unknown> {
    const tags = [...query.tags].sort();
    const cells = cellsOf(query);
    const asked = { ...query, interval: step };
    const all = await Promise.all(
      segments.map((segment) => this.ask(asked, cells, tags, segment, authorization, signal)),
    );
    // In the order of time: the last of the later ones is the last.
    const series: Units = new Map();
    for (const units of all)
      for (const [key, unit] of units) {
        const own = series.get(key);
        if (!own) series.set(key, unit);
        else
          for (const [at, later] of unit.buckets) {
            const bucket = own.buckets.get(at);
            if (bucket) merge(cells, bucket, later);
            else own.buckets.set(at, later);
          }
      }
    if (series.size === 0) return { results: [{ statement_id: 0 }] };
    const { interval } = query;
    const nanoseconds = BigInt(interval) * second;
    const [first, last] = [
      Number(query.start / nanoseconds),
      Number((query.end - 1n) / nanoseconds),
    ];
    const row = (bucket: number, values: Bucket | undefined) => [
      time(bucket * interval),
      ...query.columns.map(({ value }) => evaluate(value, cells, values) ?? null),
    ];
    return {
      results: [
        {
          statement_id: 0,
          series: [...series.values()]
            .sort((a, b) => byTags(a.tags, b.tags))
            .map(({ tags: own, buckets }) => ({
              name: query.measurement.name,
              ...(tags.length > 0 && {
                tags: Object.fromEntries(tags.map((name, i) => [name, own[i] ?? ""])),
              }),
              columns: ["time", ...query.columns.map(({ name }) => name)],
              values: Array.from({ length: last - first + 1 }, (_, i) => first + i)
                .map((bucket) => ({
                  bucket,
                  values: buckets.get(Math.floor((bucket * interval) / step)),
                }))
                .filter(({ values }) => query.filled || values)
                .map(({ bucket, values }) => row(bucket, values)),
            })),
        },
      ],
    };
  }

  /** Asks one tier, or the rows, for a part of the range. */
  private async ask(
    query: Query,
    cells: readonly Cell[],
    tags: string[],
    segment: Segment,
    authorization: string,
    signal: AbortSignal | undefined,
  ): Promise<Units> {
    const { source } = segment;
    const sources =
      source === "raw"
        ? [this.rawSql(query, tags, segment, cells)]
        : tierTables(query.measurement, this.known.columns[source]).map(({ table, rolled: own }) =>
            this.tierSql(
              query,
              tags,
              { ...segment, source },
              table,
              cells.filter(({ rolled }) => own.some(({ name }) => name === rolled.name)),
            ),
          );
    const db = source === "raw" ? databases.telemetry : tiers[source].database;
    const units: Units = new Map();
    for (const asked of sources) {
      if (!asked) continue;
      const { columns } = asked;
      const places = columns.map(({ cell }) => cells.indexOf(cell));
      const take: Take = (groups, values) => {
        let bucket: Bucket | undefined;
        columns.forEach(({ cell }, i) => {
          const value = values[i];
          if (value === undefined || (cell.name === "count" && value === 0)) return;
          bucket ??= bucketOf(units, groups, cells.length);
          bucket[places[i] ?? 0] = value;
        });
      };
      await this.gathered.ask(authorization, { db, ...asked.sql }, columns, take, signal);
    }
    return units;
  }

  private tierSql(
    query: Query,
    tags: string[],
    { source, start, end }: Segment & { source: Tier },
    table: string,
    cells: readonly Cell[],
  ): TableQuery | undefined {
    const has = this.known.columns[source].get(table);
    if (!has) return undefined;
    const columns = cells.flatMap((cell) => {
      const aggregate = aggregatesOf(cell.rolled).find((each) => each === cell.name);
      if (!aggregate) return [];
      const column = columnOf(query.measurement, cell.rolled, aggregate);
      if (!has.has(column)) return [];
      const type = columnType(cell.rolled, aggregate);
      const how = { count: "sum", sum: "sum", min: "min", max: "max", last: "" }[aggregate];
      return [
        { cell, type, sql: how === "" ? lastOf(column, type) : `${how}(${sqlName(column)})` },
      ];
    });
    const span = { start: Number(start / second), end: Number(end / second) };
    const bucket = `_at / ${BigInt(query.interval) * second}`;
    return sqlOf(table, query, tags, has, bucket, inSpan(source, span), columns);
  }

  private rawSql(
    query: Query,
    tags: string[],
    { start, end }: Segment,
    cells: readonly Cell[],
  ): TableQuery | undefined {
    const table = query.measurement.name;
    const has = this.known.raw.get(table);
    if (!has) return undefined;
    const columns = cells.flatMap((cell) => {
      const { rolled, name } = cell;
      const fields = rolled.terms?.flatMap(({ voltage, current }) => [voltage, current]);
      if (!(fields ?? [rolled.name]).every((each) => has.has(each))) return [];
      const value =
        rolled.terms
          ?.map(
            ({ voltage, current, sign }) => `${sqlName(voltage)} * ${sqlName(current)} * ${sign}`,
          )
          .join(" + ") ?? sqlName(rolled.name);
      const type = name === "count" ? "int" : name === "sum" ? "float" : rolled.type;
      const sql =
        name === "last"
          ? lastOf(rolled.name, type, rolled.terms ? value : undefined)
          : name === "sum"
            ? `sum(CAST(${value} AS DOUBLE))`
            : `${name}(${value})`;
      return [{ cell, type, sql } as const];
    });
    const bucket = `CAST(time AS BIGINT) / ${BigInt(query.interval) * second}`;
    const range = `time >= ${sqlTimeOf(start)} AND time < ${sqlTimeOf(end)}`;
    return sqlOf(table, query, tags, has, bucket, range, columns);
  }
}

/** What is needed of each bucket for an answer. */
function cellsOf(query: Query): Cell[] {
  const rolled = rolledOf(query.measurement);
  const needed = neededBy(query);
  // A row of which any asked field has a value makes a bucket; of a power, any that it is made of.
  for (const index of needed.keys())
    for (const { voltage, current } of rolled[index]?.terms ?? [])
      for (const name of [voltage, current]) {
        const part = rolled.findIndex((each) => each.name === name);
        if (!needed.has(part)) needed.set(part, new Set(["count"]));
      }
  return [...needed].flatMap(([index, names]) => {
    const each = rolled[index];
    return each ? [...names].map((name) => ({ index, rolled: each, name })) : [];
  });
}

/** The bucket that a row's groups name: its tags, and its number. */
function bucketOf(units: Units, groups: string[], cells: number): Bucket {
  const [tags, at] = [groups.slice(0, -1), Number(groups.at(-1))];
  const key = tags.join("\0");
  const unit = units.get(key) ?? { tags, buckets: new Map<number, Bucket>() };
  units.set(key, unit);
  const bucket = unit.buckets.get(at) ?? Array.from<undefined>({ length: cells });
  unit.buckets.set(at, bucket);
  return bucket;
}

/** What is asked of a table, and what its columns are. */
interface TableQuery {
  sql: Omit<Asked, "db">;
  columns: (Column & { cell: Cell })[];
}

/** Least part of a range that is answered from tiers, in ns: the rows of less are quick to read. */
const leastRolled = 3600n * second;

const lastOf = (column: string, type: Rolled["type"], value = sqlName(column)): string => {
  const last = `selector_last(${value}, time)['value']`;
  return type === "string" ? selected(column, type).replace(sqlName(column), last) : last;
};

function sqlOf(
  table: string,
  query: Query,
  tags: string[],
  has: ReadonlyMap<string, unknown>,
  bucket: string,
  range: string,
  columns: TableQuery["columns"],
): TableQuery | undefined {
  if (columns.length === 0) return undefined;
  const conditions = query.conditions.filter((each) => !isAlways(each));
  if (conditions.some(({ tag }) => !has.has(tag))) return undefined;
  const groups = [...tags.map((name) => (has.has(name) ? sqlName(name) : "''")), bucket];
  const where = [range, ...conditions.map(condition)];
  const numbers = groups.map((_, i) => i + 1);
  const rest = `FROM ${sqlName(table)} WHERE ${where.join(" AND ")} GROUP BY ${numbers.join(", ")}`;
  return { sql: { groups, rest }, columns };
}

/** Adds a later part of a bucket. */
function merge(cells: readonly Cell[], into: Bucket, later: Bucket): void {
  cells.forEach(({ name }, i) => {
    const [before, value] = [into[i], later[i]];
    if (value === undefined) return;
    if (before === undefined || name === "last") into[i] = value;
    else if (name === "min") into[i] = value < before ? value : before;
    else if (name === "max") into[i] = value > before ? value : before;
    else into[i] = Number(before) + Number(value);
  });
}

/** What a bucket answers; as InfluxDB, a count of nothing is 0, and what is made of nothing is nothing. */
function evaluate(
  value: Expression,
  cells: readonly Cell[],
  bucket: Bucket | undefined,
): number | string | boolean | undefined {
  if ("number" in value) return value.number;
  if ("operator" in value) {
    const left = evaluate(value.left, cells, bucket);
    const right = evaluate(value.right, cells, bucket);
    if (typeof left !== "number" || typeof right !== "number") return undefined;
    if (value.operator === "+") return left + right;
    return value.operator === "-" ? left - right : left * right;
  }
  const held = (aggregate: string) =>
    bucket?.[cells.findIndex(({ index, name }) => index === value.of && name === aggregate)];
  const count = Number(held("count") ?? 0);
  if (value.aggregate === "count") return count;
  if (value.aggregate === "mean") {
    const sum = held("sum");
    return sum === undefined ? undefined : Number(sum) / count;
  }
  const found = held(value.aggregate);
  return typeof found === "bigint" ? Number(found) : found;
}

/** Series in InfluxDB's order: by each tag, one without it last. */
export function byTags(a: string[], b: string[]): number {
  for (const [i, one] of a.entries()) {
    const other = b[i] ?? "";
    if (one === other) continue;
    if (one === "" || other === "") return one === "" ? 1 : -1;
    return one < other ? -1 : 1;
  }
  return 0;
}
