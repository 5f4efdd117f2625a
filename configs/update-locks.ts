import * as z from "zod";
import { clock, weekdays } from "./alerting";
import type { Field, Model } from "./model";
import { durationPattern, durationSeconds, durationUnit, durationWithin } from "./units";
import { text } from "./validation";
import { offsetAt } from "./zones";

/** What the battery must do, or must not, before a rollout touches its site. */
export const conditions = ["idle", "not-discharging", "not-charging"] as const;
export type Condition = (typeof conditions)[number];

const aTime = "write a time such as 2026-12-03T18:00, by the clock of timeZone, or with Z for UTC";

/** `update` of a site's configuration: when a rollout may touch it, and what follows a failure. */
export const updateSchema = z.strictObject({
  window: z
    .strictObject({
      from: clock.optional().meta({
        description: "When it opens. Default: at midnight.",
        examples: ["01:00"],
      }),
      to: clock.optional().meta({
        description: "When it closes; before `from` it is a time of the next day.",
        examples: ["05:00"],
      }),
      days: z
        .array(z.enum(weekdays))
        .min(1)
        .optional()
        .meta({
          description: "Days on which it opens. Default: each day.",
          examples: [["tuesday", "thursday"]],
        }),
    })
    .refine(({ from, to }) => (from === undefined) === (to === undefined), {
      error: "from and to go together",
    })
    .refine(({ from, to, days }) => (from === to ? from === undefined && days : true), {
      error: "write from and to, which differ, or days",
    })
    .optional()
    .meta({
      description:
        "Maintenance window, by the clock of `timeZone`, or of UTC without one. Default: always.",
      examples: [{ from: "01:00", to: "05:00" }],
    }),
  condition: z
    .enum(conditions)
    .optional()
    .meta({
      description:
        "What the battery must do, by the powers or currents of its model, over the last two " +
        "minutes. Values within 2 % of a field's `range` count as 0. Default: anything.",
      examples: ["not-discharging"],
    }),
  hold: z
    .strictObject({
      reason: z
        .string()
        .min(1)
        .meta({ description: "Why.", examples: ["acceptance test of the inverter"] }),
      until: z
        .string()
        .regex(/^\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d(Z|[+-][01]\d:[0-5]\d)?$/, {
          error: aTime,
          abort: true,
        })
        .refine((time) => !Number.isNaN(Date.parse(`${time.slice(0, 16)}Z`)), aTime)
        .meta({ description: "When it ends.", examples: ["2026-12-03T18:00"] }),
    })
    .optional()
    .meta({
      description: "Keeps every rollout away until then. Default: none.",
      examples: [{ reason: "acceptance test of the inverter", until: "2026-12-03T18:00" }],
    }),
  wait: text(durationPattern, "write a duration such as 2h")
    .refine(durationWithin("1s", "7d"), "write 7d at most")
    .default("1h")
    .meta({
      description:
        "How long a rollout waits for the window and the condition, from when it comes to the " +
        "site. After that the site is deferred.",
      unit: durationUnit,
      examples: ["8h"],
    }),
  onFailure: z
    .enum(["halt", "rollback"])
    .default("halt")
    .describe(
      "What follows when an update of the site fails: it stays as it is, for a person to look at, " +
        "or it is brought back to the revision that it had before.",
    ),
});

/** When a rollout may touch a site, and the zone of its clock. */
export type UpdateLock = z.output<typeof updateSchema> & { timeZone?: string | undefined };

type Window = NonNullable<UpdateLock["window"]>;

/** Why a site must not be touched now. */
export interface Closed {
  why: string;
  /** From when on it is worth another look, in s since 1970; undefined where that is not known. */
  opens?: number;
}

const day = 86_400;

const secondsOfDay = (time: string): number => {
  const [hours = 0, minutes = 0] = time.split(":").map(Number);
  return hours * 3600 + minutes * 60;
};

/**
 * Whether a window is open at a moment, in s since 1970. It goes by the clock on the wall: a time that
 * a change of the clocks leaves out is in no window, and one that it repeats is in it twice.
 */
export function isOpen({ from, to, days }: Window, zone: string, at: number): boolean {
  const local = at + offsetAt(zone, at);
  const time = ((local % day) + day) % day;
  const [opens, closes] = [
    secondsOfDay(from ?? "00:00"),
    to === undefined ? day : secondsOfDay(to),
  ];
  const isOvernight = closes < opens;
  // After midnight it is the window of the day before.
  const isLate = isOvernight && time < closes;
  const isIn = isOvernight ? isLate || time >= opens : time >= opens && time < closes;
  // 1970 began with a Thursday, and weekdays begin with Monday.
  const weekday = weekdays[(Math.floor(local / day) + (isLate ? 2 : 3)) % 7];
  return isIn && (days === undefined || days.some((each) => each === weekday));
}

