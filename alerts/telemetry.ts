import {
  type Field,
  followerOf,
  isNumber,
  lowestOf,
  type Measurement,
  type Model,
  sourcesOf,
  workOf,
} from "../configs/model";
import { durationSeconds, units } from "../configs/units";
import { type Severity, severities } from "../configs/watch";
import { byUnit, isState, measurementUid, quote, sentence, sources } from "../dashboards";
import {
  type AlertGroup,
  camelCase,
  duration,
  last,
  math,
  query,
  rule,
  type RuleOptions,
  type SiteLabels,
  type Step,
  threshold,
} from "./rule";

/** Shortest time between two evaluations that Grafana takes, in seconds. */
const shortest = 10;

/** What is looked at each time: often where somebody is called, else once a minute. */
type Pace = "often" | "seldom";

/** Seconds between two evaluations: no more often than messages come. */
function secondsOf(pace: Pace, m: Measurement): number {
  const interval = Math.ceil(durationSeconds(m.interval) / shortest) * shortest;
  return Math.min(Math.max(interval, pace === "often" ? shortest : 60), 3600);
}

/** Seconds between two evaluations of a model's slowest rule. */
export const slowestEvaluation = ({ measurements }: Model): number =>
  Math.max(60, ...measurements.map((m) => secondsOf("seldom", m)));

/** Seconds back in which a unit's last value is looked for: some of its messages may be late. */
const recent = (m: Measurement) => Math.max(30, Math.ceil(3 * durationSeconds(m.interval)));

/** Intervals without a message after which a unit is silent, and the least seconds. */
const silent = { intervals: 10, seconds: 30 };

/** Seconds after which a unit is silent. */
const silentAfter = (m: Measurement): number =>
  Math.max(silent.seconds, Math.ceil(silent.intervals * durationSeconds(m.interval)));

/** A rule that is not made yet. */
type Draft = Omit<RuleOptions, "dashboard"> & { pace: Pace };

/** What a query selects of each unit. */
const select = (m: Measurement, value: string, where: string[] = []) =>
  `SELECT ${value} AS "value" FROM ${quote(m.name)} ` +
  `WHERE ${["$timeFilter", ...where].join(" AND ")} GROUP BY ${byUnit(m)}`;

const asked = (refId: string, influxQl: string, seconds: number): Step =>
  query(refId, sources.telemetry, influxQl, seconds);

/** A number of an expression, in a text. */
const value = (refId: string) => `{{ printf "%.4g" $values.${refId}.Value }}`;

/** Names a unit in a text. */
const unitText = ({ tags: [tag] }: Measurement) => (tag ? `{{ $labels.${tag.name} }}: ` : "");

/** A number with the unit of a field. */
const amount = (text: string | number, { unit }: Field) => (unit ? `${text} ${unit}` : `${text}`);

const span = ([low, high]: readonly [number, number], f: Field) =>
  low === high ? `other than ${amount(low, f)}` : `outside ${low} to ${amount(high, f)}`;

/** What a field is in a sentence: without its full stop. */
const what = (f: Field) => sentence(f.meaning).replace(/^[A-Z](?=[a-z])/, (c) => c.toLowerCase());

const ofField = (m: Measurement, f: Field) => ({
  of: camelCase(m.name) + camelCase(f.name),
  labels: { field: f.name },
});

/** The same sentence with and without values. */
function texts(m: Measurement, f: Field, condition: string, now: string, seconds: number) {
  const lasting = seconds > 0 ? ` for ${duration(seconds)}` : "";
  return {
    fires: `${m.title}: ${what(f)} is ${condition}${lasting}`,
    description: `${unitText(m)}${what(f)} is ${now}, ${condition}${lasting}.`,
  };
}

