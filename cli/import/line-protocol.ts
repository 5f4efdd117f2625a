import { InputError } from "../../configs/validation";
import { bad } from "../replay/messages";
import type { Line } from "../replay/text";

/** A value of a field, and the type that it is written with. */
export interface Written {
  type: "float64" | "int64" | "uint64" | "bool" | "utf8";
  text: string;
}

/** A line of line protocol. */
export interface Point {
  table: string;
  tags: Map<string, string>;
  fields: Map<string, Written>;
  /** As it is written; undefined where the line has none. */
  time: string | undefined;
}

const name = /(?:[^\\, ]|\\[^])+/y;
const key = /(?:[^\\,= ]|\\[^])+/y;
const text = /"(?:[^"\\]|\\[^])*"/y;
const word = /[^, ]+/y;
const time = / *(-?\d+)? *$/y;

const endOfText = "end of a text";
const openText = `no ${endOfText}`;

const unescaped = (found: string): string => found.replaceAll(/\\([\\,= ])/g, "$1");

const booleans: Partial<Record<string, string>> = Object.fromEntries([
  ...["t", "T", "true", "True", "TRUE"].map((each) => [each, "true"]),
  ...["f", "F", "false", "False", "FALSE"].map((each) => [each, "false"]),
]);

const number = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

function writtenOf(found: string): Written {
  if (found.startsWith('"'))
    return { type: "utf8", text: found.slice(1, -1).replaceAll(/\\(["\\])/g, "$1") };
  const truth = booleans[found];
  if (truth !== undefined) return { type: "bool", text: truth };
  if (/^[+-]?\d+i$/.test(found)) return { type: "int64", text: found.slice(0, -1) };
  if (/^\+?\d+u$/.test(found)) return { type: "uint64", text: found.slice(0, -1) };
  if (number.test(found)) return { type: "float64", text: found };
  return bad(`"${found}" is no value: write 1.5, 1i, 1u, true, false or "text"`);
}

/**
 * Reads a line, as InfluxDB 3 does.
 * @throws InputError with what is wrong with it.
 */
function parseLine(line: string): Point {
  let at = 0;
  const take = (pattern: RegExp, what: string): string => {
    pattern.lastIndex = at;
    const found = pattern.exec(line)?.[0];
    if (found === undefined) return bad(`no ${what} at character ${at + 1}`);
    at += found.length;
    return found;
  };
  const sign = (expected: string) => {
    if (line[at] !== expected) bad(`no ${JSON.stringify(expected)} at character ${at + 1}`);
    at += 1;
  };
  const table = unescaped(take(name, "name of a table"));
  const tags = new Map<string, string>();
  while (line[at] === ",") {
    at += 1;
    const tag = unescaped(take(key, "name of a tag"));
    sign("=");
    tags.set(tag, unescaped(take(key, "value of a tag")));
  }
  sign(" ");
  while (line[at] === " ") at += 1;
  const fields = new Map<string, Written>();
  do {
    if (line[at] === ",") at += 1;
    const field = unescaped(take(key, "name of a field"));
    sign("=");
    fields.set(field, writtenOf(line[at] === '"' ? take(text, endOfText) : take(word, "value")));
  } while (line[at] === ",");
  time.lastIndex = at;
  const end = time.exec(line);
  if (!end) bad(`no time in ns at character ${at + 1}`);
  return { table, tags, fields, time: end?.[1] };
}

/** Most characters of lines that are joined: a text that is not closed takes no more with it. */
const longestPoint = 100_000;

/** A point of a file, or what is wrong with it. */
export interface PointLine extends Line {
  point: Point | undefined;
  problems: string[];
}

/** Reads points from lines: a text goes over several of them. Empty ones and comments are left out. */
export class PointLines {
  private pending: Line[] = [];

  read(lines: readonly Line[], end = false): PointLine[] {
    const all = [...this.pending, ...lines];
    this.pending = [];
    const points: PointLine[] = [];
    for (let i = 0; i < all.length;) {
      const first = all[i];
      if (!first) break;
      if (first.text.trim() === "" || first.text.startsWith("#")) {
        i += 1;
        continue;
      }
      const found = pointAt(all, i, end);
      if (!found) {
        this.pending = all.slice(i);
        break;
      }
      points.push({ line: first.line, ...found.read });
      i += found.count;
    }
    return points;
  }
}

/** A point, and how many lines it takes; undefined while its end may be in a later block. */
function pointAt(lines: readonly Line[], from: number, end: boolean) {
  const [first] = lines.slice(from, from + 1);
  if (!first) return undefined;
  let { text } = first;
  let raw = first.raw ?? text;
  let alone: Read | undefined;
  for (let count = 1; ; count += 1) {
    const read = readPoint(text);
    if (!read.open) return { read, count };
    alone ??= read;
    const next = lines[from + count];
    if (!next && !end && text.length < longestPoint) return undefined;
    if (!next || text.length >= longestPoint) return { read: alone, count: 1 };
    raw += `\n${next.raw ?? next.text}`;
    text = raw.replace(/\r$/, "");
  }
}

interface Read {
  text: string;
  point: Point | undefined;
  problems: string[];
  /** Whether the point may go on in the next line. */
  open: boolean;
}

function readPoint(text: string): Read {
  try {
    return { text, point: parseLine(text), problems: [], open: false };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const { problems } = error;
    const open = problems.some((problem) => problem.startsWith(openText)) || text.endsWith("\\");
    return { text, point: undefined, problems, open };
  }
}
