import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { loadModel, type Model } from "../../configs/model";

/** Folder of the cases, beside the project; it is not part of it. */
const casesFolder = join(__dirname, "../../../shared/cases");

/** Whether the cases are on this machine. */
export const casesAreHere = existsSync(casesFolder);

/** One message of a case. */
export interface CaseMessage {
  topic: string;
  payload: string;
  /** ms from the start. */
  at: number;
  retain?: boolean;
  reader?: "new" | "stopped";
  model?: number;
}

type Scalar = number | string | boolean;

interface Alternative {
  /** `name/1`: the entries of exactly one number hold. */
  or?: string;
}

interface ExpectedPoint extends Alternative {
  table: string;
  tags: Record<string, string>;
  fields: Record<string, Scalar>;
  /** UTC; null for the arrival at the broker. */
  time: string | null;
}

interface ExpectedDrop extends Alternative {
  topic: string;
  field?: string;
  reason: string;
  count?: number;
  either?: boolean;
}

/** What is right for the operator. */
interface Expected {
  why: string;
  points: ExpectedPoint[];
  dropped: ExpectedDrop[];
  rows?: Record<string, number>;
  series?: Record<string, number>;
}

/** A case: messages of a real gateway, and what a site makes of them. */
export interface Case {
  name: string;
  messages: CaseMessage[];
  expected: Expected;
}

const configs = join(__dirname, "../../configs");

/** The model of a case, as its author would write it; of a case with two, the one of a number. */
export const caseModel = ({ name }: Case, number?: number): Model =>
  loadModel(
    name === "seed-simulator"
      ? join(configs, "models/seed.yaml")
      : join(
          __dirname,
          "../configs/cases",
          `${name}${number === undefined ? "" : `.${number}`}.yaml`,
        ),
  );

/** The cases of the folder, by their names. */
export const cases = (): Case[] =>
  readdirSync(casesFolder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => {
      const text = (file: string) => readFileSync(join(casesFolder, name, file), "utf8");
      return {
        name,
        messages: text("messages.jsonl")
          .split("\n")
          .filter(Boolean)
          .map((line) => JSON.parse(line) as CaseMessage),
        expected: JSON.parse(text("expected.json")) as Expected,
      };
    });

/** A stored row. */
export interface Row {
  table: string;
  tags: Record<string, string>;
  fields: Record<string, Scalar | bigint>;
  /** ns since 1970. */
  time: bigint;
}

/** What was counted as not stored. */
export interface Dropped {
  topic: string;
  field: string;
  count: number;
}

/** ms since 1970 at which each message of the case was published. */
export type Published = (message: CaseMessage) => number;

/** How long after a message's arrival at the broker its row's time may be, in ms. */
const arrivalWindow = 2000;

/** ns since 1970 of a time with up to nine digits behind the second. */
function nanoseconds(time: string): bigint {
  const [, whole = "", fraction = ""] = /^(.*?)(?:\.(\d+))?Z$/.exec(time) ?? [];
  return BigInt(Date.parse(`${whole}Z`)) * 1_000_000n + BigInt(fraction.padEnd(9, "0"));
}

const same = (stored: Scalar | bigint | undefined, wanted: Scalar): boolean =>
  typeof wanted === "number"
    ? stored !== undefined &&
      typeof stored !== "boolean" &&
      typeof stored !== "string" &&
      (Number(stored) === wanted ||
        Math.abs(Number(stored) - wanted) <= 1e-9 * Math.max(Math.abs(wanted), 1e-300))
    : stored === wanted;

const sameTags = (stored: Record<string, string>, wanted: Record<string, string>): boolean =>
  [...new Set([...Object.keys(stored), ...Object.keys(wanted)])].every(
    (name) => (stored[name] ?? "") === (wanted[name] ?? ""),
  );

/** The entries with each choice of the alternatives' numbers. */
function choices<T extends Alternative>(entries: T[], chosen: Map<string, string>): T[] {
  return entries.filter(({ or }) => {
    if (or === undefined) return true;
    const [name = "", number = ""] = or.split("/");
    return chosen.get(name) === number;
  });
}

/** Every way to choose a number of each alternative. */
function selections({ points, dropped }: Expected): Map<string, string>[] {
  const numbers = new Map<string, Set<string>>();
  for (const { or } of [...points, ...dropped]) {
    const [name, number] = or?.split("/") ?? [];
    if (name === undefined || number === undefined) continue;
    numbers.set(name, (numbers.get(name) ?? new Set()).add(number));
  }
  let found = [new Map<string, string>()];
  for (const [name, all] of numbers)
    found = found.flatMap((chosen) => [...all].map((number) => new Map(chosen).set(name, number)));
  return found;
}

