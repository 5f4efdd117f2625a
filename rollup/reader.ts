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
import { type Database, quote, type TableColumns } from "./database";
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

/** What one answer in SQL holds of a bucket. */
interface Part {
  tags: string[];
  bucket: number;
  /** By the index of what is rolled up, and the aggregate. */
  values: Map<number, Map<string, Value>>;
}

const text = (value: string) => `'${value.replaceAll("'", "''")}'`;

export function condition({ tag, operator, value }: Condition): string {
  const column = `coalesce(${quote(tag)}, '')`;
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
    const series = new Map<string, { tags: string[]; buckets: Map<number, Part["values"]> }>();
    const all = await Promise.all(
      segments.map((segment) =>
        this.ask({ ...query, interval: step }, tags, segment, authorization, signal),
      ),
    );
    // In the order of time: the last of the later ones is the last.
    for (const part of all.flat()) {
      const key = part.tags.join("\0");
      const own = series.get(key) ?? { tags: part.tags, buckets: new Map() };
      series.set(key, own);
      const bucket = own.buckets.get(part.bucket);
      if (bucket) merge(bucket, part.values);
      else own.buckets.set(part.bucket, part.values);
    }
    if (series.size === 0) return { results: [{ statement_id: 0 }] };
    const { interval } = query;
    const nanoseconds = BigInt(interval) * second;
    const [first, last] = [
      Number(query.start / nanoseconds),
      Number((query.end - 1n) / nanoseconds),
    ];
    const row = (bucket: number, values: Part["values"] | undefined) => [
      time(bucket * interval),
      ...query.columns.map(({ value }) => evaluate(value, values) ?? null),
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
    tags: string[],
    segment: Segment,
    authorization: string,
    signal: AbortSignal | undefined,
  ): Promise<Part[]> {
    const { measurement: m } = query;
    const rolled = rolledOf(m);
    const needed = neededBy(query);
    // A row of which any asked field has a value makes a bucket; of a power, any that it is made of.
    for (const index of needed.keys())
      for (const { voltage, current } of rolled[index]?.terms ?? [])
        for (const name of [voltage, current]) {
          const part = rolled.findIndex((each) => each.name === name);
          if (!needed.has(part)) needed.set(part, new Set(["count"]));
        }
    const wanted = [...needed].flatMap(([index, names]) => {
      const each = rolled[index];
      return each ? [{ index, rolled: each, names: [...names] }] : [];
    });
    const { source } = segment;
    const sources =
      source === "raw"
        ? [this.rawSql(query, tags, segment, wanted)]
        : tierTables(m, this.known.columns[source]).map(({ table, rolled: own }) =>
            this.tierSql(
              query,
              tags,
              { ...segment, source },
              table,
              wanted.filter((w) => own.some(({ name }) => name === w.rolled.name)),
            ),
          );
    const db = source === "raw" ? databases.telemetry : tiers[source].database;
    const parts: Part[] = [];
    for (const asked of sources) {
      if (!asked) continue;
      const { columns } = asked;
      const take: Take = (groups, all) => {
        const values: Part["values"] = new Map();
        columns.forEach(({ index, name }, i) => {
          const value = all[i];
          if (value === undefined || (name === "count" && value === 0)) return;
          const own = values.get(index) ?? new Map<string, Value>();
          values.set(index, own.set(name, value));
        });
        if (values.size > 0)
          parts.push({ tags: groups.slice(0, -1), bucket: Number(groups.at(-1)), values });
      };
      await this.gathered.ask(authorization, { db, ...asked.sql }, columns, take, signal);
    }
    return parts;
  }

  private tierSql(
    query: Query,
    tags: string[],
    { source, start, end }: Segment & { source: Tier },
    table: string,
    wanted: Wanted[],
  ): TableQuery | undefined {
    const has = this.known.columns[source].get(table);
    if (!has) return undefined;
    const columns = wanted.flatMap(({ index, rolled, names }) =>
      aggregatesOf(rolled)
        .filter((aggregate) => names.includes(aggregate))
        .flatMap((aggregate) => {
          const column = columnOf(query.measurement, rolled, aggregate);
          if (!has.has(column)) return [];
          const type = columnType(rolled, aggregate);
          const how = { count: "sum", sum: "sum", min: "min", max: "max", last: "" }[aggregate];
          const sql = how === "" ? lastOf(column, type) : `${how}(${quote(column)})`;
          return [{ index, name: aggregate as string, type, sql }];
        }),
    );
    const span = { start: Number(start / second), end: Number(end / second) };
    const bucket = `_at / ${BigInt(query.interval) * second}`;
    return sqlOf(table, query, tags, has, bucket, inSpan(source, span), columns);
  }

  private rawSql(
    query: Query,
    tags: string[],
    { start, end }: Segment,
    wanted: Wanted[],
  ): TableQuery | undefined {
    const table = query.measurement.name;
    const has = this.known.raw.get(table);
    if (!has) return undefined;
    const columns = wanted.flatMap(({ index, rolled, names }) => {
      const fields = rolled.terms?.flatMap(({ voltage, current }) => [voltage, current]);
      if (!(fields ?? [rolled.name]).every((name) => has.has(name))) return [];
      const value =
        rolled.terms
          ?.map(({ voltage, current, sign }) => `${quote(voltage)} * ${quote(current)} * ${sign}`)
          .join(" + ") ?? quote(rolled.name);
      return names.map((name) => {
        const type = name === "count" ? "int" : name === "sum" ? "float" : rolled.type;
        const sum = `sum(CAST(${value} AS DOUBLE))`;
        const sql =
          name === "last"
            ? lastOf(rolled.name, type, rolled.terms ? value : undefined)
            : name === "sum"
              ? sum
              : `${name}(${value})`;
        return { index, name, type, sql } as const;
      });
    });
    const bucket = `CAST(time AS BIGINT) / ${BigInt(query.interval) * second}`;
    const range = `time >= ${sqlTimeOf(start)} AND time < ${sqlTimeOf(end)}`;
    return sqlOf(table, query, tags, has, bucket, range, columns);
  }
}

