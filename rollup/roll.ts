import { isNumber, mostStates, otherState, type Rolled } from "../configs/rollups";
import { ExactSum } from "../configs/exact-sum";

/** A value of a row. Whole numbers that a double cannot hold are bigints; a flag is "true" or "false". */
export type Value = number | bigint | string;

/** What a rollup holds of a value: of a text only the count and the last. */
export interface Aggregates {
  count: number;
  sum?: number | undefined;
  min?: Value | undefined;
  max?: Value | undefined;
  last: Value;
}

/** A minus before a zero would depend on the order in which the zeros came. */
const unsigned = <T extends Value>(value: T): T => (value === 0 ? (0 as T) : value);

/** Makes {@link Aggregates} of values, or of the aggregates of parts, in any order. */
class Roll {
  private count = 0;
  private readonly sum: ExactSum | undefined;
  private min: Value | undefined;
  private max: Value | undefined;
  private last: Value = 0;
  private lastAt = -Infinity;

  constructor(numeric: boolean) {
    this.sum = numeric ? new ExactSum() : undefined;
  }

  /** @param at when the value was measured. */
  add(value: Value, at: number): void {
    this.count += 1;
    if (at >= this.lastAt) {
      this.last = value;
      this.lastAt = at;
    }
    if (!this.sum) return;
    this.sum.add(Number(value));
    if (this.min === undefined || value < this.min) this.min = value;
    if (this.max === undefined || value > this.max) this.max = value;
  }

  /** @param at when the part begins. */
  merge({ count, sum, min, max, last }: Aggregates, at: number): void {
    this.count += count;
    if (at >= this.lastAt) {
      this.last = last;
      this.lastAt = at;
    }
    if (!this.sum) return;
    this.sum.add(sum ?? Number.NaN);
    if (min !== undefined && (this.min === undefined || min < this.min)) this.min = min;
    if (max !== undefined && (this.max === undefined || max > this.max)) this.max = max;
  }

  /** Undefined while nothing was added. */
  get aggregates(): Aggregates | undefined {
    const { count, sum, min, max, last } = this;
    if (count === 0) return undefined;
    if (!sum) return { count, last };
    const total = sum.value;
    return {
      count,
      // Beyond a double's range there is no sum that InfluxDB could store.
      sum: Number.isFinite(total) ? total : undefined,
      min: min === undefined ? undefined : unsigned(min),
      max: max === undefined ? undefined : unsigned(max),
      last: unsigned(last),
    };
  }
}

/** Time in a state, by the state, in seconds. */
export type StateTimes = ReadonlyMap<string, number>;

/** Adds up the times in states: exact, in whatever order they come. */
export class StateRoll {
  private readonly sums = new Map<string, ExactSum>();

  add(state: string, seconds: number): void {
    let sum = this.sums.get(state);
    if (!sum) this.sums.set(state, (sum = new ExactSum()));
    sum.add(seconds);
  }

  /** The states that lasted longest; all others together are {@link otherState}. */
  get times(): StateTimes {
    const named = [...this.sums]
      .filter(([state]) => state !== otherState)
      .map(([state, sum]) => [state, sum.value] as const)
      .filter(([, seconds]) => seconds > 0)
      .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
    const other = this.sums.get(otherState) ?? new ExactSum();
    for (const [, seconds] of named.slice(mostStates)) other.add(seconds);
    const rest = other.value;
    return new Map([
      ...named.slice(0, mostStates),
      ...(rest > 0 ? [[otherState, rest] as const] : []),
    ]);
  }
}

/** A bucket of one unit. */
export interface Bucket {
  /** When it begins, in seconds since 1970. */
  at: number;
  /** In the order of what is rolled up. */
  values: (Aggregates | undefined)[];
  /** By the field's name. */
  states: ReadonlyMap<string, StateTimes>;
}

/** Buckets of one unit, made of rows or of finer buckets. */
abstract class Buckets {
  private readonly made = new Map<number, { rolls: Roll[]; states: Map<string, StateRoll> }>();

  constructor(
    protected readonly rolled: readonly Rolled[],
    protected readonly seconds: number,
  ) {}

  protected bucket(at: number) {
    let bucket = this.made.get(at);
    if (!bucket) {
      const rolls = this.rolled.map((each) => new Roll(isNumber(each)));
      this.made.set(at, (bucket = { rolls, states: new Map() }));
    }
    return bucket;
  }

  protected addState(at: number, field: string, state: string, seconds: number): void {
    const { states } = this.bucket(at);
    let roll = states.get(field);
    if (!roll) states.set(field, (roll = new StateRoll()));
    roll.add(state, seconds);
  }

