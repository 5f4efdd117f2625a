import fc from "fast-check";
import {
  cycleSeconds,
  dispatchShare,
  noise,
  openCircuitVoltage,
  phases,
  initialState,
  nextState,
  type BatteryParameters,
  type BatteryState,
} from "../../simulator/physics";

const parametersArbitrary: fc.Arbitrary<BatteryParameters> = fc
  .record({
    seed: fc.integer({ min: 0, max: 1_000_000 }),
    capacity: fc.double({ min: 5, max: 2000, noNaN: true }),
    dispatchCurrent: fc.double({ min: 10, max: 2000, noNaN: true }),
    empty: fc.double({ min: 300, max: 900, noNaN: true }),
    efficiency: fc.double({ min: 0.8, max: 1, noNaN: true }),
  })
  .map(({ seed, capacity, dispatchCurrent, empty, efficiency }) => ({
    seed,
    capacity,
    dispatchCurrent,
    efficiency,
    socBounds: [10, 95],
    openCircuit: [empty, empty * 1.2],
    resistance: (0.02 * empty) / dispatchCurrent,
    phaseVoltage: 230,
    cells: 200,
    cellOpenCircuit: [3, 3.5],
    cellHeating: { ambient: 22, swing: 3, rise: 8 },
    inverterHeating: { ambient: 22, swing: 3, rise: 8 },
    runawayTemperature: 60,
    overchargeShare: 1.5,
  }));

/** A unit, where it starts, and the lengths of the steps that it runs. */
const runArbitrary = fc.record({
  unit: parametersArbitrary,
  soc: fc.double({ min: 10, max: 95, noNaN: true }),
  elapsed: fc.double({ min: 0, max: cycleSeconds, noNaN: true }),
  steps: fc.array(fc.double({ min: 0.1, max: 60, noNaN: true }), { minLength: 1, maxLength: 200 }),
});

interface Run {
  unit: BatteryParameters;
  soc: number;
  elapsed: number;
  steps: number[];
}

/** The states of a run, and the last one of them. */
function run({ unit, soc, elapsed, steps }: Run) {
  const first = initialState(unit, soc, elapsed);
  const states: BatteryState[] = [first];
  let last = first;
  for (const seconds of steps) states.push((last = nextState(unit, last, seconds)));
  return { states, first, last };
}

/** Asserts a property of every state of any run. */
const always = (check: (state: BatteryState, unit: BatteryParameters) => void) =>
  fc.assert(
    fc.property(runArbitrary, (given) =>
      run(given).states.forEach((state) => check(state, given.unit)),
    ),
  );

