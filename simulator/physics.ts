/** What one unit is built of: a battery string behind an inverter. Constant over its life. */
export interface Unit {
  /** Seeds the noise; units with different seeds differ. */
  seed: number;
  /** Charge between 0 and 100 % state of charge, in Ah. */
  capacity: number;
  /** State of charge that the battery management system keeps within, in %: `[lowest, highest]`. */
  socBounds: readonly [number, number];
  /** Open-circuit voltage at 0 and at 100 % state of charge, in V. */
  openCircuit: readonly [empty: number, full: number];
  /** Internal resistance of the string, in Ω. */
  resistance: number;
  /** Share of the power that passes the inverter, in either direction; 0 to 1. */
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

/** What a unit is doing; it follows the sign of the current. */
export type Mode = "charging" | "discharging" | "standby";

/** Voltage and current of one phase. */
export interface PhaseState {
  /** Phase to neutral, in V. */
  voltage: number;
  /** Active current in A, positive while discharging: voltage times current is the phase's active power. */
  current: number;
}

/** A unit at one moment. Currents and powers are positive while the battery discharges. */
export interface State {
  /** Steps since the start. */
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
  /** Reactive power on the grid side, in var: what remains of a set point of 0. */
  reactivePower: number;
  phases: Record<Phase, PhaseState>;
  mode: Mode;
}

/** One cycle of the dispatch: share of the dispatched current, and for how long in s. It moves no net charge. */
const dispatch = [
  { share: -1, seconds: 150 },
  { share: 0, seconds: 30 },
  { share: 1, seconds: 150 },
  { share: 0, seconds: 30 },
] as const;

/** Duration of one dispatch cycle, in s. */
export const cycleSeconds = dispatch.reduce((sum, phase) => sum + phase.seconds, 0);

/** Time that a change of direction takes to reach its full current, in s. */
const rampSeconds = 5;

/** Shape of the open-circuit voltage of lithium cells: steep at both ends, flat between; `[soc in %, share of the span]`. */
const openCircuitShape: readonly (readonly [soc: number, share: number])[] = [
  [0, 0],
  [5, 0.2],
  [10, 0.3],
  [30, 0.45],
  [50, 0.55],
  [70, 0.67],
  [90, 0.85],
  [100, 1],
];

/** Slots of {@link noise}, so that no two quantities share their noise. */
const channel = { current: 0, voltage: 1, imbalance: 4, reactive: 7 } as const;

/**
 * A number in [-1, 1) that depends on the arguments alone, so that a seed repeats a whole run.
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
export function openCircuitVoltage(unit: Unit, soc: number): number {
  const upper = Math.max(
    1,
    openCircuitShape.findIndex(([at]) => at >= soc),
  );
  const [[socBelow, shareBelow], [socAbove, shareAbove]] = [
    openCircuitShape[upper - 1],
    openCircuitShape[upper],
  ];
  const share = shareBelow + ((soc - socBelow) / (socAbove - socBelow)) * (shareAbove - shareBelow);
  const [empty, full] = unit.openCircuit;
  return empty + share * (full - empty);
}

/** Share of the dispatched current at a moment of the cycle, from -1 (charging) to 1 (discharging). */
export function dispatchShare(elapsed: number): number {
  let into = elapsed % cycleSeconds;
  const at = dispatch.findIndex(({ seconds }) => {
    if (into < seconds) return true;
    into -= seconds;
    return false;
  });
  const { share, seconds } = dispatch[at];
  const ramp = Math.min(1, into / rampSeconds, (seconds - into) / rampSeconds);
  return share === 0 ? 0 : share * ramp;
}

/** The dispatched current, cut where it would carry the state of charge out of its bounds within `seconds`. */
function allowedCurrent(unit: Unit, soc: number, wanted: number, seconds: number): number {
  const [lowest, highest] = unit.socBounds;
  const amperesPerPercent = (unit.capacity * 36) / seconds;
  const mostCharging = Math.min(0, soc - highest) * amperesPerPercent;
  const mostDischarging = Math.max(0, soc - lowest) * amperesPerPercent;
  // A negative zero would read as a direction.
  return Math.min(Math.max(wanted, mostCharging), mostDischarging) || 0;
}

/** The three phases that carry `acPower` together, each at its own voltage and a little out of balance. */
function balance(
  unit: Unit,
  { tick, elapsed }: Pick<State, "tick" | "elapsed">,
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
    return [phase, { voltage, current: (acPower * weights[i]) / whole / voltage }];
  });
  return Object.fromEntries(entries) as Record<Phase, PhaseState>;
}

/** Power on the grid side of the inverter for a power on its DC side, both in W: the losses are always the inverter's. */
export function gridPower(unit: Unit, dcPower: number): number {
  return dcPower > 0 ? dcPower * unit.efficiency : dcPower / unit.efficiency;
}

const modeOf = (current: number): Mode =>
  current > 0 ? "discharging" : current < 0 ? "charging" : "standby";

/** Everything that follows from a state of charge and the current that flows at it. */
function settle(
  unit: Unit,
  at: Pick<State, "tick" | "elapsed" | "soc" | "current">,
  wanted: number,
): State {
  const terminal = (current: number) =>
    openCircuitVoltage(unit, at.soc) - current * unit.resistance;
  const voltage = terminal(at.current);
  const dcPower = voltage * at.current;
  const acPower = gridPower(unit, dcPower);
  return {
    ...at,
    voltage,
    dcPower,
    powerSetPoint: gridPower(unit, terminal(wanted) * wanted),
    acPower,
    reactivePower: 0.01 * acPower * noise(unit.seed, at.tick, channel.reactive),
    phases: balance(unit, at, acPower),
    mode: modeOf(at.current),
  };
}

/**
 * A unit at rest.
 * @param soc state of charge to start at, in %.
 * @param elapsed where in the dispatch cycle it starts, in s; {@link cycleSeconds} is a whole one.
 */
export function start(unit: Unit, soc: number, elapsed = 0): State {
  return settle(unit, { tick: 0, elapsed, soc, current: 0 }, 0);
}

/**
 * The unit after `seconds` at the dispatched current.
 * Charge is counted: the state of charge falls by exactly the current times the time.
 */
export function step(unit: Unit, state: State, seconds: number): State {
  const [tick, elapsed] = [state.tick + 1, state.elapsed + seconds];
  const wanted = unit.dispatchCurrent * dispatchShare(elapsed);
  const current = allowedCurrent(
    unit,
    state.soc,
    wanted * (1 + 0.01 * noise(unit.seed, tick, channel.current)),
    seconds,
  );
  const soc = state.soc - (current * seconds) / (unit.capacity * 36);
  return settle(unit, { tick, elapsed, soc, current }, wanted);
}
