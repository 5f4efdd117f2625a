import { scenariosOf, scenarioNames, type Scenario } from "../../configs/scenarios";
import { InfluxQlEngine } from "../support/influxql";
import { projectModels, simulated } from "../support/simulated";
import { type Fired, watched } from "../support/watched";

const from = Date.UTC(2026, 10, 27, 12);

/** Hours of a normal day that are watched: BESS_DAY_HOURS=24 watches all of it. */
const hours = Number(process.env.BESS_DAY_HOURS ?? 1);

const modelOf = (name: string) => {
  const found = projectModels.find((model) => model.name === name);
  if (!found) throw new Error(`there is no model ${name}`);
  return found;
};

/** When the fault begins: in the second cycle, when every rule has seen a normal one. */
const faultFrom = 420;

const battery = "group_id=bess-1,id=battery-1";
const pcs = "group_id=bess-1,id=pcs-1";
const unreadable = (reason: string) =>
  ["battery", "bess", "pcs"].map(
    (table) => `BessMessagesUnreadable measurement=${table},reason=${reason}`,
  );
const silent = [
  `BessUnitSilentBattery ${battery}`,
  "BessUnitSilentBess id=bess-1",
  `BessUnitSilentPcs ${pcs}`,
];

/** The alerts that each fault fires, and no other; with the model that shows it, and for how long. */
const matrix: Record<Scenario, [model: string, minutes: number, alerts: string[]]> = {
  "cell-overheats": ["esphome-bms", 12, ["BessOutOfRangeBatteryTemperature id=battery-1"]],
  "cell-drifts": ["esphome-bms", 20, ["BessCellsDriftBatteryCellVoltageMax id=battery-1"]],
  "pack-silent": ["bess-fleet", 5, [`BessUnitSilentBattery ${battery}`]],
  "sensor-frozen": ["bess-fleet", 20, [`BessValueStuckBatteryVoltage ${battery}`]],
  "link-flaps": ["bess-fleet", 15, silent],
  "set-point-ignored": ["m5bat", 10, ["BessSetPointNotFollowedUnitPAcSet unit=unit-1"]],
  "over-voltage": [
    "bess-fleet",
    20,
    [
      `BessBeyondLimitsBatteryVoltage ${battery}`,
      `BessBeyondLimitsPcsDcVoltage ${pcs}`,
      `BessOutOfRangeBatterySoc ${battery}`,
    ],
  ],
  "soc-jump": ["bess-fleet", 10, [`BessChangesTooFastBatterySoc ${battery}`]],
  "clock-wrong": ["bess-fleet", 5, [...silent, ...unreadable("time outside the believed")]],
  "payload-malformed": ["bess-fleet", 10, unreadable("not JSON")],
};

/** What fires while all is well: the dead man's own. */
const always = "BessWatchdog";

describe("the simulator, its messages read, stored and watched by every alert", () => {
  let engine: InfluxQlEngine;
  beforeAll(async () => (engine = await InfluxQlEngine.start()), 60_000);
  afterAll(() => engine?.stop());

  const names = [...new Set(Object.values(matrix).map(([name]) => name))];
  test.each(names)(
    "fires no alert while nothing is wrong: %s",
    async (name) => {
      const run = { model: modelOf(name), from, seconds: hours * 3600, interval: 5 };
      const fired = await watched(engine, `${name}-normal`, run);
      expect(fired.map(({ alert }) => alert)).toEqual([always]);
    },
    hours * 600_000,
  );

  const fired = new Map<Scenario, Fired[]>();
  test.each(scenarioNames)(
    "%s fires its alerts, and no other",
    async (scenario) => {
      const [name, minutes, alerts] = matrix[scenario];
      const seconds = faultFrom + minutes * 60;
      const run = { model: modelOf(name), from, seconds, interval: 5, scenario, faultFrom };
      const found = await watched(engine, scenario, run);
      fired.set(scenario, found);
      const during = found.filter(({ alert }) => alert !== always);
      expect(during.map(({ alert }) => alert).sort()).toEqual([...alerts].sort());
      expect(Math.min(...during.map(({ after }) => after))).toBeGreaterThan(0);
    },
    300_000,
  );

  const after = (scenario: Scenario, alert: string) =>
    fired.get(scenario)?.find((one) => one.alert.startsWith(alert))?.after;

  test("a silent unit is found within ten intervals, 30 s at least, and 20 s", () => {
    expect(after("pack-silent", "BessUnitSilent")).toBeLessThanOrEqual(30 + 20);
  });

  test("a value beyond its limits is critical within `for` and 20 s of its first message", () => {
    const model = modelOf("bess-fleet");
    const highest = model.measurements.flatMap((m) => m.fields).find((f) => f.name === "voltage")
      ?.limits?.[1];
    const run = { model, from, seconds: 3600, interval: 5, scenario: "over-voltage" as const };
    let first: number | undefined;
    for (const { time, points } of simulated({ ...run, faultFrom })) {
      const isBeyond = points.some(({ fields }) => Number(fields.voltage) > (highest ?? NaN));
      if (isBeyond) first ??= (time - from) / 1000 - faultFrom;
      if (first !== undefined) break;
    }
    const told = after("over-voltage", "BessBeyondLimitsBatteryVoltage");
    expect(Number(told) - Number(first)).toBeLessThanOrEqual(20 + 20);
    expect(Number(told) - Number(first)).toBeGreaterThanOrEqual(20);
  });
});

test("every fault is shown by a model that can show it", () => {
  for (const scenario of scenarioNames)
    expect(scenariosOf(modelOf(matrix[scenario][0]))).toContain(scenario);
});
