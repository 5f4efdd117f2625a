import type { Measurement } from "../../configs/model";
import {
  holdSeconds,
  isNumber,
  rolledOf,
  type Tier,
  tierNames,
  tiers,
  windowOf,
} from "../../configs/rollups";

/** A row: its unit, its time in whole seconds, and its values. */
export interface Row {
  tags: Record<string, string>;
  time: number;
  values: Record<string, number | string | boolean>;
}

/** What a rollup must be, by its column; of a state the seconds, under `state <field> <state>`. */
export type Expected = Map<string, Record<string, number | string | boolean>>;

/** The sum of doubles without any rounding but the last: in whole numbers of 2^-300. */
export function exactSum(numbers: readonly number[]): number {
  const unit = 2 ** 300;
  const whole = numbers.reduce((sum, x) => sum + BigInt(x * unit), 0n);
  return Number(whole) / unit;
}

export const keyOf = (tags: Record<string, string>, at: number): string =>
  `${JSON.stringify(Object.entries(tags).sort())} ${at}`;

/** The minutes of rows, plainly worked out. */
export function minutesOf(m: Measurement, rows: readonly Row[]): Expected {
  const expected: Expected = new Map();
  const put = (tags: Row["tags"], at: number, column: string, value: number | string | boolean) => {
    const key = keyOf(tags, at);
    expected.set(key, { ...expected.get(key), [column]: value });
  };
  for (const unit of groups(rows, ({ tags }) => JSON.stringify(Object.entries(tags).sort()))) {
    const ordered = [...unit].sort((a, b) => a.time - b.time);
    const tags = ordered[0]?.tags ?? {};
    for (const minute of groups(ordered, ({ time }) => `${Math.floor(time / 60)}`)) {
      const at = Math.floor((minute[0]?.time ?? 0) / 60) * 60;
      for (const rolled of rolledOf(m)) {
        const values = minute.flatMap(({ values: own }) => {
          if (!rolled.terms) return own[rolled.name] ?? [];
          const products = rolled.terms.map(
            ({ voltage, current, sign }) => Number(own[voltage]) * Number(own[current]) * sign,
          );
          const [first = Number.NaN, ...others] = products;
          const sum = others.reduce((a, b) => a + b, first);
          // A zero has no sign.
          return Number.isNaN(sum) ? [] : sum + 0;
        });
        const last = values.at(-1);
        if (last === undefined) continue;
        put(tags, at, `${rolled.name}_count`, values.length);
        put(tags, at, `${rolled.name}_last`, last);
        if (!isNumber(rolled)) continue;
        const numbers = values.map(Number);
        put(tags, at, `${rolled.name}_sum`, exactSum(numbers));
        put(tags, at, `${rolled.name}_min`, Math.min(...numbers));
        put(tags, at, `${rolled.name}_max`, Math.max(...numbers));
      }
    }
    for (const { name, states } of rolledOf(m)) {
      if (!states) continue;
      // Second by second, what the latest row has said.
      const said = ordered.filter(({ values }) => values[name] !== undefined);
      for (const [i, { time, values }] of said.entries()) {
        const until = Math.min(said[i + 1]?.time ?? Infinity, time + holdSeconds(m));
        for (let second = time; second < until; second += 1) {
          const at = Math.floor(second / 60) * 60;
          const column = `state ${name} ${values[name]}`;
          put(tags, at, column, Number(expected.get(keyOf(tags, at))?.[column] ?? 0) + 1);
        }
      }
    }
  }
  return expected;
}

