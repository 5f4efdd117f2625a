import { createHash } from "node:crypto";
import { type Field, type Measurement, type Model, type Source, sourcesOf } from "./model";
import {
  type Condition,
  type NumberText,
  parsePath,
  partsOf,
  type Place,
  type Reading,
  type Text,
  type Time,
  tokensOf,
  unescaped,
} from "./payload";
import { add, divide, multiply, rational, type Rational, subtract } from "./rational";
import { durationSeconds, type Unit, units } from "./units";
import { type Transition, transitionsOf } from "./zones";

/**
 * What reads messages by a model: plain data, which `scripts/reading.star` in Telegraf and `reading.ts`
 * here go by in the same way.
 */
export interface Plan {
  /** By the id of a subscription, the forms that its messages may have. */
  subscriptions: Record<string, SourcePlan[]>;
  /** Age beyond which no time is believed, in ns; null for any. */
  oldest: number | null;
}

/** Rows that one message may give. */
export const mostRows = 1000;

/** Where a path begins, and its keys: {@link import("./payload").Path}. */
export type PathPlan = [up: number, keys: string[]];

/** Where a text is: its kind, what it needs, and the part of the text that is meant. */
export type PlacePlan = [
  kind: "path" | "segment" | "rest" | "key" | "index" | "fixed",
  /** Where it is; of a fixed text, the text as its one key. */
  path: PathPlan | null,
  /** Segment, level of `each`, or the pattern's level at which `#` begins. */
  number: number,
  /** First number of an `index`. */
  first: number,
  split: string | null,
  from: number,
  to: number | null,
];

/** A place, and the texts of which it must have one; null for any. "" is that nothing is there. */
export type ConditionPlan = [place: PlacePlan, texts: string[] | null];

/** What few fields have. */
export interface ExtraPlan {
  /** Texts and numbers as sent that mean no reading. */
  absent: [texts: string[], numbers: number[]] | null;
  /** Bits of a register whose number is sent without its sign. */
  signed: number | null;
  /** What a list has while the value is true. */
  has: string | null;
  /** Where the power of ten is. */
  exponent: PathPlan | null;
}

export interface FieldPlan {
  name: string;
  path: PathPlan;
  kind: "float" | "int" | "bool" | "string";
  /** The stored value is (sent · factor + addend) / divisor. */
  factor: number;
  addend: number;
  divisor: number;
  number: [decimal: string, group: string | null, suffix: string | null, base: number] | null;
  values: Record<string, string | boolean> | null;
  bit: number | null;
  extra: ExtraPlan | null;
}

export interface TimePlan {
  paths: PathPlan[];
  /** Tokens of each path's part of a pattern; null where the format is a named one. */
  tokens: string[][] | null;
  /** Named format; "" for a pattern. */
  format: string;
  /** Power of ten of the seconds that a Unix time counts: 0, 3, 6 or 9; null for a text. */
  power: number | null;
  zone: Transition[];
  optional: boolean;
  /** How far ahead a time is believed, in ns; null for any. */
  lead: number | null;
  outside: "drop" | "arrival";
}

export interface SourcePlan {
  table: string;
  each: PathPlan[];
  /** Whether each level goes through an object's entries rather than a list. */
  keyed: boolean[];
  names: PlacePlan | null;
  value: PathPlan;
  time: TimePlan | null;
  tags: { name: string; place: PlacePlan | null; optional: boolean; fallback: string | null }[];
  fields: FieldPlan[];
  where: ConditionPlan[];
  good: ConditionPlan[];
  /** How a text is split that is no JSON; null where it is JSON. */
  text: [lines: boolean, split: string | null, pairs: string | null, header: boolean] | null;
  /** Whether a payload that is no JSON is a value as it stands. */
  bare: boolean;
}

/** What one of Telegraf's consumers subscribes to. */
export interface Subscription {
  /** Names its session within the site. It changes with what is subscribed to. */
  id: string;
  /** Pattern of the model. */
  pattern: string;
  /** What the broker is asked for. */
  topics: string[];
  /** Measurements that its messages are of, the first one first. */
  measurements: Measurement[];
  sources: { measurement: Measurement; source: Source }[];
}

/**
 * Topic on which the broker's container tells its time, in s since 1970, every second. A reader that
 * was away learns from it when the messages between came. No pattern without the `$` matches it.
 */