/** Values outside their limits, and outside their range. */
function bounds(m: Measurement, f: Field): Draft[] {
  const { limits, range } = f;
  const read = [asked("A", select(m, `last(${quote(f.name)})`), recent(m)), last("B", "A")];
  const beyond = (refId: string, pair: [number, number]) =>
    threshold(refId, "B", "outside_range", pair);
  const pending = Math.max(20, Math.ceil(2 * durationSeconds(m.interval)));
  const critical: Draft[] = limits
    ? [
        {
          kind: "BessBeyondLimits",
          pace: "often",
          pending,
          ...ofField(m, f),
          ...texts(m, f, span(limits, f), amount(value("B"), f), pending),
          summary: `${m.title}: ${what(f)} is beyond its limits`,
          steps: [...read, beyond("C", limits)],
        },
      ]
    : [];
  if (!range || isState(f)) return critical;
  const warned = [...read, beyond("C", range)];
  return [
    ...critical,
    {
      kind: "BessOutOfRange",
      pace: "seldom",
      ...ofField(m, f),
      ...texts(m, f, span(range, f), amount(value("B"), f), 300),
      summary: `${m.title}: ${what(f)} is out of its normal range`,
      // What is critical is not a warning too.
      steps: limits ? [...warned, beyond("D", limits), math("E", "$C && !$D")] : warned,
    },
  ];
}

const spread = (f: Field) => `max(${quote(f.name)}) - min(${quote(f.name)})`;

function rate(m: Measurement, f: Field): Draft[] {
  if (!f.maxRate) return [];
  const { change, within } = f.maxRate;
  const condition = `by more than ${amount(change, f)} within ${within}`;
  return [
    {
      kind: "BessChangesTooFast",
      pace: "often",
      ...ofField(m, f),
      summary: `${m.title}: ${what(f)} changes too fast`,
      fires: `${m.title}: ${what(f)} changes ${condition}`,
      description: `${unitText(m)}${what(f)} changed by ${amount(value("B"), f)}, ${condition}.`,
      steps: [
        asked("A", select(m, spread(f)), durationSeconds(within)),
        last("B", "A"),
        threshold("C", "B", "gt", [change]),
      ],
    },
  ];
}

/** Part of the range of another number by which it must move, where a unit works. */
const movement = 0.1;

function stuck(m: Measurement, f: Field): Draft[] {
  const work = workOf(m.fields, f);
  if (f.stuckAfter === undefined || !work) return [];
  const half = Math.ceil(durationSeconds(f.stuckAfter) / 2);
  const { range } = work;
  const least = range ? (range[1] - range[0]) * movement : 0;
  const meanwhile = `${what(work)} moves by more than ${amount(Number(least.toPrecision(4)), work)}`;
  return [
    {
      kind: "BessValueStuck",
      pace: "seldom",
      pending: half,
      ...ofField(m, f),
      summary: `${m.title}: ${what(f)} does not move`,
      fires: `${m.title}: ${what(f)} has not moved for ${f.stuckAfter}, while ${meanwhile}`,
      description:
        `${unitText(m)}${what(f)} has not moved for ${f.stuckAfter}, while ${what(work)} moved by ` +
        `${amount(value("D"), work)}.`,
      steps: [
        asked("A", select(m, spread(f)), half),
        asked("B", select(m, spread(work)), half),
        last("C", "A"),
        last("D", "B"),
        math("E", `$C == 0 && $D > ${least}`),
      ],
    },
  ];
}

function drift(m: Measurement, f: Field): Draft[] {
  if (!f.drift) return [];
  const { most, among } = f.drift;
  const where = ["$timeFilter", ...(among ? [`${quote(among)} != ''`] : [])].join(" AND ");
  const each = `SELECT last(${quote(f.name)}) AS "v" FROM ${quote(m.name)} WHERE ${where} GROUP BY ${byUnit(m)}`;
  const influxQl =
    `SELECT max("v") - min("v") AS "value" FROM (${each}) WHERE $timeFilter` +
    (among ? ` GROUP BY ${quote(among)}` : "");
  const rack = among ? `{{ $labels.${among} }}: ` : "";
  return [
    {
      kind: "BessUnitsDrift",
      pace: "seldom",
      of: camelCase(m.name) + camelCase(f.name),
      labels: { field: f.name, unit: among ? `{{ $labels.${among} }}` : "all" },
      summary: `${m.title}: units differ in ${what(f)}`,
      fires: `${m.title}: ${what(f)} differs by more than ${amount(most, f)} among ${among ? `units of one ${among}` : "all units"} for 10m`,
      description:
        `${rack}${what(f)} differs by ${amount(value("B"), f)} from the lowest to the highest unit, ` +
        `more than ${amount(most, f)} for 10m.`,
      steps: [asked("A", influxQl, recent(m)), last("B", "A"), threshold("C", "B", "gt", [most])],
    },
  ];
}

