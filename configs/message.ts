import { first, sourcesOf, type Field, type Measurement, type Source, type Tag } from "./model";
import {
  hereKey,
  parsePath,
  partsOf,
  type Place,
  type Reading,
  type Text,
  type Time,
  tokensOf,
  unescaped,
} from "./payload";
import { conversion } from "./plan";
import type { Stored } from "./reading";
import { transitionsOf } from "./zones";

/** A JSON object that is being built. */
export type Json = Record<string, unknown>;

/** A message as a gateway publishes it. */
export interface Message {
  topic: string;
  /** JSON, or the text of a bare value. */
  payload: string;
}

/** What the messages of a measurement say: a row, as it is stored. */
export interface MessageContent {
  /** The event's own time, in ms since 1970. */
  time: number;
  /**
   * Text of each tag, wherever the measurement has it. An `index` is a number of a list: a text that is
   * none becomes the first; a text is without what its place splits at. Undefined: it is left out.
   */
  tag: (tag: Tag) => string | undefined;
  /** Level of the topic for a `+` that is no tag. */
  level: string;
  /** Number of the unit, from 0: which of the topics is its own, where they name the units. Default: 0. */
  unit?: number;
  /** Value of each field, as it is stored. A field that is left out is not sent. */
  fields: Iterable<readonly [field: Field, value: Stored]>;
}

/** A field of a source, with the stored value. */
type Entry = readonly [field: Field, reading: SourceReading, value: Stored];
type SourceReading = Source["fields"][number]["reading"];

/**
 * Builds the messages that `readerOf` reads as a row: as few as the measurement's forms allow, so one for
 * each field where a message carries one value. A field goes into the first form that has a place for it.
 */
export function buildMessages(measurement: Measurement, content: MessageContent): Message[] {
  const messages: Message[] = [];
  let left = [...content.fields];
  for (const source of sourcesOf(measurement)) {
    let open = left.flatMap(([field, value]): Entry[] => {
      const reading = source.fields.find((entry) => entry.field === field)?.reading;
      return reading && carries(source, reading.path) ? [[field, reading, value]] : [];
    });
    while (open.length > 0) {
      const writer = new Writer(source, content);
      const later = open.filter((entry) => !writer.take(entry));
      if (later.length === open.length) break;
      messages.push(writer.message());
      left = left.filter(([field]) => !writer.fields.has(field));
      open = later;
    }
  }
  return messages;
}

