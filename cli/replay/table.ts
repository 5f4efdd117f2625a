import { type Json, place } from "../../configs/message";
import type { Field, Measurement, Source } from "../../configs/model";
import { parsePath, type Reading, timeSchema, type Time } from "../../configs/payload";
import { booleanWords, readerOf, recordedPayload, timeReader } from "../../configs/reading";
import {
  bad,
  type Choices,
  type Decimal,
  decimals,
  formOf,
  type Message,
  type Note,
  PassedOver,
  type PayloadTag,
  payloadTags,
  refuse,
  topicOf,
} from "./messages";

const decimalName: Record<Decimal, string> = { ".": "a decimal point", ",": "a decimal comma" };

/** Reads one value of a file; undefined where it is none of this kind. */
type Reader = (text: string, decimal: Decimal) => unknown;

const numeric: Record<Decimal, RegExp> = {
  ".": /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i,
  ",": /^[+-]?(\d+,?\d*|,\d+)(e[+-]?\d+)?$/i,
};

export const readNumber: Reader = (text, decimal) => {
  if (!numeric[decimal].test(text)) return undefined;
  const value = Number(decimal === "," ? text.replace(",", ".") : text);
  return Number.isFinite(value) ? value : undefined;
};

/** A whole number, as its digits where a number of JSON would not keep them all. */
const readWhole: Reader = (text, decimal) => {
  const value = readNumber(text, decimal);
  if (!Number.isInteger(value)) return undefined;
  return Number.isSafeInteger(value) ? value : text;
};

/** How the cells of a column are read. */
interface Cell {
  read: Reader;
  allowed: string;
}

const texts: Cell = { read: (text) => text, allowed: "write a text" };
const wholes: Cell = { read: readWhole, allowed: "write a whole number" };
const cells: Record<Field["type"], Cell> = {
  float: { read: readNumber, allowed: "write a number" },
  int: wholes,
  bool: {
    read: (text) => booleanWords[text.toLowerCase()],
    allowed: `write ${Object.keys(booleanWords).join(", ")}`,
  },
  string: texts,
};

/** Whether a field's texts are the gateway's own, which only the site's reading understands. */
const isOwn = ({ number, values, absent, signed, has }: Reading): boolean =>
  (number ?? values ?? absent ?? signed ?? has) !== undefined;

const cellOf = (field: Field, reading: Reading): Cell =>
  isOwn(reading) ? texts : reading.bit === undefined ? cells[field.type] : wholes;

const timeAllowed: Partial<Record<string, string>> = {
  iso8601: "write a time such as 2023-04-13T00:00:00Z; one without a zone is UTC",
  unix: "write seconds since 1970",
  unix_ms: "write milliseconds since 1970",
  unix_us: "write microseconds since 1970",
  unix_ns: "write nanoseconds since 1970",
};

/** What the columns of a file can be: the paths of a plain JSON payload, and the time. */
interface Layout {
  name: string;
  time: Time;
  /** Whether the payload has no place for the time. */
  carried: boolean;
  timePaths: string[];
  tags: PayloadTag[];
  fields: { path: string; own: boolean; cell: Cell }[];
  paths: string[];
}

/** @throws InputError if the measurement's first form is no plain JSON payload. */
function layoutOf(measurement: Measurement): Layout {
  const { name } = measurement;
  const source = formOf(measurement);
  if (!isPlain(source))
    refuse("the model", `${name} has no plain JSON payload: rows of a table cannot be sent as it`);
  // Without a time in the payload the column is `time`, in ISO 8601.
  const time = source.time ?? timeSchema.parse({ path: "time", format: "iso8601" });
  const timePaths = [time.path].flat();
  const tags = payloadTags(source);
  const byPath = new Map(
    source.fields.map(({ field, reading }) => [
      reading.path,
      { path: reading.path, own: isOwn(reading), cell: cellOf(field, reading) },
    ]),
  );
  const fields = [...byPath.values()];
  const paths = new Set([timePaths, tags.map((t) => t.path), fields.map((f) => f.path)].flat());
  return {
    name,
    time,
    carried: source.time === undefined,
    timePaths,
    tags,
    fields,
    paths: [...paths],
  };
}

