import type { Model } from "../../configs/model";
import { InputError } from "../../configs/validation";
import { CsvRows, delimiterName, detectDelimiter, remark } from "./csv";
import { chooseMeasurement, type Choices, type Message, PassedOver, type Row } from "./messages";
import { inOrder } from "./order";
import { isRecorded, NdjsonMessages } from "./recording";
import type { Skipped } from "./skipped";
import { CsvMessages } from "./table";
import { type Line, openText } from "./text";

/** What kinds of files are read. */
export const formats = ["csv", "ndjson"] as const;
export type Format = (typeof formats)[number];

/** How a file is read. */
export interface Reading {
  model: Model;
  choices: Choices;
  /** Default: as the file's ending says. */
  format?: Format | undefined;
  /** Name of an encoding. Default: what the bytes show. */
  encoding?: string | undefined;
  /** Default: what the header of a CSV file shows. */
  delimiter?: string | undefined;
  /** First row that is read, counted from 1. */
  from: number;
  /** Most rows that are given out. */
  limit: number;
  /** Whether the rows are sorted by time. */
  sort: boolean;
  /** Whether a bad row is passed over, and does not end the reading. */
  skipBad: boolean;
  skipped: Skipped;
  /** Told what is no error. */
  note(text: string): void;
}

/** A file that is being read as a stream. */
export interface Source {
  /** In batches. */
  rows: AsyncGenerator<Row[], void, undefined>;
  /** Share of the file that has been read, 0 to 1. */
  share(): number;
}

type Batches = AsyncGenerator<Row[], void, undefined>;

/** Makes rows of what stands in the file, and counts them. */
class Intake {
  private number = 0;
  private left: number;
  private last = -Infinity;
  private disordered = false;
  private failure: InputError | undefined;

  constructor(
    private readonly file: string,
    private readonly reading: Reading,
  ) {
    this.left = reading.limit;
  }

  /** Whether nothing more is wanted. */
  get full(): boolean {
    return this.left === 0;
  }

  /**
   * The messages of some rows.
   * @throws InputError at a bad row, once those before it have been given out.
   */
  *take<R extends Line>(
    raw: R[],
    make: (row: R) => Message | PassedOver,
  ): Generator<Row[], void, undefined> {
    const rows: Row[] = [];
    for (const row of raw) {
      if (this.full || this.failure) break;
      this.number += 1;
      if (this.number < this.reading.from) continue;
      const message = this.read(row, make);
      if (message === undefined) continue;
      this.left -= 1;
      this.watchOrder(message);
      rows.push({ number: this.number, message });
    }
    if (rows.length > 0) yield rows;
    if (this.failure) throw this.failure;
  }

  /** The message of a row; undefined if it is passed over, or if the reading ends at it. */
  private read<R extends Line>(
    row: R,
    make: (row: R) => Message | PassedOver,
  ): Message | undefined {
    try {
      if (row.text.includes("\ufffd"))
        throw new InputError("", ["it has bytes that are no text: --encoding names another"]);
      const made = make(row);
      if (!(made instanceof PassedOver)) return made;
      this.reading.skipped.add(this.number, row.text, made.reason);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      const { problems } = error;
      if (this.reading.skipBad)
        this.reading.skipped.add(this.number, row.text, problems.join("; "));
      else
        this.failure = new InputError(`row ${this.number} of ${this.file} (line ${row.line})`, [
          ...problems,
          "--skip-bad FILE keeps such rows in a file, and goes on",
        ]);
    }
    return undefined;
  }

  private watchOrder({ time }: Message): void {
    if (time < this.last && !this.disordered) {
      this.disordered = true;
      if (!this.reading.sort)
        this.reading.note(
          `row ${this.number} of ${this.file} is earlier than the one before it: ` +
            "rows are sent in the file's order (--speed sorts them), each with its own time",
        );
    }
    this.last = time;
  }
}

/** Excel's own first line, that names the delimiter. */
const excelDelimiter = /^sep=(.)$/;

