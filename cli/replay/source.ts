import { createReadStream, statSync } from "node:fs";
import { pipeline, type Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { parse as parseCsv } from "csv-parse";
import type { Model } from "../../configs/model";
import { InputError } from "../../configs/validation";
import {
  absentFields,
  chooseMeasurement,
  csvMessages,
  ndjsonMessages,
  type Choices,
  type Message,
} from "./messages";

/**
 * A message and the row of the file that it is, counted from 1 without the header and without empty
 * lines.
 */
export interface Row {
  number: number;
  message: Message;
}

/** How a file is read. */
export interface Reading {
  model: Model;
  choices: Choices;
  /** First row that is read, counted from 1. */
  from: number;
  /** Told what is no error, before the first row is given out. */
  note(text: string): void;
}

/** A file that is being read as a stream. */
export interface Source {
  rows: AsyncGenerator<Row, void, undefined>;
  /** Share of the file that has been read, 0 to 1. */
  share(): number;
}

const name = /\.(csv|ndjson|jsonl)(\.gz)?$/i;

async function* csvRows(
  input: Readable,
  file: string,
  { model, choices, from, note }: Reading,
): AsyncGenerator<Row, void, undefined> {
  const measurement = chooseMeasurement(model, choices.measurement);
  const parser = pipeline(
    input,
    parseCsv({ bom: true, skipEmptyLines: true, trim: true }),
    () => undefined,
  );
  let make: ReturnType<typeof csvMessages> | undefined;
  let number = 0;
  for await (const cells of parser as AsyncIterable<string[]>) {
    if (!make) {
      make = csvMessages(measurement, cells, choices);
      const absent = absentFields(measurement, cells);
      if (absent.length > 0)
        note(
          `${file} has no column for these fields of ${measurement.name}, ` +
            `which stay empty: ${absent.join(", ")}`,
        );
      continue;
    }
    number += 1;
    if (number >= from) yield { number, message: make(cells, `row ${number} of ${file}`) };
  }
}

async function* linesOf(input: Readable): AsyncGenerator<string, void, undefined> {
  let rest = "";
  for await (const chunk of input.setEncoding("utf8") as AsyncIterable<string>) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  yield rest;
}

async function* ndjsonRows(
  input: Readable,
  file: string,
  { model, choices, from }: Reading,
): AsyncGenerator<Row, void, undefined> {
  const make = ndjsonMessages(model, choices);
  let number = 0;
  for await (const line of linesOf(input)) {
    if (line.trim() === "") continue;
    number += 1;
    if (number >= from) yield { number, message: make(line, `row ${number} of ${file}`) };
  }
}

/** What the file system, zlib and csv-parse say, as a refusal of the file. */
async function* refusing(
  file: string,
  rows: AsyncGenerator<Row, void, undefined>,
): AsyncGenerator<Row, void, undefined> {
  try {
    yield* rows;
  } catch (error) {
    throw error instanceof InputError ? error : new InputError(file, [(error as Error).message]);
  }
}

/**
 * Opens a CSV or NDJSON file, plain or gzipped; the ending tells which.
 * @throws InputError if there is no such file, or its ending is another.
 */
export function openSource(file: string, reading: Reading): Source {
  const [, format, gzipped] = name.exec(file) ?? [];
  if (!format)
    throw new InputError(file, [
      "the ending is unknown: .csv, .ndjson and .jsonl are read, each also with .gz",
    ]);
  const size = statSync(file, { throwIfNoEntry: false })?.size;
  if (size === undefined) throw new InputError(file, ["there is no such file"]);
  const stream = createReadStream(file);
  const input = gzipped ? pipeline(stream, createGunzip(), () => undefined) : stream;
  const read = format.toLowerCase() === "csv" ? csvRows : ndjsonRows;
  return {
    rows: refusing(file, read(input, file, reading)),
    share: () => (size === 0 ? 1 : stream.bytesRead / size),
  };
}
