/** Units that a model may store a field in, each with Grafana's id of it. */
export const units = {
  A: "amp",
  V: "volt",
  W: "watt",
  kW: "kwatt",
  kWh: "kwatth",
  var: "voltampreact",
  kvar: "kvoltampreact",
  VA: "voltamp",
  Hz: "hertz",
  "%": "percent",
  "°C": "celsius",
  s: "s",
  "": "none",
} as const;

/** A unit that a model may use. */
export type Unit = keyof typeof units;

const secondsPerUnit = new Map([
  ["ms", 0.001],
  ["s", 1],
  ["m", 60],
  ["h", 3600],
  ["d", 86400],
  ["w", 604800],
]);

/** What a reference says of the unit of a duration. */
export const durationUnit = "ms, s, m, h, d or w";

/** Matches a duration as InfluxDB spells it: a whole number and one of ms, s, m, h, d, w. */
export const durationPattern = /^[1-9]\d*(ms|s|m|h|d|w)$/;

/**
 * Seconds in a duration such as `500ms`, `1s` or `90d`.
 * @throws RangeError if the text is no such duration.
 */
export function durationSeconds(text: string): number {
  const factor = secondsPerUnit.get(durationPattern.exec(text)?.[1] ?? "");
  if (factor === undefined)
    throw new RangeError(
      `"${text}" is no duration: write a whole number and ms, s, m, h, d or w, such as 90d`,
    );
  return parseInt(text, 10) * factor;
}

/** Whether a duration is from one to another; a text that is none is left to its pattern. */
export const durationWithin = (least: string, most: string) => (text: string) =>
  !durationPattern.test(text) ||
  (durationSeconds(text) >= durationSeconds(least) &&
    durationSeconds(text) <= durationSeconds(most));

const bytesPerUnit = new Map([
  ["MB", 1e6],
  ["GB", 1e9],
  ["TB", 1e12],
  ["MiB", 2 ** 20],
  ["GiB", 2 ** 30],
  ["TiB", 2 ** 40],
]);

/** What a reference says of the unit of a size. */
export const sizeUnit = "MB, GB, TB, MiB, GiB or TiB";

/** Matches a size such as `40GB` or `1.5 TiB`. */
export const sizePattern = /^(?:[1-9]\d*|\d+\.\d+) ?([MGT]i?B)$/;

/**
 * Bytes of a size such as `40GB`, which is 40 · 10⁹, or `40GiB`, which is 40 · 2³⁰.
 * @throws RangeError if the text is no such size.
 */
export function sizeBytes(text: string): number {
  const factor = bytesPerUnit.get(sizePattern.exec(text)?.[1] ?? "");
  if (factor === undefined)
    throw new RangeError(`"${text}" is no size: write a number and ${sizeUnit}, such as 40GB`);
  return parseFloat(text) * factor;
}

/** Bytes in words, such as `4.6 GB`. */
export const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
