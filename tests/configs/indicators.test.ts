import {
  figuresOf,
  healthTrend,
  together,
  UnitIndicators,
  type Indicators,
} from "../../configs/indicators";
import { m5batByHand, m5batDay, m5batUnit, noM5bat } from "../support/m5bat";
import { isMade, madeFigures, madeRow, madeUnit } from "../support/made-week";

const figures = (span: Indicators): Record<string, number | undefined> =>
  Object.fromEntries(figuresOf(span).map(({ name, value }) => [name, value]));

const day = 86_400;
const hour = 3600;

describe("a made week", () => {
  const unit = new UnitIndicators(madeUnit);
  const days: Indicators[] = [];
  for (let d = 0; d < 7; d += 1) {
    for (let minute = 0; minute < 1440; minute += 1) {
      if (isMade(d, minute)) unit.add({ time: d * day + minute * 60, values: madeRow(d, minute) });
    }
    days.push(unit.close(d * day, (d + 1) * day));
  }

  test("has the answers of each day", () => {
    expect(figures(days[1] as Indicators)).toEqual({ ...madeFigures, state_of_health: 99.9 });
  });

  test("counts what is missing: a row holds for three intervals", () => {
    const { availability, completeness, hours_mode_idle: idle } = figures(days[3] as Indicators);
    expect(completeness).toBe(87.5);
    expect(availability).toBeCloseTo((100 * (21 * hour + 2 * 60)) / day, 9);
    expect(idle).toBeCloseTo(5 + 2 / 60, 9);
  });

  test("has the sums of the days as a whole", () => {
    expect(figures(together(days))).toMatchObject({
      energy_charged: expect.closeTo(560, 6),
      energy_discharged: expect.closeTo(504, 6),
      round_trip_efficiency: expect.closeTo(90, 9),
      equivalent_full_cycles: expect.closeTo(5.6, 6),
      depth_of_discharge: 80,
      state_of_health: 99.4,
      hours_mode_charge: 56,
    });
    expect(together(days).rows).toBe(7 * 1440 - 180);
  });

  test("shows that a tenth of a percent a day is 36.5 % a year", () => {
    const trend = healthTrend(days.map(({ health = 0 }, d) => [d * day, health]));
    expect(trend).toBeCloseTo(-36.525, 9);
    expect(healthTrend([[0, 100]])).toBeUndefined();
  });
});

test("a span without rows has no figure but that nothing came", () => {
  const told = figures(new UnitIndicators(madeUnit).close(0, day));
  expect(Object.entries(told).filter(([, value]) => value !== undefined)).toEqual([
    ["availability", 0],
    ["completeness", 0],
  ]);
});

test("what holds at midnight is of both days", () => {
  const unit = new UnitIndicators(madeUnit);
  unit.add({ time: day - 60, values: { power: -6000 } });
  expect(unit.close(0, day)).toMatchObject({ discharged: 0.1, reported: 60 });
  expect(unit.close(day, 2 * day)).toMatchObject({ discharged: 0.2, reported: 120, rows: 0 });
});

(noM5bat ? test.skip : test)(
  `the day of M5BAT has what is reckoned by hand${noM5bat ? `: ${noM5bat}` : ""}`,
  () => {
    const unit = new UnitIndicators(m5batUnit);
    const begin = Date.UTC(2023, 3, 13) / 1000;
    let [charged, discharged, way, before] = [0, 0, 0, Number.NaN];
    let [low, high] = [Infinity, -Infinity];
    const modes = { pq: 0, stop: 0 };
    let time = begin;
    for (const { p, soc, pq, stop, silent, wait } of m5batDay()) {
      const values = {
        p_ac: p,
        soc: soc / 10,
        mode_pq: pq,
        mode_stop: stop,
        mode_silent: silent,
        mode_wait: wait,
      };
      unit.add({ time, values });
      time += 1;
      // By hand: each row is a second.
      if (p > 0) discharged += p;
      else charged -= p;
      if (!Number.isNaN(before)) way += Math.abs(soc - before);
      before = soc;
      low = Math.min(low, soc);
      high = Math.max(high, soc);
      modes.pq += pq;
      modes.stop += stop;
    }
    const told = figures(unit.close(begin, begin + day));
    expect(told).toMatchObject({
      energy_charged: expect.closeTo(charged / 3600, 9),
      energy_discharged: expect.closeTo(discharged / 3600, 9),
      round_trip_efficiency: expect.closeTo((100 * discharged) / charged, 9),
      equivalent_full_cycles: expect.closeTo(way / 2000, 9),
      depth_of_discharge: expect.closeTo((high - low) / 10, 9),
      completeness: 100,
      availability: 100,
      hours_mode_pq_1: expect.closeTo(modes.pq / 3600, 9),
    });
    for (const [name, value] of Object.entries(m5batByHand))
      expect(told[name]).toBeCloseTo(value, 6);
  },
);
