import type { Rule } from "@grafana/grafana-foundation-sdk/alerting";
import { alertGroups, type KindName, kinds } from "../../alerts";
import { modelSchema } from "../../configs/model";
import { profiles } from "../../configs/profiles";
import { storageBudget } from "../../configs/storage";
import { validate } from "../../configs/validation";
import { sources } from "../../dashboards";
import { RuleEvaluation, type State } from "../support/alerting";
import { ask, InfluxDb3, InfluxQlEngine } from "../support/influxql";
import { pipelineRows } from "../support/pipeline-rows";
import { influxdbMissing } from "../support/programs";

const number = { type: "float", meaning: "A number." };

/** A model with every key that makes an alert. */
const model = validate(
  modelSchema,
  {
    name: "watched",
    title: "Watched",
    measurements: [
      {
        name: "battery",
        title: "Battery",
        meaning: "One battery.",
        topic: "battery/+/status",
        interval: "10s",
        time: { path: "timestamp", format: "iso8601" },
        tags: [
          { name: "id", segment: 1, meaning: "Identifier." },
          { name: "rack", path: "rack", optional: true, meaning: "Rack." },
        ],
        fields: [
          {
            ...number,
            name: "soc",
            unit: "%",
            range: [10, 90],
            limits: [5, 95],
            maxRate: { change: 5, within: "1m" },
            drift: { most: 20, among: "rack" },
          },
          { ...number, name: "voltage", unit: "V", stuckAfter: "10m", range: [600, 900] },
          { ...number, name: "current", unit: "A", range: [-100, 100], quantity: "current" },
          { ...number, name: "power", unit: "W", quantity: "power" },
          {
            ...number,
            name: "set_point",
            unit: "kW",
            quantity: "power_set_point",
            positive: "charging",
            follow: { tolerance: 1, within: "30s" },
          },
          {
            ...number,
            name: "cell_max",
            unit: "V",
            quantity: "cell_voltage",
            extreme: "highest",
            spread: 0.1,
          },
          { ...number, name: "cell_min", unit: "V", quantity: "cell_voltage", extreme: "lowest" },
          { name: "hot", type: "bool", meaning: "Too hot.", alarm: "critical" },
          {
            name: "mode",
            type: "string",
            meaning: "Mode.",
            alarm: { fault: "critical", derated: "warning" },
          },
        ],
      },
    ],
  },
  "the test's model",
);

const certificateEnds = new Date("2026-02-04T00:00:00Z");
const groups = alertGroups({
  model,
  site: "kiel-1",
  runbook: "docs/alerts.md",
  profile: profiles.pi,
  storage: storageBudget(model, { profile: "pi", retention: "90d", storage: {} }),
  certificateEnds,
  backup: { every: "1d" },
  uplink: true,
  engine: "ssh://pi@kiel-1",
});
const rules = groups.flatMap((group) => group.rules.map((rule) => ({ rule, group })));

/** What the units' messages are alike but for what a row of the table changes. */
const usual = {
  soc: 50,
  voltage: 700,
  current: 10,
  power: -5000,
  set_point: 5,
  cell_max: 3.35,
  cell_min: 3.3,
  hot: false,
  mode: "run",
};
type Values = Partial<typeof usual>;

/** Start of a row, in ms. */
const start = Date.parse("2026-01-05T00:00:00Z");

const literal = (value: number | boolean | string) =>
  typeof value === "string" ? `"${value}"` : String(value);

/** A message of a unit, in line protocol. */
const message = (unit: string, second: number, values: Values, rack = "r1") =>
  `battery,id=${unit},rack=${rack} ` +
  Object.entries({ ...usual, voltage: 700 + (second % 50) / 10, ...values })
    .map(([name, value]) => `${name}=${literal(value)}`)
    .join(",") +
  ` ${start + second * 1000}`;

