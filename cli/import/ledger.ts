import type { Column, Row, Table } from "../export/table";
import { Counting, differences, type StoredTotals, type Totals } from "../export/totals";

const daySeconds = 86_400;

/** Seconds since 1970 at which the day of a row begins; UTC. */
export function dayOf(row: Row): number {
  const text = String(row[0]);
  const seconds = text.startsWith("-") ? Math.floor(Number(text) / 1e9) : Number(text.slice(0, -9));
  return Math.floor(seconds / daySeconds) * daySeconds;
}

/** Name of a day, as `2026-11-01`. */
export const dayName = (day: number): string => new Date(day * 1000).toISOString().slice(0, 10);

/** What tells a unit's rows from another's: its tags. */
export type Series = string;

/** The rows of one unit and day. */
interface Entry {
  counting: Counting;
  /** The last row: one of the same time goes into it, as in the database. */
  last: Row | undefined;
}

/** What the rows of a source are, by table, day and unit. */
export class Ledger {
  private readonly entries = new Map<number, Map<Series, Entry>>();
  readonly tags: readonly Column[];
  rows = 0;
  /** Rows of the same unit and time as the one before them. */
  repeated = 0;

  constructor(readonly table: Table) {
    this.tags = table.columns.filter(({ kind }) => kind === "tag");
  }

  /** Days of which there are rows, in order; each as the second at which it begins. */
  get days(): number[] {
    return [...this.entries.keys()].sort((a, b) => a - b);
  }

  seriesOf(row: Row): Series {
    let key = "";
    for (let i = 1; i <= this.tags.length; i += 1) key += `${row[i] ?? "\u0001"}\u0000`;
    return key;
  }

  add(row: Row): void {
    this.rows += 1;
    const day = dayOf(row);
    let units = this.entries.get(day);
    if (!units) this.entries.set(day, (units = new Map<Series, Entry>()));
    const series = this.seriesOf(row);
    let entry = units.get(series);
    if (!entry) {
      entry = { counting: new Counting(this.table.columns), last: undefined };
      units.set(series, entry);
    }
    const { last } = entry;
    if (last && last[0] === row[0]) {
      this.repeated += 1;
      for (const [i, value] of Object.entries(row))
        if (value !== null && value !== undefined) last[Number(i)] = value;
      return;
    }
    if (last) entry.counting.add([last]);
    entry.last = { ...row };
  }

  /** Totals of a day by the units. */
  totals(day: number): Map<Series, Totals> {
    const found = new Map<Series, Totals>();
    for (const [series, entry] of this.entries.get(day) ?? []) {
      if (entry.last) entry.counting.add([entry.last]);
      entry.last = undefined;
      found.set(series, entry.counting.totals);
    }
    return found;
  }
}

/** How a day of a unit stands in the database. */
export type Standing = "equal" | "more" | "different";

/**
 * How the rows of a source stand in the database. Where that has more rows of a unit and day, its sums say
 * nothing of the source's.
 */
export function standing(own: Totals, stored: StoredTotals | undefined): Standing {
  if (!stored) return "different";
  if (differences(own, stored).length === 0) return "equal";
  return stored.rows > own.rows ? "more" : "different";
}
