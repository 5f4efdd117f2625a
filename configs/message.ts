import type { Measurement } from "./model";

/** A JSON object that is being built. */
export type Json = Record<string, unknown>;

/** Puts `value` at a dotted JSON path, making the objects on the way. */
export function place(object: Json, path: string, value: unknown): void {
  const keys = path.split(".");
  const last = keys.pop()!;
  const parent = keys.reduce<Json>((at, key) => (at[key] ??= {}) as Json, object);
  parent[last] = value;
}

/** The value at a dotted JSON path, or undefined. */
export function valueAt(object: Json, path: string): unknown {
  return path
    .split(".")
    .reduce<unknown>((at, key) => (at as Json | null | undefined)?.[key], object);
}

/** The topic with every `+` replaced by what `level` gives for its segment, counted from 0. */
export function fillTopic(topic: string, level: (segment: number) => string): string {
  return topic
    .split("/")
    .map((part, segment) => (part === "+" ? level(segment) : part))
    .join("/");
}

/** Units of each format in a millisecond, as numerator and denominator: a factor of 0.001 would not be exact. */
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
 * @returns ms since 1970, or undefined if `value` is no time of this format. One without a zone is UTC.
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
