import type { Measurement, Model } from "../configs/model";
import { figureTables } from "../configs/performance";
import { isNumber, type Rolled, rolledOf } from "../configs/rollups";

/** A condition on a tag, as InfluxQL writes it. */
export interface Condition {
  tag: string;
  operator: "=" | "!=" | "=~" | "!~";
  value: string;
}

/** What a query selects of each bucket: arithmetic of aggregates and numbers. */
export type Expression =
  | { number: number }
  | { aggregate: "mean" | "min" | "max" | "sum" | "count" | "last"; of: number }
  | { operator: "+" | "-" | "*"; left: Expression; right: Expression };

/** A query that can be answered from rollups. */
export interface Query {
  measurement: Measurement;
  columns: { name: string; value: Expression }[];
  conditions: Condition[];
  /** In nanoseconds since 1970; the end is not part of it. */
  start: bigint;
  end: bigint;
  /** Seconds of a bucket. */
  interval: number;
  tags: string[];
  /** Whether a bucket without rows is answered too. */
  filled: boolean;
}

/** A query of figures that were reckoned by day. */
export interface FigureQuery {
  measurement: Measurement;
  /** Whether the figures are those of all units together. */
  site: boolean;
  span: "day" | "month";
  /** Names of figures, or regular expressions of them. */
  columns: ({ name: string; figure: string } | { pattern: string })[];
  conditions: Condition[];
  /** In nanoseconds since 1970; the end is not part of it. */
  start: bigint;
  end: bigint;
  tags: string[];
  latestFirst: boolean;
}

type Token =
  | { kind: "word" | "name" | "text" | "regex" | "symbol"; text: string }
  | { kind: "number"; text: string; unit: string };

/** Why a query is not answered from rollups. */
class Unfit extends Error {}

const pattern =
  /\s*(?:(?<name>"(?:[^"\\]|\\.)*")|(?<text>'(?:[^'\\]|\\.)*')|(?<number>\d+(?:\.\d+)?)(?<unit>ns|u|µ|ms|s|m|h|d|w)?(?![\w.])|(?<word>[A-Za-z_]\w*)|(?<symbol>=~|!~|!=|<>|<=|>=|[-+*/(),<>=;.]))/uy;

/** Whether a slash begins a regular expression here, and is no division. */
const mayPrecedeRegex = ({ kind, text }: Token): boolean =>
  kind === "symbol"
    ? ["=~", "!~", ","].includes(text)
    : kind === "word" && text.toLowerCase() === "select";

function tokens(query: string): Token[] {
  const found: Token[] = [];
  const text = query.trimEnd();
  for (let at = 0; at < text.length;) {
    const last = found.at(-1);
    if (last && mayPrecedeRegex(last) && /^\s*\//.test(text.slice(at))) {
      const [whole, body] = /^\s*\/((?:[^/\\\n]|\\.)*)\//.exec(text.slice(at)) ?? [];
      if (whole === undefined || body === undefined) throw new Unfit("no regular expression");
      found.push({ kind: "regex", text: body.replaceAll("\\/", "/") });
      at += whole.length;
      continue;
    }
    pattern.lastIndex = at;
    const { groups } = pattern.exec(text) ?? {};
    if (!groups) throw new Unfit(`no token at ${at}`);
    at = pattern.lastIndex;
    const { name, text: quoted, number, unit = "", word, symbol } = groups;
    if (number !== undefined) found.push({ kind: "number", text: number, unit });
    else if (word !== undefined) found.push({ kind: "word", text: word });
    else if (symbol !== undefined) found.push({ kind: "symbol", text: symbol });
    else {
      const body = (name ?? quoted ?? "").slice(1, -1);
      if (body.includes("\\")) throw new Unfit("an escaped character");
      found.push({ kind: name === undefined ? "text" : "name", text: body });
    }
  }
  return found;
}