function cells(m: Measurement, f: Field): Draft[] {
  const lowest = lowestOf(m.fields, f);
  if (f.spread === undefined || !lowest) return [];
  const apart = `${what(f)} is over the lowest by more than ${amount(f.spread, f)} for 5m`;
  return [
    {
      kind: "BessCellsDrift",
      pace: "seldom",
      ...ofField(m, f),
      summary: `${m.title}: cells drift apart`,
      fires: `${m.title}: ${apart}`,
      description: `${unitText(m)}${apart}: by ${amount(value("B"), f)}.`,
      steps: [
        asked("A", select(m, `last(${quote(f.name)}) - last(${quote(lowest.name)})`), recent(m)),
        last("B", "A"),
        threshold("C", "B", "gt", [f.spread]),
      ],
    },
  ];
}

/** A factor of the units' table as a number. */
function factorOf({ unit }: Field): number {
  const [over = 1, under = 1] = units[unit].factor.split("/").map(Number);
  return over / under;
}

function setPoint(m: Measurement, f: Field): Draft[] {
  const power = followerOf(m.fields, f);
  if (!f.follow || !power) return [];
  const { tolerance, within } = f.follow;
  const sign = power.positive === f.positive ? 1 : -1;
  const factor = (sign * factorOf(power)) / factorOf(f);
  const scaled = factor === 1 ? "" : ` * ${factor}`;
  const condition = `differs from its set point by more than ${amount(tolerance, f)} for ${within}`;
  const difference = `last(${quote(power.name)})${scaled} - last(${quote(f.name)})`;
  return [
    {
      kind: "BessSetPointNotFollowed",
      pace: "often",
      pending: durationSeconds(within),
      ...ofField(m, f),
      summary: `${m.title}: ${what(power)} does not follow its set point`,
      fires: `${m.title}: ${what(power)} ${condition}`,
      description: `${unitText(m)}${what(power)} ${condition}: by ${amount(value("B"), f)}.`,
      steps: [
        asked("A", select(m, difference), recent(m)),
        last("B", "A"),
        threshold("C", "B", "outside_range", [-tolerance, tolerance]),
      ],
    },
  ];
}

/** An alarm of a bool: while it is true. */
function flag(m: Measurement, f: Field, severity: Severity): Draft {
  return {
    kind: "BessAlarmRaised",
    pace: severity === "critical" ? "often" : "seldom",
    severity,
    ...ofField(m, f),
    summary: `${m.title}: ${what(f)}`,
    fires: `${m.title}: ${what(f)} is true`,
    description: `${unitText(m)}${what(f)} is reported.`,
    steps: [
      asked("A", select(m, `last(${quote(f.name)})`), recent(m)),
      last("B", "A"),
      threshold("C", "B", "gt", [0]),
    ],
  };
}

/** An alarm of a text: while a message has one of some values. */
function word(m: Measurement, f: Field, severity: Severity, values: string[]): Draft {
  const is = values.map((text) => `${quote(f.name)} = '${text.replaceAll(/[\\']/g, "\\$&")}'`);
  const named = values.join(" or ");
  return {
    kind: "BessAlarmRaised",
    pace: severity === "critical" ? "often" : "seldom",
    severity,
    noData: "OK",
    ...ofField(m, f),
    of: camelCase(m.name) + camelCase(f.name) + camelCase(severity),
    summary: `${m.title}: ${what(f)} is ${named}`,
    fires: `${m.title}: ${what(f)} is ${named}`,
    description: `${unitText(m)}${what(f)} is ${named}, in ${value("B")} messages of the last ${duration(recent(m))}.`,
    steps: [
      asked("A", select(m, `count(${quote(f.name)})`, [`(${is.join(" OR ")})`]), recent(m)),
      last("B", "A"),
      threshold("C", "B", "gt", [0]),
    ],
  };
}