/** Whether the topics of a form name the units: a tag's level is no `+` in them. */
const namesUnits = ({ topics, tags }: Source): boolean =>
  tags.some(({ place }) => {
    const { segment } = place ?? {};
    return (
      typeof segment === "number" && !/^[+#]/.test(first(topics).split("/").at(segment) ?? "+")
    );
  });

/** Whether each tag of a form is the same for every message. */
const isFixed = ({ tags }: Source): boolean =>
  tags.every(({ place }) => place === undefined || place.fixed !== undefined);

/** Units that a measurement's topics have room for. */
export const mostUnits = (measurement: Measurement): number =>
  Math.min(
    ...sourcesOf(measurement).map((s) =>
      namesUnits(s) ? s.topics.length : isFixed(s) ? 1 : Number.POSITIVE_INFINITY,
    ),
  );

const isWhole = (path: string): boolean => parsePath(path).keys.length === 0;

/** Whether a form has a place for a path: where the payload is a value, it has no others. */
const carries = (source: Source, path: string): boolean =>
  source.names !== undefined ||
  isWhole(path) ||
  !source.fields.some(({ reading }) => isWhole(reading.path));

/** A key on the way to a value, and whether it is a number in a list. */
interface Step {
  key: string;
  inList: boolean;
}

/** Values at one path: a single one, or bits of one number. */
interface Placed {
  path: string;
  entries: Entry[];
}

/** Most elements that a list is filled up to. */
const mostElements = 2000;

/** Writes one message. */
class Writer {
  /** Fields that the message has. */
  readonly fields = new Set<Field>();
  private readonly texts: { place: Place; text: string }[];
  private readonly placed: Placed[] = [];
  private readonly taken: string[];
  private name: string | undefined;
  private root: unknown;

  constructor(
    private readonly source: Source,
    private readonly content: MessageContent,
  ) {
    this.texts = source.tags.flatMap(({ tag, place }) => {
      const text = place && content.tag(tag);
      return place && text !== undefined ? [{ place, text: withoutSplit(place, text) }] : [];
    });
    const places = [...source.tags.map(({ place }) => place), source.names];
    for (const { is, ...place } of [...source.where, ...source.good]) {
      // A text that a tag has already is the tag's.
      const text = [is ?? "1"].flat().find((each) => each !== null);
      if (text !== undefined && !this.texts.some((other) => same(other.place, place)))
        this.texts.push({ place, text: String(text) });
    }
    this.taken = [
      ...(source.time ? [source.time.path].flat() : []),
      ...[...places, ...source.where, ...source.good].flatMap((place) => place?.path ?? []),
      ...source.fields.flatMap(({ reading }) => reading.exponent ?? []),
    ];
  }

  /** Takes a field into the message, if there is room for it beside the others. */
  take(entry: Entry): boolean {
    const [field, { path }] = entry;
    const { names, value } = this.source;
    const at = names ? value : path;
    if (names && this.name !== undefined && this.name !== unescaped(path)) return false;
    const same = this.placed.find((placed) => placed.path === at);
    const shares = (reading: Reading) => reading.bit !== undefined || reading.has !== undefined;
    if (same && ![entry, ...same.entries].every(([, reading]) => shares(reading))) return false;
    const others = [...this.taken, ...this.placed.map((placed) => placed.path)];
    if (!same && others.some((other) => this.inTheWay(other, at))) return false;
    if (names) this.name = unescaped(path);
    if (same) same.entries.push(entry);
    else this.placed.push({ path: at, entries: [entry] });
    this.fields.add(field);
    return true;
  }

  message(): Message {
    const { source, content, name } = this;
    if (source.names && name !== undefined) this.texts.push({ place: source.names, text: name });
    for (const { place } of this.texts)
      if (place.path !== undefined)
        this.put(
          place.path,
          this.textAt((other) => same(other, place)),
        );
    for (const { path, entries } of this.placed) {
      this.put(path, sentValue(entries));
      for (const [, { exponent }] of entries) if (exponent !== undefined) this.put(exponent, 0);
    }
    const { time } = source;
    if (time)
      [time.path].flat().forEach((path, i) => this.put(path, writeTime(content.time, time)[i]));
    const payload = source.text ? writeText(this.root, source.text) : payloadText(this.root);
    return { topic: this.topic(), payload };
  }

  /** The text of the places that are wanted, which may be parts of it. */
  private textAt(wanted: (place: Place) => boolean): string | undefined {
    const found = this.texts.filter(({ place }) => wanted(place));
    return found.length === 0 ? undefined : joined(found);
  }

  private topic(): string {
    const { topics } = this.source;
    const own = namesUnits(this.source) ? topics[this.content.unit ?? 0] : undefined;
    const levels = (own ?? first(topics)).split("/");
    const open = levels.at(-1) === "#";
    const rest = this.textAt(({ segment }) => segment === "#")?.split("/");
    const segments = this.texts.flatMap(({ place: { segment } }) =>
      typeof segment === "number" ? [segment] : [],
    );
    const fixed = open ? levels.slice(0, -1) : levels;
    const least = fixed.length + (rest?.length ?? Number(open));
    const count = open && !rest ? roomFor(segments, least) : least;
    return Array.from({ length: count }, (_, i) => {
      const level = fixed[i] ?? rest?.[i - fixed.length] ?? "+";
      if (level !== "+") return level;
      const at = (segment: Place["segment"]) => segment === i || segment === i - count;
      return this.textAt(({ segment }) => at(segment)) ?? this.content.level;
    }).join("/");
  }

  /** Steps from the payload's root to each element on the way to the innermost one. */
  private elements(): Step[][] {
    const depth = this.source.each.length;
    const { tags, names } = this.source;
    const found: Step[][] = [[]];
    this.source.each.forEach((path, level) => {
      const isOf = ({ of = depth - 1 }: Place) => of === level;
      const keyed = [...tags.map(({ place }) => place), names].some(
        (place) => place?.key && isOf(place),
      );
      const key = this.textAt((place) => place.key === true && isOf(place)) ?? "x";
      const numbered = this.texts.find(({ place }) => place.index !== undefined && isOf(place));
      const at = numbered ? Number(numbered.text) - (numbered.place.index ?? 0) : 0;
      const position = Number.isInteger(at) && at >= 0 && at < mostElements ? at : 0;
      const step = { key: keyed ? key : String(position), inList: !keyed };
      found.push([...absolute(path, found), step]);
    });
    return found;
  }

  /** Whether one of two paths leads through the other. */
  private inTheWay(one: string, other: string): boolean {
    const [a, b] = [parsePath(one), parsePath(other)];
    const from = (up: number) => (up === -1 ? this.source.each.length : up);
    return from(a.up) === from(b.up) && a.keys.every((key, i) => (b.keys[i] ?? key) === key);
  }

  /** Puts a value at a path. */
  private put(path: string, value: unknown): void {
    const steps = absolute(path, this.elements());
    const [begin] = steps;
    if (!begin) {
      this.root ??= value;
      return;
    }
    this.root ??= begin.inList ? [] : {};
    let at = this.root as Json;
    steps.forEach(({ key }, i) => {
      const next = steps[i + 1];
      if (next) at = (at[key] ??= next.inList ? [] : {}) as Json;
      else at[key] = value;
    });
  }
}

/** Steps of a path from the payload's root. @param elements steps to each element around. */
function absolute(path: string, elements: Step[][]): Step[] {
  const { up, keys } = parsePath(path);
  const around = up === -1 ? [] : (elements[elements.length - 1 - up] ?? []);
  const here = elements.at(-1)?.at(-1);
  return [
    ...around,
    ...keys.map((key) =>
      key === hereKey && here ? here : { key, inList: /^[0-9]{1,4}$/.test(key) },
    ),
  ];
}

/** Whether two places are in one text. */
const same = (a: Place, b: Place): boolean =>
  (["path", "segment", "key", "index", "of"] as const).every((key) => a[key] === b[key]);

/** A text of which only one part is meant may not be split itself. */
const withoutSplit = ({ split, part }: Place, text: string): string =>
  split === undefined || typeof part === "string"
    ? text
    : text.replaceAll(split, split === "_" ? "-" : "_");

/** The parts that a text is of its place's, by their numbers. A range of a known length has as many as that. */
function piecesOf({ split = "", part }: Place, text: string): { part: number; text: string }[] {
  const [from, to] = partsOf(part);
  if (from === to) return [{ part: from, text }];
  const pieces = text.split(split);
  const counted = to !== null && to < 0 === from < 0;
  const count = counted ? to - from + 1 : pieces.length;
  const padded = Array.from({ length: Math.max(1, count) }, (_, i) => pieces[i] ?? "x");
  const rest = pieces.slice(padded.length);
  return padded.map((piece, i) => ({
    part: from + i,
    text: i === padded.length - 1 ? [piece, ...rest].join(split === "_" ? "-" : "_") : piece,
  }));
}

/** The least length of a list in which numbers, of which negative ones count from its end, differ. */
function roomFor(numbers: number[], least: number): number {
  const known = [...new Set(numbers)];
  let length = Math.max(least, ...known.map((n) => (n < 0 ? -n : n + 1)));
  while (new Set(known.map((n) => (n < 0 ? length + n : n))).size < known.length) length += 1;
  return length;
}

/** The text whose parts are known; a part that nobody names is `x`. */
function joined(found: { place: Place; text: string }[]): string {
  const [some] = found;
  const split = some?.place.split;
  if (split === undefined) return some?.text ?? "";
  const parts = found.flatMap(({ place, text }) => piecesOf(place, text));
  const length = roomFor(
    parts.map(({ part }) => part),
    1,
  );
  return Array.from(
    { length },
    (_, i) => parts.find(({ part }) => part === i || part === i - length)?.text ?? "x",
  ).join(split);
}

/** A payload's text: JSON, or the value as it stands, unless that were read as other JSON. */
function payloadText(value: unknown): string {
  if (typeof value !== "string") return JSON.stringify(value) ?? "";
  return /^\s*(?:[[{"]|null\s*$)|^\s|\s$/.test(value) ? JSON.stringify(value) : value;
}

/** The text that a list or an object is split from. */
function writeText(root: unknown, { lines, split = "", pairs, header }: Text): string {
  const rows = lines ? Object.values((root ?? []) as Json) : [root];
  const record = (row: unknown): string =>
    split === ""
      ? JSON.stringify(row)
      : pairs === undefined
        ? Array.from(Array.isArray(row) ? row : Object.values((row ?? {}) as Json))
            .map((value) => String(value ?? ""))
            .join(split)
        : Object.entries((row ?? {}) as Json)
            .map(([key, value]) => `${key}${pairs}${String(value)}`)
            .join(split);
  const keys = header ? [Object.keys((rows[0] ?? {}) as Json).join(split)] : [];
  return [...keys, ...rows.map(record)].join("\n");
}

/** What is sent for values at one path: bits of one number, what a list has, or a single value. */
function sentValue(entries: Entry[]): unknown {
  const [[field, reading, value] = []] = entries;
  if (!field || !reading || value === undefined) return undefined;
  if (reading.bit !== undefined) {
    const set = entries.filter(([, , bit]) => bit === true);
    const bits = set.reduce((sum, [, { bit = 0 }]) => sum | (1n << BigInt(bit)), 0n);
    return numberText(bits, reading);
  }
  if (reading.has !== undefined)
    return entries.flatMap(([, { has }, there]) => (there === true ? [has] : []));
  if (typeof value === "number" || typeof value === "bigint")
    return numberText(withoutSign(sentNumber(field, reading, value), reading), reading);
  const listed = Object.entries(reading.values ?? {}).find(([, text]) => text === value);
  return listed ? listed[0] : value;
}

/** The number that is sent for a stored one, to 15 digits: no more are in a float's own. */
export function sentNumber(
  field: Pick<Field, "unit" | "type">,
  reading: Reading,
  stored: number | bigint,
): number | bigint {
  const { factor, addend, divisor } = conversion(field, reading);
  if (field.type !== "int")
    return Number(((Number(stored) * divisor - addend) / factor).toPrecision(15));
  const whole = BigInt(stored) * BigInt(divisor) - BigInt(addend);
  return whole / BigInt(factor);
}

/** A number as a register has it that knows no sign. */
function withoutSign(value: number | bigint, { signed }: Reading): number | bigint {
  if (signed === undefined || value >= 0) return value;
  return BigInt(Math.round(Number(value))) + 2n ** BigInt(signed);
}

/** A number as a payload has it: as a number, or as the declared text. */
function numberText(value: number | bigint, { number }: Reading): number | string {
  if (number?.base === 16)
    return BigInt(Math.round(Number(value)))
      .toString(16)
      .toUpperCase();
  if (number) return `${value}`.replace(".", number.decimal) + (number.suffix ?? "");
  return typeof value === "bigint" && !Number.isSafeInteger(Number(value))
    ? String(value)
    : Number(value);
}

/** The value at a JSON path below an object, or undefined. */
export function valueAt(object: Json, path: string): unknown {
  return parsePath(path).keys.reduce<unknown>(
    (at, key) => (at as Json | null | undefined)?.[key],
    object,
  );
}

/** Units of each format in a millisecond, as a fraction: a factor of 0.001 would not be exact. */
const epoch: Partial<Record<string, readonly [numerator: number, denominator: number]>> = {
  unix: [1, 1000],
  unix_ms: [1, 1],
  unix_us: [1000, 1],
  unix_ns: [1_000_000, 1],
};

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/** A time, given in ms since 1970, as a payload carries it: a value for each of its paths. */
export function writeTime(milliseconds: number, time: Time): (string | number)[] {
  const paths = [time.path].flat().length;
  const { format } = time;
  const unix = epoch[format];
  if (unix) return [(milliseconds * unix[0]) / unix[1]];
  if (format === "http") return [new Date(milliseconds).toUTCString()];
  if (format === "iso8601") {
    const text = new Date(milliseconds).toISOString();
    return paths === 1 ? [text] : text.split("T");
  }
  const past = transitionsOf(time.zone).filter(
    ([from], i) => i === 0 || from * 1000 <= milliseconds,
  );
  const offset = past.at(-1)?.[1] ?? 0;
  const local = new Date(milliseconds + offset * 1000);
  const text = tokensOf(format)
    .map((token) => written(token, local, offset))
    .join("");
  return paths === 1 ? [text] : text.split(" ");
}

function written(token: string, local: Date, offset: number): string {
  const two = (number: number) => String(number).padStart(2, "0");
  const hour = local.getUTCHours();
  const texts: Partial<Record<string, string>> = {
    YYYY: String(local.getUTCFullYear()),
    YY: two(local.getUTCFullYear() % 100),
    MMM: months[local.getUTCMonth()],
    MM: two(local.getUTCMonth() + 1),
    M: String(local.getUTCMonth() + 1),
    DD: two(local.getUTCDate()),
    D: String(local.getUTCDate()),
    ddd: weekdays[local.getUTCDay()],
    HH: two(hour),
    H: String(hour),
    hh: two(hour % 12 || 12),
    A: hour < 12 ? "AM" : "PM",
    mm: two(local.getUTCMinutes()),
    ss: two(local.getUTCSeconds()),
    SSS: String(local.getUTCMilliseconds()).padStart(3, "0"),
    Z: `${offset < 0 ? "-" : "+"}${two(Math.floor(Math.abs(offset) / 3600))}:${two((Math.abs(offset) / 60) % 60)}`,
  };
  return texts[token] ?? token;
}

/**
 * The topic of a measurement's first form, with each `+` replaced.
 * @param level gives the level's text, of the tag that it stands for if there is one.
 */
export function fillTopic(
  measurement: Measurement,
  level: (tag: Tag | undefined) => string,
): string {
  const { topics, tags } = first(sourcesOf(measurement));
  const levels = first(topics).split("/");
  const tagAt = (i: number) =>
    tags.find(({ place }) => place?.segment === i || place?.segment === i - levels.length)?.tag;
  return levels.map((part, i) => (part === "+" || part === "#" ? level(tagAt(i)) : part)).join("/");
}

/** Puts `value` at a JSON path below an object, and makes the objects on the way. */
export function place(object: Json, path: string, value: unknown): void {
  const { keys } = parsePath(path);
  let parent = object;
  keys.forEach((key, i) => {
    if (i === keys.length - 1) parent[key] = value;
    else parent = (parent[key] ??= {}) as Json;
  });
}