const nanoseconds: Record<string, bigint> = {
  "": 1n,
  ns: 1n,
  u: 1000n,
  µ: 1000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
  d: 86_400_000_000_000n,
  w: 604_800_000_000_000n,
};

const functions = ["mean", "min", "max", "sum", "count", "last"] as const;

/** What a WHERE says. */
interface Where {
  start: bigint | undefined;
  end: bigint | undefined;
  conditions: Condition[];
}

/** A product of a derived power: two fields and a sign. */
type Product = { fields: [string, string]; sign: number };

class Parser {
  private at = 0;

  constructor(
    private readonly all: Token[],
    private readonly model: Model,
    /** In nanoseconds since 1970. */
    private readonly now: bigint,
  ) {}

  query(): Query {
    this.keyword("select");
    // What is selected can be read only once the table is known.
    const selected = this.at;
    this.skipTo("from");
    this.keyword("from");
    const inner = this.symbol("(") ? this.power() : undefined;
    const measurement = inner?.measurement ?? this.measurement();
    const rolled = rolledOf(measurement);
    this.keyword("where");
    const where = this.where(measurement);
    this.keyword("group");
    this.keyword("by");
    const { interval, tags } = this.groups(measurement);
    const filled = this.fill();
    this.symbol(";");
    if (this.at < this.all.length) throw new Unfit("more than is known");
    this.at = selected;
    const columns = this.columns((name) => {
      const of = inner
        ? name === inner.alias
          ? inner.of
          : -1
        : rolled.findIndex((each) => each.name === name && !each.terms);
      if (of < 0) throw new Unfit(`no field ${name}`);
      return of;
    }, rolled);
    if (inner?.sign === -1) for (const column of columns) column.value = negated(column.value);
    const start = later(where.start, inner?.where.start);
    const end = earlier(where.end, inner?.where.end);
    if (start === undefined || end === undefined) throw new Unfit("no range");
    const all = (some: string[]) => measurement.tags.every(({ name }) => some.includes(name));
    // Rows of several units may have one time, and a minute does not tell which of them was the last.
    if (inner && !all(inner.tags)) throw new Unfit("units together");
    if (!all(tags) && columns.some(({ value }) => usesLast(value)))
      throw new Unfit("units together");
    return {
      measurement,
      columns,
      conditions: [...where.conditions, ...(inner?.where.conditions ?? [])],
      start,
      end,
      interval,
      tags,
      filled,
    };
  }

  figures(): FigureQuery {
    this.keyword("select");
    const columns: FigureQuery["columns"] = [];
    do {
      const token = this.all[this.at];
      if (token?.kind === "regex") {
        this.at += 1;
        columns.push({ pattern: token.text });
      } else {
        const figure = this.name();
        columns.push({ figure, name: this.optional("as") ? this.name() : figure });
      }
    } while (this.symbol(","));
    this.keyword("from");
    const table = this.name();
    const found = this.model.measurements
      .flatMap((measurement) =>
        Object.entries(figureTables(measurement)).map(([which, name]) => ({
          measurement,
          which: which as keyof ReturnType<typeof figureTables>,
          name,
        })),
      )
      .find(({ name }) => name === table);
    if (!found) throw new Unfit(`no table ${table}`);
    const { measurement, which } = found;
    const site = which === "siteDaily" || which === "siteMonthly";
    this.keyword("where");
    const { start, end, conditions } = this.where(measurement);
    const tags: string[] = [];
    if (this.optional("group")) {
      this.keyword("by");
      do tags.push(this.tag(measurement));
      while (this.symbol(","));
    }
    let latestFirst = false;
    if (this.optional("order")) {
      this.keyword("by");
      this.keyword("time");
      latestFirst = this.optional("desc");
      if (!latestFirst) this.optional("asc");
    }
    this.symbol(";");
    if (this.at < this.all.length) throw new Unfit("more than is known");
    if (start === undefined || end === undefined) throw new Unfit("no range");
    if (site && tags.length > 0) throw new Unfit("tags of all units");
    const span = which === "daily" || which === "siteDaily" ? "day" : "month";
    return { measurement, site, span, columns, conditions, start, end, tags, latestFirst };
  }

