import type { Field, Measurement, Tag } from "./model";

/** A JSON object that is being built. */
export type Json = Record<string, unknown>;

/** A message as a gateway publishes it. */
export interface Message {
  topic: string;
  payload: Json;
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

/** Builds a message of a measurement. */
export function buildMessage(
  measurement: Measurement,
  { time, tag, level, fields }: MessageContent,
): Message {
  const payload: Json = {};
  place(payload, measurement.time.path, formatTime(time, measurement.time.format));
  for (const each of measurement.tags) if (each.path) place(payload, each.path, tag(each));
  for (const [{ path }, value] of fields) place(payload, path, value);
  return { topic: fillTopic(measurement, (inTopic) => (inTopic ? tag(inTopic) : level)), payload };
}

/**
 * The topic of a message: the measurement's pattern, with each `+` replaced.
 * @param level gives the level's text, of the tag that it stands for if there is one.
 */
export function fillTopic(
  { topic, tags }: Measurement,
  level: (tag: Tag | undefined) => string,
): string {
  return topic
    .split("/")
    .map((part, i) => (part === "+" ? level(tags.find(({ segment }) => segment === i)) : part))
    .join("/");
}

/** Puts `value` at a dotted JSON path, and makes the objects on the way. */
export function place(object: Json, path: string, value: unknown): void {
  const keys = path.split(".");
  let parent = object;
  keys.forEach((key, i) => {
    if (i === keys.length - 1) parent[key] = value;
    else parent = (parent[key] ??= {}) as Json;
  });
}

/** The value at a dotted JSON path, or undefined. */
export function valueAt(object: Json, path: string): unknown {
  return path
    .split(".")
    .reduce<unknown>((at, key) => (at as Json | null | undefined)?.[key], object);
}

/** Units of each format in a millisecond, as a fraction: a factor of 0.001 would not be exact. */
const epoch = {
  unix: [1, 1000],
  unix_ms: [1, 1],
  unix_us: [1000, 1],
  unix_ns: [1_000_000, 1],
} as const;

/** A time, given in ms since 1970, as a payload of the format carries it. */
export function formatTime(
  milliseconds: number,
  format: Measurement["time"]["format"],
): string | number {
  if (format === "iso8601") return new Date(milliseconds).toISOString();
  const [numerator, denominator] = epoch[format];
  return (milliseconds * numerator) / denominator;
}

/**
 * Reads a payload's time.
 * @returns ms since 1970, or undefined if `value` is no time of this format. A time without a zone
 * is UTC.
 */
export function readTime(
  value: unknown,
  format: Measurement["time"]["format"],
): number | undefined {
  const time = format === "iso8601" ? readIso(value) : readEpoch(value, epoch[format]);
  return Number.isFinite(time) ? time : undefined;
}

const iso = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d+)?)(Z|[+-]\d\d:\d\d)?$/;

function readIso(value: unknown): number {
  const [, day, clock, zone = "Z"] = iso.exec(String(value).trim()) ?? [];
  return day === undefined ? NaN : Date.parse(`${day}T${clock}${zone}`);
}

function readEpoch(value: unknown, [numerator, denominator]: readonly [number, number]): number {
  const count = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof count === "number" ? (count * denominator) / numerator : NaN;
}
