import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../../configs/validation";
import { type Day, daysOf } from "../../configs/zones";
import { type Database, QueryError } from "../../fleet";
import { columnsName, columnsText, Manifest, type Settings } from "./manifest";
import { OutputFile, writeWhole } from "./output";
import { ParquetFile } from "./parquet";
import { aggregated, aggregatedQuery, type Row, rowsQuery, type Table, totalsQuery } from "./table";
import { csvWriter, lineWriter } from "./text";
import { Counting, differences, type StoredTotals, type TotalsAnswer, totalsOf } from "./totals";

/** Formats of an export, each with the ending of its files. */
export const formats = { csv: "csv", parquet: "parquet", "line-protocol": "lp" } as const;
export type Format = keyof typeof formats;

/** What is exported, and how. */
export interface Wanted {
  site: string;
  format: Format;
  /** In s since 1970. */
  from: number;
  to: number;
  /** Interval that rows are reduced to, in s and as it was written; none for the rows themselves. */
  every?: { seconds: number; text: string } | undefined;
  zone: string;
  units: boolean;
  folder: string;
}

/** How far an export is. It is kept up to date while it runs. */
export interface Progress {
  /** Share that is done, 0 to 1. */
  share: number;
  rows: number;
  files: number;
  /** Files that were complete already. */
  kept: number;
  day: string;
}

/** Rows that one query is asked for: the database sorts them in memory. */
const rowsPerQuery = 200_000;

/** How often a day is read whose rows change meanwhile. */
const mostTries = 3;

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString();

/** What a day's rows are written to. */
interface Sink {
  add(rows: readonly Row[]): Promise<void>;
  end(): Promise<void>;
}

/** Exports one table, a file a day. */
export class Export {
  /** The table as it is written. */
  private readonly written: Table;
  private readonly manifest: Manifest;

  /** @throws InputError if the folder has an export with other settings. */
  constructor(
    private readonly database: Database,
    private readonly table: Table,
    private readonly wanted: Wanted,
    private readonly progress: Progress,
    private readonly interrupt: AbortSignal,
  ) {
    const { site, format, every, zone, units, folder } = wanted;
    const measurement = table.name;
    const settings: Settings = {
      site,
      measurement,
      format,
      every: every?.text ?? null,
      zone,
      units,
    };
    this.written = every ? aggregated(table) : table;
    this.manifest = Manifest.read(folder, settings);
  }

  /** @throws InputError if the disk is full, the database stops to answer, or it is interrupted. */
  async run(): Promise<void> {
    const { folder, from, to, zone } = this.wanted;
    mkdirSync(folder, { recursive: true });
    await writeWhole(join(folder, columnsName(this.table.name)), columnsText(this.written));
    for (const day of daysOf(from, to, zone)) {
      this.progress.day = day.name;
      await this.day(day);
      this.progress.share = (day.to - from) / (to - from);
    }
  }

  private async day(day: Day): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      const stored = await this.stored(day);
      const known = this.manifest.find(iso(day.from), iso(day.to));
      if (known && differences(known.source ?? known, stored).length === 0) {
        this.progress.kept += 1;
        return;
      }
      const differing = await this.write(day, stored);
      if (differing.length === 0) return;
      if (tries < mostTries) continue;
      throw new InputError(`${this.table.name} of ${day.name}`, [
        ...differing,
        "its rows change while they are read: leave this day out with --to, and export it later",
      ]);
    }
  }

  private async stored(day: Day): Promise<StoredTotals> {
    const [answer] = await this.database.query<TotalsAnswer>(
      totalsQuery(this.table, day.from, day.to),
    );
    return totalsOf(this.table.columns, answer ?? { n: 0 });
  }

  /** Writes a day's file. @returns what differs from what the database says of the day. */
  private async write(day: Day, stored: StoredTotals): Promise<string[]> {
    const about = { from: iso(day.from), to: iso(day.to) };
    const { rows, columns } = stored;
    const { folder, format, every } = this.wanted;
    const source = every && { source: { rows, columns } };
    if (rows === 0) {
      await this.manifest.add({ file: null, ...about, bytes: 0, sha256: null, rows, columns });
      return [];
    }
    const file = `${this.table.name}-${day.name}.${formats[format]}`;
    const output = await OutputFile.create(join(folder, file));
    const before = this.progress.rows;
    try {
      const counting = new Counting(this.written.columns);
      const sink = await this.sink(output);
      for (const [from, to] of windows(day, rows, every?.seconds))
        for await (const batch of this.rows(day, from, to)) {
          counting.add(batch);
          await sink.add(batch);
          this.progress.rows += batch.length;
        }
      await sink.end();
      const { totals } = counting;
      const differing = every
        ? differences(
            { rows: Number(totals.columns.rows?.sum ?? 0), columns: {} },
            { rows, columns: {}, magnitudes: {} },
          )
        : differences(totals, stored);
      if (differing.length > 0) {
        this.progress.rows = before;
        await output.abandon();
        return differing;
      }
      const sha256 = await output.complete();
      const { bytes } = output;
      await this.manifest.add({
        file,
        ...about,
        bytes,
        sha256,
        ...totals,
        ...source,
      });
      this.progress.files += 1;
      return [];
    } catch (error) {
      await output.abandon();
      throw error;
    }
  }

  private async sink(output: OutputFile): Promise<Sink> {
    const { format, zone, units } = this.wanted;
    if (format === "parquet")
      return ParquetFile.begin(output, this.written, {
        "bess-telemetry": columnsText(this.written),
      });
    const writer =
      format === "csv" ? csvWriter(this.written, zone, units) : lineWriter(this.written);
    await output.write(writer.head);
    return {
      add: (rows) => output.write(writer.text(rows)),
      end: () => Promise.resolve(),
    };
  }

  /** The rows of a part of a day; in smaller parts where the database lacks the memory. */
  private async *rows(day: Day, from: number, to: number): AsyncGenerator<Row[], void, undefined> {
    const { every } = this.wanted;
    const query = every
      ? aggregatedQuery(this.written, every.seconds, day.from, from, to)
      : rowsQuery(this.table, from, to);
    let begun = false;
    try {
      for await (const lines of this.database.lines(query)) {
        if (this.interrupt.aborted)
          throw new InputError("the export", [
            "it was interrupted: complete files stay; run the same line again for the rest",
          ]);
        begun = true;
        yield lines.map((line) => JSON.parse(line) as Row);
      }
    } catch (error) {
      const parts = windows({ from, to }, 2 * rowsPerQuery, every?.seconds);
      if (begun || !(error instanceof QueryError) || !error.isMemory || parts.length < 2)
        throw error;
      for (const part of parts) yield* this.rows(day, ...part);
    }
  }
}

/** Parts of a span with at most so many rows each, if these are spread evenly; whole intervals of it. */
export function windows(
  { from, to }: Pick<Day, "from" | "to">,
  rows: number,
  every = 1,
): [from: number, to: number][] {
  const count = Math.max(1, Math.ceil(rows / rowsPerQuery));
  const step = Math.max(1, Math.ceil((to - from) / count / every)) * every;
  const parts: [number, number][] = [];
  for (let at = from; at < to; at += step) parts.push([at, Math.min(to, at + step)]);
  return parts;
}
