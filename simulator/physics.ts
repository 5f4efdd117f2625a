import type { Scenario } from "../configs/scenarios";

/** How warm a body gets: its surroundings, and the heat of its own losses. */
export interface Heating {
  /** Mean temperature of the surroundings, in °C. */
  ambient: number;
  /** Rise and fall of the surroundings over a day, in K. */
  swing: number;
  /** Rise above the surroundings after hours at the dispatch current, in K. */
  rise: number;
}

/** The constant properties of one unit: a battery string behind an inverter. */
export interface BatteryParameters {
  /** Seed of the noise; units with different seeds differ. */
  seed: number;
  /** Charge between 0 and 100 % state of charge, in Ah. */
  capacity: number;
  /** Bounds in which the battery management system keeps the state of charge, in %. */
  socBounds: readonly [lowest: number, highest: number];
  /** Open-circuit voltage at 0 and at 100 % state of charge, in V. */
  openCircuit: readonly [empty: number, full: number];
  /** Internal resistance of the string, in Ω. */
  resistance: number;
  /** Efficiency of the inverter in either direction, from 0 to 1. */
  efficiency: number;
  /** Magnitude of the DC current that the dispatch asks for, in A. */
  dispatchCurrent: number;
  /** Nominal voltage from phase to neutral, in V. */
  phaseVoltage: number;
  /** Number of cells in series. */
  cells: number;
  /** Open-circuit voltage of a cell at 0 and at 100 % state of charge, in V. */
  cellOpenCircuit: readonly [empty: number, full: number];
  /** How warm the cells get. */
  cellHeating: Heating;
  /** How warm the inverter gets. */
  inverterHeating: Heating;
  /** Temperature that a cell ends at which heats itself by a side reaction, in °C. */
  runawayTemperature: number;
  /** Share of the open-circuit voltage's span at which a charge ends whose cut-off fails. */
  overchargeShare: number;
}

/** Phases of the grid connection. */
export const phases = ["ac_a", "ac_b", "ac_c"] as const;
/** One phase of the grid connection. */
export type Phase = (typeof phases)[number];

/** Operating mode of a unit; it follows the sign of the current. */
export type Mode = "charging" | "discharging" | "standby";

/** Voltage and current of one phase. */
export interface PhaseState {
  /** Phase to neutral, in V. */
  voltage: number;
  /**
   * Active current in A, positive while discharging: voltage times current is the phase's active
   * power.
   */
  current: number;
}

/** The state of a unit at one moment. Currents and powers are positive while it discharges. */
export interface BatteryState {
  /** Number of steps since the start. */
  tick: number;
  /** Time on the clock of the dispatch cycle, in s. */
  elapsed: number;
  /** State of charge, in %. */
  soc: number;
  /** DC current that flowed during the last step, in A. */
  current: number;
  /** DC voltage at the terminals, in V. */
  voltage: number;
  /** DC power at the terminals, in W. */
  dcPower: number;
  /** AC power that the dispatch asks for, in W. */
  powerSetPoint: number;
  /** Active power on the grid side, in W: the sum over the phases. */
  acPower: number;
  /** Reactive power on the grid side, in var: the deviation from a set point of 0. */
  reactivePower: number;
  phases: Record<Phase, PhaseState>;
  mode: Mode;
  /** Mean temperature of the cells, in °C. */
  temperature: number;
  /** Temperature of the first cell, the one that faults befall, in °C. */
  firstCellTemperature: number;
  /** Temperature of the inverter, in °C. */
  inverterTemperature: number;
  /** What the first cell's state of charge is below that of the others, in %. */
  firstCellDeficit: number;
  /** What the battery management system counts beyond the true state of charge, in %. */
  countError: number;
}

/** What a state is reckoned from. */
type Given = Omit<
  BatteryState,
  "voltage" | "dcPower" | "powerSetPoint" | "acPower" | "reactivePower" | "phases" | "mode"
>;

/** One dispatch cycle: shares of the dispatch current, and their durations. Its net charge is 0. */
const dispatch = [
  { share: -1, seconds: 150 },
  { share: 0, seconds: 30 },
  { share: 1, seconds: 150 },
  { share: 0, seconds: 30 },
] as const;

/** Duration of one dispatch cycle, in s. */
export const cycleSeconds = dispatch.reduce((sum, phase) => sum + phase.seconds, 0);

/** Time from rest to the full current, in s. */
const rampSeconds = 5;

/** State of charge in %, and the share of the open-circuit voltage's span that belongs to it. */
type OpenCircuitPoint = readonly [soc: number, share: number];