/** Whether a message is one row, with a place for each value. */
const isPlain = ({ each, names, fields, text, where, good }: Source): boolean =>
  each.length + where.length + good.length === 0 &&
  (names ?? text) === undefined &&
  fields.every(
    ({ reading }) => parsePath(reading.path).keys.length > 0 && reading.exponent === undefined,
  );

/** The path that a column holds, by its own name or by --map; undefined if it is left out. */
function pathOf(column: string, { paths }: Layout, { map, ignore }: Choices): string | undefined {
  if (column === "" || ignore.includes(column)) return undefined;
  const path = map[column] ?? column;
  return ignore.includes("*") && !paths.includes(path) ? undefined : path;
}

/** What is wrong with the columns that the command line names. */
function choiceFindings({ name, paths }: Layout, header: string[], { map, ignore }: Choices) {
  const absent = (option: string, column: string) =>
    `${option}: the file has no column "${column}"; it has ${header.join(", ")}`;
  return [
    ...Object.entries(map).flatMap(([column, path]) => {
      const option = `--map ${column}=${path}`;
      if (!header.includes(column)) return [absent(option, column)];
      if (ignore.includes(column)) return [`${option}: the column is left out by --ignore`];
      return paths.includes(path)
        ? []
        : [`${option}: ${name} does not declare ${path}; allowed: ${paths.join(", ")}`];
    }),
    ...ignore
      .filter((column) => column !== "*" && !header.includes(column))
      .map((column) => absent(`--ignore ${column}`, column)),
  ];
}

/**
 * What is wrong with a header, found before a row is sent.
 * A field that the file lacks is no finding: a message need not carry every field.
 */
function headerFindings(layout: Layout, header: string[], choices: Choices): string[] {
  const { name, paths: allowed, timePaths, tags, fields } = layout;
  const paths = header.map((column) => pathOf(column, layout, choices));
  const findings = choiceFindings(layout, header, choices);
  let undeclared: string | undefined;
  paths.forEach((path, i) => {
    const column = header[i] ?? "";
    if (path === undefined || (choices.map[column] !== undefined && !allowed.includes(path)))
      return;
    if (!allowed.includes(path)) {
      undeclared ??= column;
      findings.push(
        `column ${i + 1} is "${column}", which ${name} does not declare; ` +
          `allowed: ${allowed.join(", ")}`,
      );
    } else if (paths.indexOf(path) < i)
      findings.push(`column ${i + 1} is "${path}" again: write each column once`);
  });
  if (undeclared !== undefined)
    findings.push(
      `a column of another name: --map "${undeclared}=PATH" says what it is, ` +
        `and --ignore "${undeclared}" leaves it out`,
    );
  for (const path of timePaths)
    if (!paths.includes(path))
      findings.push(`column "${path}" is missing: it is the time of ${name}`);
  for (const { name: tag, path, required } of tags) {
    const [inFile, onLine] = [paths.includes(path), choices.tags[tag] !== undefined];
    if (inFile && onLine)
      findings.push(`column "${path}" is the tag ${tag} already: leave --tag ${tag} away`);
    if (required && !inFile && !onLine)
      findings.push(`column "${path}" is missing: give it for all rows with --tag ${tag}=VALUE`);
  }
  if (!fields.some(({ path }) => paths.includes(path)))
    findings.push(
      `no column holds a field: ${name} has ${fields.map(({ path }) => path).join(", ")}`,
    );
  return findings;
}

/** A column whose cells go into the payload. */
interface Column extends Cell {
  index: number;
  path: string;
  nested: boolean;
  kind: "time" | "tag" | "field";
}

