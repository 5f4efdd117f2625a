import * as common from "@grafana/grafana-foundation-sdk/common";
import type { Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import { backupTable } from "../configs/backup";
import type { BackupConfig } from "../configs/backup-schema";
import { countedTables, sizeTable, startTable } from "../configs/influxdb";
import type { Model } from "../configs/model";
import { rollupsTable } from "../configs/rollups";
import { fillLevels, type StorageBudget } from "../configs/storage";
import { durationSeconds } from "../configs/units";
import { uplinkTable } from "../configs/uplink";
import * as panels from "./panels";
import { quote, sources } from "./queries";

/** How often Telegraf writes about the pipeline, and the broker about itself. */
const interval = "10s";

/** Topics under which the broker publishes its own numbers. */
export const brokerTopics = {
  received: "$SYS/broker/messages/received",
  published: "$SYS/broker/publish/messages/received",
  sent: "$SYS/broker/messages/sent",
  dropped: "$SYS/broker/publish/messages/dropped",
  stored: "$SYS/broker/messages/stored",
  store: "$SYS/broker/store/messages/count",
  connected: "$SYS/broker/clients/connected",
} as const;

/** A table's series in the chosen time, by the tags given. */
function series(table: string, select: string, where: string[] = [], tags: string[] = []): string {
  const by = ["time($__interval)", ...tags.map(quote)].join(", ");
  const conditions = ["$timeFilter", ...where].join(" AND ");
  return `SELECT ${select} FROM ${quote(table)} WHERE ${conditions} GROUP BY ${by} fill(none)`;
}

const is = (tag: string, value: string) => `${quote(tag)} = '${value}'`;

/** Rate of a counter by the second; a restart begins it at 0 again and counts as none. */
const rate = (field: string) => `non_negative_derivative(last(${quote(field)}), 1s)`;

/** Growth of a counter from one interval to the next. */
const growth = (field: string) => `non_negative_difference(last(${quote(field)}))`;

const target = (legend: string, query: string): panels.Target => ({
  source: sources.pipeline,
  legend,
  query,
});

/** A number that the broker publishes. */
const broker = (topic: keyof typeof brokerTopics, select: string, legend: string) =>
  target(legend, series("mosquitto", select, [is("topic", brokerTopics[topic])]));

/** Series of each output that writes to InfluxDB; its alias is its name. */
const outputs = (select: string, legend = "") =>
  target(
    `[[tag_alias]] ${legend}`.trim(),
    series("internal_write", select, [`"alias" != ''`], ["alias"]),
  );

/** Lines of the pipeline's numbers; a minute without any is a gap. */
const lines = (title: string, description: string, targets: panels.Target[]) =>
  panels.panel(panels.lines(), title, description, targets).interval(interval).spanNulls(60_000);

/** Messages through the broker. */
const brokerMessages = () =>
  lines(
    "Messages at the broker",
    "MQTT messages of all kinds that the broker receives and sends in a second.",
    [broker("received", rate("value"), "in"), broker("sent", rate("value"), "out")],
  )
    .unit("suffix:msg/s")
    .axisSoftMin(0);

/** Messages that reach Telegraf. */
const consumed = () =>
  lines(
    "Messages at Telegraf",
    "Messages that Telegraf receives from the broker in a second, the broker's own included.",
    [target("received", series("internal_mqtt_consumer", rate("messages_received")))],
  )
    .unit("suffix:msg/s")
    .axisSoftMin(0);

/** Points that reach InfluxDB. */
const written = () =>
  lines(
    "Points written",
    "Points that InfluxDB has taken from each of Telegraf's outputs in a second.",
    [outputs(rate("metrics_written"))],
  )
    .unit("suffix:points/s")
    .axisSoftMin(0);

/** Messages that wait at the broker. */
const queued = () =>
  lines(
    "Queued at the broker",
    "Messages in the broker's store. It rises while Telegraf is away, or waits for InfluxDB; " +
      "retained messages are the floor.",
    [broker("stored", `last("value")`, "stored"), broker("store", `last("value")`, "store")],
  ).axisSoftMin(0);

/** Clients of the broker. */
const clients = () =>
  lines(
    "Clients connected",
    "MQTT clients that are connected to the broker: gateways, and Telegraf's consumers.",
    [broker("connected", `last("value")`, "connected")],
  )
    .decimals(0)
    .axisSoftMin(0);

/** Points that wait in Telegraf. */
const bufferFill = () =>
  lines(
    "Buffer fill",
    "Points that wait in Telegraf for InfluxDB, of those that fit. " +
      "At 100 % the oldest are dropped.",
    [outputs(`last("buffer_size") * 100.0 / last("buffer_limit")`)],
  )
    .unit("percent")
    .axisSoftMin(0)
    .axisSoftMax(100);

/** What was lost, and what failed: each a number that should be 0. */
const lost = () =>
  panels
    .panel(
      panels.numbers(),
      "Lost and failed",
      "Counted over the time range; each should be 0. Rejected: InfluxDB refused the point. " +
        "Set aside: files that a power cut had left half written; InfluxDB's log names them.",
      [
        outputs(growth("metrics_dropped"), "dropped"),
        outputs(growth("metrics_rejected"), "rejected"),
        outputs(growth("errors"), "write errors"),
        target("gather errors", series("internal_agent", growth("gather_errors"))),
        broker("dropped", growth("value"), "dropped at the broker"),
        target("files set aside", series(startTable, `sum("set_aside")`)),
      ],
    )
    .interval(interval)
    .decimals(0)
    .reduceOptions(panels.reduced("sum"))
    .mappings([panels.emptyIsGrey(sources.pipeline)])
    .thresholds(panels.steps("green", [1, "red"]));

/** What Telegraf drops of messages, over time. */
const dropped = () =>
  panels
    .panel(
      panels.lines(),
      "Dropped",
      "Values and messages that Telegraf could not read by the model, in each interval. 0 is right.",
      [
        target(
          "[[tag_measurement]]: [[tag_reason]]",
          series(countedTables.drops.table, `sum("count")`, [], ["measurement", "reason"]),
        ),
      ],
    )
    .interval(interval)
    .showPoints(common.VisibilityMode.Always)
    .decimals(0)
    .axisSoftMin(0);

/** What was dropped, with an example of each kind. */
const drops = () =>
  panels.countedTable(
    "Dropped, with the last example",
    "What Telegraf could not read by the model in the time range: of which measurement, why, in " +
      "which field of which topic. A kind without a topic stands for all that are too many.",
    countedTables.drops,
  );

/** Messages that nobody reads. */
const strays = () =>
  panels.countedTable(
    "Topics of no measurement",
    "Messages in the time range that no topic of the model matches: a slip in a gateway's topic, " +
      "or a new device. A line without a topic stands for all that are too many.",
    countedTables.strays,
  );

/** What the broker's log tells of clients. */
const clientEvents = () =>
  panels.countedTable(
    "Clients refused or cut off",
    "What the broker's log tells of clients in the time range. Not authorised: a wrong user name or " +
      "password. Session taken over: two clients with one id, or one that came back.",
    countedTables.log,
  );

/** How far behind the rollups are. */
const rollupLag = () =>
  lines(
    "Behind",
    "How far the rollups are behind the rows that are due. Queries of what is not rolled up yet are " +
      "answered from finer rollups, or from the rows.",
    [target("behind", series(rollupsTable, `max("lag")`))],
  )
    .unit("s")
    .axisSoftMin(0);

/** What is rolled up. */
const rolledBlocks = () =>
  lines(
    "Blocks rolled up",
    "Blocks of ten minutes of a table that were rolled up, again and again where rows came late.",
    [target("blocks", series(rollupsTable, `sum("blocks")`))],
  )
    .decimals(0)
    .axisSoftMin(0);

/** What rolling up takes. */
const rollupTime = () =>
  lines("Time for rollups", "Time that reading rows and writing rollups took, in each interval.", [
    target("time", series(rollupsTable, `sum("milliseconds")`)),
  ])
    .unit("ms")
    .axisSoftMin(0);

/** Time of one write to InfluxDB. */
const writeTime = () =>
  lines(
    "Write time",
    "Time that InfluxDB takes for one batch: what the pipeline adds to a point's age.",
    [outputs(`mean("write_time_ns") / 1000000`)],
  )
    .unit("ms")
    .axisSoftMin(0);

/** CPU time of the host. */
const cpu = () =>
  lines("CPU", "CPU time of the host that is not idle.", [
    target("busy", series("cpu", `100 - mean("usage_idle")`, [is("cpu", "cpu-total")])),
  ])
    .unit("percent")
    .min(0)
    .max(100);

/** Memory of the host. */
const memory = () =>
  lines("Memory", "Memory of the host that is not available.", [
    target("used", series("mem", `mean("used_percent")`)),
  ])
    .unit("percent")
    .min(0)
    .max(100);

/** Part of the budget that InfluxDB's data takes, which is measured each hour, and the queue. */
const budgetUsed = ({ expected, budget }: StorageBudget) =>
  target(
    "budget",
    `SELECT (last("bytes") + ${expected.queue}) * 100.0 / ${budget} FROM ${quote(sizeTable)} ` +
      "WHERE time > now() - 3h",
  );

/** How full the disk of the host is, and the site's part of it. */
const disk = (storage?: StorageBudget) =>
  panels
    .panel(
      panels.numbers(),
      "Disk",
      "Part of the disk that is used, and of the budget storage.max. On a full disk nothing is " +
        "stored: the messages wait at the broker, for a day at most.",
      [
        target("disk", series("disk", `last("used_percent")`, [is("path", "/")])),
        ...(storage ? [budgetUsed(storage)] : []),
      ],
    )
    .interval(interval)
    .unit("percent")
    .decimals(0)
    .mappings([panels.emptyIsGrey(sources.pipeline)])
    .thresholds(
      panels.steps("green", [fillLevels.warning, "orange"], [fillLevels.critical, "red"]),
    );

/** How old the last backup is, and what it took. */
const backups = (every: number) =>
  panels
    .panel(
      panels.numbers(),
      "Last backup",
      `Its age, how much it holds, and what it has added to those before. One is made every ${every / 3600} h; ` +
        "no age at all means that the backup's container does not run.",
      [
        target("age", `SELECT last("age") FROM ${quote(backupTable)} WHERE time > now() - 3h`),
        target(
          "holds",
          `SELECT last("size") FROM ${quote(backupTable)} WHERE time > now() - 90d AND "ok" = 1`,
        ),
        target(
          "added",
          `SELECT last("bytes") FROM ${quote(backupTable)} WHERE time > now() - 90d AND "ok" = 1`,
        ),
      ],
    )
    .unit("s")
    .noValue("no backup was made yet")
    .thresholds(panels.steps("green", [2 * every, "red"]))
    .overrides([
      {
        matcher: { id: "byRegexp", options: "holds|added" },
        properties: [
          { id: "unit", value: "bytes" },
          { id: "color", value: { mode: "fixed", fixedColor: "text" } },
        ],
      },
    ]);

/** What became of the backups. */
const backupRuns = () =>
  lines("Backups", "Seconds that each backup took, and whether it failed: 1 is a failure.", [
    target("seconds", series(backupTable, `max("seconds")`)),
    target("failed", series(backupTable, `1 - min("ok")`)),
  ])
    .decimals(0)
    .axisSoftMin(0);

/** How late the hub has the site's minutes. */
const uplinkLag = () =>
  lines(
    "Behind at the hub",
    "How much later than it should be the hub has the newest minute. What is missing waits in the database.",
    [target("behind", series(uplinkTable, `max("lag")`))],
  )
    .unit("s")
    // While it waits, a row comes every two minutes.
    .spanNulls(300_000)
    .axisSoftMin(0);

/** What has crossed to the hub, and what it will never take. */
const uplinkSamples = () =>
  lines(
    "Sent to the hub",
    "Values that the hub has taken, and those that it has refused for good: these should be 0.",
    [
      target("sent", series(uplinkTable, `sum("samples")`)),
      target("refused", series(uplinkTable, `sum("refused")`)),
    ],
  )
    .spanNulls(300_000)
    .decimals(0)
    .axisSoftMin(0);

/** Temperatures of the host. */
const temperature = () =>
  lines("Temperature", "Temperatures of the host by sensor.", [
    target("[[tag_sensor]]", series("temp", `mean("temp")`, [], ["sensor"])),
  ]).unit("celsius");

/** The health of what carries the telemetry: broker, Telegraf, InfluxDB and their host. */
export function pipeline(
  model: Model,
  title: string,
  storage?: StorageBudget,
  backup?: Pick<BackupConfig, "every">,
  uplink = false,
): Dashboard {
  const board = panels
    .board(
      "bess-pipeline",
      title,
      "Whether messages come through, how late, and how the host copes.",
    )
    .refresh("10s");
  panels.row(board, "Messages");
  panels.place(board, 7, [brokerMessages(), consumed(), written()]);
  panels.place(board, 6, [queued(), clients(), bufferFill()]);
  panels.row(board, "Losses and lag");
  panels.place(board, 6, [lost(), writeTime()]);
  panels.place(board, 4, model.measurements.map(panels.newestPoint));
  panels.row(board, "Not stored");
  panels.place(board, 8, [dropped(), drops(), strays(), clientEvents()], 2);
  panels.row(board, "Rollups");
  panels.place(board, 6, [rollupLag(), rolledBlocks(), rollupTime()]);
  panels.row(board, "Host");
  panels.place(board, 6, [cpu(), memory(), disk(storage), temperature()], 4);
  if (backup) {
    panels.row(board, "Backup");
    panels.place(board, 6, [backups(durationSeconds(backup.every)), backupRuns()]);
  }
  if (uplink) {
    panels.row(board, "Uplink");
    panels.place(board, 6, [uplinkLag(), uplinkSamples()]);
  }
  return panels.finished(board);
}
