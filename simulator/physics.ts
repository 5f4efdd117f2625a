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
}

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
];

/** Slots of {@link noise}: no two quantities share their noise. */
const channel = { current: 0, voltage: 1, imbalance: 4, reactive: 7 } as const;

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

/** Open-circuit voltage at a state of charge in %, in V; it never falls as the battery fills. */
export function openCircuitVoltage(unit: BatteryParameters, soc: number): number {
  const upper = Math.max(
    1,
    openCircuitShape.findIndex(([at]) => at >= soc),
  );
  // A state of charge is at most 100 %, the last point of the shape, so both points exist.
  const [[socBelow, shareBelow], [socAbove, shareAbove]] = [
    openCircuitShape[upper - 1],
    openCircuitShape[upper],
  ] as [OpenCircuitPoint, OpenCircuitPoint];
  const share = shareBelow + ((soc - socBelow) / (socAbove - socBelow)) * (shareAbove - shareBelow);
  const [empty, full] = unit.openCircuit;
  return empty + share * (full - empty);
}

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

/** The whole state that follows from a state of charge and a current. */
function stateAt(
  unit: BatteryParameters,
  given: Pick<BatteryState, "tick" | "elapsed" | "soc" | "current">,
  wanted: number,
): BatteryState {
  const terminalVoltage = (current: number) =>
    openCircuitVoltage(unit, given.soc) - current * unit.resistance;
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

/**
 * A unit at rest.
 * @param soc state of charge, in %.
 * @param elapsed time on the clock of the dispatch cycle, in s. Default: the start of a cycle.
 */
export function initialState(unit: BatteryParameters, soc: number, elapsed = 0): BatteryState {
  return stateAt(unit, { tick: 0, elapsed, soc, current: 0 }, 0);
}

/**
 * The state of a unit `seconds` later, at the dispatch current.
 * Its state of charge falls by exactly the current times the time.
 */
export function nextState(
  unit: BatteryParameters,
  state: BatteryState,
  seconds: number,
): BatteryState {
  const [tick, elapsed] = [state.tick + 1, state.elapsed + seconds];
  const wanted = unit.dispatchCurrent * dispatchShare(elapsed);
  const current = allowedCurrent(
    unit,
    state.soc,
    wanted * (1 + 0.01 * noise(unit.seed, tick, channel.current)),
    seconds,
  );
  const soc = state.soc - (current * seconds) / (unit.capacity * 36);
  return stateAt(unit, { tick, elapsed, soc, current }, wanted);
}
