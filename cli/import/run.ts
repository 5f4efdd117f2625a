import { sqlName } from "../../configs/databases";
import { InputError } from "../../configs/validation";
import type { Database } from "../../fleet";
import { type Column, columnNames, type Row, type Table, totalsQuery } from "../export/table";
import { lineWriter } from "../export/text";
import { differences, type StoredTotals, type TotalsAnswer, totalsOf } from "../export/totals";
import type { Skipped } from "../replay/skipped";
import { dayName, dayOf, Ledger, type Series, standing } from "./ledger";
import type { Item, Source } from "./source";

/** Rows and bytes of one write. */
const rowsPerWrite = 10_000;
const bytesPerWrite = 4_000_000;

/** Seconds of a day. */
const daySeconds = 86_400;

/** How far an import is. It is kept up to date while it runs. */
export interface Progress {
  step: string;
  share: number;
  rows: number;
  written: number;
  /** Rows of days that were in the database already. */
  unchanged: number;
  refused: number;
}

/** What became of an import. */
export interface Outcome {
  days: number;
  /** Days whose rows are all equal to those of the database. */
  equal: number;
  /** Days of units that have more rows in the database: their sums could not be compared. */
  more: string[];
  /** What differs from the database, in words. */
  different: string[];
}

/** Where rows go, and which of them. */
export interface Importing {
  database: Database;
  sources: readonly Source[];
  skipped: Skipped;
  /** Whether a bad row is passed over, and does not end the import. */
  skipBad: boolean;
  /** In s since 1970; rows outside are left out. */
  from: number;
  to: number;
  /** Before this a site keeps nothing. */
  oldest: number;
  /** Whether nothing is written. */
  dryRun: boolean;
  progress: Progress;
  interrupt: AbortSignal;
}

/** Most problems that a refusal names. */
const mostProblems = 20;

/** One import: all rows are read before the first is written, and compared when all are. */
export class Import {
  private readonly ledgers = new Map<string, Ledger>();
  /** What is in the database already: days of units, by the table's name. */
  private readonly done = new Map<string, Set<string>>();

  constructor(private readonly how: Importing) {}

  /** @throws InputError if a row is bad and none may be passed over, or if it is interrupted. */
  async run(): Promise<Outcome> {
    await this.count();
    await this.compare((name, key) => {
      const known = this.done.get(name) ?? new Set();
      this.done.set(name, known.add(key));
    });
    if (!this.how.dryRun) await this.write();
    return this.compare();
  }

  private async *items(step: string): AsyncGenerator<[Source, Item], void, undefined> {
    const { sources, progress, interrupt } = this.how;
    progress.step = step;
    for (const [i, source] of sources.entries())
      for await (const items of source.read()) {
        if (interrupt.aborted)
          throw new InputError("the import", [
            "it was interrupted: run the same line again, and it goes on with what the database lacks",
          ]);
        progress.share = (i + source.share()) / sources.length;
        for (const item of items) yield [source, item];
      }
  }

  /** Reads all rows, and finds the bad ones. */
  private async count(): Promise<void> {
    const { skipped, skipBad, progress, oldest } = this.how;
    const problems: string[] = [];
    let more = 0;
    let old = 0;
    let headOf: Source | undefined;
    for await (const [source, { target, row, number, text, problems: found }] of this.items(
      "reading",
    )) {
      if (!target || !row) {
        if (skipBad) {
          if (source.head !== undefined && headOf !== source) {
            if (headOf?.head !== undefined && headOf.head !== source.head)
              throw new InputError("the command line", [
                `--skip-bad: ${headOf.name} and ${source.name} have other headers; import them one by one`,
              ]);
            if (!headOf) skipped.head(source.head);
            headOf = source;
          }
          skipped.add(number, text, found.join("; "));
        } else if (problems.length < mostProblems)
          problems.push(`row ${number} of ${source.name}: ${found.join("; ")}`);
        else more += 1;
        continue;
      }
      const day = dayOf(row);
      if (!this.wants(row)) continue;
      if (day + daySeconds <= oldest) {
        old += 1;
        continue;
      }
      progress.rows += 1;
      this.ledger(target.table).add(row);
    }
    if (more > 0) problems.push(`${more} more rows`);
    if (problems.length > 0)
      throw new InputError("the source", [
        ...problems,
        "nothing was written; --skip-bad FILE keeps such rows in a file, and imports the others",
      ]);
    if (old > 0)
      throw new InputError("the source", [
        `${old} rows are of before ${dayName(oldest)}, and the site would not keep them: raise its ` +
          `retention first, or leave them out with --from ${dayName(oldest + daySeconds)}`,
      ]);
  }

  private wants(row: Row): boolean {
    const { from, to } = this.how;
    const seconds = Number(row[0]) / 1e9;
    return seconds >= from && seconds < to;
  }

