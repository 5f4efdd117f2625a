import type { Field, Measurement, Model } from "../configs/model";
import { batteryMeasurements, type Scenario } from "../configs/scenarios";
import { durationSeconds, units } from "../configs/units";
import {
  cycleSeconds,
  initialState,
  nextState,
  noise,
  type BatteryParameters,
  type BatteryState,
  type Heating,
} from "./physics";

type Quantity = Field["quantity"];
type Circuit = Field["circuit"];
type Range = readonly [low: number, high: number];

/** A fault that a unit has. */
export interface Fault {
  scenario: Scenario;
  /** The unit's state when it began. */
  begin: BatteryState;
}

/** One simulated unit and its present state. */
export interface Unit {
  /** Number of the unit, from 1; its ids end with it. */
  number: number;
  /** Parameters of its battery and inverter. */
  unit: BatteryParameters;
  state: BatteryState;
  fault?: Fault | undefined;
}

/** Share of a normal range that the dispatch uses; the rest is for noise and imbalance. */
const headroom = 0.8;

/** Dispatch current per capacity, in 1/h: the state of charge visibly moves within a minute. */
const quickest = 4;

/** The same, no faster than the model says that a state of charge changes. */
function cRate({ measurements }: Model): number {
  const rates = measurements
    .flatMap((m) => m.fields)
    .flatMap(({ quantity, maxRate }) =>
      quantity === "state_of_charge" && maxRate
        ? [(36 * maxRate.change) / durationSeconds(maxRate.within)]
        : [],
    );
  return Math.min(quickest, ...rates.map((rate) => 0.85 * rate));
}

/** Values for quantities of which the model gives no normal range: %, V and A. */
const preset = {
  socBounds: [10, 95],
  dcVoltage: [650, 850],
  dcCurrent: 150,
  phaseVoltage: 230,
  cellVoltage: [2.8, 3.65],
} as const;

/** Surroundings and losses where no normal range asks for others: °C and K. */
const heating: Heating = { ambient: 22, swing: 3, rise: 8 };

/** How far a fault goes beyond a normal range: a share of the range. */
const beyond = 0.2;

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
function rangesOf(
  model: Model,
  quantities: Quantity[],
  circuits?: Circuit[],
  key: "range" | "limits" = "range",
): Range[] {
  const fields = model.measurements.flatMap((m) => m.fields);
  const fitting = fields.filter(
    (f) => quantities.includes(f.quantity) && (!circuits || circuits.includes(f.circuit)),
  );
  return fitting.flatMap(({ unit, [key]: pair }): Range[] =>
    pair ? [[pair[0] * basePerUnit(unit), pair[1] * basePerUnit(unit)]] : [],
  );
}

/** A temperature in °C. */
const celsius = (value: number, unit: Field["unit"]): number =>
  value * fraction(units[unit].factor) +
  fraction(units[unit].offset) -
  fraction(units["°C"].offset);

/** A temperature in a field's unit. */
export const fromCelsius = (value: number, unit: Field["unit"]): number =>
  (value + fraction(units["°C"].offset) - fraction(units[unit].offset)) /
  fraction(units[unit].factor);

/** A number that is written as a decimal or a fraction. */
function fraction(text: string): number {
  const [numerator, denominator = "1"] = text.split("/");
  return Number(numerator) / Number(denominator);
}

/** Normal ranges, or limits, of all temperatures of these measurements, in °C. */
const temperaturesOf = (measurements: Measurement[], key: "range" | "limits"): Range[] =>
  measurements
    .flatMap((m) => m.fields)
    .flatMap(({ quantity, unit, [key]: pair }): Range[] =>
      quantity === "temperature" && pair ? [[celsius(pair[0], unit), celsius(pair[1], unit)]] : [],
    );

/** Normal range of all temperatures of these measurements, in °C; undefined where none has one. */
function temperatureRange(measurements: Measurement[]): Range | undefined {
  const ranges = temperaturesOf(measurements, "range");
  return ranges.length > 0 ? intersection(ranges) : undefined;
}

/**
 * What a fault must reach beyond a normal range and all limits, to be seen for certain.
 * @param least how far beyond the range at least.
 */
const beyondAll = ([low, high]: Range, limits: Range[], least = 0): number =>
  Math.max(
    high + Math.max(least, beyond * (high - low)),
    ...limits.map((pair) => pair[1] + 0.25 * beyond * (high - low)),
  );

/** Share of an open-circuit voltage's span at which it reaches a voltage. */
const shareAt = (voltage: number, [empty, full]: Range): number =>
  (voltage - empty) / (full - empty);

/** What warms a body within its normal range. */
function heatingWithin(range: Range | undefined): Heating {
  if (!range) return heating;
  const [low, high] = range;
  const { ambient, swing, rise } = heating;
  const margin = 2;
  if (low + margin <= ambient - swing && ambient + swing + rise + margin <= high) return heating;
  const scale = Math.min(1, (0.6 * (high - low)) / (2 * swing + rise));
  return {
    ambient: low + 0.2 * (high - low) + swing * scale,
    swing: swing * scale,
    rise: rise * scale,
  };
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
  const cellRanges = rangesOf(model, ["cell_voltage"]);
  const cellVoltage: Range = cellRanges.length > 0 ? intersection(cellRanges) : preset.cellVoltage;
  const openCircuit = inner([lowest, highest]);
  const cellOpenCircuit = inner(cellVoltage);
  const battery = batteryMeasurements(model);
  const others = model.measurements.filter((m) => !battery.includes(m));
  const normal: Range = temperatureRange(battery) ?? [0, 45];
  return {
    seed,
    capacity: dispatchCurrent / cRate(model),
    socBounds: intersection([...rangesOf(model, ["state_of_charge"]), preset.socBounds]),
    openCircuit,
    resistance: (0.1 * span) / dispatchCurrent,
    efficiency,
    dispatchCurrent,
    phaseVoltage: nominal,
    cells: Math.max(1, Math.round(openCircuit[1] / cellOpenCircuit[1])),
    cellOpenCircuit,
    cellHeating: heatingWithin(temperatureRange(battery)),
    inverterHeating: heatingWithin(temperatureRange(others)),
    runawayTemperature: beyondAll(normal, temperaturesOf(battery, "limits"), 15),
    // At rest, when the charge has ended.
    overchargeShare: Math.max(
      shareAt(
        beyondAll([lowest, highest], rangesOf(model, ["voltage"], ["dc"], "limits")),
        openCircuit,
      ),
      shareAt(
        beyondAll(cellVoltage, rangesOf(model, ["cell_voltage"], undefined, "limits")),
        cellOpenCircuit,
      ),
    ),
  };
}

/** Part of a voltage's range at either end that a unit at rest keeps off. */
const edge = 0.15;

/** A range without its ends. */
const inner = ([low, high]: Range): Range => [
  low + edge * (high - low),
  high - edge * (high - low),
];

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
  units.map((one) => ({
    ...one,
    state: nextState(one.unit, one.state, seconds, one.fault?.scenario),
  }));

/** What is to befall a unit. */
export interface FaultOrder {
  scenario: Scenario;
  /** Number of the unit, from 1. */
  unit: number;
}

/** The units with one fault, or none. A fault that goes on keeps its beginning. */
export const withFault = (units: readonly Unit[], order: FaultOrder | undefined): Unit[] =>
  units.map(({ fault, ...one }) => {
    if (!order || one.number !== order.unit) return one;
    const goesOn = fault?.scenario === order.scenario;
    return { ...one, fault: goesOn ? fault : { scenario: order.scenario, begin: one.state } };
  });
