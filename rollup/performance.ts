import { sqlName } from "../configs/databases";
import { createHash } from "node:crypto";
import { powerOf, UnitIndicators, type UnitRow } from "../configs/indicators";
import type { Measurement, Model } from "../configs/model";
import {
  dayOfTime,
  indicatorsOf,
  type PerformanceColumn,
  performanceColumns,
  type PerformanceDay,
  type PerformanceRow,
  performanceTable,
  rowOf,
  timeOfDay,
} from "../configs/performance";
import { atColumn, chunkSeconds, holdSeconds, type Span, tiers } from "../configs/rollups";
import type { Day } from "../configs/zones";
import { type Database, sqlTime, type TableColumns } from "./database";
import { type Point, seriesOf, type TagValues } from "./lines";
import { type RawRow, rawRows } from "./raw-rows";
import { parse, selected, tagValues } from "./tier-rows";

/** What the days of units are reckoned and read with. */
export interface DaysOptions {
  database: Database;
  /** Value of the header. */
  authorization: string;
}

/** A unit's row of a day. */
export interface UnitDay {
  tags: TagValues;
  day: PerformanceDay;
}

/** Text that changes with what is reckoned of a model's rows, and in which days. */
export function reckoningOf({ measurements }: Model, zone: string): string {
  const fields = measurements.map((m) => [
    m.name,
    m.interval,
    m.fields.map(({ name, type, unit, quantity, circuit, positive, range }) => [
      name,
      type,
      unit,
      quantity,
      circuit,
      positive,
      range,
    ]),
  ]);
  const text = JSON.stringify([zone, performanceColumns, fields]);
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/** Most seconds before a day in which a discharge may have begun that ends on it. */
const longestDischarge = 86_400;

/** Seconds of rows before a day that what it says depends on. */
export const runIn = (m: Measurement): number => {
  const hasCapacity = powerOf(m) && m.fields.some((f) => f.quantity === "state_of_charge");
  return hasCapacity ? Math.max(longestDischarge, holdSeconds(m)) : holdSeconds(m);
};

/** Rows that are read at once, about. */
const rowsAtOnce = 20_000;

/** Days after its last row for which a unit still belongs to the site: it has rows that say it is silent. */
const missedDays = 31;

/**
 * What each unit did on a day, of its rows. One that was silent, but was there in the month before, has
 * a row too: a month's availability counts its days.
 * @param raw columns of the rows' database.
 * @param stored columns of the day tier's database.
 */
export async function reckonDay(
  options: DaysOptions,
  raw: TableColumns,
  stored: TableColumns,
  m: Measurement,
  day: Day,
): Promise<UnitDay[]> {
  const { database, authorization } = options;
  const units = new Map<string, { tags: TagValues; reckoning: UnitIndicators }>();
  const before = runIn(m);
  const add = (span: Span, { key, tags, at, values }: RawRow) => {
    let unit = units.get(key);
    if (!unit) units.set(key, (unit = { tags, reckoning: new UnitIndicators(m) }));
    // Beside a day's beginning a time keeps its nanoseconds.
    unit.reckoning.add({ time: span.start - day.from + at / 1e9, values: valuesOf(m, values) });
  };
  let length = chunkSeconds(m);
  const read = async (start: number, end: number) => {
    for (let from = start; from < end;) {
      const span = { start: from, end: Math.min(end, from + length) };
      let count = 0;
      for await (const rows of rawRows(database, authorization, raw, m, span)) {
        count += rows.length;
        for (const row of rows) add(span, row);
      }
      if (count < rowsAtOnce / 4) length *= 4;
      else if (count > 2 * rowsAtOnce) length = Math.max(60, Math.floor(length / 2));
      from = span.end;
    }
  };
  await read(day.from - before, day.from);
  for (const { reckoning } of units.values()) reckoning.close(-before, 0);
  await read(day.from, day.to);
  const { name, from } = day;
  const earlier = { first: dayBefore(name, missedDays), last: dayBefore(name, 1) };
  for (const { tags, day: known } of await storedDays(options, stored, m, earlier)) {
    const key = tags.map((value) => value ?? "").join("\0");
    if (known.indicators.reported > 0 && !units.has(key))
      units.set(key, { tags, reckoning: new UnitIndicators(m) });
  }
  return [...units.values()].map(({ tags, reckoning }) => ({
    tags,
    day: { name, from, indicators: reckoning.close(0, day.to - day.from) },
  }));
}

const dayBefore = (name: string, days: number): string =>
  new Date(Date.parse(name) - days * 86_400_000).toISOString().slice(0, 10);

function valuesOf(m: Measurement, values: RawRow["values"]): UnitRow["values"] {
  const named: UnitRow["values"] = {};
  for (const [i, { name }] of m.fields.entries()) {
    const value = values[i];
    if (value !== undefined && value !== "")
      named[name] = typeof value === "bigint" ? Number(value) : value;
  }
  return named;
}

const escaped = (text: string) => text.replaceAll(/["\\]/g, (character) => `\\${character}`);

/** The point that a unit's day is stored as. */
export function pointOf(m: Measurement, { tags, day }: UnitDay): Point {
  const row = rowOf(day.indicators);
  const fields = performanceColumns.flatMap(([column, type]) => {
    const value = row[column];
    if (value === undefined) return [];
    const text =
      type === "int" ? `${value}i` : type === "string" ? `"${escaped(String(value))}"` : value;
    return [`${column}=${text}`];
  });
  return {
    series: seriesOf(performanceTable(m), m, tags),
    fields: [...fields, `${atColumn}=${day.from}000000000i`].join(","),
    time: timeOfDay(day.name),
  };
}

/**
 * The days of units that are stored; in the order of time.
 * @param columns what the day tier's database has.
 * @param days the first and the last.
 * @param where further conditions, in SQL.
 */
export async function storedDays(
  { database, authorization }: DaysOptions,
  columns: TableColumns,
  m: Measurement,
  days: { first: string; last: string },
  where: readonly string[] = [],
  signal?: AbortSignal,
): Promise<UnitDay[]> {
  const table = performanceTable(m);
  const has = columns.get(table);
  if (!has) return [];
  const tags = m.tags.map(({ name }) => (has.has(name) ? sqlName(name) : "''"));
  const own = performanceColumns.filter(([name]) => has.has(name));
  const select = [
    ...tags,
    "CAST(time AS BIGINT) / 1000000000",
    `${atColumn} / 1000000000`,
    ...own.map(([name, type]) => selected(name, type)),
  ];
  const conditions = [
    `time >= ${sqlTime(timeOfDay(days.first))}`,
    `time <= ${sqlTime(timeOfDay(days.last))}`,
    `${atColumn} >= 0`,
    ...where,
  ];
  const sql =
    `SELECT ${select.join(", ")} FROM ${sqlName(table)} ` +
    `WHERE ${conditions.join(" AND ")} ORDER BY time`;
  const found: UnitDay[] = [];
  const db = tiers.day.database;
  for await (const rows of database.rows(authorization, db, sql, signal))
    for (const row of rows) {
      const [time, from, ...values] = row.slice(tags.length);
      const stored: PerformanceRow = {};
      for (const [i, [name, type]] of own.entries()) {
        const value = parse(values[i] ?? "", type);
        if (value !== undefined) stored[name satisfies PerformanceColumn] = plain(value);
      }
      found.push({
        tags: tagValues(row, tags.length),
        day: {
          name: dayOfTime(Number(time)),
          from: Number(from),
          indicators: indicatorsOf(stored),
        },
      });
    }
  return found;
}

const plain = (value: number | bigint | string): number | string =>
  typeof value === "bigint" ? Number(value) : value;