/**
 * Messages of a unit b1, and of b2, of which nothing is ever wrong, from 20 min before the start.
 * @param change what is sent of b1 at a second; null for nothing.
 */
const units = (change: (second: number) => Values | null, end: number): string[] =>
  each(end, (second) => {
    const values = change(second);
    return [...(values ? [message("b1", second, values)] : []), message("b2", second, {})];
  });

/** Lines of each ten seconds from 20 min before the start. */
const each = (end: number, lines: (second: number) => string[], from = -1200): string[] =>
  Array.from({ length: (end - from) / 10 + 1 }, (_, i) => lines(from + i * 10)).flat();

const between = (from: number, to: number) => (second: number) => second >= from && second < to;

/** b1 with other values between two seconds. */
const during = (from: number, to: number, values: Values) => (second: number) =>
  between(from, to)(second) ? values : {};

/** What the pipeline tells, each ten seconds. */
const told = (second: number, change: Record<string, number> = {}): string[] =>
  pipelineRows(start + second * 1000, second + 10_000, change);

/** The pipeline's numbers, with others between two seconds. */
const pipeline = (end: number, from: number, to: number, change: Record<string, number>) =>
  each(end, (second) => told(second, between(from, to)(second) ? change : {}));

/** One row of the table: points in, states out. */
interface Row {
  rule: string;
  does: string;
  lines: string[];
  /** Labels of the alert that is looked at. Default: of the unit b1, or none in the pipeline. */
  of?: string;
  /** State after each second. */
  states: [second: number, state: State | undefined][];
  /** Where the start lies. Default: {@link start}. */
  shift?: number;
}