describe("a simulated unit", () => {
  test("conserves charge: the state of charge changes by exactly the current's integral", () => {
    fc.assert(
      fc.property(runArbitrary, (given) => {
        const { states, first, last } = run(given);
        const ampereSeconds = states
          .slice(1)
          .reduce((sum, { current }, i) => sum + current * (given.steps[i] ?? NaN), 0);
        const lost = ((first.soc - last.soc) / 100) * given.unit.capacity * 3600;
        expect(Math.abs(lost - ampereSeconds)).toBeLessThan(1e-9 * given.unit.capacity * 3600);
      }),
    );
  });

  test("keeps its state of charge within 10 and 95 %", () =>
    always(({ soc }) => {
      expect(soc).toBeGreaterThanOrEqual(10 - 1e-9);
      expect(soc).toBeLessThanOrEqual(95 + 1e-9);
    }));

  test("does not leave a state of charge out of bounds in the wrong direction", () => {
    fc.assert(
      fc.property(parametersArbitrary, (unit) => {
        const currentAfter = (soc: number, elapsed: number) =>
          nextState(unit, initialState(unit, soc, elapsed), 60).current;
        expect(currentAfter(97, 0)).toBe(0);
        expect(currentAfter(5, cycleSeconds / 2)).toBe(0);
      }),
    );
  });

  test("has a terminal voltage of the open circuit's less current times resistance", () =>
    always(({ voltage, soc, current }, unit) =>
      expect(voltage).toBeCloseTo(openCircuitVoltage(unit, soc) - current * unit.resistance, 9),
    ));

  test("loses power in the inverter in both directions", () =>
    always(({ acPower, dcPower, voltage, current }, unit) => {
      expect(dcPower).toBeCloseTo(voltage * current, 6);
      const share = current > 0 ? acPower / dcPower : dcPower / acPower;
      if (current !== 0) expect(share).toBeCloseTo(unit.efficiency, 9);
      else expect(Math.abs(acPower)).toBe(0);
    }));

  test("splits its power over three phases of about 230 V, within 2 % of each other", () =>
    always((state) => {
      const powers = phases.map(
        (phase) => state.phases[phase].voltage * state.phases[phase].current,
      );
      expect(powers.reduce((sum, power) => sum + power)).toBeCloseTo(state.acPower, 5);
      for (const power of powers)
        expect(Math.abs(power - state.acPower / 3)).toBeLessThanOrEqual(
          0.02 * Math.abs(state.acPower / 3) + 1e-9,
        );
      for (const phase of phases)
        expect(Math.abs(state.phases[phase].voltage - 230)).toBeLessThan(230 * 0.0101);
    }));

  test("has the mode that its current's sign tells", () =>
    always(({ mode, current }) =>
      expect(mode).toBe(current > 0 ? "discharging" : current < 0 ? "charging" : "standby"),
    ));

  test("goes the same way again from the same seed, and another way from another", () => {
    fc.assert(
      fc.property(runArbitrary, (given) => {
        expect(run(given)).toEqual(run(given));
        const other = { ...given, unit: { ...given.unit, seed: given.unit.seed + 1 } };
        expect(run(other).last.phases).not.toEqual(run(given).last.phases);
      }),
    );
  });
});

describe("the open-circuit voltage", () => {
  test("never falls as the battery fills, and ends where the unit says", () => {
    fc.assert(
      fc.property(
        parametersArbitrary,
        fc.double({ min: 0, max: 100, noNaN: true }),
        fc.double({ min: 0, max: 100, noNaN: true }),
        (unit, a, b) => {
          expect(openCircuitVoltage(unit, Math.max(a, b))).toBeGreaterThanOrEqual(
            openCircuitVoltage(unit, Math.min(a, b)),
          );
          expect(openCircuitVoltage(unit, 0)).toBeCloseTo(unit.openCircuit[0]);
          expect(openCircuitVoltage(unit, 100)).toBeCloseTo(unit.openCircuit[1]);
        },
      ),
    );
  });
});

describe("the dispatch", () => {
  const seconds = Array.from({ length: cycleSeconds }, (_, i) => dispatchShare(i));

  test("charges, rests and discharges within minutes, and moves no net charge", () => {
    expect(cycleSeconds).toBeLessThanOrEqual(600);
    expect([Math.min(...seconds), Math.max(...seconds)]).toEqual([-1, 1]);
    expect(seconds.filter((share) => share === 0).length).toBeGreaterThan(30);
    expect(seconds.reduce((sum, share) => sum + share)).toBeCloseTo(0, 9);
  });

  test("changes by a ramp", () => {
    seconds.forEach((share, i) =>
      expect(Math.abs(share - dispatchShare(i + 1))).toBeLessThanOrEqual(0.2 + 1e-9),
    );
  });
});

test("the noise is evenly spread and tells neighbours apart", () => {
  const values = Array.from({ length: 20_000 }, (_, i) => noise(7, i % 5000, Math.floor(i / 5000)));
  const mean = values.reduce((sum, value) => sum + value) / values.length;
  const next =
    values.slice(1).reduce((sum, value, i) => sum + value * (values[i] ?? NaN), 0) / values.length;
  expect(Math.min(...values)).toBeGreaterThanOrEqual(-1);
  expect(Math.max(...values)).toBeLessThan(1);
  expect(Math.abs(mean)).toBeLessThan(0.02);
  expect(Math.abs(next)).toBeLessThan(0.02);
});
