/** Whether a text is a time zone that Node.js knows, such as `Europe/Berlin`. */
export function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat("en-US", { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

/** From when a zone has an offset. */
export type Transition = [from: number, offset: number];

/** Years of which a zone's changes are told: older data is beyond every retention. */
const years = { from: 2020, to: 2050 } as const;

const cache = new Map<string, Transition[]>();

/**
 * Offsets of a time zone, each with its beginning, in s since 1970; offsets in s east of UTC. The first
 * holds for all before it.
 */
export function transitionsOf(zone: string): Transition[] {
  const known = cache.get(zone);
  if (known) return known;
  const offsetAt = offsets(zone);
  const day = 86_400;
  const end = Date.UTC(years.to, 0) / 1000;
  let at = Date.UTC(years.from, 0) / 1000;
  const found: Transition[] = [[at, offsetAt(at)]];
  for (let offset = offsetAt(at); at < end; at += 7 * day) {
    const next = offsetAt(at + 7 * day);
    if (next === offset) continue;
    let [before, after] = [at, at + 7 * day];
    while (after - before > 1) {
      const middle = Math.floor((before + after) / 2);
      if (offsetAt(middle) === offset) before = middle;
      else after = middle;
    }
    found.push([after, next]);
    offset = next;
  }
  cache.set(zone, found);
  return found;
}

/** From when {@link transitionsOf} knows a zone, in s since 1970. */
export const zonesKnownFrom = Date.UTC(years.from, 0) / 1000;

/** Offset of a zone at an instant; both in s. */
export function offsetAt(zone: string, seconds: number): number {
  const all = transitionsOf(zone);
  let [low, high] = [0, all.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((all[middle]?.[0] ?? Infinity) <= seconds) low = middle;
    else high = middle;
  }
  return all[low]?.[1] ?? 0;
}

/** A day of a calendar, from one instant to another; in s since 1970. */
export interface Day {
  /** As `2026-03-29`. */
  name: string;
  from: number;
  to: number;
}

/**
 * The days of a zone that a time span touches, each cut to it. A day on which the clock is put forward
 * has 23 hours, and one on which it is put back 25.
 */
export function daysOf(from: number, to: number, zone: string): Day[] {
  const days: Day[] = [];
  for (let at = from; at < to;) {
    const local = at + offsetAt(zone, at);
    const midnight = (Math.floor(local / 86_400) + 1) * 86_400;
    // The offset may change within the day; and a midnight that is left out is the change itself.
    const early = midnight - offsetAt(zone, at);
    const late = midnight - offsetAt(zone, early);
    const end = late + offsetAt(zone, late) === midnight ? late : early;
    const name = new Date(local * 1000).toISOString().slice(0, 10);
    const next = Math.min(end, to);
    days.push({ name, from: at, to: next });
    at = next;
  }
  return days;
}

/** A function that tells a zone's offset at an instant. */
function offsets(zone: string): (seconds: number) => number {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
  return (seconds) => {
    const parts = Object.fromEntries(
      format.formatToParts(seconds * 1000).map(({ type, value }) => [type, Number(value)]),
    );
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
    return Date.UTC(year, month - 1, day, hour, minute, second) / 1000 - seconds;
  };
}