  /** The buckets, in the order of time. */
  get buckets(): Bucket[] {
    return [...this.made]
      .sort(([a], [b]) => a - b)
      .map(([at, { rolls, states }]) => ({
        at,
        values: rolls.map(({ aggregates }) => aggregates),
        states: new Map([...states].map(([field, { times }]) => [field, times])),
      }));
  }
}

const nanoseconds = 1e9;

/** Longest text of a state that tells it from others. */
const longestState = 200;

/** The name of a state, by its value. */
export const stateOf = (value: Value): string =>
  String(value).replaceAll(/\s+/g, " ").slice(0, longestState);

/** The minutes of one unit in a span, made of its rows. */
export class RowBuckets extends Buckets {
  /** When each state began, by the field, in ns after the span's start. */
  private readonly states: { name: string; at: number; began: [at: number, state: string][] }[];
  private readonly terms: { voltage: number; current: number; sign: number }[][];

  /**
   * @param rolled what is rolled up. A row's values are those of the fields among it, in this order.
   * @param hold how long a state lasts at most after its row, in seconds.
   */
  constructor(
    rolled: readonly Rolled[],
    seconds: number,
    private readonly span: { start: number; end: number },
    private readonly hold: number,
  ) {
    super(rolled, seconds);
    this.states = rolled.flatMap(({ name, states }, at) =>
      states ? [{ name, at, began: [] }] : [],
    );
    const index = (name: string) => rolled.findIndex((each) => each.name === name);
    this.terms = rolled.map(({ terms = [] }) =>
      terms.map(({ voltage, current, sign }) => ({
        voltage: index(voltage),
        current: index(current),
        sign,
      })),
    );
  }

  /** @param at when it was measured, in ns after the span's start; before it only its states count. */
  add(at: number, values: readonly (Value | undefined)[]): void {
    for (const field of this.states) {
      const value = values[field.at];
      if (value !== undefined && value !== "") field.began.push([at, stateOf(value)]);
    }
    const { start, end } = this.span;
    if (at < 0 || at >= (end - start) * nanoseconds) return;
    const index = Math.floor(at / (this.seconds * nanoseconds));
    const { rolls } = this.bucket(start + index * this.seconds);
    for (let i = 0; i < rolls.length; i += 1) {
      const terms = this.terms[i] ?? [];
      const value = terms.length > 0 ? power(terms, values) : values[i];
      if (value !== undefined) rolls[i]?.add(value, at);
    }
  }

  override get buckets(): Bucket[] {
    for (const { name, began } of this.states) this.addStates(name, began);
    return super.buckets;
  }

  private addStates(field: string, began: [at: number, state: string][]): void {
    const length = (this.span.end - this.span.start) * nanoseconds;
    const bucket = this.seconds * nanoseconds;
    // Whole nanoseconds have an exact sum.
    const times = new Map<number, Map<string, number>>();
    began.sort(([a], [b]) => a - b);
    for (const [i, [at, state]] of began.entries()) {
      const next = began[i + 1]?.[0] ?? Infinity;
      const until = Math.min(next, at + this.hold * nanoseconds, length);
      for (let from = Math.max(at, 0); from < until;) {
        const index = Math.floor(from / bucket);
        const to = Math.min(until, (index + 1) * bucket);
        const inBucket = times.get(index) ?? new Map<string, number>();
        times.set(index, inBucket.set(state, (inBucket.get(state) ?? 0) + to - from));
        from = to;
      }
    }
    for (const [index, inBucket] of times)
      for (const [state, time] of inBucket)
        this.addState(this.span.start + index * this.seconds, field, state, time / nanoseconds);
  }
}

/** A derived power of a row; undefined where a part of it is missing. */
function power(
  terms: readonly { voltage: number; current: number; sign: number }[],
  values: readonly (Value | undefined)[],
): number | undefined {
  let sum: number | undefined;
  for (const { voltage, current, sign } of terms) {
    const [v, i] = [values[voltage], values[current]];
    if (v === undefined || i === undefined) return undefined;
    const product = Number(v) * Number(i) * sign;
    sum = sum === undefined ? product : sum + product;
  }
  return sum !== undefined && Number.isFinite(sum) ? sum : undefined;
}

/** Buckets of one unit, made of those of a finer tier. */
export class MergedBuckets extends Buckets {
  /** @param at when the finer bucket begins, in seconds since 1970. */
  merge(at: number, values: readonly (Aggregates | undefined)[]): void {
    const { rolls } = this.bucket(this.startOf(at));
    for (const [i, value] of values.entries()) if (value) rolls[i]?.merge(value, at);
  }

  mergeState(at: number, field: string, state: string, seconds: number): void {
    this.addState(this.startOf(at), field, state, seconds);
  }

  private startOf(at: number): number {
    return Math.floor(at / this.seconds) * this.seconds;
  }
}