  /** `SELECT "v" * "i" + … AS "power" FROM … WHERE … GROUP BY tags)`: a power that is rolled up. */
  private power() {
    this.keyword("select");
    const products: Product[] = [this.product()];
    while (this.symbol("+")) products.push(this.product());
    this.keyword("as");
    const alias = this.name();
    this.keyword("from");
    const measurement = this.measurement();
    this.keyword("where");
    const where = this.where(measurement);
    this.keyword("group");
    this.keyword("by");
    const tags = [this.tag(measurement)];
    while (this.symbol(",")) tags.push(this.tag(measurement));
    if (!this.symbol(")")) throw new Unfit("no end of a subquery");
    const sign = products[0]?.sign ?? 1;
    const of = rolledOf(measurement).findIndex(
      ({ terms }) =>
        terms?.length === products.length &&
        terms.every((term, i) => {
          const product = products[i];
          return (
            product?.fields[0] === term.voltage &&
            product.fields[1] === term.current &&
            product.sign === term.sign * sign
          );
        }),
    );
    if (of < 0) throw new Unfit("no such power");
    return { measurement, alias, of, sign, where, tags };
  }

  private product(): Product {
    const first = this.name();
    if (!this.symbol("*")) throw new Unfit("no product");
    const second = this.name();
    let sign = 1;
    if (this.symbol("*")) {
      if (!this.symbol("-") || this.number() !== 1) throw new Unfit("another factor");
      sign = -1;
    }
    return { fields: [first, second], sign };
  }

  private columns(of: (name: string) => number, rolled: Rolled[]): Query["columns"] {
    const columns: Query["columns"] = [];
    do {
      const value = this.sum(of, rolled);
      const name = this.optional("as")
        ? this.name()
        : "aggregate" in value
          ? value.aggregate
          : undefined;
      if (name === undefined || name === "time" || columns.some((c) => c.name === name))
        throw new Unfit("a name that InfluxDB chooses");
      if (!usesAggregate(value)) throw new Unfit("no aggregate");
      columns.push({ name, value });
    } while (this.symbol(","));
    this.keyword("from");
    return columns;
  }

  private sum(of: (name: string) => number, rolled: Rolled[]): Expression {
    let left = this.factor(of, rolled);
    for (;;) {
      const operator = this.symbol("+") ? "+" : this.symbol("-") ? "-" : undefined;
      if (!operator) return left;
      left = { operator, left, right: this.factor(of, rolled) };
    }
  }

  private factor(of: (name: string) => number, rolled: Rolled[]): Expression {
    let left = this.atom(of, rolled);
    while (this.symbol("*")) left = { operator: "*", left, right: this.atom(of, rolled) };
    return left;
  }

  private atom(of: (name: string) => number, rolled: Rolled[]): Expression {
    if (this.symbol("(")) {
      const inner = this.sum(of, rolled);
      if (!this.symbol(")")) throw new Unfit("no bracket");
      return inner;
    }
    if (this.symbol("-")) return { number: -this.number() };
    const token = this.all[this.at];
    if (token?.kind === "number") return { number: this.number() };
    if (token?.kind !== "word") throw new Unfit("no aggregate");
    const aggregate = functions.find((name) => name === token.text.toLowerCase());
    if (!aggregate) throw new Unfit(token.text);
    this.at += 1;
    if (!this.symbol("(")) throw new Unfit("no bracket");
    const index = of(this.name());
    if (!this.symbol(")")) throw new Unfit("no bracket");
    const numeric = isNumber(rolled[index] ?? { type: "string" });
    if (!numeric && aggregate !== "count" && aggregate !== "last") throw new Unfit("no number");
    return { aggregate, of: index };
  }