/** Longer buckets of shorter ones. */
export function mergedOf(finer: Expected, seconds: number): Expected {
  const parts = [...finer].map(([key, values]) => {
    const [, tags = "", at = ""] = /^(.*) (-?\d+)$/.exec(key) ?? [];
    return { tags, at: Number(at), values };
  });
  const merged: Expected = new Map();
  const startOf = (at: number) => Math.floor(at / seconds) * seconds;
  for (const bucket of groups(parts, ({ tags, at }) => `${tags} ${startOf(at)}`)) {
    const ordered = [...bucket].sort((a, b) => a.at - b.at);
    const columns = new Set(ordered.flatMap(({ values }) => Object.keys(values)));
    const made: Record<string, number | string | boolean> = {};
    for (const column of columns) {
      const values = ordered.flatMap(({ values: own }) => own[column] ?? []);
      const last = values.at(-1);
      if (last === undefined) continue;
      const numbers = () => values.map(Number);
      if (column.startsWith("state ") || column.endsWith("_sum"))
        made[column] = exactSum(numbers());
      else if (column.endsWith("_count")) made[column] = exactSum(numbers());
      else if (column.endsWith("_min")) made[column] = Math.min(...numbers());
      else if (column.endsWith("_max")) made[column] = Math.max(...numbers());
      else made[column] = last;
    }
    const [first] = ordered;
    merged.set(`${first?.tags} ${startOf(first?.at ?? 0)}`, made);
  }
  return merged;
}

/** What a table's tiers must hold of its rows. @param sealed before this all is over. */
export function expectedOf(
  m: Measurement,
  rows: readonly Row[],
  sealed: number,
): Record<Tier, Expected> {
  const before = (all: Expected, end: number) =>
    new Map([...all].filter(([key]) => Number(key.split(" ").at(-1)) < end));
  const minute = before(minutesOf(m, rows), sealed);
  const hour = before(mergedOf(minute, 3600), windowOf("hour", sealed).start);
  const wholeHours = mergedOf(before(minute, windowOf("hour", sealed).start), 3600);
  const month = windowOf("day", sealed).start;
  return { minute, hour, day: mergedOf(before(wholeHours, month), 86_400) };
}

/** Rows that answer a query in SQL; none where the table is not there. */
export type Sql = (db: string, sql: string) => Promise<Record<string, unknown>[]>;

/** What a tier holds. */
async function found(sql: Sql, m: Measurement, tier: Tier): Promise<Expected> {
  const all: Expected = new Map();
  const db = tiers[tier].database;
  const keyOfRow = (row: Record<string, unknown>) => {
    const tags = m.tags.flatMap(({ name }) => (row[name] ? [[name, String(row[name])]] : []));
    return keyOf(Object.fromEntries(tags) as Record<string, string>, Number(row._at) / 1e9);
  };
  for (const row of await sql(db, `SELECT * FROM "${m.name}" WHERE _at >= 0`)) {
    const columns = Object.entries(row).filter(
      ([name, value]) => value !== null && /_(count|sum|min|max|last)$/.test(name),
    );
    all.set(keyOfRow(row), Object.fromEntries(columns) as Record<string, number>);
  }
  for (const row of await sql(db, `SELECT * FROM "${m.name}-states" WHERE _at >= 0`)) {
    if (row._seconds === 0) continue;
    const column = `state ${String(row._field)} ${String(row._state)}`;
    const key = keyOfRow(row);
    all.set(key, { ...all.get(key), [column]: Number(row._seconds) });
  }
  return all;
}

/** The first difference between what a table's tiers hold and what they must, in words. */
export async function differenceIn(
  sql: Sql,
  m: Measurement,
  must: Record<Tier, Expected>,
): Promise<string | undefined> {
  for (const tier of tierNames) {
    const holds = await found(sql, m, tier);
    for (const key of new Set([...holds.keys(), ...must[tier].keys()])) {
      const [is, should] = [holds.get(key) ?? {}, must[tier].get(key) ?? {}];
      for (const column of new Set([...Object.keys(is), ...Object.keys(should)]))
        if (is[column] !== should[column])
          return `${tier} ${m.name} ${key} ${column}: ${is[column]}, not ${should[column]}`;
    }
  }
  return undefined;
}

function groups<T>(items: readonly T[], key: (item: T) => string): T[][] {
  const made = new Map<string, T[]>();
  for (const item of items) {
    const own = made.get(key(item));
    if (own) own.push(item);
    else made.set(key(item), [item]);
  }
  return [...made.values()];
}
