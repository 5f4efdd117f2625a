import { ExactSum } from "./exact-sum";
import type { Field, Measurement } from "./model";
import { holdSeconds, isNumber, isState, measuresPower, poweredCircuits } from "./rollups";
import { conversion } from "./plan";
import { durationSeconds, type Unit, units } from "./units";

/** A stored row of one unit: its time in s since 1970, and its values by their fields. */
export interface UnitRow {
  time: number;
  values: Partial<Record<string, number | string | boolean | null>>;
}

/** What a unit's rows of a span say of it. A value that the rows do not tell is missing. */
export interface Indicators {
  /** Rows that came, and those that the model expects. */
  rows: number;
  expected: number;
  /** Seconds of the span, and those in which the unit reported. */
  seconds: number;
  reported: number;
  /** kWh. */
  charged?: number;
  discharged?: number;
  /** %: where the state of charge began and ended, its lowest and highest, and the way that it went. */
  soc?: { first: number; last: number; low: number; high: number; way: number };
  /** kWh of a discharge from high to low, for each percent of it; the last one that ended in the span. */
  capacity?: number;
  /** %, the last one. */
  health?: number;
  /** Seconds in each state, by the field. */
  states: Record<string, Record<string, number>>;
  /** Seconds outside the normal range, by the field. */
  outside: Record<string, number>;
  /** Mean and highest difference between fields of one quantity, by the quantity. */
  spread: Record<string, { mean: number; most: number }>;
}

/** State of charge, in %, that a discharge must go through at least to tell a capacity. */
export const leastSwing = 50;

/** How far, in %, the state of charge may turn back on the way. */
const turnBack = 2;

const secondsPerHour = 3600;

/** A function that tells the power of a row in kW, over 0 while discharging; undefined without one. */
export function powerOf(
  measurement: Measurement,
): ((values: UnitRow["values"]) => number | undefined) | undefined {
  const toKilowatt = ({ unit }: Pick<Field, "unit">) => {
    const { factor, addend, divisor } = conversion(
      { unit: "kW", type: "int" },
      { sent: unit === "" ? "kW" : unit },
    );
    return (value: number) => (value * factor + addend) / divisor;
  };
  const sign = ({ positive }: Pick<Field, "positive">) => (positive === "discharging" ? 1 : -1);
  const measured = measurement.fields.find(
    ({ quantity, unit }) =>
      quantity === "power" && (unit === "" || units[unit].measures === "power"),
  );
  if (measured) {
    const convert = toKilowatt(measured);
    return (values) => {
      const value = values[measured.name];
      return typeof value === "number" ? sign(measured) * convert(value) : undefined;
    };
  }
  if (measuresPower(measurement)) return undefined;
  const powered = poweredCircuits(measurement);
  const direct = powered.filter(({ circuit }) => circuit === "dc");
  const chosen = direct.length > 0 ? direct : powered;
  if (chosen.length === 0) return undefined;
  return (values) => {
    let sum = 0;
    for (const { voltage, current } of chosen) {
      const [volts, amperes] = [values[voltage.name], values[current.name]];
      if (typeof volts !== "number" || typeof amperes !== "number") return undefined;
      sum += (sign(current) * volts * amperes) / 1000;
    }
    return sum;
  };
}

/** The fields of one quantity of a table, by the quantity, where there are several. */
export const spreadsOf = ({ fields }: Measurement): [quantity: string, fields: Field[]][] =>
  (["voltage", "temperature"] as const).flatMap((quantity) => {
    const same = fields.filter(
      (field) => field.quantity === quantity && field.circuit === "dc" && isNumber(field),
    );
    return same.length > 1 ? [[quantity, same]] : [];
  });

/** Finds discharges that go far enough to tell what the battery holds. */
class Discharges {
  private high: number | undefined;
  private low = 0;
  private energy = 0;
  private energyAtLow = 0;
  /** kWh for each percent, of the last one that has ended. */
  found: number | undefined;