/** What is wrong with what was stored and counted; nothing where one choice holds. */
export function findings(
  { expected, messages }: Case,
  rows: Row[],
  drops: Dropped[],
  published: Published,
): string[] {
  const tried = selections(expected).map((chosen) => [
    ...pointFindings(choices(expected.points, chosen), messages, rows, published),
    ...dropFindings(choices(expected.dropped, chosen), expected.dropped, drops),
  ]);
  const [best = []] = tried.sort((a, b) => a.length - b.length);
  return [...best, ...countFindings(expected, rows)];
}

function pointFindings(
  points: ExpectedPoint[],
  messages: CaseMessage[],
  rows: Row[],
  published: Published,
): string[] {
  const cells = rows.flatMap(({ fields, ...row }) =>
    Object.entries(fields).map(([field, value]) => ({ ...row, field, value, used: false })),
  );
  const arrivals = (value: Scalar, tags: Record<string, string>): number[] => {
    const of = messages.filter(({ topic, payload }) =>
      Object.values(tags).every((tag) => topic.includes(tag) || payload.includes(tag)),
    );
    const said = of.filter(({ payload }) => payload.includes(String(value)));
    return (said.length > 0 ? said : of).map(published);
  };
  const missing = points.flatMap((point) =>
    Object.entries(point.fields).flatMap(([field, value]) => {
      const found = cells.find(
        (cell) =>
          !cell.used &&
          cell.table === point.table &&
          cell.field === field &&
          same(cell.value, value) &&
          sameTags(cell.tags, point.tags) &&
          (point.time === null
            ? arrivals(value, point.tags).some(
                (at) => Math.abs(Number(cell.time / 1_000_000n) - at) <= arrivalWindow,
              )
            : cell.time === nanoseconds(point.time)),
      );
      if (found) found.used = true;
      return found ? [] : [`missing: ${JSON.stringify({ ...point, fields: { [field]: value } })}`];
    }),
  );
  const more = cells.flatMap(({ used, time, value, ...cell }) =>
    used ? [] : [`too many: ${JSON.stringify({ ...cell, value: String(value) })} at ${time}`],
  );
  return [...missing, ...more];
}

function dropFindings(wanted: ExpectedDrop[], allowed: ExpectedDrop[], drops: Dropped[]): string[] {
  const total = (topic: string, field: string | undefined) =>
    drops
      .filter((drop) => drop.topic === topic && (field === undefined || drop.field === field))
      .reduce((sum, { count }) => sum + count, 0);
  const keys = new Map<string, { topic: string; field: string | undefined; least: number }>();
  for (const { topic, field, count = 1, either } of wanted) {
    const key = JSON.stringify([topic, field]);
    const known = keys.get(key) ?? { topic, field, least: 0 };
    keys.set(key, { ...known, least: known.least + (either ? 0 : count) });
  }
  const missing = [...keys.values()].flatMap(({ topic, field, least }) =>
    total(topic, field) < least
      ? [`${topic} ${field ?? ""}: ${total(topic, field)} of ${least} drops counted`]
      : [],
  );
  const foreign = drops.flatMap((drop) =>
    allowed.some(({ topic }) => topic === drop.topic)
      ? []
      : [`dropped and should not be: ${JSON.stringify(drop)}`],
  );
  return [...missing, ...foreign];
}

function countFindings({ rows: wanted = {}, series = {} }: Expected, rows: Row[]): string[] {
  const distinct = (table: string, key: (row: Row) => unknown) =>
    new Set(
      rows
        .filter((row) => row.table === table)
        .map((row) =>
          JSON.stringify(key(row), (_, v: unknown) => (typeof v === "bigint" ? String(v) : v)),
        ),
    ).size;
  return [
    ...Object.entries(wanted).map(([table, count]) => ({
      what: `rows of ${table}`,
      count,
      found: distinct(table, ({ tags, time }) => [tags, time]),
    })),
    ...Object.entries(series).map(([table, count]) => ({
      what: `series of ${table}`,
      count,
      found: distinct(table, ({ tags }) => tags),
    })),
  ].flatMap(({ what, count, found }) => (found === count ? [] : [`${found} of ${count} ${what}`]));
}