/** Open-circuit voltage of lithium cells: steep at both ends, flat in between. */
const openCircuitShape: readonly OpenCircuitPoint[] = [
  [0, 0],
  [5, 0.2],
  [10, 0.3],
  [30, 0.45],
  [50, 0.55],
  [70, 0.67],
  [90, 0.85],
  [100, 1],
  // Overcharged cells rise ever faster.
  [105, 1.5],
  [110, 3],
];

/** Slots of {@link noise}: no two quantities share their noise. */
const channel = {
  current: 0,
  voltage: 1,
  imbalance: 4,
  reactive: 7,
  cell: 8,
  cellVoltage: 9,
  sensor: 10,
  link: 11,
} as const;

/**
 * Noise in [-1, 1) that depends on the arguments alone, so that a seed repeats a whole run.
 * The mixing is that of the mulberry32 generator.
 */
export function noise(seed: number, tick: number, slot: number): number {
  let x =
    (Math.imul(seed, 0x9e3779b1) ^
      Math.imul(tick + 1, 0x85ebca6b) ^
      Math.imul(slot + 1, 0xc2b2ae35)) +
    0x6d2b79f5;
  x = Math.imul(x ^ (x >>> 15), x | 1);
  x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
  return ((x ^ (x >>> 14)) >>> 0) / 2 ** 31 - 1;
}

/** Share of the open-circuit voltage's span at a state of charge in %; it never falls. */
function openCircuitShare(charge: number): number {
  const soc = Math.min(Math.max(charge, 0), 110);
  const upper = Math.max(
    1,
    openCircuitShape.findIndex(([at]) => at >= soc),
  );
  // The state of charge is at most that of the shape's last point, so both points exist.
  const [[socBelow, shareBelow], [socAbove, shareAbove]] = [
    openCircuitShape[upper - 1],
    openCircuitShape[upper],
  ] as [OpenCircuitPoint, OpenCircuitPoint];
  return shareBelow + ((soc - socBelow) / (socAbove - socBelow)) * (shareAbove - shareBelow);
}

/** Open-circuit voltage at a state of charge in %, in V; it never falls as the battery fills. */
export function openCircuitVoltage(
  { openCircuit: [empty, full] }: Pick<BatteryParameters, "openCircuit">,
  soc: number,
): number {
  return empty + openCircuitShare(soc) * (full - empty);
}

/** Cells whose values are reckoned: more would show the same. */
const reckonedCells = 12;

/** Voltage of a cell, counted from 1, in V. Each has a little more or less charge than the mean. */
function cellVoltage(unit: BatteryParameters, state: BatteryState, cell: number): number {
  const [empty, full] = unit.cellOpenCircuit;
  const [stringEmpty, stringFull] = unit.openCircuit;
  const spread = 0.2 * noise(unit.seed, cell, channel.cell);
  const soc = state.soc + spread - (cell === 1 ? state.firstCellDeficit : 0);
  const resistance = (unit.resistance * (full - empty)) / (stringFull - stringEmpty);
  const measured = 0.0005 * noise(unit.seed + cell, state.tick, channel.cellVoltage);
  return empty + openCircuitShare(soc) * (full - empty) - state.current * resistance + measured;
}

/** Temperature that a sensor of the cells measures, in °C; the first is at the first cell. */
function cellTemperature(unit: BatteryParameters, state: BatteryState, sensor: number): number {
  const placed = 0.5 * noise(unit.seed, sensor, channel.sensor);
  const measured = 0.05 * noise(unit.seed + sensor, state.tick, channel.sensor);
  return placed + measured + (sensor === 1 ? state.firstCellTemperature : state.temperature);
}

/** The value of one cell or sensor, counted from 1, or the extreme one of all. */
const pick = (value: (number: number) => number, which: number | "highest" | "lowest"): number => {
  if (typeof which === "number") return value(which);
  const all = Array.from({ length: reckonedCells }, (_, i) => value(i + 1));
  return which === "highest" ? Math.max(...all) : Math.min(...all);
};

/** Voltage of a cell, or the highest or lowest of all, in V. */
export const cellVoltageOf = (
  unit: BatteryParameters,
  state: BatteryState,
  which: number | "highest" | "lowest",
): number => pick((cell) => cellVoltage(unit, state, cell), which);

/** Temperature at a sensor of the cells, or the highest or lowest of all, in °C. */
export const cellTemperatureOf = (
  unit: BatteryParameters,
  state: BatteryState,
  which: number | "highest" | "lowest",
): number => pick((sensor) => cellTemperature(unit, state, sensor), which);

