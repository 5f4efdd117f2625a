import { backupTable } from "../configs/backup";
import type { BackupConfig } from "../configs/backup-schema";
import { countedTables, sizeTable, startTable } from "../configs/influxdb";
import { outageSeconds, type Profile } from "../configs/profiles";
import { clockTable, unsynchronisedSeconds, voltageTable } from "../configs/telegraf";
import { fillLevels, type StorageBudget } from "../configs/storage";
import { isSsh } from "../configs/ssh";
import { uplinkTable } from "../configs/uplink";
import { durationSeconds } from "../configs/units";
import { brokerTopics, quote, sources } from "../dashboards";
import {
  type AlertGroup,
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

/** Seconds between two evaluations: the pipeline tells its numbers every ten seconds. */
const interval = 60;

/** uid of the dashboard of the pipeline. */
const dashboard = "bess-pipeline";

/** What the alerts of a pipeline go by. */
export interface PipelineOptions {
  storage: StorageBudget;
  profile: Pick<Profile, "messageRate">;
  /** When the broker's certificate ends. Default: it has none, or it is not known yet. */
  certificateEnds?: Date | undefined;
  /** Docker engine of the site. Default: the local one, whose clock is not looked at. */
  engine?: string | undefined;
  /** How often the site is backed up. Default: never. */
  backup?: Pick<BackupConfig, "every"> | undefined;
  /** Whether the site sends its minutes to a hub. Default: it does not. */
  uplink?: boolean | undefined;
}

type Draft = Omit<RuleOptions, "dashboard">;

const asked = (refId: string, influxQl: string, seconds: number): Step =>
  query(refId, sources.pipeline, influxQl, seconds);

const select = (value: string, table: string, where: string[] = [], groupBy = "") =>
  `SELECT ${value} AS "value" FROM ${quote(table)} WHERE ${["$timeFilter", ...where].join(" AND ")}` +
  (groupBy ? ` GROUP BY ${groupBy}` : "");

const is = (tag: string, text: string) => `${quote(tag)} = '${text}'`;
const topic = (name: keyof typeof brokerTopics) => is("topic", brokerTopics[name]);

/** What a counter grew by; a restart, which begins it at 0 again, is no growth. */
function growth(field: string, table: string, where: string[] = [], tags: string[] = []): string {
  const by = ["time(10s)", ...tags.map(quote)].join(", ");
  const each =
    `SELECT non_negative_difference(last(${quote(field)})) AS "growth" FROM ${quote(table)} ` +
    `WHERE ${["$timeFilter", ...where].join(" AND ")} GROUP BY ${by} fill(none)`;
  return (
    `SELECT sum("growth") AS "value" FROM (${each}) WHERE $timeFilter` +
    (tags.length > 0 ? ` GROUP BY ${tags.map(quote).join(", ")}` : "")
  );
}

/** Starts of a program, told by a counter that begins at 0 again. */
function resets(field: string, table: string, where: string[] = []): string {
  const each =
    `SELECT difference(last(${quote(field)})) AS "change" FROM ${quote(table)} ` +
    `WHERE ${["$timeFilter", ...where].join(" AND ")} GROUP BY time(10s) fill(none)`;
  return `SELECT count("change") AS "value" FROM (${each}) WHERE $timeFilter AND "change" < 0`;
}

const value = (refId: string) => `{{ printf "%.4g" $values.${refId}.Value }}`;

/** A draft of a number that is read and held against a threshold. */
function held(
  kind: RuleOptions["kind"],
  step: Step,
  condition: Parameters<typeof threshold> extends [string, string, ...infer Rest] ? Rest : never,
  texts: Pick<Draft, "summary" | "description" | "fires"> & Partial<Draft>,
): Draft {
  return {
    kind,
    ...texts,
    steps: [step, last("B", step.refId), threshold("C", "B", ...condition)],
  };
}

/** Two alerts of one number: a warning from a level on, and a critical one from a higher on. */
function levels(
  [warning, critical]: [RuleOptions["kind"], RuleOptions["kind"]],
  step: Step,
  [from, to]: [number, number],
  what: string,
  unit: string,
): Draft[] {
  const texts = (level: number, severity: string) => ({
    summary: `${what}: ${severity}`,
    fires: `${what}: more than ${level}${unit}`,
    description: `${what}: ${value("B")}${unit}, more than ${level}${unit}.`,
  });
  return [
    {
      kind: warning,
      ...texts(from, "it rises"),
      steps: [
        step,
        last("B", step.refId),
        threshold("C", "B", "gt", [from]),
        threshold("D", "B", "gt", [to]),
        // What is critical is not a warning too.
        math("E", "$C && !$D"),
      ],
    },
    held(critical, step, ["gt", [to]], texts(to, "it is too high")),
  ];
}

/** Seconds that a condition of the pipeline looks back. */
const back = 600;

function flow(): Draft[] {
  const silent = asked(
    "A",
    `SELECT count("gather_errors") AS "value" FROM "internal_agent" ` +
      `WHERE time > now() - ${back}s AND time < now() GROUP BY time(60s, now()) fill(0)`,
    back,
  );
  const stored = is("alias", "telemetry");
  return [
    held("BessPipelineSilent", silent, ["lt", [1]], {
      summary: "The pipeline tells nothing of itself",
      fires: "Telegraf has told nothing for 1m, or the database does not answer, for 1m",
      description:
        "Telegraf has told nothing of itself for a minute, or InfluxDB does not answer. Other alerts keep their state.",
    }),
    {
      kind: "BessNoRowsStored",
      summary: "Gateways publish, but nothing is stored",
      fires: "Messages come, and no row is stored within 3m, for 2m",
      description: `${value("C")} messages came within three minutes, and no row was stored.`,
      steps: [
        asked("A", growth("value", "mosquitto", [topic("published")]), 180),
        asked("B", growth("metrics_written", "internal_write", [stored]), 180),
        last("C", "A"),
        last("D", "B"),
        math("E", "$C > 0 && $D == 0"),
      ],
    },
    held(
      "BessPointsDropped",
      asked("A", growth("metrics_dropped", "internal_write", [`"alias" != ''`], ["alias"]), back),
      ["gt", [0]],
      {
        summary: "Points were lost in Telegraf",
        fires: "Telegraf has dropped a point within 10m",
        description: `Telegraf dropped ${value("B")} points of {{ $labels.alias }} within ten minutes.`,
      },
    ),
    held(
      "BessWritesRefused",
      asked("A", growth("metrics_rejected", "internal_write", [`"alias" != ''`], ["alias"]), back),
      ["gt", [0]],
      {
        summary: "InfluxDB refuses points",
        fires: "InfluxDB has refused a point within 10m",
        description: `InfluxDB refused ${value("B")} points of {{ $labels.alias }} within ten minutes.`,
      },
    ),
    held(
      "BessMessagesUnreadable",
      asked(
        "A",
        select(`sum("count")`, countedTables.drops.table, [], `"measurement", "reason"`),
        back,
      ),
      ["gt", [0]],
      {
        summary: "Messages cannot be read",
        fires: "A value or a message could not be read within 10m",
        description: `{{ $labels.measurement }}: ${value("B")} values or messages within ten minutes: {{ $labels.reason }}.`,
      },
    ),
    held(
      "BessBrokerDrops",
      asked("A", growth("value", "mosquitto", [topic("dropped")]), back),
      ["gt", [0]],
      {
        summary: "The broker drops messages",
        fires: "The broker has dropped a message within 10m",
        description: `The broker dropped ${value("B")} messages within ten minutes.`,
      },
    ),
  ];
}

/** The broker's queue, of which a day's messages fit. */
function queue({ messageRate }: PipelineOptions["profile"]): Draft[] {
  const size = messageRate * outageSeconds;
  const [from, to] = [Math.round(size / 96), size / 2];
  return levels(
    ["BessQueueGrows", "BessQueueHalfFull"],
    asked("A", select(`last("value")`, "mosquitto", [topic("store")]), 60),
    [from, to],
    "Queued at the broker",
    " messages",
  );
}

function host({ expected, budget }: StorageBudget): Draft[] {
  const { warning, critical } = fillLevels;
  const disk = select(`last("used_percent")`, "disk", [is("path", "/")]);
  const used = select(`(last("bytes") + ${expected.queue}) * 100.0 / ${budget}`, sizeTable);
  const hot = select(`mean("temp")`, "temp", [], `"sensor"`);
  return [
    ...levels(
      ["BessDiskFilling", "BessDiskAlmostFull"],
      asked("A", disk, 120),
      [warning, critical],
      "Disk of the host",
      " %",
    ),
    ...levels(
      ["BessBudgetFilling", "BessBudgetAlmostFull"],
      // It is measured each hour.
      asked("A", used, 3 * 3600),
      [warning, critical],
      "Budget storage.max",
      " %",
    ),
    held("BessMemoryHigh", asked("A", select(`mean("used_percent")`, "mem"), 120), ["gt", [92]], {
      summary: "The host's memory is nearly used up",
      fires: "Memory of the host: more than 92 % for 10m",
      description: `Memory of the host: ${value("B")} % used.`,
    }),
    ...levels(
      ["BessHostHot", "BessHostTooHot"],
      asked("A", hot, 120),
      [80, 85],
      "Temperature of the host",
      " °C",
    ),
    held(
      "BessUnderVoltage",
      asked("A", select(`max("value")`, voltageTable, [], `"sensor"`), back),
      ["gt", [0]],
      {
        summary: "The host's supply is too weak",
        fires: "A voltage of the host was too low within 10m",
        description: "A voltage of the host was too low within ten minutes: {{ $labels.sensor }}.",
      },
    ),
  ];
}

/** A host over SSH has a time service: it was refused without one. A laptop's kernel may know of none. */
function clock(): Draft[] {
  const error = select(`last("maxerror_ns") / 1000000000`, clockTable);
  return [
    held("BessClockNotSynchronised", asked("A", error, 120), ["gt", [unsynchronisedSeconds - 1]], {
      summary: "Nobody sets the host's clock",
      fires: "The kernel says that the host's clock is not synchronised, for 10m",
      description:
        "The kernel says that the host's clock is not synchronised: times, and so rows, may be wrong.",
    }),
  ];
}

/** Restarts of the services that tell it. Two within a quarter of an hour are no update. */
function restarts(): Draft[] {
  const window = 900;
  const services: [of: string, title: string, influxQl: string][] = [
    ["Telegraf", "Telegraf", resets("metrics_gathered", "internal_agent")],
    ["Broker", "Mosquitto", resets("value", "mosquitto", [topic("received")])],
    ["InfluxDb", "InfluxDB", select(`count("set_aside")`, startTable)],
  ];
  return services.map(([of, title, influxQl]) =>
    held("BessServiceRestarts", asked("A", influxQl, window), ["gt", [1]], {
      of,
      summary: `${title} restarts`,
      fires: `${title} restarted twice within ${duration(window)}`,
      description: `${title} restarted ${value("B")} times within ${duration(window)}.`,
    }),
  );
}

const day = 86_400_000;

/** Days before a certificate's end, from which rows of the pipeline are counted: they are its clock. */
function certificate(ends: Date): Draft[] {
  const date = ends.toISOString().slice(0, 10);
  const from = (days: number) => new Date(ends.getTime() - days * day).toISOString();
  const counted = (days: number) =>
    asked("A", select(`count("used_percent")`, "mem", [`time > '${from(days)}'`]), 120);
  const texts = (days: number) => ({
    summary: "The broker's certificate ends",
    fires: `The broker's certificate ends within ${days} days, on ${date}`,
    description: `The certificate of mqtt.tls ends on ${date}.`,
  });
  const [early, late] = [30, 7];
  return [
    {
      kind: "BessCertificateEnds",
      ...texts(early),
      steps: [
        // Nothing any more once it is critical.
        asked(
          "A",
          select(`count("used_percent")`, "mem", [
            `time > '${from(early)}'`,
            `time <= '${from(late)}'`,
          ]),
          120,
        ),
        last("B", "A"),
        threshold("C", "B", "gt", [0]),
      ],
    },
    held("BessCertificateEndsSoon", counted(late), ["gt", [0]], texts(late)),
  ];
}

/** The last backup's age. It is told each hour. */
function backups({ every }: Pick<BackupConfig, "every">): Draft[] {
  const most = 2 * durationSeconds(every);
  return [
    held(
      "BessBackupTooOld",
      asked("A", select(`last("age")`, backupTable), 3 * 3600),
      ["gt", [most]],
      {
        summary: "The last backup is too old",
        fires: `The last backup is older than two periods, ${duration(most)}`,
        description: `The last backup was made {{ humanizeDuration $values.B.Value }} ago. One is due every ${every}.`,
      },
    ),
  ];
}

/** How late the hub has the site's minutes, and what it has refused. */
function uplink(): Draft[] {
  const most = 900;
  return [
    held("BessUplinkLate", asked("A", select(`last("lag")`, uplinkTable), 1800), ["gt", [most]], {
      summary: "The hub is without the site's minutes",
      fires: `Minutes reach the hub more than ${duration(most)} late, or the uplink tells nothing, for 5m`,
      description:
        "The newest minute at the hub is {{ humanizeDuration $values.B.Value }} late. What is missing is sent once it can be.",
    }),
    held(
      "BessUplinkRefused",
      asked("A", select(`sum("refused")`, uplinkTable), 3600),
      ["gt", [0]],
      {
        summary: "The hub refuses values",
        fires: "The hub has refused a value for good within 1h",
        description: `The hub refused ${value("B")} values within an hour.`,
      },
    ),
  ];
}

/** The alerts of what carries the telemetry. */
export function pipelineGroup(options: PipelineOptions, site: SiteLabels): AlertGroup {
  const drafts = [
    ...flow(),
    ...queue(options.profile),
    ...host(options.storage),
    ...restarts(),
    ...(isSsh(options.engine) ? clock() : []),
    ...(options.certificateEnds ? certificate(options.certificateEnds) : []),
    ...(options.backup ? backups(options.backup) : []),
    ...(options.uplink ? uplink() : []),
  ];
  return {
    name: "pipeline",
    interval,
    rules: drafts.map((draft) => rule({ ...draft, dashboard }, site, interval)),
  };
}

/** The alert that always fires while the whole pipeline works: an outside watcher waits for it. */
export const watchdogGroup = (site: SiteLabels): AlertGroup => ({
  name: "watchdog",
  interval,
  rules: [
    rule(
      {
        ...held(
          "BessWatchdog",
          asked("A", select(`count("gather_errors")`, "internal_agent"), 180),
          ["gt", [0]],
          {
            summary: "The site is alive",
            fires: "Telegraf has told something within 3m",
            description: "The site's pipeline works, from Telegraf to Grafana.",
          },
        ),
        dashboard,
      },
      site,
      interval,
    ),
  ],
});