/** When a window opens next, in s since 1970; now where it is open. Undefined: not within nine days. */
export function nextOpening(window: Window, zone: string, at: number): number | undefined {
  if (isOpen(window, zone, at)) return at;
  for (let next = Math.ceil((at + 1) / 60) * 60; next < at + 9 * day; next += 60)
    if (isOpen(window, zone, next)) return next;
  return undefined;
}

/** The moment that a text means, by a zone's clock unless it names its own offset; in s since 1970. */
export function momentOf(time: string, zone: string): number {
  if (/[Z+-][\d:]*$/.test(time.slice(16))) return Date.parse(time) / 1000;
  const local = Date.parse(`${time}Z`) / 1000;
  return local - offsetAt(zone, local - offsetAt(zone, local));
}

/** A moment, in s since 1970, by a zone's clock. */
const clockAt = (at: number, zone: string): string => {
  const local = new Date((at + offsetAt(zone, at)) * 1000).toISOString();
  return `${local.slice(0, 16).replace("T", " ")} (${zone})`;
};

/**
 * Why a site must not be touched at a moment, by the clock alone.
 * @param at s since 1970.
 * @param isUrgent whether windows count for nothing; a hold still counts.
 */
export function closedAt(
  { window, hold, timeZone: zone = "UTC" }: UpdateLock,
  at: number,
  isUrgent = false,
): Closed | undefined {
  const until = hold && momentOf(hold.until, zone);
  if (hold && until !== undefined && at < until)
    return { why: `held until ${clockAt(until, zone)}: ${hold.reason}`, opens: until };
  if (!window || isUrgent || isOpen(window, zone, at)) return undefined;
  const opens = nextOpening(window, zone, at);
  return opens === undefined
    ? { why: "its window never opens" }
    : { why: `its window opens ${clockAt(opens, zone)}`, opens };
}

/** How long a rollout waits for a site, in s. */
export const waitSeconds = ({ wait }: UpdateLock): number => durationSeconds(wait);

/** Share of a field's range that counts as 0. */
const deadBand = 0.02;

/** Time over which what the battery does is averaged, in s. */
const lookBack = 120;

/** A field that tells what the battery does; `sign` makes its values positive while it discharges. */
interface Flow {
  table: string;
  tags: string[];
  field: string;
  sign: 1 | -1;
  /** Values up to this one count as 0. */
  band: number;
  seconds: number;
}

/**
 * The fields by which a model tells what its batteries do: of each measurement its powers, or without
 * any its currents. Those without a range have no dead band, and tell nothing.
 */
export function flowsOf({ measurements }: Model): Flow[] {
  return measurements.flatMap((m) => {
    const of = (...quantities: Field["quantity"][]) =>
      m.fields.filter(({ quantity }) => quantities.includes(quantity));
    const powers = of("power");
    const chosen = powers.length > 0 ? powers : of("current", "current_in", "current_out");
    return chosen.flatMap(({ name, range, quantity, positive }) => {
      const most = Math.max(...(range ?? [0]).map(Math.abs));
      if (most === 0) return [];
      const charges = quantity === "current_in" || positive === "charging";
      return {
        table: m.name,
        tags: m.tags.map((tag) => tag.name),
        field: name,
        sign: charges ? (-1 as const) : (1 as const),
        band: most * deadBand,
        seconds: Math.max(lookBack, 3 * durationSeconds(m.interval)),
      };
    });
  });
}

const quote = (name: string) => `"${name}"`;

/** Query in SQL for the highest and lowest mean of a field over its units. */
export const flowQuery = ({ table, tags, field, seconds }: Flow): string =>
  `SELECT max(mean) AS highest, min(mean) AS lowest FROM (SELECT avg(${quote(field)}) AS mean ` +
  `FROM ${quote(table)} WHERE time >= now() - INTERVAL '${seconds} seconds' ` +
  `AND time <= now()${tags.length > 0 ? ` GROUP BY ${tags.map(quote).join(", ")}` : ""})`;

/** What {@link flowQuery} answers; without values where no row is as young. */
export interface FlowRow {
  highest?: number | null | undefined;
  lowest?: number | null | undefined;
}

/**
 * Why a condition does not hold, by what each field says. A battery that says nothing may do anything.
 * @returns undefined where it holds.
 */
export function unmet(condition: Condition, read: readonly [Flow, FlowRow][]): string | undefined {
  const known = read.flatMap(([flow, { highest, lowest }]) =>
    typeof highest === "number" && typeof lowest === "number"
      ? [{ ...flow, ends: [highest * flow.sign, lowest * flow.sign] }]
      : [],
  );
  if (known.length === 0)
    return `what the battery does is not known: no value of the last ${lookBack / 60} minutes`;
  for (const { table, field, ends, band } of known) {
    const discharges = Math.max(...ends) > band && condition !== "not-charging";
    const charges = Math.min(...ends) < -band && condition !== "not-discharging";
    if (discharges || charges)
      return `the battery ${discharges ? "discharges" : "charges"} (${table}.${field})`;
  }
  return undefined;
}