async function* csvRows(
  blocks: AsyncIterable<Line[]>,
  file: string,
  reading: Reading,
  intake: Intake,
): Batches {
  const { model, choices, note, skipped } = reading;
  const measurement = chooseMeasurement(model, choices.measurement);
  let { delimiter } = reading;
  let rows: CsvRows | undefined;
  let messages: CsvMessages | undefined;
  const take = function* (read: ReturnType<CsvRows["read"]>) {
    if (!messages) {
      const header = read.shift();
      if (!header) return;
      messages = new CsvMessages(measurement, header.cells ?? [], choices, {
        file,
        delimiter: delimiter ?? ",",
        note,
      });
      skipped.head(header.text);
    }
    const { make, learn } = messages;
    learn(read);
    yield* intake.take(read, make);
  };
  for await (const block of blocks) {
    let lines = block;
    if (!rows) {
      const start = block.findIndex(({ text }) => text.trim() !== "" && !text.startsWith(remark));
      const [, named] = excelDelimiter.exec(block[start]?.text.trim() ?? "") ?? [];
      lines = block.slice(named === undefined ? start : start + 1);
      const [header] = lines;
      if (start < 0 || !header) {
        delimiter ??= named;
        continue;
      }
      delimiter ??= named ?? detectDelimiter(header.text, CsvMessages.knows(measurement, choices));
      if (delimiter !== ",") note(`${file}: the delimiter is ${delimiterName(delimiter)}`);
      rows = new CsvRows(delimiter);
    }
    yield* take(rows.read(lines));
    if (intake.full) return;
  }
  if (rows) yield* take(rows.end());
}

async function* ndjsonRows(
  blocks: AsyncIterable<Line[]>,
  file: string,
  { model, choices, delimiter, note }: Reading,
  intake: Intake,
): Batches {
  const { map, ignore, decimal } = choices;
  const given = { map: Object.keys(map)[0], ignore: ignore[0], delimiter, decimal };
  for (const [option, value] of Object.entries(given))
    if (value !== undefined) note(`--${option} has no effect: ${file} is no CSV`);
  let messages: NdjsonMessages | undefined;
  for await (const block of blocks) {
    const lines = block.filter(({ text }) => text.trim() !== "" && !text.startsWith(remark));
    if (lines.length === 0) continue;
    messages ??= new NdjsonMessages(model, choices, lines.some(isRecorded), note);
    yield* intake.take(lines, messages.make);
    if (intake.full) return;
  }
}

/** The rows from a number on, at most so many. */
async function* chosen(batches: Batches, from: number, limit: number): Batches {
  let left = limit;
  for await (const batch of batches) {
    const rows = batch.filter(({ number }) => number >= from).slice(0, left);
    left -= rows.length;
    if (rows.length > 0) yield rows;
    if (left === 0) return;
  }
}

const ending = /\.(?:(csv|tsv|txt)|ndjson|jsonl)(?:\.gz)?$/i;

function formatOf(file: string): Format {
  const found = ending.exec(file);
  if (found) return found[1] === undefined ? "ndjson" : "csv";
  throw new InputError(file, [
    "the ending is unknown: .csv, .tsv, .txt, .ndjson and .jsonl are read, each also with .gz; " +
      `for another, --format is ${formats.join(" or ")}`,
  ]);
}

/**
 * Opens a CSV or NDJSON file, plain or gzipped.
 * @throws InputError if there is no such file, or its format is not known.
 */
export function openSource(file: string, reading: Reading): Source {
  const read = (reading.format ?? formatOf(file)) === "csv" ? csvRows : ndjsonRows;
  const { blocks, share } = openText(file, reading.encoding, reading.note);
  const { from, limit, sort, note } = reading;
  const intake = new Intake(file, sort ? { ...reading, from: 1, limit: Infinity } : reading);
  const rows = read(blocks, file, reading, intake);
  return { rows: sort ? chosen(inOrder(rows, note), from, limit) : rows, share };
}