  private measurement(): Measurement {
    const name = this.name();
    const found = this.model.measurements.find((m) => m.name === name);
    if (!found) throw new Unfit(`no table ${name}`);
    return found;
  }

  private where(m: Measurement): Where {
    const where: Where = { start: undefined, end: undefined, conditions: [] };
    do {
      const name = this.name();
      if (name.toLowerCase() === "time") this.bound(where);
      else where.conditions.push(this.condition(m, name));
    } while (this.optional("and"));
    return where;
  }

  private bound(where: Where): void {
    const operator = [">=", "<=", ">", "<", "="].find((each) => this.symbol(each));
    const time = this.time();
    if (operator === ">=") where.start = later(where.start, time);
    else if (operator === ">") where.start = later(where.start, time + 1n);
    else if (operator === "<=") where.end = earlier(where.end, time + 1n);
    else if (operator === "<") where.end = earlier(where.end, time);
    else throw new Unfit("another condition on the time");
  }

  private time(): bigint {
    const token = this.all[this.at];
    if (token?.kind === "text") {
      this.at += 1;
      const utc = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d:\d\d(?:\.\d{1,3})?)Z?)?$/.exec(token.text);
      const time = Date.parse(`${utc?.[1]}T${utc?.[2] ?? "00:00:00"}Z`);
      if (Number.isNaN(time)) throw new Unfit("another form of time");
      return BigInt(time) * 1_000_000n;
    }
    if (token?.kind === "word" && token.text.toLowerCase() === "now") {
      this.at += 1;
      if (!this.symbol("(") || !this.symbol(")")) throw new Unfit("no bracket");
      if (this.symbol("-")) return this.now - this.duration();
      if (this.symbol("+")) return this.now + this.duration();
      return this.now;
    }
    return this.duration();
  }

  /** A number with a unit, in nanoseconds. */
  private duration(): bigint {
    const token = this.all[this.at];
    if (token?.kind !== "number" || token.text.includes(".")) throw new Unfit("no time");
    this.at += 1;
    return BigInt(token.text) * (nanoseconds[token.unit] ?? 1n);
  }

  private condition(m: Measurement, tag: string): Condition {
    if (!m.tags.some(({ name }) => name === tag)) throw new Unfit(`no tag ${tag}`);
    const operator = (["=~", "!~", "!=", "="] as const).find((each) => this.symbol(each));
    const token = this.all[this.at];
    this.at += 1;
    const wanted = operator === "=~" || operator === "!~" ? "regex" : "text";
    if (!operator || token?.kind !== wanted) throw new Unfit("another condition");
    return { tag, operator, value: token.text };
  }

  private groups(m: Measurement): { interval: number; tags: string[] } {
    let interval: number | undefined;
    const tags: string[] = [];
    do {
      const next = this.all[this.at + 1];
      if (this.all[this.at]?.kind === "word" && next?.kind === "symbol" && next.text === "(") {
        this.keyword("time");
        this.at += 1;
        const length = this.duration();
        if (!this.symbol(")") || length % 1_000_000_000n !== 0n || interval !== undefined)
          throw new Unfit("another interval");
        interval = Number(length / 1_000_000_000n);
      } else tags.push(this.tag(m));
    } while (this.symbol(","));
    if (!interval) throw new Unfit("no interval");
    return { interval, tags };
  }

  private tag(m: Measurement): string {
    const name = this.name();
    if (!m.tags.some((tag) => tag.name === name)) throw new Unfit(`no tag ${name}`);
    return name;
  }

  private fill(): boolean {
    if (!this.optional("fill")) return true;
    if (!this.symbol("(")) throw new Unfit("no bracket");
    const token = this.all[this.at];
    this.at += 1;
    const how = token?.text.toLowerCase();
    if ((how !== "null" && how !== "none") || !this.symbol(")")) throw new Unfit("another fill");
    return how === "null";
  }

  private name(): string {
    const token = this.all[this.at];
    if (token?.kind !== "name" && token?.kind !== "word") throw new Unfit("no name");
    this.at += 1;
    return token.text;
  }

  private number(): number {
    const token = this.all[this.at];
    if (token?.kind !== "number" || token.unit !== "") throw new Unfit("no number");
    this.at += 1;
    return Number(token.text);
  }

  private skipTo(word: string): void {
    while (this.at < this.all.length && !this.is("word", word)) this.at += 1;
  }

  private is(kind: "word" | "symbol", text: string): boolean {
    const token = this.all[this.at];
    return token?.kind === kind && token.text.toLowerCase() === text;
  }

  private symbol(text: string): boolean {
    const found = this.is("symbol", text);
    if (found) this.at += 1;
    return found;
  }

  private optional(word: string): boolean {
    const found = this.is("word", word);
    if (found) this.at += 1;
    return found;
  }

  private keyword(word: string): void {
    if (!this.optional(word)) throw new Unfit(`no ${word}`);
  }
}