  /** @param energy kWh that went out since the last call, less what came in. */
  add(soc: number, energy: number): void {
    this.energy += energy;
    const isHigh = this.high !== undefined && this.low === this.high;
    if (this.high === undefined || (isHigh && soc > this.high)) this.begin(soc);
    else if (soc < this.low) {
      this.low = soc;
      this.energyAtLow = this.energy;
    } else if (soc > this.low + turnBack) {
      this.end();
      this.begin(soc);
    }
  }

  /** Ends what goes on. */
  end(): void {
    const swing = (this.high ?? 0) - this.low;
    if (this.high !== undefined && swing >= leastSwing && this.energyAtLow > 0)
      this.found = this.energyAtLow / swing;
  }

  private begin(soc: number): void {
    [this.high, this.low, this.energy, this.energyAtLow] = [soc, soc, 0, 0];
  }
}

/**
 * Reckons what the rows of one unit say. A row's values hold until the next one, as in the rollups: three
 * of the model's intervals at most, and ten seconds at least.
 */
export class UnitIndicators {
  private readonly hold: number;
  private readonly power: ReturnType<typeof powerOf>;
  private readonly soc: Field | undefined;
  private readonly health: Field | undefined;
  private readonly stateFields: Field[];
  private readonly ranged: Field[];
  private readonly spreads: [quantity: string, fields: Field[]][];
  private readonly discharges = new Discharges();
  /** The row that holds, from when it is not counted yet, and until when it holds. */
  private last: UnitRow["values"] | undefined;
  private from = 0;
  private to = 0;
  private span = this.empty();

  constructor(private readonly measurement: Measurement) {
    const { fields } = measurement;
    this.hold = holdSeconds(measurement);
    this.power = powerOf(measurement);
    this.soc = fields.find(({ quantity, unit }) => quantity === "state_of_charge" && unit === "%");
    this.health = fields.find(({ quantity }) => quantity === "state_of_health");
    this.stateFields = fields.filter(isState);
    this.ranged = fields.filter((field) => field.range && isNumber(field) && !isState(field));
    this.spreads = spreadsOf(measurement);
  }

  private empty() {
    return {
      rows: 0,
      reported: new ExactSum(),
      charged: new ExactSum(),
      discharged: new ExactSum(),
      powered: false,
      soc: undefined as Indicators["soc"],
      way: new ExactSum(),
      health: undefined as number | undefined,
      states: new Map<string, Map<string, ExactSum>>(),
      outside: new Map<string, ExactSum>(),
      spread: new Map<string, { sum: ExactSum; seconds: ExactSum; most: number }>(),
    };
  }

  /** Takes a row; in the order of time. */
  add(row: UnitRow): void {
    const energy = this.until(row.time);
    const { span } = this;
    span.rows += 1;
    const soc = this.soc && row.values[this.soc.name];
    if (typeof soc === "number") {
      const { soc: known } = span;
      if (known) {
        span.way.add(Math.abs(soc - known.last));
        known.last = soc;
        known.low = Math.min(known.low, soc);
        known.high = Math.max(known.high, soc);
      } else span.soc = { first: soc, last: soc, low: soc, high: soc, way: 0 };
      this.discharges.add(soc, energy);
    }
    const health = this.health && row.values[this.health.name];
    if (typeof health === "number") span.health = health;
    this.last = row.values;
    this.from = row.time;
    this.to = row.time + this.hold;
  }