/** What is wanted of a rolled value. */
interface Wanted {
  index: number;
  rolled: Rolled;
  names: string[];
}

/** What is asked of a table, and what its columns are. */
interface TableQuery {
  sql: Omit<Asked, "db">;
  columns: (Column & { index: number; name: string })[];
}

/** Least part of a range that is answered from tiers, in ns: the rows of less are quick to read. */
const leastRolled = 3600n * second;

const lastOf = (column: string, type: Rolled["type"], value = quote(column)): string => {
  const last = `selector_last(${value}, time)['value']`;
  return type === "string" ? selected(column, type).replace(quote(column), last) : last;
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
  const groups = [...tags.map((name) => (has.has(name) ? quote(name) : "''")), bucket];
  const where = [range, ...conditions.map(condition)];
  const numbers = groups.map((_, i) => i + 1);
  const rest = `FROM ${quote(table)} WHERE ${where.join(" AND ")} GROUP BY ${numbers.join(", ")}`;
  return { sql: { groups, rest }, columns };
}

/** Adds a later part of a bucket. */
function merge(into: Part["values"], later: Part["values"]): void {
  for (const [index, values] of later) {
    const own = into.get(index);
    if (!own) {
      into.set(index, values);
      continue;
    }
    for (const [name, value] of values) {
      const before = own.get(name);
      if (before === undefined || name === "last") own.set(name, value);
      else if (name === "min") own.set(name, value < before ? value : before);
      else if (name === "max") own.set(name, value > before ? value : before);
      else own.set(name, Number(before) + Number(value));
    }
  }
}

/** What a bucket answers; as InfluxDB, a count of nothing is 0, and what is made of nothing is nothing. */
function evaluate(
  value: Expression,
  values: Part["values"] | undefined,
): number | string | boolean | undefined {
  if ("number" in value) return value.number;
  if ("operator" in value) {
    const left = evaluate(value.left, values);
    const right = evaluate(value.right, values);
    if (typeof left !== "number" || typeof right !== "number") return undefined;
    if (value.operator === "+") return left + right;
    return value.operator === "-" ? left - right : left * right;
  }
  const own = values?.get(value.of);
  const count = Number(own?.get("count") ?? 0);
  if (value.aggregate === "count") return count;
  if (value.aggregate === "mean") {
    const sum = own?.get("sum");
    return sum === undefined ? undefined : Number(sum) / count;
  }
  const found = own?.get(value.aggregate);
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
