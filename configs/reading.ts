import type { Field, Model } from "./model";
import type { Reading, Time } from "./payload";
import { escapedKey, hereKey } from "./payload";
import {
  type ConditionPlan,
  mostRows,
  type PathPlan,
  type PlacePlan,
  type Plan,
  planOf,
  type SourcePlan,
  type Subscription,
  subscriptionsOf,
  timePlan,
  type TimePlan,
  valuePlan,
} from "./plan";
import { topicMatches } from "./model";

/*
 * Reads a message as `scripts/reading.star` does in Telegraf, step for step: what one changes, the other
 * does too. tests/configs/reading.test.ts tries both with the same messages.
 */

/** A value that is stored: a bigint is a whole number of 64 bits. */
export type Stored = number | bigint | boolean | string;

/** A row of a table. */
export interface StoredPoint {
  table: string;
  tags: Record<string, string>;
  fields: Record<string, Stored>;
  /** ns since 1970; undefined for the arrival. */
  time: bigint | undefined;
}

/** Why something of a message is not stored. */
export const reasons = {
  payload: "not JSON",
  empty: "empty payload",
  large: "too large",
  many: "too many rows",
  none: "none of the declared fields",
  identity: "no identity",
  number: "not a number",
  whole: "not a whole number",
  bits: "over 64 bits",
  boolean: "neither true nor false",
  exponent: "no exponent",
  absent: "no reading",
  quality: "bad quality",
  type: "wrong type",
  long: "too long",
  twice: "twice in one message",
  time: "time not readable",
  noTime: "no time",
  outside: "time outside the believed",
} as const;

/** Something of a message that is not stored. */
export interface Drop {
  table: string;
  reason: (typeof reasons)[keyof typeof reasons];
  /** Field or tag; `time` for the time; "" for a row or the whole message. */
  field: string;
  /** The value, cut to {@link mostExample} characters. */
  example: string;
  count: number;
}

/**
 * Where the values of a point were, by the names of its tags and fields, and `time`; or where that was
 * which is not stored. A JSON path from the payload's root, or a place in the topic.
 */
export type Origins = Record<string, string>;

/** What a message gives. */
export interface Read {
  points: StoredPoint[];
  drops: Drop[];
  origins: Map<StoredPoint | Drop, Origins>;
}

/** What a message gives, who reads it, and when it came, in ns since 1970. */
export interface MessageRead extends Read {
  subscriptions: Subscription[];
  arrival: bigint;
}

/** Lists and objects that one payload may have. */
const mostBrackets = 20_000;
/** Bytes of a text that is stored, as a tag or a field. */
const mostText = 10_000;
/** Greatest power of ten that a value is multiplied by. */
const mostExponent = 12;
/** Characters of an example. */
const mostExample = 80;

/** Marks a number as the text that was sent. JSON has no such character in a text. */
const mark = "\u0001";

type Value = string | boolean | null | Value[] | { [key: string]: Value };
const missing = Symbol("missing");
type Found = Value | typeof missing;

const wordLike = /^[+-]*(?:[\d.]|nan$|inf$|infinity$)/i;

/** A payload in which every number is a marked text, as it was sent. */
function marked(text: string): string | undefined {
  let [result, inside, start] = ["", false, 0];
  const outside = (run: string) =>
    run.replaceAll(/[^{}[\],:\s]+/g, (word) => {
      if (word === "true" || word === "false" || word === "null") return word;
      return wordLike.test(word) && !word.includes("\\") ? `"\\u0001${word}"` : "?";
    });
  for (let i = 0; i < text.length; i += 1) {
    if (inside && text[i] === "\\") i += 1;
    else if (text[i] === '"') {
      result += inside ? text.slice(start, i + 1) : `${outside(text.slice(start, i))}`;
      start = inside ? i + 1 : i;
      inside = !inside;
    }
  }
  return inside ? undefined : result + outside(text.slice(start));
}