/**
 * Share of the dispatch current at a time, from -1 (charging) to 1 (discharging).
 * @param elapsed time on the clock of the dispatch cycle, in s.
 */
export function dispatchShare(elapsed: number): number {
  let into = elapsed % cycleSeconds;
  const at = dispatch.findIndex(({ seconds }) => {
    if (into < seconds) return true;
    into -= seconds;
    return false;
  });
  // oxlint-disable-next-line typescript/no-non-null-assertion -- `into` is less than a cycle
  const { share, seconds } = dispatch[at]!;
  const ramp = Math.min(1, into / rampSeconds, (seconds - into) / rampSeconds);
  return share === 0 ? 0 : share * ramp;
}

/** A current in A, limited to what keeps the state of charge in its bounds for `seconds`. */
function allowedCurrent(
  unit: BatteryParameters,
  soc: number,
  wanted: number,
  seconds: number,
): number {
  const [lowest, highest] = unit.socBounds;
  const amperesPerPercent = (unit.capacity * 36) / seconds;
  const mostCharging = Math.min(0, soc - highest) * amperesPerPercent;
  const mostDischarging = Math.max(0, soc - lowest) * amperesPerPercent;
  // `|| 0` turns a negative zero, which would look like a direction, into zero.
  return Math.min(Math.max(wanted, mostCharging), mostDischarging) || 0;
}

/** Splits an AC power, in W, over three phases of slightly different voltages and loads. */
function phaseStates(
  unit: BatteryParameters,
  { tick, elapsed }: Pick<BatteryState, "tick" | "elapsed">,
  acPower: number,
): Record<Phase, PhaseState> {
  const weights = phases.map(
    (_, i) =>
      1 +
      0.01 * noise(unit.seed, 0, channel.imbalance + i) +
      0.002 * noise(unit.seed, tick, channel.imbalance + i),
  );
  const whole = weights.reduce((sum, weight) => sum + weight, 0);
  const entries = phases.map((phase, i): [Phase, PhaseState] => {
    const voltage =
      unit.phaseVoltage *
      (1 +
        0.008 * Math.sin(elapsed / 60 + i) +
        0.002 * noise(unit.seed, tick, channel.voltage + i));
    // oxlint-disable-next-line typescript/no-non-null-assertion -- there is a weight for each phase
    return [phase, { voltage, current: (acPower * weights[i]!) / whole / voltage }];
  });
  return Object.fromEntries(entries) as Record<Phase, PhaseState>;
}

/** Power on the grid side of the inverter for a power on its DC side, both in W. */
function gridPower(unit: BatteryParameters, dcPower: number): number {
  return dcPower > 0 ? dcPower * unit.efficiency : dcPower / unit.efficiency;
}

const modeOf = (current: number): Mode =>
  current > 0 ? "discharging" : current < 0 ? "charging" : "standby";

/** The whole state that follows from what is given. */
function stateAt(unit: BatteryParameters, given: Given, wanted: number): BatteryState {
  const { soc, firstCellDeficit } = given;
  const missing =
    (openCircuitVoltage(unit, soc) - openCircuitVoltage(unit, soc - firstCellDeficit)) / unit.cells;
  const terminalVoltage = (current: number) =>
    openCircuitVoltage(unit, soc) - missing - current * unit.resistance;
  const voltage = terminalVoltage(given.current);
  const dcPower = voltage * given.current;
  const acPower = gridPower(unit, dcPower);
  return {
    ...given,
    voltage,
    dcPower,
    powerSetPoint: gridPower(unit, terminalVoltage(wanted) * wanted),
    acPower,
    reactivePower: 0.01 * acPower * noise(unit.seed, given.tick, channel.reactive),
    phases: phaseStates(unit, given, acPower),
    mode: modeOf(given.current),
  };
}

const daySeconds = 86_400;

/** Temperature of a body's surroundings, in °C. */
const surroundings = ({ ambient, swing }: Heating, elapsed: number): number =>
  ambient + swing * Math.sin((2 * Math.PI * elapsed) / daySeconds);

/** Thermal mass by thermal resistance, in s: of all cells, of one among the others, of the inverter. */
const timeConstant = { cells: 900, cell: 120, inverter: 300 } as const;

/** A temperature on its way to the one at which as much heat leaves as comes, in °C. */
const warmed = (from: number, to: number, seconds: number, constant: number): number =>
  to + (from - to) * Math.exp(-seconds / constant);