/** The columns of a header that are used. A time stays as it is written, but for its decimal mark. */
function columnsOf(layout: Layout, header: string[], choices: Choices): Column[] {
  const unix = layout.time.format.startsWith("unix");
  return header.flatMap((name, index) => {
    const path = pathOf(name, layout, choices);
    if (path === undefined) return [];
    const field = layout.fields.find((each) => each.path === path);
    const kind = field ? "field" : layout.timePaths.includes(path) ? "time" : "tag";
    const cell = field?.cell ?? (kind === "time" && unix ? { ...texts, read: readUnix } : texts);
    return [{ index, path, nested: parsePath(path).keys[0] !== path, kind, ...cell }];
  });
}

/** A Unix time: as its digits where a number of JSON would not keep them all. */
const readUnix: Reader = (text, decimal) => {
  const value = readNumber(text, decimal);
  return value !== undefined && String(value) === text ? value : text.replace(decimal, ".");
};

/** Cells that may be a number with a fraction. */
const fraction: Record<Decimal, RegExp> = { ".": /^[^,]*\.[^,]*$/, ",": /^[^.]*,[^.]*$/ };

/** `1,234` may be a number of four digits. */
const thousands = /^[+-]?[1-9]\d{0,2},\d{3}$/;

/** What a CSV file is besides its header. */
export interface Table {
  /** Its name, for what is told. */
  file: string;
  delimiter: string;
  note: Note;
}

/** The cells of a row; undefined if it is broken. */
interface Cells {
  cells: string[] | undefined;
}

/** Makes the messages of a CSV file, whose header names JSON paths. */
export class CsvMessages {
  private readonly layout: Layout;
  private readonly topic: string;
  private readonly columns: Column[];
  private readonly constant: [path: string, value: string | undefined][];
  private readonly required: Column[];
  private readonly readTime: ReturnType<typeof timeReader>;
  /** What the site reads of a message; none where the cells' own types say it. */
  private readonly verify: ReturnType<typeof readerOf> | undefined;
  private readonly now = BigInt(Date.now()) * 1_000_000n;
  private decimal: Decimal | undefined;

  /** @throws InputError with everything that is wrong with the header. */
  constructor(
    measurement: Measurement,
    private readonly header: string[],
    choices: Choices,
    private readonly table: Table,
  ) {
    this.layout = layoutOf(measurement);
    this.topic = topicOf(measurement, choices, table.note);
    const { tags, fields, time } = this.layout;
    const findings = headerFindings(this.layout, header, choices);
    if (findings.length > 0) refuse("the header", ...findings);
    this.columns = columnsOf(this.layout, header, choices);
    this.constant = tags
      .filter((tag) => choices.tags[tag.name] !== undefined)
      .map((tag) => [tag.path, choices.tags[tag.name]]);
    this.required = this.columns.filter(({ path }) =>
      tags.some((tag) => tag.required && tag.path === path),
    );
    this.readTime = timeReader(time);
    const own = fields.some(
      (field) => field.own && this.columns.some((c) => c.path === field.path),
    );
    if (own) this.verify = readerOf({ name: "model", title: "model", measurements: [measurement] });
    this.decimal = choices.decimal;
    this.tellColumns();
  }

  /** Whether a column is one that the model or the command line knows. */
  static knows(measurement: Measurement, { map, ignore }: Choices): (column: string) => boolean {
    const { paths } = layoutOf(measurement);
    return (column) => column in map || ignore.includes(column) || paths.includes(column);
  }

  private tellColumns(): void {
    const { file, note } = this.table;
    const { name, fields } = this.layout;
    const here = this.columns.map(({ path }) => path);
    const absent = fields.map(({ path }) => path).filter((path) => !here.includes(path));
    if (absent.length > 0)
      note(
        `${file} has no column for these fields of ${name}, ` +
          `which stay empty: ${absent.join(", ")}`,
      );
    const unnamed = this.header.flatMap((column, i) => (column === "" ? [i + 1] : []));
    if (unnamed.length > 0)
      note(`${file}: column ${unnamed.join(", ")} has no name, and is left out`);
  }