const b1 = "id=b1,rack=r1";
const rowsOf: Record<KindName, Row[]> = {
  BessBeyondLimits: [
    {
      rule: "BessBeyondLimitsBatterySoc",
      does: "fires after three readings outside, and is over two minutes after the last",
      lines: units(during(95, 215, { soc: 96 }), 400),
      states: [
        [90, "normal"],
        [100, "pending"],
        [120, "firing"],
        [210, "firing"],
        [220, "recovering"],
        [330, "recovering"],
        [340, "normal"],
      ],
    },
    {
      rule: "BessBeyondLimitsBatterySoc",
      does: "takes the ends for right, and one wrong reading for none",
      lines: units((s) => (s === 100 ? { soc: 99 } : { soc: 95 }), 200),
      states: [
        [90, "normal"],
        [100, "pending"],
        [110, "normal"],
        [200, "normal"],
      ],
    },
    {
      rule: "BessBeyondLimitsBatterySoc",
      does: "stays while its unit is silent: silence is no recovery",
      lines: units((s) => (s < 95 ? {} : s < 130 ? { soc: 2 } : null), 600),
      states: [
        [130, "firing"],
        [600, "firing"],
      ],
    },
    {
      rule: "BessBeyondLimitsBatterySoc",
      does: "is normal where nothing ever came",
      lines: [message("b1", -90_000, {})],
      of: "",
      states: [[60, "normal"]],
    },
  ],
  BessOutOfRange: [
    {
      rule: "BessOutOfRangeBatterySoc",
      does: "fires after five minutes outside the range",
      lines: units(during(55, 720, { soc: 92 }), 1200),
      states: [
        [0, "normal"],
        [60, "pending"],
        [360, "firing"],
        [720, "recovering"],
        [1020, "normal"],
      ],
    },
    {
      rule: "BessOutOfRangeBatterySoc",
      does: "is not fired by what is critical",
      lines: units(during(55, 900, { soc: 97 }), 900),
      states: [
        [60, "normal"],
        [600, "normal"],
      ],
    },
  ],
  BessChangesTooFast: [
    {
      rule: "BessChangesTooFastBatterySoc",
      does: "fires at once, and five minutes on",
      lines: units((s) => ({ soc: s < 95 ? 50 : 58 }), 600),
      states: [
        [90, "normal"],
        [100, "firing"],
        [170, "recovering"],
        [500, "normal"],
      ],
    },
    {
      rule: "BessChangesTooFastBatterySoc",
      does: "takes the fastest change that is possible for right",
      lines: units((s) => ({ soc: 50 + s / 12.5 }), 300),
      states: [[300, "normal"]],
    },
  ],
  BessValueStuck: [
    {
      rule: "BessValueStuckBatteryVoltage",
      does: "fires while the current moves, and recovers",
      lines: units(
        (s) => ({ current: s % 100, ...(between(0, 1200)(s) && { voltage: 700 }) }),
        2000,
      ),
      states: [
        [300, "pending"],
        [600, "firing"],
        [1260, "recovering"],
        [1560, "normal"],
      ],
    },
    {
      rule: "BessValueStuckBatteryVoltage",
      does: "is no alert while the unit rests",
      lines: units((s) => ({ current: (s % 20) / 10, voltage: 700 }), 1200),
      states: [[1200, "normal"]],
    },
    {
      rule: "BessValueStuckBatteryVoltage",
      does: "is no alert of a unit that has just begun",
      lines: each(900, (s) =>
        s < 0 ? [] : [message("b1", s, { current: s % 100, ...(s < 100 && { voltage: 700 }) })],
      ),
      states: [
        [60, "pending"],
        [180, "normal"],
      ],
    },
  ],
  BessUnitSilent: [
    {
      rule: "BessUnitSilentBattery",
      does: "fires after ten intervals, and is told over two minutes after the first message",
      lines: units((s) => (between(100, 300)(s) ? null : {}), 600),
      states: [
        [190, "normal"],
        [200, "firing"],
        [290, "firing"],
        [310, "recovering"],
        [440, "normal"],
      ],
    },
    {
      rule: "BessUnitSilentBattery",
      does: "goes on for hours, where all units are silent too",
      lines: each(3600, (s) => (s < 100 ? [message("b1", s, {}), message("b2", s, {})] : [])),
      states: [
        [200, "firing"],
        [3600, "firing"],
      ],
    },
    {
      rule: "BessUnitSilentBattery",
      does: "is no alert of a late message",
      lines: units((s) => (between(100, 180)(s) ? null : {}), 300),
      states: [
        [180, "normal"],
        [300, "normal"],
      ],
    },
  ],
  BessUnitsDrift: [
    {
      rule: "BessUnitsDriftBatterySoc",
      does: "fires after ten minutes, of the rack",
      of: "rack=r1",
      lines: units(during(0, 1200, { soc: 75 }), 2400),
      states: [
        [-60, "normal"],
        [60, "pending"],
        [660, "firing"],
        [1260, "recovering"],
        [1860, "normal"],
      ],
    },
    {
      rule: "BessUnitsDriftBatterySoc",
      does: "does not compare units of two racks, nor those of none",
      of: "rack=r1",
      lines: each(900, (s) => [
        message("b1", s, {}),
        message("b3", s, { soc: 90 }, "r2"),
        `battery,id=b4 soc=12 ${start + s * 1000}`,
      ]),
      states: [[900, "normal"]],
    },
  ],
  BessCellsDrift: [
    {
      rule: "BessCellsDriftBatteryCellMax",
      does: "fires after five minutes, and recovers",
      lines: units(during(0, 600, { cell_min: 3.2 }), 1500),
      states: [
        [-60, "normal"],
        [0, "pending"],
        [300, "firing"],
        [660, "recovering"],
        [1260, "normal"],
      ],
    },
    {
      rule: "BessCellsDriftBatteryCellMax",
      does: "is no alert of cells that part for a moment",
      lines: units(during(0, 120, { cell_min: 3 }), 400),
      states: [
        [60, "pending"],
        [180, "normal"],
        [400, "normal"],
      ],
    },
  ],
  BessSetPointNotFollowed: [
    {
      rule: "BessSetPointNotFollowedBatterySetPoint",
      does: "fires after the time to follow, in the set point's unit and sign",
      lines: units(during(95, 300, { set_point: 6.5 }), 600),
      states: [
        [90, "normal"],
        [100, "pending"],
        [130, "firing"],
        [300, "recovering"],
        [430, "normal"],
      ],
    },
    {
      rule: "BessSetPointNotFollowedBatterySetPoint",
      does: "lets the power follow with a delay",
      lines: units((s) => ({ set_point: s < 100 ? 5 : 9, power: s < 120 ? -5000 : -8500 }), 300),
      states: [
        [110, "pending"],
        [120, "normal"],
        [300, "normal"],
      ],
    },
  ],
  BessAlarmRaised: [
    {
      rule: "BessAlarmRaisedBatteryHot",
      does: "fires while a bit is set",
      lines: units(during(95, 200, { hot: true }), 400),
      states: [
        [90, "normal"],
        [100, "firing"],
        [200, "recovering"],
        [270, "normal"],
      ],
    },
    {
      rule: "BessAlarmRaisedBatteryModeCritical",
      does: "fires while a text is an alarm, and is forgotten after it",
      lines: units(during(95, 200, { mode: "fault" }), 400),
      states: [
        [90, undefined],
        [100, "firing"],
        [220, "firing"],
        [300, "normal"],
      ],
    },
    {
      rule: "BessAlarmRaisedBatteryModeWarning",
      does: "goes by its own values",
      lines: units(during(0, 100, { mode: "derated" }), 200),
      states: [[60, "firing"]],
    },
  ],
  BessClockAhead: [
    {
      rule: "BessClockAheadBattery",
      does: "fires while times are ahead",
      lines: [...units(() => ({}), 0), message("b1", 900, {}), message("b2", 50, {})],
      states: [
        [0, "firing"],
        [780, "firing"],
        [900, "normal"],
      ],
    },
  ],
  BessPipelineSilent: [
    {
      rule: "BessPipelineSilent",
      does: "fires when nothing is told, and is over when it is again",
      lines: each(900, (s) => (between(100, 400)(s) ? [] : told(s))),
      states: [
        [60, "normal"],
        [180, "pending"],
        [240, "firing"],
        [420, "recovering"],
        [480, "normal"],
      ],
    },
    {
      rule: "BessPipelineSilent",
      does: "fires when nothing was ever told",
      lines: [`other value=1 ${start}`],
      states: [
        [0, "pending"],
        [60, "firing"],
      ],
    },
  ],
  BessNoRowsStored: [
    {
      rule: "BessNoRowsStored",
      does: "fires while messages come and no row is stored",
      lines: pipeline(1200, 0, 600, { written: 10_000 }),
      states: [
        [0, "normal"],
        [180, "pending"],
        [300, "firing"],
        [600, "recovering"],
        [660, "normal"],
      ],
    },
    {
      rule: "BessNoRowsStored",
      does: "is no alert while no gateway publishes",
      lines: pipeline(600, -1200, 700, { written: 1, published: 1 }),
      states: [[600, "normal"]],
    },
  ],
  BessPointsDropped: [
    {
      rule: "BessPointsDropped",
      does: "fires at the first point, not at a counter that begins again",
      of: "alias=telemetry",
      lines: pipeline(2000, 100, 400, { dropped: 7 }),
      states: [
        [60, "normal"],
        [120, "firing"],
        [660, "firing"],
        [780, "recovering"],
        [1380, "normal"],
      ],
    },
  ],
  BessWritesRefused: [
    {
      rule: "BessWritesRefused",
      does: "fires at the first point",
      of: "alias=telemetry",
      lines: pipeline(300, 100, 400, { rejected: 1 }),
      states: [
        [60, "normal"],
        [120, "firing"],
      ],
    },
  ],
  BessMessagesUnreadable: [
    {
      rule: "BessMessagesUnreadable",
      does: "fires by measurement and reason, and ends by itself",
      of: "measurement=battery,reason=not JSON",
      lines: [
        ...pipeline(2400, 0, 0, {}),
        `mqtt_drops,measurement=battery,reason=not\\ JSON,topic=a count=2i ${start + 100_000}`,
      ],
      states: [
        [60, undefined],
        [120, "firing"],
        [660, "firing"],
        [1320, "normal"],
      ],
    },
  ],
  BessBrokerDrops: [
    {
      rule: "BessBrokerDrops",
      does: "fires at the first message",
      lines: pipeline(300, 100, 400, { brokerDropped: 3 }),
      states: [
        [60, "normal"],
        [120, "firing"],
      ],
    },
  ],
  BessQueueGrows: [
    {
      rule: "BessQueueGrows",
      does: "fires after ten minutes, and is none where it is half full",
      lines: each(1800, (s) => told(s, s < 55 ? {} : { queued: s < 1000 ? 10_000 : 500_000 })),
      states: [
        [0, "normal"],
        [60, "pending"],
        [660, "firing"],
        [1020, "recovering"],
        [1320, "normal"],
      ],
    },
  ],
  BessQueueHalfFull: [
    {
      rule: "BessQueueHalfFull",
      does: "fires after a minute",
      lines: pipeline(300, 55, 400, { queued: 500_000 }),
      states: [
        [0, "normal"],
        [60, "pending"],
        [120, "firing"],
      ],
    },
  ],
  BessDiskFilling: [
    {
      rule: "BessDiskFilling",
      does: "fires from 80 % on, and is none from 90 % on",
      lines: each(1800, (s) => told(s, { disk: s < 55 ? 80 : s < 1000 ? 85 : 95 })),
      states: [
        [0, "normal"],
        [660, "firing"],
        [1020, "recovering"],
        [1620, "normal"],
      ],
    },
  ],
  BessDiskAlmostFull: [
    {
      rule: "BessDiskAlmostFull",
      does: "fires from 90 % on",
      lines: pipeline(300, 55, 400, { disk: 91 }),
      states: [
        [60, "pending"],
        [180, "firing"],
      ],
    },
  ],
  BessBudgetFilling: [
    {
      rule: "BessBudgetFilling",
      does: "is normal while little is stored",
      lines: [`influxdb_size bytes=1000i ${start - 60_000}`],
      states: [[60, "normal"]],
    },
  ],
  BessBudgetAlmostFull: [
    {
      rule: "BessBudgetAlmostFull",
      does: "fires by the last hour's size",
      lines: [`influxdb_size bytes=900000000000i ${start - 60_000}`],
      states: [[60, "firing"]],
    },
  ],
  BessMemoryHigh: [
    {
      rule: "BessMemoryHigh",
      does: "fires after ten minutes",
      lines: pipeline(900, 0, 900, { memory: 96 }),
      states: [
        [120, "pending"],
        [780, "firing"],
      ],
    },
  ],
  BessHostHot: [
    {
      rule: "BessHostHot",
      does: "fires by sensor",
      of: "sensor=cpu",
      lines: pipeline(600, 0, 900, { temperature: 82 }),
      states: [
        [120, "pending"],
        [480, "firing"],
      ],
    },
  ],
  BessHostTooHot: [
    {
      rule: "BessHostTooHot",
      does: "fires from 85 °C on",
      of: "sensor=cpu",
      lines: pipeline(600, 0, 900, { temperature: 90 }),
      states: [[300, "firing"]],
    },
  ],
  BessClockNotSynchronised: [
    {
      rule: "BessClockNotSynchronised",
      does: "fires after ten minutes of a clock that nobody sets",
      lines: pipeline(900, 0, 900, { clockError: 16_000_000_000 }),
      states: [
        [120, "pending"],
        [780, "firing"],
      ],
    },
    {
      rule: "BessClockNotSynchronised",
      does: "is normal while a time server answers now and then",
      lines: pipeline(900, 0, 900, { clockError: 2_000_000_000 }),
      states: [[780, "normal"]],
    },
  ],
  BessUnderVoltage: [
    {
      rule: "BessUnderVoltage",
      does: "fires at once, and tells of its end after a quarter of an hour",
      of: "sensor=in0",
      lines: pipeline(2400, 300, 310, { underVoltage: 1 }),
      states: [
        [240, "normal"],
        [360, "firing"],
        [840, "firing"],
        [1500, "recovering"],
        [2040, "normal"],
      ],
    },
  ],
  BessServiceRestarts: [
    {
      rule: "BessServiceRestartsTelegraf",
      does: "fires at the second restart, not at the first",
      lines: each(1800, (s) => told(s, { gathered: s < 100 ? s + 5000 : s < 300 ? s : s - 299 })),
      states: [
        [240, "normal"],
        [300, "firing"],
        [1080, "recovering"],
      ],
    },
    {
      rule: "BessServiceRestartsBroker",
      does: "goes by the broker's own counter",
      lines: each(600, (s) => told(s, { received: s < 100 ? s + 5000 : s < 300 ? s : s - 299 })),
      states: [
        [240, "normal"],
        [300, "firing"],
      ],
    },
    {
      rule: "BessServiceRestartsInfluxDb",
      does: "goes by the starts that its container reports",
      lines: [
        `influxdb_start set_aside=0i ${start + 30_000}`,
        `influxdb_start set_aside=0i ${start + 90_000}`,
      ],
      states: [
        [60, "normal"],
        [120, "firing"],
      ],
    },
  ],
  BessCertificateEnds: [
    {
      rule: "BessCertificateEnds",
      does: "fires 30 days before the end",
      // 2026-01-05 is 30 days before 2026-02-04.
      lines: pipeline(300, 0, 0, {}),
      states: [
        [-60, "normal"],
        [60, "firing"],
      ],
    },
  ],
  BessCertificateEndsSoon: [
    {
      rule: "BessCertificateEndsSoon",
      does: "is normal until 7 days before the end",
      lines: pipeline(300, 0, 0, {}),
      of: "",
      states: [[60, "normal"]],
    },
  ],
  BessBackupTooOld: [
    {
      rule: "BessBackupTooOld",
      does: "fires when two periods have passed, and ends with the next backup",
      lines: [
        `backup age=172000i ${start - 60_000}`,
        `backup age=175600i ${start + 60_000}`,
        `backup age=12i,ok=1i ${start + 300_000}`,
      ],
      states: [
        [0, "normal"],
        [120, "firing"],
        [360, "normal"],
      ],
    },
  ],
  BessUplinkLate: [
    {
      rule: "BessUplinkLate",
      does: "fires when a quarter of an hour is missing, until it has been made up for",
      lines: each(2400, (s) =>
        s % 120 === 0
          ? [`uplink lag=${between(0, 1800)(s) ? s : 0},refused=0i ${start + s * 1000}`]
          : [],
      ),
      states: [
        [900, "normal"],
        [1020, "pending"],
        [1320, "firing"],
        [1740, "firing"],
        [1860, "normal"],
      ],
    },
    {
      rule: "BessUplinkLate",
      does: "fires where the uplink has told nothing for half an hour",
      lines: [`uplink lag=0,refused=0i ${start}`],
      of: "",
      states: [
        [1740, "normal"],
        [1920, "pending"],
        [2220, "firing"],
      ],
    },
  ],
  BessUplinkRefused: [
    {
      rule: "BessUplinkRefused",
      does: "fires at once, and for an hour after the last",
      lines: [
        `uplink lag=0,refused=0i ${start - 60_000}`,
        `uplink lag=0,refused=3i ${start + 50_000}`,
        `uplink lag=0,refused=0i ${start + 3_600_000}`,
      ],
      states: [
        [0, "normal"],
        [60, "firing"],
        [3600, "firing"],
        [3720, "recovering"],
        [4320, "normal"],
      ],
    },
  ],
  BessWatchdog: [
    {
      rule: "BessWatchdog",
      does: "fires while all works, and ends when the pipeline does",
      lines: each(100, (s) => told(s)),
      states: [
        [60, "firing"],
        [240, "firing"],
        [360, "normal"],
      ],
    },
  ],
};

