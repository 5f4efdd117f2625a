import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { parse as parseCsv } from "csv-parse";
import type { Measurement, Model } from "../../configs/model";
import { InputError } from "../../configs/refuse";
import { fillTopic, type Json, place, readTime, valueAt } from "../simulator/message";

/** A recorded row as the broker takes it. */
export interface Message {
  topic: string;
  payload: string;
  /** The event's own time in ms since 1970, where the row has one. */
  time?: number;
}

/** How rows become messages. */
export interface Mapping {
  measurement: Measurement;
  /** What stands for each + of the topic. */
  unit: string;
  /** Tags that the file lacks, by name. */
  tags: Record<string, string>;
}

/** Rows of a CSV or NDJSON file (`.csv`, `.ndjson`, `.jsonl`, each also `.gz`), one at a time. */
export async function* rows(file: string): AsyncGenerator<Json> {
  const kind = /\.(csv|ndjson|jsonl)(\.gz)?$/i.exec(file);
  if (!kind) throw new InputError(file, ["its name must end in .csv, .ndjson or .jsonl, or one of them and .gz"]);
  const raw = createReadStream(file);
  const text: Readable = kind[2] ? raw.pipe(createGunzip()) : raw;
  raw.on("error", (error) => text.destroy(error));
  yield* kind[1].toLowerCase() === "csv" ? csv(text) : ndjson(text, file);
}

async function* csv(text: Readable): AsyncGenerator<Json> {
  for await (const record of text.pipe(parseCsv({ columns: true, bom: true, trim: true, skip_empty_lines: true }))) {
    const row: Json = {};
    for (const [path, value] of Object.entries(record as Record<string, string>)) if (value !== "") place(row, path, cell(value));
    yield row;
  }
}

const number = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const cell = (text: string) => (number.test(text) ? Number(text) : text);

async function* ndjson(text: Readable, file: string): AsyncGenerator<Json> {
  let line = 0;
  for await (const content of createInterface({ input: text, crlfDelay: Infinity })) {
    line += 1;
    if (content.trim() === "") continue;
    let row: unknown;
    try {
      row = JSON.parse(content);
    } catch {
      throw new InputError(file, [`line ${line} is ${JSON.stringify(content.slice(0, 60))}: each line must be a JSON object`]);
    }
    if (row === null || typeof row !== "object" || Array.isArray(row)) throw new InputError(file, [`line ${line} is no JSON object`]);
    yield row as Json;
  }
}

/**
 * The measurement that a file is of.
 * @throws InputError if `name` is none of the model's, or the model has several and none is named.
 */
export function measurementOf(model: Model, name: string | undefined): Measurement {
  const names = model.measurements.map((m) => m.name);
  const found = name === undefined && names.length === 1 ? model.measurements[0] : model.measurements.find((m) => m.name === name);
  if (!found) throw new InputError("--measurement", [`it is ${name ?? "not given"}; allowed with model ${model.name}: ${names.join(", ")}`]);
  return found;
}

/**
 * Checks a file's first row before anything is sent.
 * @throws InputError naming each field or tag of the measurement that the file lacks.
 */
export function checkRow(row: Json, { measurement, tags }: Mapping, file: string): void {
  const lacks = (path: string) => valueAt(row, path) === undefined;
  const findings = [
    ...measurement.fields.filter((f) => lacks(f.path)).map((f) => `column ${f.path} is missing: field ${f.name} of ${measurement.name} is read from it`),
    ...measurement.tags
      .filter((t) => t.path && lacks(t.path) && tags[t.name] === undefined)
      .map((t) => `column ${t.path} is missing: give tag ${t.name} with --tag ${t.name}=VALUE`),
  ];
  if (findings.length > 0) throw new InputError(file, [...findings, `it has: ${Object.keys(row).join(", ")}`]);
}

/** A row as the measurement's message. */
export function toMessage(row: Json, { measurement, unit, tags }: Mapping): Message {
  const payload = structuredClone(row);
  for (const tag of measurement.tags) if (tag.path && tags[tag.name] !== undefined) place(payload, tag.path, tags[tag.name]);
  const { path, format } = measurement.time;
  return { topic: fillTopic(measurement.topic, () => unit), payload: JSON.stringify(payload), time: readTime(valueAt(row, path), format) };
}
