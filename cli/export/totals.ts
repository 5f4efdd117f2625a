import { ExactSum } from "../../configs/exact-sum";
import type { Column, ColumnType, Row } from "./table";

/** A sum of floats that is beyond all floats: it cannot be compared. */
const beyond = "beyond all floats";

/** How many values a column has, and their sum. */
export interface ColumnTotal {
  count: number;
  /** Of a text its bytes, of a boolean how many are true. A whole number is exact, and so a text. */
  sum: number | string;
}

/** How many rows there are, and the totals of their columns. */
export interface Totals {
  rows: number;
  columns: Record<string, ColumnTotal>;
}

/** Counts one column. */
class Counter {
  count = 0;
  private readonly exact = new ExactSum();
  private whole = 0n;
  private small = 0;

  constructor(private readonly type: ColumnType) {}

  add(value: string | number | boolean): void {
    this.count += 1;
    if (this.type === "float64") this.exact.add(Number(value));
    else if (this.type === "bool") this.small += value === true ? 1 : 0;
    else if (this.type === "utf8") this.small += Buffer.byteLength(String(value));
    else this.whole += BigInt(value as string | number);
  }

  get sum(): number | string {
    if (this.type === "float64") {
      const { value } = this.exact;
      return Number.isNaN(value) ? beyond : value;
    }
    return String(this.whole + BigInt(this.small));
  }
}

/** Counts rows, and sums their columns up exactly. */
export class Counting {
  private rows = 0;
  private readonly counters: Counter[];

  constructor(private readonly columns: readonly Column[]) {
    this.counters = columns.map(({ type }) => new Counter(type));
  }

  add(rows: readonly Row[]): void {
    this.rows += rows.length;
    for (const row of rows)
      this.counters.forEach((counter, i) => {
        const value = row[i + 1];
        if (value !== null && value !== undefined) counter.add(value);
      });
  }

  get totals(): Totals {
    return {
      rows: this.rows,
      columns: Object.fromEntries(
        this.columns.map(({ name }, i) => {
          const { count = 0, sum = 0 } = this.counters[i] ?? {};
          return [name, { count, sum }];
        }),
      ),
    };
  }
}

/** An answer to {@link import("./table").totalsQuery}. */
export type TotalsAnswer = Partial<Record<string, number | string | null>> & { n: number };

/** What the database says of a span, and how large the values of floats are, which bounds its rounding. */
export interface StoredTotals extends Totals {
  magnitudes: Record<string, number>;
}

/** Reads an answer to {@link import("./table").totalsQuery}. */
export function totalsOf(columns: readonly Column[], answer: TotalsAnswer): StoredTotals {
  const totals: StoredTotals = { rows: answer.n, columns: {}, magnitudes: {} };
  columns.forEach(({ name, type }, i) => {
    const count = Number(answer[`n${i + 1}`] ?? 0);
    const sum = answer[`s${i + 1}`] ?? (type === "float64" && count > 0 ? beyond : 0);
    totals.columns[name] = {
      count,
      sum: type === "float64" && sum !== beyond ? Number(sum) : String(sum),
    };
    totals.magnitudes[name] = Number(answer[`a${i + 1}`] ?? 0);
  });
  return totals;
}

/** Share of the values' sum by which a sum of floats may differ: the database rounds at each step. */
const rounding = 1e-9;

/** What differs between rows that were counted and those that are stored, in words; none if all is equal. */
export function differences(counted: Totals, stored: StoredTotals): string[] {
  if (counted.rows !== stored.rows)
    return [`${counted.rows} rows, and the database has ${stored.rows}`];
  return Object.entries(stored.columns).flatMap(([name, { count, sum }]) => {
    const own = counted.columns[name] ?? { count: 0, sum: 0 };
    if (own.count !== count)
      return [`${own.count} values of ${name}, and the database has ${count}`];
    const equal =
      sum === beyond ||
      own.sum === beyond ||
      (typeof sum === "string" || typeof own.sum === "string"
        ? String(own.sum) === String(sum)
        : Math.abs(own.sum - sum) <= rounding * (stored.magnitudes[name] ?? 0));
    return equal ? [] : [`the sum of ${name} is ${own.sum}, and the database's ${sum}`];
  });
}
