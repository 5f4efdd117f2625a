import { first, sourcesOf, type Field, type Measurement, type Source, type Tag } from "./model";
import { parsePath, type Place, type Time, tokensOf, unescaped } from "./payload";
import { transitionsOf } from "./zones";

/** A JSON object that is being built. */
export type Json = Record<string, unknown>;

/** A message as a gateway publishes it. */
export interface Message {
  topic: string;
  /** JSON, or the text of a bare value. */
  payload: string;
}

/** What one message of a measurement says. */
export interface MessageContent {
  /** The event's own time, in ms since 1970. */
  time: number;
  /** Value of each tag, wherever the measurement has it: in the payload or in the topic. */
  tag: (tag: Tag) => string;
  /** Level of the topic for a `+` that is no tag. */
  level: string;
  /** Value of each field, as the payload carries it. A field that is left out is not sent. */
  fields: Iterable<readonly [field: Field, value: number | string | boolean]>;
}

/**
 * Builds the messages of a measurement in its first form: one, or one for each field where a message
 * carries one value.
 */
export function buildMessages(measurement: Measurement, content: MessageContent): Message[] {
  const source = first(sourcesOf(measurement));
  const fields = [...content.fields];
  const whole = source.fields.some(({ reading }) => reading.path === "$");
  const single = source.names !== undefined || whole;
  return (single ? fields.map((field) => [field]) : [fields]).map((some) =>
    new Writer(source, content).message(some),
  );
}

/** One text, of which several places may be parts. */
interface Carrier {
  place: Place;
  parts: Map<number, string>;
}

class Writer {
  private readonly carriers: Carrier[] = [];
  private root: unknown;

  constructor(
    private readonly source: Source,
    private readonly content: MessageContent,
  ) {}

  message(fields: (readonly [Field, unknown])[]): Message {
    const { source, content } = this;
    for (const { tag, place } of source.tags) if (place) this.carry(place, content.tag(tag));
    for (const [field, value] of fields) {
      const path = source.fields.find((entry) => entry.field === field)?.reading.path ?? field.name;
      if (source.names) this.carry(source.names, unescaped(path));
      this.put(source.names ? source.value : path, value);
    }
    const { time } = source;
    if (time)
      [time.path].flat().forEach((path, i) => this.put(path, writeTime(content.time, time)[i]));
    for (const { place, parts } of this.carriers)
      if (place.path !== undefined) this.put(place.path, joined(place, parts));
    return { topic: this.topic(), payload: textOf(this.root) };
  }

  /** Remembers a text for its place. */
  private carry(place: Place, text: string): void {
    const same = ({ place: other }: Carrier) =>
      other.path === place.path &&
      other.segment === place.segment &&
      other.key === place.key &&
      other.index === place.index &&
      other.of === place.of;
    const known = this.carriers.find(same);
    const carrier = known ?? { place, parts: new Map<number, string>() };
    carrier.parts.set(place.part ?? 0, text);
    if (!known) this.carriers.push(carrier);
  }

  private textAt(wanted: (place: Place) => boolean): string | undefined {
    const found = this.carriers.find(({ place }) => wanted(place));
    return found && joined(found.place, found.parts);
  }

  private topic(): string {
    const pattern = first(this.source.topics);
    const levels = pattern.split("/");
    return levels
      .map((level, i) => {
        if (level === "#")
          return this.textAt(({ segment }) => segment === "#") ?? this.content.level;
        if (level !== "+") return level;
        const from = i - levels.length;
        return (
          this.textAt(({ segment }) => segment === i || segment === from) ?? this.content.level
        );
      })
      .join("/");
  }

  /** Keys from the payload's root to the innermost element, and of each one around it. */
  private elements(): string[][] {
    const keys: string[] = [];
    const found: string[][] = [[]];
    this.source.each.forEach((path, i) => {
      const depth = this.source.each.length;
      const own = this.textAt(({ key, of = depth - 1 }) => key === true && of === i);
      keys.splice(0, keys.length, ...this.absolute(path, found), own ?? "0");
      found.push([...keys]);
    });
    return found;
  }

  private absolute(path: string, elements: string[][]): string[] {
    const { up, keys } = parsePath(path);
    return [...(up === -1 ? [] : (elements[elements.length - 1 - up] ?? [])), ...keys];
  }

  /** Puts a value at a path. */
  private put(path: string, value: unknown): void {
    const keys = this.absolute(path, this.elements());
    if (keys.length === 0) {
      this.root = value;
      return;
    }
    this.root ??= container(keys[0]);
    let at = this.root as Json;
    keys.slice(0, -1).forEach((key, i) => {
      at = (at[key] ??= container(keys[i + 1])) as Json;
    });
    at[keys.at(-1) ?? ""] = value;
  }
}

const container = (key: string | undefined): unknown => (/^[0-9]+$/.test(key ?? "") ? [] : {});

/** The text of which parts are known; a part that nobody names is `x`. */
function joined({ split }: Place, parts: Map<number, string>): string {
  if (split === undefined) return [...parts.values()][0] ?? "";
  const positive = Math.max(0, ...[...parts.keys()].map((part) => (part < 0 ? -part - 1 : part)));
  return Array.from(
    { length: positive + 1 },
    (_, i) => parts.get(i) ?? parts.get(i - positive - 1) ?? "x",
  ).join(split);
}

const textOf = (value: unknown): string =>
  typeof value === "string" ? value : (JSON.stringify(value) ?? "");

/** The value at a dotted JSON path, or undefined. */
export function valueAt(object: Json, path: string): unknown {
  return path
    .split(".")
    .reduce<unknown>((at, key) => (at as Json | null | undefined)?.[key], object);
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

/** Puts `value` at a dotted JSON path, and makes the objects on the way. */
export function place(object: Json, path: string, value: unknown): void {
  const { keys } = parsePath(path);
  let parent = object;
  keys.forEach((key, i) => {
    if (i === keys.length - 1) parent[key] = value;
    else parent = (parent[key] ??= {}) as Json;
  });
}