  /** Counts what holds until a moment. @returns kWh that went out, less what came in. */
  private until(time: number): number {
    const { last, span } = this;
    const end = Math.min(time, this.to);
    const seconds = end - this.from;
    if (!last || seconds <= 0) return 0;
    this.from = end;
    span.reported.add(seconds);
    for (const { name } of this.stateFields) {
      const value = last[name];
      if (value === null || value === undefined) continue;
      const states = at(span.states, name, () => new Map<string, ExactSum>());
      at(states, String(value), () => new ExactSum()).add(seconds);
    }
    for (const { name, range } of this.ranged) {
      const value = last[name];
      if (typeof value !== "number" || !range || (value >= range[0] && value <= range[1])) continue;
      at(span.outside, name, () => new ExactSum()).add(seconds);
    }
    for (const [quantity, fields] of this.spreads) {
      const values = fields
        .map(({ name }) => last[name])
        .filter((each) => typeof each === "number");
      if (values.length < 2) continue;
      const spread = Math.max(...values) - Math.min(...values);
      const known = at(span.spread, quantity, () => ({
        sum: new ExactSum(),
        seconds: new ExactSum(),
        most: 0,
      }));
      known.sum.add(spread * seconds);
      known.seconds.add(seconds);
      known.most = Math.max(known.most, spread);
    }
    const power = this.power?.(last);
    if (power === undefined) return 0;
    span.powered = true;
    const energy = (power * seconds) / secondsPerHour;
    if (energy > 0) span.discharged.add(energy);
    else span.charged.add(-energy);
    return energy;
  }

  /**
   * Ends a span, and begins the next one: what holds at its end goes on in that.
   * @param from beginning of the span, in s.
   * @param to its end.
   */
  close(from: number, to: number): Indicators {
    const energy = this.until(to);
    const { span } = this;
    if (span.soc) this.discharges.add(span.soc.last, energy);
    const { found } = this.discharges;
    this.discharges.found = undefined;
    this.span = this.empty();
    const seconds = to - from;
    if (span.reported.value > 0)
      for (const { name } of this.ranged) at(span.outside, name, () => new ExactSum());
    const sums = (map: ReadonlyMap<string, ExactSum>) =>
      Object.fromEntries([...map].map(([key, sum]) => [key, sum.value]));
    return {
      rows: span.rows,
      expected: Math.round(seconds / durationSeconds(this.measurement.interval)),
      seconds,
      reported: span.reported.value,
      ...(span.powered && {
        charged: span.charged.value,
        discharged: span.discharged.value,
      }),
      ...(span.soc && { soc: { ...span.soc, way: span.way.value } }),
      ...(found !== undefined && { capacity: found }),
      ...(span.health !== undefined && { health: span.health }),
      states: Object.fromEntries([...span.states].map(([key, map]) => [key, sums(map)])),
      outside: sums(span.outside),
      spread: Object.fromEntries(
        [...span.spread].map(([key, { sum, seconds: of, most }]) => [
          key,
          { mean: of.value > 0 ? sum.value / of.value : most, most },
        ]),
      ),
    };
  }
}