/** Temperatures `seconds` later. The losses' heat goes with the square of the current. */
function temperatures(
  unit: BatteryParameters,
  before: BatteryState,
  { elapsed, current }: Pick<BatteryState, "elapsed" | "current">,
  seconds: number,
  scenario: Scenario | undefined,
): Pick<BatteryState, "temperature" | "firstCellTemperature" | "inverterTemperature"> {
  const { cellHeating, inverterHeating, runawayTemperature } = unit;
  const losses = (current / unit.dispatchCurrent) ** 2;
  const temperature = warmed(
    before.temperature,
    surroundings(cellHeating, elapsed) + cellHeating.rise * losses,
    seconds,
    timeConstant.cells,
  );
  return {
    temperature,
    firstCellTemperature: warmed(
      before.firstCellTemperature,
      scenario === "cell-overheats" ? Math.max(temperature, runawayTemperature) : temperature,
      seconds,
      timeConstant.cell,
    ),
    inverterTemperature: warmed(
      before.inverterTemperature,
      surroundings(inverterHeating, elapsed) + inverterHeating.rise * losses,
      seconds,
      timeConstant.inverter,
    ),
  };
}

/** How fast a leak empties a cell, and the balancer fills it again, in % a second. */
const leakRate = 0.05;

/** Most that a leaking cell loses, in %. */
const mostLeaked = 40;

/** What the state of charge jumps by, as a share of its bounds' span. */
const jumpShare = 0.3;

/**
 * A unit at rest.
 * @param soc state of charge, in %.
 * @param elapsed time on the clock of the dispatch cycle, in s. Default: the start of a cycle.
 */
export function initialState(unit: BatteryParameters, soc: number, elapsed = 0): BatteryState {
  const temperature = surroundings(unit.cellHeating, elapsed);
  const given = {
    tick: 0,
    elapsed,
    soc,
    current: 0,
    temperature,
    firstCellTemperature: temperature,
    inverterTemperature: surroundings(unit.inverterHeating, elapsed),
    firstCellDeficit: 0,
    countError: 0,
  };
  return stateAt(unit, given, 0);
}

/** The DC current that is asked for, and the one that flows, in A. */
function currents(
  unit: BatteryParameters,
  { tick, elapsed, soc }: Pick<BatteryState, "tick" | "elapsed" | "soc">,
  seconds: number,
  scenario: Scenario | undefined,
): { wanted: number; current: number } {
  const jitter = 1 + 0.01 * noise(unit.seed, tick, channel.current);
  if (scenario === "over-voltage") {
    const isFull = openCircuitShare(soc) >= unit.overchargeShare;
    const wanted = isFull ? 0 : -unit.dispatchCurrent;
    return { wanted, current: wanted * jitter || 0 };
  }
  const wanted = unit.dispatchCurrent * dispatchShare(elapsed);
  const given = scenario === "set-point-ignored" ? wanted / 3 : wanted;
  return { wanted, current: allowedCurrent(unit, soc, given * jitter, seconds) };
}

/**
 * The state of a unit `seconds` later, at the dispatch current.
 * Its state of charge falls by exactly the current times the time.
 * @param scenario fault that the unit has meanwhile.
 */
export function nextState(
  unit: BatteryParameters,
  state: BatteryState,
  seconds: number,
  scenario?: Scenario,
): BatteryState {
  const [tick, elapsed] = [state.tick + 1, state.elapsed + seconds];
  const { wanted, current } = currents(unit, { tick, elapsed, soc: state.soc }, seconds, scenario);
  const soc = state.soc - (current * seconds) / (unit.capacity * 36);
  const leaked = (scenario === "cell-drifts" ? 1 : -1) * leakRate * seconds;
  const [lowest, highest] = unit.socBounds;
  const given: Given = {
    tick,
    elapsed,
    soc,
    current,
    ...temperatures(unit, state, { elapsed, current }, seconds, scenario),
    firstCellDeficit: Math.min(Math.max(state.firstCellDeficit + leaked, 0), mostLeaked),
    countError: scenario === "soc-jump" ? -jumpShare * (highest - lowest) : 0,
  };
  return stateAt(unit, given, wanted);
}

/** Shortest time between two losses of a link, in s. */
const flapSeconds = 60;

/**
 * Whether the link of a unit that loses it again and again is down.
 * @param interval time between two messages, in s: some are lost each time.
 */
export function linkIsDown(
  unit: Pick<BatteryParameters, "seed">,
  { elapsed }: Pick<BatteryState, "elapsed">,
  interval: number,
): boolean {
  const period = Math.max(flapSeconds, 20 * interval);
  const share = 0.65 + 0.15 * noise(unit.seed, Math.floor(elapsed / period), channel.link);
  return elapsed % period < share * period;
}
