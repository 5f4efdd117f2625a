import type { Field, Model } from "../configs/model";
import { units } from "../configs/units";
import {
  cycleSeconds,
  initialState,
  nextState,
  noise,
  type BatteryParameters,
  type BatteryState,
} from "./physics";

type Quantity = Field["quantity"];
type Circuit = Field["circuit"];
type Range = readonly [low: number, high: number];

/** One simulated unit and its present state. */
export interface Unit {
  /** Number of the unit, from 1; its ids end with it. */
  number: number;
  /** Parameters of its battery and inverter. */
  unit: BatteryParameters;
  state: BatteryState;
}

/** Share of a normal range that the dispatch uses; the rest is for noise and imbalance. */
const headroom = 0.8;

/** Dispatch current per capacity, in 1/h: the state of charge visibly moves within a minute. */
const cRate = 4;

/** Values for quantities of which the model gives no normal range: %, V and A. */
const preset = {
  socBounds: [10, 95],
  dcVoltage: [650, 850],
  dcCurrent: 150,
  phaseVoltage: 230,
} as const;

const efficiency = 0.96;
const acCircuits: Circuit[] = ["ac_a", "ac_b", "ac_c"];

/** Dimensions that the physics reckons in base units, such as W. */
const physical = ["current", "voltage", "power", "reactive power", "apparent power", "energy"];

/** Size of a field's unit in base units: 1000 for kW, 0.001 for mV, 1 for what is no such unit. */
export const basePerUnit = (unit: Field["unit"]): number =>
  physical.includes(units[unit].measures) ? Number(units[unit].factor) : 1;

/**
 * Normal ranges of all fields that measure one of the quantities, in base units.
 * @param circuits where they are measured. Default: anywhere.
 */
function rangesOf(model: Model, quantities: Quantity[], circuits?: Circuit[]): Range[] {
  const fields = model.measurements.flatMap((m) => m.fields);
  const fitting = fields.filter(
    (f) => quantities.includes(f.quantity) && (!circuits || circuits.includes(f.circuit)),
  );
  return fitting.flatMap((f): Range[] =>
    f.range ? [[f.range[0] * basePerUnit(f.unit), f.range[1] * basePerUnit(f.unit)]] : [],
  );
}

/** The intersection of ranges; the first range where it is empty. */
function intersection(ranges: Range[]): Range {
  const low = Math.max(...ranges.map((range) => range[0]));
  const high = Math.min(...ranges.map((range) => range[1]));
  // oxlint-disable-next-line typescript/no-non-null-assertion -- each caller has a range at least
  return low < high ? [low, high] : ranges[0]!;
}

/** Largest magnitude that all ranges hold. An end at 0 only limits the direction. */
const largestMagnitude = (ranges: Range[]): number =>
  Math.min(...ranges.flatMap((range) => range.filter((end) => end !== 0).map(Math.abs)));

function phaseVoltage(ranges: Range[]): number {
  if (ranges.length === 0) return preset.phaseVoltage;
  const [low, high] = intersection(ranges);
  return low < preset.phaseVoltage && preset.phaseVoltage < high
    ? preset.phaseVoltage
    : (low + high) / 2;
}

/**
 * Parameters of a unit that is as large as the model's normal ranges allow. The tightest range of
 * DC current, grid current and power gives its current; the range of DC voltage gives its cells.
 */
export function sizeUnit(model: Model, seed: number): BatteryParameters {
  const dcVoltage = rangesOf(model, ["voltage"], ["dc"]);
  const [lowest, highest] = dcVoltage.length > 0 ? intersection(dcVoltage) : preset.dcVoltage;
  const span = highest - lowest;
  const nominal = phaseVoltage(rangesOf(model, ["voltage"], acCircuits));
  const lineCurrent = largestMagnitude([
    ...rangesOf(model, ["current"], acCircuits),
    ...rangesOf(model, ["current_in", "current_out"]),
  ]);
  const power = Math.min(
    largestMagnitude(rangesOf(model, ["power", "power_set_point"])),
    3 * nominal * lineCurrent,
  );
  const current = Math.min(
    largestMagnitude(rangesOf(model, ["current"], ["dc"])),
    (power * efficiency) / highest,
  );
  const dispatchCurrent = headroom * (Number.isFinite(current) ? current : preset.dcCurrent);
  return {
    seed,
    capacity: dispatchCurrent / cRate,
    socBounds: intersection([...rangesOf(model, ["state_of_charge"]), preset.socBounds]),
    openCircuit: [lowest + 0.15 * span, highest - 0.15 * span],
    resistance: (0.1 * span) / dispatchCurrent,
    efficiency,
    dispatchCurrent,
    phaseVoltage: nominal,
  };
}

/**
 * Units at rest, spread over the dispatch cycle and around half charge.
 * @param count number of units.
 * @param seed seed of all noise; the same seed gives the same units.
 */
export function startSimulation(model: Model, count: number, seed: number): Unit[] {
  return Array.from({ length: count }, (_, i) => {
    const unit = sizeUnit(model, seed * 1000 + i);
    const [lowest, highest] = unit.socBounds;
    const soc = (lowest + highest) / 2 + 0.1 * (highest - lowest) * noise(unit.seed, 0, 0);
    return { number: i + 1, unit, state: initialState(unit, soc, (i / count) * cycleSeconds) };
  });
}

/** The units `seconds` later. */
export const advance = (units: readonly Unit[], seconds: number): Unit[] =>
  units.map((one) => ({ ...one, state: nextState(one.unit, one.state, seconds) }));