function alarms(m: Measurement, f: Field): Draft[] {
  const { alarm } = f;
  if (alarm === undefined) return [];
  if (typeof alarm === "string") return [flag(m, f, alarm)];
  return severities.flatMap((severity) => {
    const values = Object.keys(alarm).filter((text) => alarm[text] === severity);
    return values.length > 0 ? [word(m, f, severity, values)] : [];
  });
}

/** A field by which messages are counted: that which the others stand beside. */
const counted = ({ fields: [field] }: Measurement) => `count(${quote(field?.name ?? "")})`;

/** Units of which nothing comes: each period of the last minutes counts, an empty one 0. */
function silence(m: Measurement): Draft {
  const period = silentAfter(m);
  const back = Math.max(600, 5 * period);
  return {
    kind: "BessUnitSilent",
    pace: "often",
    of: camelCase(m.name),
    summary: `${m.title}: a unit is silent`,
    fires: `${m.title}: nothing comes of a unit for ${duration(period)}`,
    description: `${unitText(m)}nothing has come for ${duration(period)}; a message is due every ${m.interval}.`,
    steps: [
      asked(
        "A",
        `SELECT ${counted(m)} AS "value" FROM ${quote(m.name)} ` +
          `WHERE time > now() - ${back}s AND time < now() ` +
          `GROUP BY time(${period}s, now()), ${byUnit(m)} fill(0)`,
        back,
      ),
      last("B", "A"),
      threshold("C", "B", "lt", [1]),
    ],
  };
}

/** Seconds that a gateway's clock may be ahead. */
const ahead = 60;

function clock(m: Measurement): Draft[] {
  if (!sourcesOf(m).some(({ time }) => time)) return [];
  return [
    {
      kind: "BessClockAhead",
      pace: "seldom",
      of: camelCase(m.name),
      summary: `${m.title}: the gateway's clock is ahead`,
      fires: `${m.title}: the times of messages are more than ${ahead}s ahead`,
      description: `${unitText(m)}the times of ${value("B")} messages are more than ${ahead}s ahead.`,
      steps: [
        asked(
          "A",
          `SELECT ${counted(m)} AS "value" FROM ${quote(m.name)} WHERE time > now() + ${ahead}s ` +
            `GROUP BY ${byUnit(m)}`,
          ahead,
        ),
        last("B", "A"),
        threshold("C", "B", "gt", [0]),
      ],
    },
  ];
}

/** Labels of a measurement's alerts. A tag of the same name tells more, and stays. */
function labelsOf(m: Measurement, labels: Record<string, string> = {}): Record<string, string> {
  const [tag] = m.tags;
  const own = {
    measurement: m.name,
    ...(tag && { unit: `{{ $labels.${tag.name} }}` }),
    ...labels,
  };
  const tags = m.tags.map(({ name }) => name);
  return Object.fromEntries(Object.entries(own).filter(([name]) => !tags.includes(name)));
}

/** The alerts of a measurement's values: those that call somebody are looked at every ten seconds. */
export function telemetryGroups(m: Measurement, site: SiteLabels): AlertGroup[] {
  const drafts = [
    silence(m),
    ...clock(m),
    ...m.fields.flatMap((f) =>
      isNumber(f)
        ? [
            ...bounds(m, f),
            ...rate(m, f),
            ...stuck(m, f),
            ...drift(m, f),
            ...cells(m, f),
            ...setPoint(m, f),
          ]
        : alarms(m, f),
    ),
  ];
  const names = new Map<string, number>();
  const unique = ({ kind, of = "" }: Draft) => {
    // Two names of a model may be one in CamelCase.
    const count = (names.get(kind + of) ?? 0) + 1;
    names.set(kind + of, count);
    return count === 1 ? of : `${of}${count}`;
  };
  const named = drafts.map((draft) => ({ ...draft, of: unique(draft) }));
  return (["often", "seldom"] as const).flatMap((pace) => {
    const interval = secondsOf(pace, m);
    const rules = named
      .filter((draft) => draft.pace === pace)
      .map((draft) => {
        const labels = labelsOf(m, draft.labels);
        return rule({ ...draft, labels, dashboard: measurementUid(m) }, site, interval);
      });
    return rules.length > 0 ? [{ name: `${m.name}, ${pace}`, interval, rules }] : [];
  });
}