export const clockTopic = "$bess/clock";

/**
 * What is subscribed to for a pattern. Where a message has no time of its own, a shared subscription
 * keeps out what the broker retained, whose age nobody knows, and the clock tells when each came.
 */
const topicsFor = (pattern: string, timed: boolean): string[] =>
  timed ? [pattern] : [`$share/bess/${pattern}`, clockTopic];

/** Whether a subscription hears the broker's clock. */
export const hearsClock = ({ topics }: Pick<Subscription, "topics">): boolean =>
  topics.includes(clockTopic);

/** The subscriptions of a model: one for each topic pattern, in the model's order. */
export function subscriptionsOf(model: Model): Subscription[] {
  const byPattern = new Map<string, Subscription["sources"]>();
  for (const measurement of model.measurements)
    for (const source of sourcesOf(measurement))
      for (const pattern of source.topics)
        byPattern.set(pattern, [...(byPattern.get(pattern) ?? []), { measurement, source }]);
  return [...byPattern].map(([pattern, sources]) => {
    const topics = topicsFor(
      pattern,
      sources.every(({ source }) => source.time !== undefined),
    );
    return {
      id: createHash("sha256").update(topics.join("\n")).digest("hex").slice(0, 8),
      pattern,
      topics,
      measurements: [...new Set(sources.map(({ measurement }) => measurement))],
      sources,
    };
  });
}

/**
 * The plan that reads a model's messages.
 * @param retention how long rows are kept, such as `90d`. Default: a time of any age is believed.
 */
export const planOf = (model: Model, retention?: string): Plan => ({
  subscriptions: Object.fromEntries(
    subscriptionsOf(model).map(({ id, pattern, sources }) => [
      id,
      sources.map(({ measurement, source }) => sourcePlan(measurement.name, source, pattern)),
    ]),
  ),
  oldest: retention === undefined ? null : durationSeconds(retention) * 1e9,
});

const pathPlan = (text: string): PathPlan => {
  const { up, keys } = parsePath(text);
  return [up, [...keys]];
};

/** Whether a path is the whole payload or the whole element. */
const isWhole = ([, keys]: PathPlan): boolean => keys.length === 0;

function sourcePlan(table: string, source: Source, pattern: string): SourcePlan {
  const depth = source.each.length;
  const place = (of: Place): PlacePlan => placePlan(of, pattern, depth);
  const tags = source.tags.map(({ tag, place: of }) => ({
    name: tag.name,
    place: of ? place(of) : null,
    optional: tag.optional,
    fallback: tag.default ?? null,
  }));
  const names = source.names ? place(source.names) : null;
  const where = source.where.map((condition) => conditionPlan(condition, place));
  const good = source.good.map((condition) => conditionPlan(condition, place));
  const keys = [
    ...tags.map((tag) => tag.place),
    ...[...where, ...good].map(([condition]) => condition),
    names,
  ];
  const value = pathPlan(source.value);
  const fields = source.fields.map(({ field, reading }): FieldPlan => {
    const path: PathPlan = names ? [0, [unescaped(reading.path)]] : pathPlan(reading.path);
    return { ...valuePlan(field, reading), path };
  });
  return {
    table,
    each: source.each.map(pathPlan),
    keyed: source.each.map((_, i) => keys.some((key) => key?.[0] === "key" && key[2] === i)),
    names,
    value,
    time: source.time ? timePlan(source.time) : null,
    tags,
    fields,
    where,
    good,
    text: source.text ? textPlan(source.text) : null,
    bare: names ? isWhole(value) : fields.some(({ path }) => isWhole(path)),
  };
}

/** How a field's values are read, wherever they stand. */
export function valuePlan(field: Field, reading: Reading): Omit<FieldPlan, "path"> {
  const { number, values, bit, absent, signed, has, exponent } = reading;
  const extra = absent ?? signed ?? has ?? exponent;
  return {
    name: field.name,
    kind: field.type,
    ...conversion(field, reading),
    number: number ? numberPlan(number) : null,
    values: values ?? null,
    bit: bit ?? null,
    extra:
      extra === undefined
        ? null
        : {
            absent: absent ? absentPlan(absent) : null,
            signed: signed ?? null,
            has: has ?? null,
            exponent: exponent === undefined ? null : pathPlan(exponent),
          },
  };
}

