import type { Field, Model } from "../configs/model";
import { cycleSeconds, noise, start, step, type State, type Unit } from "./physics";

type Quantity = Field["quantity"];
type Circuit = Field["circuit"];
type Range = readonly [low: number, high: number];

/** One simulated unit and what it is at the moment. */
export interface Member {
  /** Number of the unit, from 1: the end of its ids. */
  number: number;
  unit: Unit;
  state: State;
}

/** Share of a normal range that the dispatch uses: noise and imbalance stay inside it. */
const headroom = 0.8;

/** Dispatched current in multiples of the capacity: high enough that a state of charge visibly moves in a minute. */
const cRate = 4;

/** What a model that gives no range gets. */
const preset = {
  socBounds: [10, 95],
  dcVoltage: [650, 850],
  dcCurrent: 150,
  phaseVoltage: 230,
} as const;

const efficiency = 0.96;
const acCircuits: Circuit[] = ["ac_a", "ac_b", "ac_c"];

/** Base units in a field's unit: 1000 for kW, kvar and kWh, 1 for all others. */
export const basePerUnit = (unit: Field["unit"]): number => (unit.startsWith("k") ? 1000 : 1);

/** Normal ranges of all fields that measure one of the quantities, in base units. */
function rangesOf(model: Model, quantities: Quantity[], circuits?: Circuit[]): Range[] {
  const fields = model.measurements.flatMap((m) => m.fields);
  const fitting = fields.filter(
    (f) => quantities.includes(f.quantity) && (!circuits || circuits.includes(f.circuit)),
  );
  return fitting.flatMap((f): Range[] =>
    f.range ? [[f.range[0] * basePerUnit(f.unit), f.range[1] * basePerUnit(f.unit)]] : [],
  );
}

/** What all ranges share; the first range where they share nothing. */
function common(ranges: Range[]): Range {
  const low = Math.max(...ranges.map((range) => range[0]));
  const high = Math.min(...ranges.map((range) => range[1]));
  return low < high ? [low, high] : ranges[0];
}

/** Largest magnitude inside all ranges; an end at 0 tells a direction, not a size. */
const largest = (ranges: Range[]): number =>
  Math.min(...ranges.flatMap((range) => range.filter((end) => end !== 0).map(Math.abs)));

function phaseVoltage(ranges: Range[]): number {
  if (ranges.length === 0) return preset.phaseVoltage;
  const [low, high] = common(ranges);
  return low < preset.phaseVoltage && preset.phaseVoltage < high
    ? preset.phaseVoltage
    : (low + high) / 2;
}

/**
 * A unit as large as the model's normal ranges allow: the tightest of those on DC current, grid current
 * and power sets its current, and that on DC voltage its cells.
 */
export function sizeUnit(model: Model, seed: number): Unit {
  const dcVoltage = rangesOf(model, ["voltage"], ["dc"]);
  const [lowest, highest] = dcVoltage.length > 0 ? common(dcVoltage) : preset.dcVoltage;
  const span = highest - lowest;
  const nominal = phaseVoltage(rangesOf(model, ["voltage"], acCircuits));
  const lineCurrent = largest([
    ...rangesOf(model, ["current"], acCircuits),
    ...rangesOf(model, ["current_in", "current_out"]),
  ]);
  const power = Math.min(
    largest(rangesOf(model, ["power", "power_set_point"])),
    3 * nominal * lineCurrent,
  );
  const current = Math.min(
    largest(rangesOf(model, ["current"], ["dc"])),
    (power * efficiency) / highest,
  );
  const dispatchCurrent = headroom * (Number.isFinite(current) ? current : preset.dcCurrent);
  return {
    seed,
    capacity: dispatchCurrent / cRate,
    socBounds: common([...rangesOf(model, ["state_of_charge"]), preset.socBounds]),
    openCircuit: [lowest + 0.15 * span, highest - 0.15 * span],
    resistance: (0.1 * span) / dispatchCurrent,
    efficiency,
    dispatchCurrent,
    phaseVoltage: nominal,
  };
}

/** A fleet that starts spread over the dispatch cycle and around half charge; the seed repeats it exactly. */
export function startFleet(model: Model, units: number, seed: number): Member[] {
  return Array.from({ length: units }, (_, i) => {
    const unit = sizeUnit(model, seed * 1000 + i);
    const [lowest, highest] = unit.socBounds;
    const soc = (lowest + highest) / 2 + 0.1 * (highest - lowest) * noise(unit.seed, 0, 0);
    return { number: i + 1, unit, state: start(unit, soc, (i / units) * cycleSeconds) };
  });
}

/** The fleet `seconds` later. */
export const stepFleet = (fleet: Member[], seconds: number): Member[] =>
  fleet.map((member) => ({ ...member, state: step(member.unit, member.state, seconds) }));