  private ledger(table: Table): Ledger {
    const known = this.ledgers.get(table.name);
    if (known) return known;
    const made = new Ledger(table);
    this.ledgers.set(table.name, made);
    return made;
  }

  /** Compares each day of each unit with the database. @param equal is told of those that are equal. */
  private async compare(equal?: (table: string, key: string) => void): Promise<Outcome> {
    const { progress } = this.how;
    progress.step = "comparing";
    const outcome: Outcome = { days: 0, equal: 0, more: [], different: [] };
    const all = [...this.ledgers.values()];
    const count = all.reduce((sum, { days }) => sum + days.length, 0);
    for (const ledger of all)
      for (const day of ledger.days) {
        const stored = await this.stored(ledger, day);
        const told = outcome.more.length + outcome.different.length;
        for (const [series, own] of ledger.totals(day)) {
          const there = stored.get(series);
          const how = standing(own, there);
          const what = `${ledger.table.name} of ${unitName(series)}, ${dayName(day)}`;
          if (how === "equal") equal?.(ledger.table.name, `${day}\0${series}`);
          if (how === "more")
            outcome.more.push(`${what}: ${there?.rows} rows, ${own.rows} of them from the source`);
          if (how === "different")
            outcome.different.push(
              `${what}: ${there ? differences(own, there).join("; ") : `${own.rows} rows, and the database has none`}`,
            );
        }
        outcome.days += 1;
        if (outcome.more.length + outcome.different.length === told) outcome.equal += 1;
        progress.share = outcome.days / count;
      }
    return outcome;
  }

  /** Totals that the database has of a day, by the units. */
  private async stored({ table, tags }: Ledger, day: number): Promise<Map<Series, StoredTotals>> {
    const found = new Map<Series, StoredTotals>();
    const there = await this.columnsOf(table);
    // A first write makes those that are missing: the tags are the first of them.
    if (there.length === 0 || tags.some((tag) => !there.includes(tag))) return found;
    const present: Table = { name: table.name, columns: there };
    const groups = tags.map(({ name }) => sqlName(name));
    const query = totalsQuery(present, day, day + daySeconds, groups);
    for (const answer of await this.how.database.query<TotalsAnswer>(query)) {
      const series = tags.map((_, i) => `${answer[`g${i}`] ?? "\u0001"}\u0000`).join("");
      const totals = totalsOf(there, answer);
      for (const { name } of table.columns) totals.columns[name] ??= { count: 0, sum: 0 };
      found.set(series, totals);
    }
    return found;
  }

  private readonly complete = new Set<string>();

  /** The columns of a table that the database has. */
  private async columnsOf({ name, columns }: Table): Promise<Column[]> {
    if (this.complete.has(name)) return columns;
    const there = await columnNames(this.how.database, name);
    const found = columns.filter((column) => there.has(column.name));
    if (found.length === columns.length) this.complete.add(name);
    return found;
  }

  /** Writes all rows but those of days that are equal already. */
  private async write(): Promise<void> {
    const { progress } = this.how;
    const pending = new Map<string, { table: Table; rows: Row[]; items: Item[] }>();
    const flush = async (name: string) => {
      const group = pending.get(name);
      pending.delete(name);
      if (group) await this.send(group.table, group.rows, group.items);
    };
    for await (const [, item] of this.items("writing")) {
      const { target, row } = item;
      if (!target || !row || !this.wants(row)) continue;
      const { table } = target;
      const key = `${dayOf(row)}\0${this.ledger(table).seriesOf(row)}`;
      if (this.done.get(table.name)?.has(key)) {
        progress.unchanged += 1;
        continue;
      }
      const group = pending.get(table.name) ?? { table, rows: [], items: [] };
      pending.set(table.name, group);
      group.rows.push(row);
      group.items.push(item);
      if (group.rows.length >= rowsPerWrite) await flush(table.name);
    }
    for (const name of pending.keys()) await flush(name);
  }

  private async send(table: Table, rows: Row[], items: Item[]): Promise<void> {
    const { database, skipped, progress } = this.how;
    const text = lineWriter(table).text(rows);
    if (text.length > bytesPerWrite && rows.length > 1) {
      const half = Math.ceil(rows.length / 2);
      await this.send(table, rows.slice(0, half), items.slice(0, half));
      return this.send(table, rows.slice(half), items.slice(half));
    }
    const refused = await database.write(text);
    for (const { line, reason } of refused) {
      const item = items[line - 1];
      skipped.add(item?.number ?? 0, item?.text ?? "", `the database refuses it: ${reason}`);
    }
    progress.refused += refused.length;
    progress.written += rows.length - refused.length;
  }
}

const unitName = (series: Series): string =>
  series
    .split("\u0000")
    .filter((tag) => tag !== "" && tag !== "\u0001")
    .join(" ") || "no unit";
