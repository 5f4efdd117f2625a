import type { Measurement } from "../../configs/model";
import { holdSeconds, isNumber, rolledOf } from "../../configs/rollups";

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

function groups<T>(items: readonly T[], key: (item: T) => string): T[][] {
  const made = new Map<string, T[]>();
  for (const item of items) {
    const own = made.get(key(item));
    if (own) own.push(item);
    else made.set(key(item), [item]);
  }
  return [...made.values()];
}