  /**
   * Finds the decimal mark in the first rows that have one.
   * @throws InputError if they have both, or one that may be another's mark of thousands.
   */
  readonly learn = (rows: ({ text: string } & Cells)[]): void => {
    if (this.decimal !== undefined) return;
    const { file, delimiter, note } = this.table;
    const first: Partial<Record<Decimal, string>> = {};
    let certain = delimiter === ";";
    const mark = delimiter === "," ? /[."]/ : /[.,]/;
    const marked = rows.filter(({ text }) => mark.test(text));
    for (const { index, path, read } of this.columns) {
      if (read !== readNumber && read !== readWhole && read !== readUnix) continue;
      for (const row of marked) {
        const cell = row.cells?.[index] ?? "";
        for (const each of decimals) {
          if (!fraction[each].test(cell) || !numeric[each].test(cell)) continue;
          first[each] ??= `${path} is "${cell}"`;
          if (each === "," && !thousands.test(cell)) certain = true;
        }
      }
    }
    if (first["."] === undefined && first[","] === undefined) return;
    if (first[","] !== undefined && (first["."] !== undefined || !certain))
      refuse(
        file,
        `${Object.values(first).join(", and ")}: say what is before the fraction, ` +
          "with --decimal . or --decimal ,",
      );
    this.decimal = first[","] === undefined ? "." : ",";
    if (this.decimal === ",") note(`${file}: its numbers have a decimal comma`);
  };

  /**
   * The message of a row's cells; an empty cell is left away.
   * @throws InputError with what is wrong with the row.
   */
  readonly make = ({ cells: row }: Cells): Message | PassedOver => {
    if (!row) return bad("a quotation mark is not closed");
    const width = this.header.length;
    if (row.length < width || row.slice(width).some((cell) => cell !== ""))
      return bad(`it has ${row.length} cells, and the header has ${width}`);
    for (const { index, path } of this.required)
      if (row[index] === "") bad(`${path} is empty: it tells whose values these are`);
    const payload: Json = {};
    let filled = 0;
    for (const column of this.columns) {
      const cell = row[column.index];
      if (cell === undefined || cell === "") continue;
      if (column.kind === "field") filled += 1;
      if (column.kind === "time" && this.layout.carried) continue;
      const value = this.valueOf(column, cell);
      if (column.nested) place(payload, column.path, value);
      else payload[column.path] = value;
    }
    if (filled === 0) return new PassedOver("no field has a value");
    for (const [path, value] of this.constant) place(payload, path, value);
    const time = this.timeOf(row);
    const text = JSON.stringify(payload);
    const message = this.layout.carried ? recordedPayload(time, text) : text;
    const drops = this.verify?.(this.topic, message, this.now).drops ?? [];
    if (drops.length > 0)
      bad(...drops.map(({ field, reason, example }) => `${field}: ${reason}: ${example}`));
    return { topic: this.topic, payload: message, time: Number(time / 1000n) / 1000 };
  };

  private valueOf({ path, read, allowed }: Column, cell: string): unknown {
    const decimal = this.decimal ?? ".";
    const value = read(cell, decimal);
    if (value !== undefined) return value;
    const other = decimal === "," ? "." : ",";
    const isOther = cell.includes(other) && readNumber(cell, other) !== undefined;
    const hint = isOther ? `; the file has ${decimalName[decimal]}` : "";
    return bad(`${path} is ${JSON.stringify(cell)}: ${allowed}${hint}`);
  }

  private timeOf(row: string[]): bigint {
    const { time, timePaths } = this.layout;
    const decimal = this.decimal ?? ".";
    const parts = timePaths.map((path) => {
      const column = this.columns.find((each) => each.path === path);
      const cell = (column && row[column.index]) ?? "";
      return column && cell !== "" ? String(column.read(cell, decimal)) : "";
    });
    const read = parts.includes("") ? undefined : this.readTime(parts, this.now);
    return (
      read ??
      bad(
        `${timePaths.join(" and ")} is ${parts.includes("") ? "missing" : JSON.stringify(parts.join(" "))}: ` +
          (timeAllowed[time.format] ?? `write it as ${time.format}`),
      )
    );
  }
}