function decode(text: string): Found {
  const brackets = text.match(/[[{]/g)?.length ?? 0;
  if (brackets > mostBrackets) return missing;
  const exact = marked(text);
  if (exact === undefined) return missing;
  try {
    return JSON.parse(exact) as Value;
  } catch {
    return missing;
  }
}

const isObject = (value: Found): value is { [key: string]: Value } =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A number as it was sent; undefined if the value is none. */
const rawNumber = (value: Found): string | undefined =>
  typeof value === "string" && value.startsWith(mark) ? value.slice(1) : undefined;

/** The elements around one, and where it is among them. */
interface Element {
  /** The payload, then each element on the way; the last one is at hand. */
  stack: Found[];
  keys: string[];
  indices: number[];
  /** Keys from the payload's root to each of the stack. */
  paths: string[][];
}

/** Reads one message of a subscription. */
class Reader {
  private readonly drops: Drop[] = [];
  private readonly origins: Read["origins"] = new Map();
  private readonly points = new Map<string, StoredPoint>();
  private readonly levels: string[];
  private unreadable = false;
  private rows = 0;

  constructor(
    private readonly plan: Plan,
    topic: string,
    /** ns since 1970. */
    private readonly arrival: bigint,
  ) {
    this.levels = topic.split("/");
  }

  read(sources: SourcePlan[], text: string): Read {
    const table = sources[0]?.table ?? "";
    const trimmed = trim(text);
    if (trimmed === "") this.drop(table, reasons.empty, "", "");
    else if ((trimmed.match(/[[{]/g)?.length ?? 0) > mostBrackets)
      this.drop(table, reasons.large, "", trimmed);
    else this.payload(sources, table, trimmed);
    const { drops, origins } = this;
    return { points: [...this.points.values()], drops, origins };
  }

  private payload(sources: SourcePlan[], table: string, text: string): void {
    const decoded = sources.some((source) => !source.text) ? decode(text) : missing;
    const bare = sources.some((source) => source.bare);
    const isText = sources.some((source) => source.text);
    if (decoded === missing && !bare && !isText) return this.drop(table, reasons.payload, "", text);
    for (const source of sources) {
      const root = source.text
        ? this.split(source.table, source.text, text)
        : decoded === missing && source.bare
          ? text
          : decoded;
      if (root !== missing)
        this.elements(source, { stack: [root], keys: [], indices: [], paths: [[]] }, 0);
    }
    if (this.points.size > 0 || this.drops.length > 0) return;
    this.drop(table, this.unreadable ? reasons.payload : reasons.none, "", text);
  }

  /** A text that is no JSON as the list or the object that it stands for. */
  private split(
    table: string,
    [lines, split, pairs, header]: NonNullable<SourcePlan["text"]>,
    text: string,
  ): Found {
    const count = (sign: string) => text.split(sign).length - 1;
    if (count("\n") + (split === null ? 0 : count(split)) > mostBrackets) {
      this.drop(table, reasons.large, "", text);
      return missing;
    }
    const partsOf = (line: string): Value[] =>
      split === null ? [] : line.split(split).map((part) => trim(part) || null);
    const record = (line: string): Value => {
      const parts = partsOf(line);
      if (pairs === null) return parts;
      return Object.fromEntries(
        parts.flatMap((part) => {
          const at = typeof part === "string" ? part.indexOf(pairs) : -1;
          return typeof part === "string" && at >= 0
            ? [[trim(part.slice(0, at)), trim(part.slice(at + pairs.length)) || null]]
            : [];
        }),
      ) as Value;
    };
    if (!lines) return record(text);
    let names: Value[] | undefined;
    return text.split("\n").flatMap((sent): Value[] => {
      const line = trim(sent);
      if (line === "") return [];
      if (split === null) {
        if (decode(line) !== missing) return [line];
        this.drop(table, reasons.payload, "", line);
        return [];
      }
      if (!header) return [record(line)];
      const parts = partsOf(line);
      const keys = names;
      if (!keys) {
        names = parts;
        return [];
      }
      return [
        Object.fromEntries(
          parts.slice(0, keys.length).map((part, i) => [String(keys[i] ?? ""), part]),
        ) as Value,
      ];
    });
  }

  private elements(source: SourcePlan, element: Element, level: number): void {
    const path = source.each[level];
    if (!path) return this.row(source, element);
    const list = this.opened(this.at(path, element));
    const entries: [string, Found][] = source.keyed[level]
      ? isObject(list)
        ? Object.entries(list)
        : []
      : Array.isArray(list)
        ? list.map((entry, i) => [String(i), entry])
        : [];
    entries.forEach(([key, entry], i) => {
      if (entry === null) return;
      const { stack, keys, indices, paths } = element;
      const inner: Element = {
        stack: [...stack, entry],
        keys: [...keys, key],
        indices: [...indices, i],
        paths: [...paths, [...keysTo(path, element), key]],
      };
      this.elements(source, inner, level + 1);
    });
  }

  private row(source: SourcePlan, element: Element): void {
    if (!this.holds(source.where, element)) return;
    this.rows += 1;
    if (this.rows > mostRows) {
      const last = this.drops.find(({ reason }) => reason === reasons.many);
      if (last) last.count += 1;
      else this.drop(source.table, reasons.many, "", "");
      return;
    }
    const origins: Origins = {};
    const fields = this.fields(source, element, origins);
    if (Object.keys(fields).length === 0) return;
    if (!this.holds(source.good, element)) {
      for (const [name, value] of Object.entries(fields))
        this.drop(source.table, reasons.quality, name, String(value), origins[name]);
      return;
    }
    const tags = this.tags(source, element, origins);
    if (!tags) return;
    const time = this.time(source, element, origins);
    if (time !== null) this.store(source.table, tags, time, fields, origins);
  }

  /** Whether conditions hold of an element. */
  private holds(conditions: ConditionPlan[], element: Element): boolean {
    return conditions.every(([place, texts]) => {
      if (texts === null && place[0] === "path" && place[1]) {
        const value = this.at(place[1], element);
        return value !== missing && value !== null;
      }
      const text = this.text(place, element);
      return texts === null ? text !== "" : texts.includes(text) || texts.includes(wholeText(text));
    });
  }

  private store(
    table: string,
    tags: Record<string, string>,
    time: bigint | undefined,
    fields: Record<string, Stored>,
    origins: Origins,
  ): void {
    const key = JSON.stringify([table, tags, String(time)]);
    const point = this.points.get(key);
    if (!point) {
      const made = { table, tags, fields, time };
      this.points.set(key, made);
      this.origins.set(made, origins);
      return;
    }
    const former = this.origins.get(point) ?? {};
    for (const [name, value] of Object.entries(fields)) {
      if (name in point.fields)
        this.drop(table, reasons.twice, name, String(point.fields[name]), former[name]);
      point.fields[name] = value;
    }
    Object.assign(former, origins);
  }

  private fields(source: SourcePlan, element: Element, origins: Origins): Record<string, Stored> {
    const fields: Record<string, Stored> = {};
    const name = source.names && this.text(source.names, element);
    for (const field of source.fields) {
      if (name !== null && field.path[1][0] !== name) continue;
      const path = name === null ? field.path : source.value;
      const value = this.at(path, element);
      if (value === missing || value === null || isAbsent(value, field)) continue;
      const origin = pathText(keysTo(path, element));
      const exponent = field.extra?.exponent;
      const result = typed(value, field, exponent ? exponentOf(this.at(exponent, element)) : 0);
      if (typeof result === "object")
        this.drop(source.table, result.reason, field.name, exampleOf(value), origin);
      else {
        fields[field.name] = result;
        origins[field.name] = origin;
      }
    }
    return fields;
  }

  private tags(
    source: SourcePlan,
    element: Element,
    origins: Origins,
  ): Record<string, string> | undefined {
    const tags: Record<string, string> = {};
    for (const { name, place, optional, fallback } of source.tags) {
      // Line protocol has no tag that ends with a backslash.
      const found = place ? this.text(place, element).replace(/\\+$/, "") : "";
      const text = found || fallback || "";
      const origin = place ? this.origin(place, element) : undefined;
      if (isLong(text)) {
        this.drop(source.table, reasons.long, name, text, origin);
        return undefined;
      }
      if (text !== "") {
        tags[name] = text;
        origins[name] = found === "" ? "the default" : (origin ?? "");
      } else if (!optional) {
        const example = exampleOf(element.stack.at(-1) ?? null);
        this.drop(source.table, reasons.identity, name, example, origin);
        return undefined;
      }
    }
    return tags;
  }

  /** Where a text is, in words. */
  private origin([kind, path, number, , split, from, to]: PlacePlan, element: Element): string {
    const level = number < 0 ? this.levels.length + number : number;
    const around = pathText(element.paths[number + 1] ?? []);
    const whole = {
      path: pathText(path ? keysTo(path, element) : []),
      segment: `topic segment ${level}`,
      rest: `topic from segment ${level} on`,
      key: `key of ${around}`,
      index: `number of ${around}`,
      fixed: "the model",
    }[kind];
    const part = from === to ? `${from}` : `${from}..${to ?? ""}`;
    return split === null ? whole : `${whole}, part ${part} of it`;
  }

  /** The text at a place; "" if there is none. */
  private text(place: PlacePlan, element: Element): string {
    const [, , , , split, from, to] = place;
    const whole = this.whole(place, element);
    if (split === null) return trim(whole);
    const parts = whole.split(split);
    const counted = (n: number) => (n < 0 ? parts.length + n : n);
    const [begin, end] = [counted(from), to === null ? parts.length - 1 : counted(to)];
    return begin < 0 || end >= parts.length ? "" : trim(parts.slice(begin, end + 1).join(split));
  }

  private whole([kind, path, number, first]: PlacePlan, element: Element): string {
    if (kind === "segment") return this.levels.at(number) ?? "";
    if (kind === "rest") return this.levels.slice(number).join("/");
    if (kind === "key") return element.keys[number] ?? "";
    if (kind === "index") return String((element.indices[number] ?? 0) + first);
    if (kind === "fixed") return path?.[1][0] ?? "";
    const value = path ? this.at(path, element) : missing;
    return textOf(value) ?? "";
  }

  /** The value at a path; `missing` if there is none. */
  private at([up, keys]: PathPlan, element: Element): Found {
    const { stack } = element;
    let value: Found = (up === -1 ? stack[0] : stack[stack.length - 1 - up]) ?? missing;
    for (const name of keys) {
      const key = keyOf(name, element);
      value = this.opened(value);
      if (isObject(value)) value = Object.hasOwn(value, key) ? (value[key] ?? null) : missing;
      else if (Array.isArray(value) && /^[0-9]{1,6}$/.test(key))
        value = value[Number(key)] ?? missing;
      else return missing;
    }
    return value;
  }

  /** A text as the JSON that is in it; another value as it is. */
  private opened(value: Found): Found {
    if (typeof value !== "string" || value.startsWith(mark)) return value;
    const decoded = decode(trim(value));
    if (decoded === missing) this.unreadable = true;
    return decoded;
  }

  /** The event's time; undefined for the arrival, null for a row that is dropped. */
  private time(
    { table, time }: SourcePlan,
    element: Element,
    origins: Origins,
  ): bigint | undefined | null {
    if (!time) return undefined;
    const texts = time.paths.map((path) => textOf(this.at(path, element)) ?? "");
    const origin = time.paths.map((path) => pathText(keysTo(path, element))).join(" and ");
    if (texts.every((text) => text === "")) {
      if (!time.optional) this.drop(table, reasons.noTime, "time", "", origin);
      return undefined;
    }
    const read = texts.includes("") ? undefined : readTime(texts, time, this.arrival);
    if (read === undefined) {
      this.drop(table, reasons.time, "time", texts.join(" "), origin);
      return undefined;
    }
    const age = this.arrival - read;
    const { oldest } = this.plan;
    const believed =
      (oldest === null || age <= BigInt(oldest)) &&
      (time.lead === null || -age <= BigInt(time.lead)) &&
      read > -(2n ** 63n) &&
      read < 2n ** 63n;
    if (believed) {
      origins.time = origin;
      return read;
    }
    this.drop(table, reasons.outside, "time", texts.join(" "), origin);
    return time.outside === "drop" ? null : undefined;
  }

  private drop(
    table: string,
    reason: Drop["reason"],
    field: string,
    example: string,
    origin?: string,
  ): void {
    const drop = { table, reason, field, example: cut(example), count: 1 };
    this.drops.push(drop);
    if (origin !== undefined) this.origins.set(drop, { [field]: origin });
  }
}

/** A key of a path: `#` is that of the element at hand. */
const keyOf = (key: string, { keys }: Element): string =>
  key === hereKey ? (keys.at(-1) ?? "") : key;

/** Keys from the payload's root to where a path of an element leads. */
const keysTo = ([up, keys]: PathPlan, element: Element): string[] => [
  ...((up === -1 ? undefined : element.paths[element.paths.length - 1 - up]) ?? []),
  ...keys.map((key) => keyOf(key, element)),
];

/** A JSON path from the payload's root. */
const pathText = (keys: string[]): string => keys.map(escapedKey).join(".") || "$";

const isLong = (text: string): boolean => Buffer.byteLength(text) > mostText;

const cut = (text: string): string => [...text].slice(0, mostExample).join("");

/** Without white space and NUL at its ends, as Telegraf's parser leaves a payload. */
const trim = (text: string): string =>
  text.replaceAll(/^[ \t\r\n\v\f\0\u00a0\u202f\ufeff]+|[ \t\r\n\v\f\0\u00a0\u202f\ufeff]+$/g, "");

const digits = /^[0-9]+$/;

/** A value as a text; undefined if it is a list or an object, or none. */
function textOf(value: Found): string | undefined {
  if (typeof value === "boolean") return String(value);
  if (typeof value !== "string") return undefined;
  const raw = rawNumber(value);
  // Starlark's whole numbers have no negative zero. NUL fills up a register's text.
  return raw === "-0" ? "0" : (raw ?? value.replace(/\0+$/, ""));
}

const exampleOf = (value: Found): string =>
  textOf(value) ?? (Array.isArray(value) ? "[…]" : isObject(value) ? "{…}" : "");

interface Refused {
  reason: Drop["reason"];
}

type ValuePlan = ReturnType<typeof valuePlan>;

/**
 * A function that reads values of a field as a gateway sends them, wherever they stand. Its result is an
 * object with the reason where a value cannot be stored.
 */
export function valueReader(
  field: Field,
  reading: Reading,
): (value: string | number | boolean) => Stored | Refused {
  const plan = valuePlan(field, reading);
  return (given) => {
    const value = typeof given === "number" ? `${mark}${given}` : given;
    if (isAbsent(value, plan)) return { reason: reasons.absent };
    return typed(value, plan, plan.extra?.exponent ? undefined : 0);
  };
}

/** Whether a value as sent means that there is no reading. */
function isAbsent(value: Value, plan: ValuePlan): boolean {
  const absent = plan.extra?.absent;
  if (!absent || typeof value !== "string") return false;
  const [texts, numbers] = absent;
  if (texts.includes(trim(value))) return true;
  const number = numberOf(value, plan);
  return number !== undefined && numbers.includes(Number(number));
}

/** A power of ten; undefined if it is none. */
function exponentOf(value: Found): number | undefined {
  if (typeof value !== "string") return undefined;
  const number = Number(plainNumber(trim(rawNumber(value) ?? value)) ?? Number.NaN);
  return Number.isInteger(number) && Math.abs(number) <= mostExponent ? number : undefined;
}

/** A value of a field's type, or why it is none. */
function typed(value: Value, field: ValuePlan, exponent: number | undefined): Stored | Refused {
  const has = field.extra?.has ?? null;
  if (has !== null) return listHas(value, has);
  if (Array.isArray(value) || isObject(value)) return { reason: reasons.type };
  if (field.kind === "string") return stringOf(value, field);
  if (field.kind === "bool") return booleanOf(value, field);
  if (typeof value === "boolean") return { reason: reasons.type };
  const number = numberOf(value, field);
  if (number === undefined) return { reason: reasons.number };
  if (exponent === undefined) return { reason: reasons.exponent };
  return converted(withSign(number, field), field, exponent);
}

/** Whether a list, or a text with commas, has a text. */
function listHas(value: Value, has: string): boolean | Refused {
  if (isObject(value)) return { reason: reasons.type };
  const parts = Array.isArray(value) ? value : (textOf(value) ?? "").split(",");
  return parts.some((part) => trim(textOf(part) ?? "") === has);
}

/** A register's number with its sign. */
function withSign(number: bigint | number, { extra }: ValuePlan): bigint | number {
  const bits = extra?.signed ?? null;
  if (bits === null || !(typeof number === "bigint" || Number.isInteger(number))) return number;
  const whole = BigInt(number);
  const all = 2n ** BigInt(bits);
  return whole >= all / 2n && whole < all ? whole - all : whole;
}

function converted(number: bigint | number, field: ValuePlan, exponent: number): Stored | Refused {
  const ten = 10 ** Math.abs(exponent);
  const [up, down] = exponent < 0 ? [1, ten] : [ten, 1];
  const [factor, addend, divisor] = [field.factor * up, field.addend * down, field.divisor * down];
  if (field.kind === "float") {
    const result = (Number(number) * factor + addend) / divisor;
    return Math.abs(result) < 9e18 ? result : { reason: reasons.bits };
  }
  if (typeof number === "number" && !Number.isInteger(number)) {
    // 1.5 kWh is 1500 Wh: what is sent need not be whole, but for the noise of its multiplication.
    const exact = (number * factor + addend) / divisor;
    const nearest =
      Math.abs(exact) < 9e15 ? Math.floor(Math.abs(exact) + 0.5) * (exact < 0 ? -1 : 1) : 0;
    const plain = factor === 1 && addend === 0 && divisor === 1;
    return plain || Math.abs(exact - nearest) > 1e-9 * Math.max(1, Math.abs(exact))
      ? { reason: reasons.whole }
      : BigInt(nearest);
  }
  const [a, b, d] = [factor, addend, divisor].map((part) => BigInt(part));
  const scaled = BigInt(number) * (a ?? 1n) + (b ?? 0n);
  if (scaled % (d ?? 1n) !== 0n) return { reason: reasons.whole };
  const result = scaled / (d ?? 1n);
  return result >= -(2n ** 63n) && result < 2n ** 63n ? result : { reason: reasons.bits };
}

function stringOf(value: Value, { values }: ValuePlan): Stored | Refused {
  const text = textOf(value) ?? "";
  if (isLong(text)) return { reason: reasons.long };
  if (!values) return text;
  return values[text] ?? values[wholeText(text)] ?? text;
}

/** `3` for `3.0`: the same number, as a list of values has it. */
function wholeText(text: string): string {
  const number = plainNumber(trim(text));
  return typeof number === "number" && Number.isInteger(number) ? String(BigInt(number)) : text;
}

/** Words for true and false, in lower case, that need no declaration. */
export const booleanWords: Partial<Record<string, boolean>> = {
  true: true,
  on: true,
  "1": true,
  false: false,
  off: false,
  "0": false,
};

function booleanOf(value: Value, field: ValuePlan): Stored | Refused {
  if (field.bit !== null) {
    const number = typeof value === "boolean" ? undefined : numberOf(value, field);
    if (number === undefined) return { reason: reasons.number };
    if (typeof number === "number" && !Number.isInteger(number)) return { reason: reasons.whole };
    const whole = BigInt(number);
    if (whole < -(2n ** 63n) || whole >= 2n ** 64n) return { reason: reasons.bits };
    return ((whole >> BigInt(field.bit)) & 1n) === 1n;
  }
  if (typeof value === "boolean") return value;
  const text = trim(textOf(value) ?? "");
  const listed = field.values?.[text] ?? field.values?.[wholeText(text)];
  if (typeof listed === "boolean") return listed;
  return booleanWords[wholeText(text).toLowerCase()] ?? { reason: reasons.boolean };
}

/** The number that a value is or that its text says; undefined if it is none. */
function numberOf(value: Value, { number }: ValuePlan): bigint | number | undefined {
  const raw = rawNumber(value);
  const text = trim(raw ?? (typeof value === "string" ? value : ""));
  const [decimal, group, suffix, base] = number ?? [".", null, null, 10];
  if (raw !== undefined && base !== 16) return plainNumber(raw);
  if (base === 16) return hexadecimal(text);
  const bare =
    suffix !== null && text.endsWith(suffix) ? trim(text.slice(0, -suffix.length)) : text;
  const [whole = "", ...fraction] = bare.split(decimal);
  if (decimal !== "." && bare.includes(".") && group !== ".") return undefined;
  const ungrouped = group === null ? whole : withoutGroups(whole, group);
  return ungrouped === undefined ? undefined : plainNumber([ungrouped, ...fraction].join("."));
}

/** Without the signs between thousands; undefined if one stands elsewhere. */
function withoutGroups(whole: string, group: string): string | undefined {
  const [head = "", ...thousands] = whole.split(group);
  if (thousands.length === 0) return whole;
  const fits = /^[+-]?[0-9]{1,3}$/.test(head) && thousands.every((part) => /^[0-9]{3}$/.test(part));
  return fits ? head + thousands.join("") : undefined;
}

function hexadecimal(text: string): bigint | undefined {
  const bare = text.toLowerCase().startsWith("0x") ? text.slice(2) : text;
  return /^[0-9a-f]{1,16}$/i.test(bare) ? BigInt(`0x${bare}`) : undefined;
}

/** A number in plain or scientific writing, with the digits 0 to 9. */
function plainNumber(text: string): bigint | number | undefined {
  const [, sign = "", mantissa = "", exponent] =
    /^([+-]?)([0-9]+\.?[0-9]*|\.[0-9]+)(?:e([+-]?[0-9]{1,3}))?$/i.exec(text) ?? [];
  if (mantissa === "" || text.length > 64) return undefined;
  if (digits.test(mantissa) && exponent === undefined)
    return BigInt(`${sign === "-" ? "-" : ""}${mantissa}`);
  if (Number(exponent ?? 0) > 200) return undefined;
  return Number(`${sign}${mantissa}${exponent === undefined ? "" : `e${exponent}`}`);
}

/* Times. */

const giga = 1_000_000_000n;

/** The parts of a time that a text says. */
interface Clock {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  /** Digits behind the seconds' sign. */
  fraction: string;
  /** s east of UTC; undefined where the text says no zone. */
  offset: number | undefined;
}

/** ns since 1970 of the texts at a time's paths; undefined if they are none. */
function readTime(texts: string[], plan: TimePlan, arrival: bigint): bigint | undefined {
  const [only = ""] = texts;
  if (plan.power !== null) return unixTime(trim(only), plan.power);
  const clock = plan.tokens
    ? merged(texts.map((text, i) => byTokens(trim(text), plan.tokens?.[i] ?? [])))
    : isoTime(trim(texts.join("T")));
  return clock && isClock(clock) ? instant(clock, plan, arrival) : undefined;
}

/**
 * Reads the texts at a time's paths: ns since 1970, undefined if they are none. Of an hour that is
 * there twice, the one nearer to the arrival is meant.
 */
export function timeReader(time: Time): (texts: string[], arrival: bigint) => bigint | undefined {
  const plan = timePlan(time);
  return (texts, arrival) => readTime(texts, plan, arrival);
}

function unixTime(text: string, power: number): bigint | undefined {
  const [, sign = "", whole = "", fraction = "", exponent = "0"] =
    /^([+-]?)([0-9]+)(?:\.([0-9]*))?(?:e([+-]?[0-9]{1,2}))?$/i.exec(text) ?? [];
  if (whole === "" || text.length > 40) return undefined;
  const shift = 9 - power + Number(exponent) - fraction.length;
  const count = BigInt(`${sign === "-" ? "-" : ""}${whole}${fraction}`);
  return shift < 0 ? floorDivide(count, 10n ** BigInt(-shift)) : count * 10n ** BigInt(shift);
}

const floorDivide = (a: bigint, b: bigint): bigint => a / b - (a % b !== 0n && a < 0n ? 1n : 0n);

const iso =
  /^([0-9]{4})-?([0-9]{2})-?([0-9]{2})(?:[Tt]| +)([0-9]{2}):?([0-9]{2})(?::?([0-9]{2})(?:[.,]([0-9]+))?)? *(.*)$/;

function isoTime(text: string): Clock | undefined {
  const [, year, month, day, hour, minute, second = "0", fraction = "", zone = ""] =
    iso.exec(text) ?? [];
  if (year === undefined) return undefined;
  const offset = zone === "" ? undefined : offsetOf(zone);
  if (offset === null) return undefined;
  return {
    year: Number(year),
    month: Number(month),
    day: Number(day),
    hour: Number(hour),
    minute: Number(minute),
    second: Number(second),
    fraction,
    offset,
  };
}

/** s east of UTC of `Z`, `UTC`, `GMT`, `+01:00`, `+0100`, `+01`, `Z+0100`; null if it is none. */
function offsetOf(zone: string): number | null {
  const bare = zone.replace(/\[[^\]]*\]$/, "");
  const [, name, sign, hours, minutes = "0"] =
    /^(Z|UTC|GMT)?(?:([+-])([0-9]{2}):?([0-9]{2})?)?$/i.exec(bare) ?? [];
  if (name === undefined && sign === undefined) return null;
  if (sign === undefined) return 0;
  if (Number(hours) > 23 || Number(minutes) > 59) return null;
  return (sign === "-" ? -1 : 1) * (Number(hours) * 3600 + Number(minutes) * 60);
}

const monthNames = [
  "jan",
  "feb",
  "mar",
  "apr",
  "may",
  "jun",
  "jul",
  "aug",
  "sep",
  "oct",
  "nov",
  "dec",
];

/** Most digits that a token takes. */
const widths: Partial<Record<string, number>> = {
  YYYY: 4,
  YY: 2,
  MM: 2,
  DD: 2,
  HH: 2,
  hh: 2,
  mm: 2,
  ss: 2,
  M: 2,
  D: 2,
  H: 2,
  SSS: 9,
};

/** What a text says by the tokens of a pattern; undefined if it does not fit. */
function byTokens(given: string, tokens: string[]): Record<string, string> | undefined {
  const found: Record<string, string> = {};
  const solid = tokens.every((token) => token in widths);
  const length = tokens.reduce((sum, token) => sum + (token === "SSS" ? 3 : token.length), 0);
  // A register's number has lost its leading zeros.
  const text = solid && digits.test(given) ? given.padStart(length, "0") : given;
  let at = 0;
  for (const [i, token] of tokens.entries()) {
    const rest = text.slice(at);
    const width = widths[token];
    let taken: string | undefined;
    if (width !== undefined) {
      const beforeDigits = (tokens[i + 1] ?? "") in widths;
      const most = beforeDigits ? token.length : width;
      taken = /^[0-9]+/.exec(rest.slice(0, most))?.[0];
      if (taken === undefined || (beforeDigits && taken.length < most)) return undefined;
      if (token === "YYYY" && taken.length !== 4) return undefined;
    } else if (token === "MMM" || token === "ddd") taken = /^[A-Za-z]{3}/.exec(rest)?.[0];
    else if (token === "A") taken = /^[AaPp][Mm]/.exec(rest)?.[0];
    else if (token === "Z") taken = /^[A-Za-z+\-0-9:]+/.exec(rest)?.[0];
    else taken = rest.startsWith(token) ? token : undefined;
    if (taken === undefined) return undefined;
    at += taken.length;
    if (width !== undefined || ["MMM", "A", "Z"].includes(token)) found[token] = taken;
    if (token === "ss" && tokens[i + 1] !== "SSS") {
      const fraction = /^[.,]([0-9]+)/.exec(text.slice(at));
      if (fraction && tokens[i + 1] !== "." && tokens[i + 1] !== ",") {
        found.SSS = fraction[1] ?? "";
        at += fraction[0].length;
      }
    }
  }
  return at === text.length ? found : undefined;
}

function merged(parts: (Record<string, string> | undefined)[]): Clock | undefined {
  const all: Record<string, string> = {};
  for (const part of parts) {
    if (!part) return undefined;
    Object.assign(all, part);
  }
  const number = (...tokens: string[]): number | undefined => {
    const token = tokens.find((name) => all[name] !== undefined);
    return token === undefined ? undefined : Number(all[token]);
  };
  const month =
    all.MMM === undefined ? number("MM", "M") : monthNames.indexOf(all.MMM.toLowerCase()) + 1;
  const twelve = number("hh");
  const afternoon = all.A?.toLowerCase() === "pm" ? 12 : 0;
  if (twelve !== undefined && (twelve < 1 || twelve > 12)) return undefined;
  const offset = all.Z === undefined ? undefined : offsetOf(all.Z);
  if (offset === null) return undefined;
  const short = number("YY");
  return {
    year: number("YYYY") ?? (short === undefined ? 0 : 2000 + short),
    month: month ?? 0,
    day: number("DD", "D") ?? 0,
    hour: twelve === undefined ? (number("HH", "H") ?? 0) : (twelve % 12) + afternoon,
    minute: number("mm") ?? 0,
    second: number("ss") ?? 0,
    fraction: all.SSS ?? "",
    offset,
  };
}

const monthDays = (year: number, month: number): number =>
  month === 2
    ? year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
      ? 29
      : 28
    : [4, 6, 9, 11].includes(month)
      ? 30
      : 31;

/** Whether the parts are a time; 24:00:00 and a leap second are. */
const isClock = ({ year, month, day, hour, minute, second, fraction }: Clock): boolean =>
  year >= 1970 &&
  year < 2262 &&
  month >= 1 &&
  month <= 12 &&
  day >= 1 &&
  day <= monthDays(year, month) &&
  minute <= 59 &&
  second <= 60 &&
  (hour <= 23 || (hour === 24 && minute === 0 && second === 0 && /^0*$/.test(fraction)));

/** Days from 1970 to a day of the Gregorian calendar. */
function daysTo(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const ofEra = y - era * 400;
  const ofYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const ofEraDays = ofEra * 365 + Math.floor(ofEra / 4) - Math.floor(ofEra / 100) + ofYear;
  return era * 146_097 + ofEraDays - 719_468;
}

/** ns since 1970 of a clock in its zone. */
function instant(clock: Clock, { zone }: TimePlan, arrival: bigint): bigint {
  const { year, month, day, hour, minute, second, fraction } = clock;
  const local = daysTo(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
  const nanoseconds = BigInt(fraction.slice(0, 9).padEnd(9, "0"));
  const at = (offset: number) => BigInt(local - offset) * giga + nanoseconds;
  if (clock.offset !== undefined) return at(clock.offset);
  const holding = zone.filter(([from, offset], i) => {
    const end = zone[i + 1]?.[0] ?? Infinity;
    const seconds = local - offset;
    return (i === 0 || seconds >= from) && seconds < end;
  });
  // An hour that daylight saving leaves out is read by the offset before it.
  if (holding.length === 0) {
    const before = zone.filter(([from, offset]) => local - offset >= from);
    const skipped = zone[Math.max(0, before.length - 1)];
    return at(skipped?.[1] ?? 0);
  }
  const distance = ([, offset]: [number, number]) => {
    const away = arrival - at(offset);
    return away < 0n ? -away : away;
  };
  const nearest = holding.reduce((best, other) =>
    distance(other) < distance(best) ? other : best,
  );
  return at(nearest[1]);
}

/** What a payload begins with that says itself when it came. */
const recordedStart = '{"$recorded":"';

/**
 * A payload as `bess replay` sends one that has no time of its own: with the time of its recording,
 * in ns since 1970, which then is its arrival.
 */
export const recordedPayload = (time: bigint, payload: string): string =>
  `${recordedStart}${time}","payload":${JSON.stringify(payload)}}`;

/** Opens what {@link recordedPayload} has made. */
function opened(payload: string, arrival: bigint): { payload: string; arrival: bigint } {
  if (!payload.startsWith(recordedStart)) return { payload, arrival };
  try {
    const { $recorded: time, payload: inner } = JSON.parse(payload) as Record<string, unknown>;
    if (typeof time === "string" && digits.test(time) && typeof inner === "string")
      return { payload: inner, arrival: BigInt(time) };
  } catch {
    // Another's payload.
  }
  return { payload, arrival };
}

/**
 * A function that reads messages by a model, as Telegraf does.
 * @param retention how long rows are kept. Default: a time of any age is believed.
 */
export function readerOf(
  model: Model,
  retention?: string,
): (topic: string, payload: string, arrival: bigint) => MessageRead {
  const plan = planOf(model, retention);
  const all = subscriptionsOf(model);
  return (topic, sent, came) => {
    const { payload, arrival } = opened(sent, came);
    const subscriptions = all.filter(({ pattern }) => topicMatches(pattern, topic));
    const reads = subscriptions.map(({ id }) =>
      new Reader(plan, topic, arrival).read(plan.subscriptions[id] ?? [], payload),
    );
    return {
      subscriptions,
      arrival,
      points: reads.flatMap(({ points }) => points),
      drops: reads.flatMap(({ drops }) => drops),
      origins: new Map(reads.flatMap(({ origins }) => [...origins])),
    };
  };
}