const table = Object.values(rowsOf).flat();

test("each rule has a row", () => {
  expect(Object.keys(rowsOf)).toEqual(Object.keys(kinds));
  const tested = new Set(table.map(({ rule }) => rule));
  // A rule that another field has too is of the same code.
  const kindsOfRules = new Set(rules.map(({ rule }) => rule.labels?.kind));
  const kindsTested = new Set(
    rules.filter(({ rule }) => tested.has(rule.title)).map(({ rule }) => rule.labels?.kind),
  );
  expect(kindsTested).toEqual(kindsOfRules);
});

test("a database that does not answer is one alert, and changes no other", async () => {
  const nowhere = (query: string) => ask("http://127.0.0.1:9", "GET", query);
  const firing: string[] = [];
  for (const { rule, group } of rules) {
    const evaluation = new RuleEvaluation(rule, group.interval, nowhere);
    for (let second = 0; second <= 600; second += group.interval)
      await evaluation.evaluate(start + second * 1000);
    if (Object.values(evaluation.states).includes("firing")) firing.push(rule.title);
  }
  expect(firing).toEqual(["BessPipelineSilent"]);
});

const isOfModel = (rule: Rule) => rule.data?.[0]?.datasourceUid === sources.telemetry;

/** Follows a row of the table. */
async function follow(row: Row, url: string, database: string): Promise<void> {
  const found = rules.find(({ rule }) => rule.title === row.rule);
  if (!found) throw new Error(`there is no rule ${row.rule}`);
  const { rule, group } = found;
  const evaluation = new RuleEvaluation(rule, group.interval, (query) =>
    ask(url, "GET", query, database),
  );
  const of = row.of ?? (isOfModel(rule) ? b1 : "");
  const [first = 0] = row.states.map(([second]) => second);
  const end = row.states.at(-1)?.[0] ?? 0;
  const seen: Row["states"] = [];
  for (let second = Math.min(first, 0); second <= end; second += 10) {
    if (second % group.interval === 0) await evaluation.evaluate(start + second * 1000);
    if (row.states.some(([at]) => at === second)) seen.push([second, evaluation.states[of]]);
    const other = evaluation.states["id=b2,rack=r1"];
    if (other && rule.labels?.kind !== "BessUnitSilent") expect(other).toBe("normal");
  }
  expect(seen).toEqual(row.states);
}

const named = table.map((row): [string, string, Row] => [row.rule, row.does, row]);

describe("points in, state out, on InfluxQL of InfluxDB 1", () => {
  let engine: InfluxQlEngine;
  let count = 0;
  beforeAll(async () => {
    engine = await InfluxQlEngine.start();
  }, 60_000);
  afterAll(() => engine.stop());

  test.each(named)(
    "%s %s",
    async (_name, _does, row) => {
      const database = `row${(count += 1)}`;
      await engine.write(database, row.lines);
      await follow(row, engine.url, database);
    },
    30_000,
  );
});

(influxdbMissing ? describe.skip : describe)(
  `points in, state out, on the real InfluxDB 3${influxdbMissing ? `: ${influxdbMissing}` : ""}`,
  () => {
    test.each(named)(
      "%s %s",
      async (_name, _does, row) => {
        // It takes five databases at most.
        const engine = await InfluxDb3.start();
        try {
          await engine.write("row", row.lines);
          await follow(row, engine.url, "row");
        } finally {
          await engine.stop();
        }
      },
      60_000,
    );
  },
);