/** The value at a key; it is made where there is none. */
function at<Value>(map: Map<string, Value>, key: string, make: () => Value): Value {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

/** Spans that follow one another as one, such as the days of a month. */
export function together(spans: readonly Indicators[]): Indicators {
  const sum = (value: (span: Indicators) => number | undefined): number => {
    const exact = new ExactSum();
    for (const span of spans) exact.add(value(span) ?? 0);
    return exact.value;
  };
  const last = <Value>(value: (span: Indicators) => Value | undefined): Value | undefined =>
    spans.flatMap((span) => value(span) ?? []).at(-1);
  const keys = (records: object[]) => [
    ...new Set(records.flatMap((record) => Object.keys(record))),
  ];
  const powered = spans.some(({ charged }) => charged !== undefined);
  const charges = spans.flatMap(({ soc }) => soc ?? []);
  const [first] = charges;
  const end = charges.at(-1);
  const [capacity, health] = [last((span) => span.capacity), last((span) => span.health)];
  return {
    rows: sum(({ rows }) => rows),
    expected: sum(({ expected }) => expected),
    seconds: sum(({ seconds }) => seconds),
    reported: sum(({ reported }) => reported),
    ...(powered && {
      charged: sum(({ charged }) => charged),
      discharged: sum(({ discharged }) => discharged),
    }),
    ...(first &&
      end && {
        soc: {
          first: first.first,
          last: end.last,
          low: Math.min(...charges.map(({ low }) => low)),
          high: Math.max(...charges.map(({ high }) => high)),
          way: sum(({ soc }) => soc?.way),
        },
      }),
    ...(capacity !== undefined && { capacity }),
    ...(health !== undefined && { health }),
    states: Object.fromEntries(
      keys(spans.map(({ states }) => states)).map((field) => [
        field,
        Object.fromEntries(
          keys(spans.map(({ states }) => states[field] ?? {})).map((state) => [
            state,
            sum(({ states }) => states[field]?.[state]),
          ]),
        ),
      ]),
    ),
    outside: Object.fromEntries(
      keys(spans.map(({ outside }) => outside)).map((field) => [
        field,
        sum(({ outside }) => outside[field]),
      ]),
    ),
    spread: Object.fromEntries(
      keys(spans.map(({ spread }) => spread)).map((quantity) => {
        const having = spans.filter(({ spread }) => spread[quantity]);
        const weight = having.reduce((all, { reported }) => all + reported, 0);
        const means = having.reduce(
          (all, { spread, reported }) => all + (spread[quantity]?.mean ?? 0) * reported,
          0,
        );
        const most = Math.max(...having.map(({ spread }) => spread[quantity]?.most ?? 0));
        return [quantity, { mean: weight > 0 ? means / weight : most, most }];
      }),
    ),
  };
}

/** A figure as people read it. */
export interface Figure {
  name: string;
  unit: Unit;
  value: number | undefined;
}

/** The figures that people read; docs/indicators.md says what each is. */
export function figuresOf(span: Indicators): Figure[] {
  const share = (part: number | undefined, whole: number | undefined) =>
    part === undefined || !whole ? undefined : (100 * part) / whole;
  const { charged, discharged, soc, capacity } = span;
  const hours = (seconds: number) => seconds / secondsPerHour;
  return [
    { name: "energy_charged", unit: "kWh", value: charged },
    { name: "energy_discharged", unit: "kWh", value: discharged },
    { name: "round_trip_efficiency", unit: "%", value: share(discharged, charged) },
    { name: "soc_change", unit: "%", value: soc && soc.last - soc.first },
    { name: "equivalent_full_cycles", unit: "", value: soc && soc.way / 200 },
    { name: "depth_of_discharge", unit: "%", value: soc && soc.high - soc.low },
    { name: "capacity", unit: "kWh", value: capacity && 100 * capacity },
    { name: "state_of_health", unit: "%", value: span.health },
    { name: "availability", unit: "%", value: share(span.reported, span.seconds) },
    { name: "completeness", unit: "%", value: share(span.rows, span.expected) },
    ...Object.entries(span.outside).map(([field, seconds]): Figure => ({
      name: `hours_outside_${field}`,
      unit: "h",
      value: hours(seconds),
    })),
    ...Object.entries(span.states).flatMap(([field, states]) =>
      Object.entries(states).map(([state, seconds]): Figure => ({
        name: `hours_${field}_${state}`,
        unit: "h",
        value: hours(seconds),
      })),
    ),
    ...Object.entries(span.spread).flatMap(([quantity, { mean, most }]): Figure[] => {
      const unit = quantity === "voltage" ? "V" : "K";
      return [
        { name: `spread_${quantity}_mean`, unit, value: mean },
        { name: `spread_${quantity}_max`, unit, value: most },
      ];
    }),
  ];
}

/**
 * How the state of health changes, in % a year: the slope of the line that fits the days best.
 * @param days s since 1970, and the state of health of the day.
 */
export function healthTrend(
  days: readonly (readonly [time: number, health: number])[],
): number | undefined {
  if (days.length < 2) return undefined;
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [time, health] = [mean(days.map(([t]) => t)), mean(days.map(([, h]) => h))];
  const above = days.reduce((sum, [t, h]) => sum + (t - time) * (h - health), 0);
  const below = days.reduce((sum, [t]) => sum + (t - time) ** 2, 0);
  return below === 0 ? undefined : (above / below) * 365.25 * 86_400;
}