/** A power whose sign is turned: its mean, sum and last are turned too, its least is the most. */
function negated(value: Expression): Expression {
  if ("number" in value) return value;
  if ("operator" in value)
    return { ...value, left: negated(value.left), right: negated(value.right) };
  if (value.aggregate === "count") return value;
  const turned = { min: "max", max: "min" } as const;
  const aggregate =
    value.aggregate === "min" || value.aggregate === "max"
      ? turned[value.aggregate]
      : value.aggregate;
  return { operator: "*", left: { ...value, aggregate }, right: { number: -1 } };
}

const leaves = (value: Expression): (Expression & { aggregate: string })[] =>
  "operator" in value
    ? [...leaves(value.left), ...leaves(value.right)]
    : "aggregate" in value
      ? [value]
      : [];

const usesAggregate = (value: Expression): boolean => leaves(value).length > 0;
const usesLast = (value: Expression): boolean =>
  leaves(value).some(({ aggregate }) => aggregate === "last");

const later = (a: bigint | undefined, b: bigint | undefined) =>
  a === undefined || (b !== undefined && b > a) ? b : a;
const earlier = (a: bigint | undefined, b: bigint | undefined) =>
  a === undefined || (b !== undefined && b < a) ? b : a;

/** The aggregates that a query needs, of what each is. */
export const neededBy = ({ columns }: Pick<Query, "columns">): Map<number, Set<string>> => {
  const needed = new Map<number, Set<string>>();
  for (const { value } of columns)
    for (const leaf of leaves(value)) {
      if (!("of" in leaf)) continue;
      const own = needed.get(leaf.of) ?? new Set(["count"]);
      for (const each of leaf.aggregate === "mean" ? ["sum"] : [leaf.aggregate]) own.add(each);
      needed.set(leaf.of, own);
    }
  return needed;
};

/** Reads a query; undefined where it is none of this kind. */
function read<Kind>(
  text: string,
  model: Model,
  now: number,
  as: (parser: Parser) => Kind,
): Kind | undefined {
  try {
    return as(new Parser(tokens(text), model, BigInt(Math.round(now * 1e6)) * 1000n));
  } catch (error) {
    if (error instanceof Unfit) return undefined;
    throw error;
  }
}

/**
 * Reads a query.
 * @param now seconds since 1970.
 * @returns undefined where it is none that rollups answer.
 */
export const parseQuery = (text: string, model: Model, now: number): Query | undefined =>
  read(text, model, now, (parser) => parser.query());

/**
 * Reads a query of figures by day or month.
 * @param now seconds since 1970.
 * @returns undefined where it asks another table.
 */
export const parseFigureQuery = (
  text: string,
  model: Model,
  now: number,
): FigureQuery | undefined => read(text, model, now, (parser) => parser.figures());