const absentPlan = (values: (string | number)[]): ExtraPlan["absent"] => [
  values.filter((value) => typeof value === "string"),
  values.filter((value) => typeof value === "number"),
];

const conditionPlan = (
  { is, ...place }: Condition,
  planned: (place: Place) => PlacePlan,
): ConditionPlan => [
  planned(place),
  is === undefined ? null : [is].flat().map((text) => (text === null ? "" : String(text))),
];

const textPlan = ({ lines, split, pairs, header }: Text): SourcePlan["text"] => [
  lines,
  split ?? null,
  pairs ?? null,
  header,
];

const numberPlan = ({ decimal, group, suffix, base }: NumberText): FieldPlan["number"] => [
  decimal,
  group ?? null,
  suffix ?? null,
  base,
];

function placePlan(place: Place, pattern: string, depth: number): PlacePlan {
  const { path, segment, index, fixed, of = depth - 1, split = null } = place;
  const parts = partsOf(place.part);
  if (fixed !== undefined) return ["fixed", [0, [fixed]], 0, 0, split, ...parts];
  if (path !== undefined) return ["path", pathPlan(path), 0, 0, split, ...parts];
  if (segment === "#") return ["rest", null, pattern.split("/").length - 1, 0, split, ...parts];
  if (segment !== undefined) return ["segment", null, segment, 0, split, ...parts];
  return [index === undefined ? "key" : "index", null, of, index ?? 0, split, ...parts];
}

const one = rational(1);

/** Size and zero of a unit in its dimension's base. */
interface Base {
  factor: Rational;
  offset: Rational;
}

/** Those that were asked for: a simulator asks for each value that it sends. */
const bases = new Map<Unit, Base>();

function baseOf(unit: Unit): Base {
  let base = bases.get(unit);
  if (!base) {
    const { factor, offset } = units[unit];
    bases.set(unit, (base = { factor: rational(factor), offset: rational(offset) }));
  }
  return base;
}

/**
 * How a value as sent becomes the stored one, as whole numbers wherever they can say it: 7321 times
 * 0.1 is then 732.1 to the last digit.
 */
export function conversion(
  { unit, type }: Pick<Field, "unit" | "type">,
  { scale = 1, offset = 0, sent = unit }: Pick<Reading, "scale" | "offset" | "sent">,
): Pick<FieldPlan, "factor" | "addend" | "divisor"> {
  const [from, to] = [baseOf(sent), baseOf(unit)];
  const perUnit = sent === unit ? one : divide(from.factor, to.factor);
  const shift = sent === unit ? rational(0) : divide(subtract(from.offset, to.offset), to.factor);
  const a = multiply(rational(scale), perUnit);
  const b = add(multiply(rational(offset), perUnit), shift);
  const plain = type === "float" && offset === 0 && sent === unit;
  // A scale that is no part of a whole, such as 0.7, has always been a plain factor.
  if (plain && a.numerator !== 1n && a.numerator !== -1n)
    return { factor: scale, addend: 0, divisor: 1 };
  const divisor = (a.denominator * b.denominator) / common(a.denominator, b.denominator);
  return {
    factor: Number((a.numerator * divisor) / a.denominator),
    addend: Number((b.numerator * divisor) / b.denominator),
    divisor: Number(divisor),
  };
}

const common = (a: bigint, b: bigint): bigint => (b === 0n ? a : common(b, a % b));

const powers: Partial<Record<string, number>> = { unix: 0, unix_ms: 3, unix_us: 6, unix_ns: 9 };

/** Spellings that have a name, as patterns. */
const named: Partial<Record<string, string>> = { http: "ddd, DD MMM YYYY HH:mm:ss Z" };

export function timePlan({ path, format, zone, optional, lead, outside }: Time): TimePlan {
  const paths = Array.isArray(path) ? path : [path];
  const pattern = format in powers || format === "iso8601" ? undefined : (named[format] ?? format);
  const parts =
    paths.length > 1 ? pattern?.split(" ") : pattern === undefined ? undefined : [pattern];
  return {
    paths: paths.map(pathPlan),
    tokens: parts?.map(tokensOf) ?? null,
    format: pattern === undefined ? format : "",
    power: powers[format] ?? null,
    zone: transitionsOf(zone),
    optional,
    lead: lead === undefined ? null : durationSeconds(lead) * 1e9,
    outside,
  };
}
