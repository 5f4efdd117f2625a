import { PanelBuilder as AnnotationsList } from "@grafana/grafana-foundation-sdk/annotationslist";
import * as common from "@grafana/grafana-foundation-sdk/common";
import * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import { PanelBuilder as Stat } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as Table } from "@grafana/grafana-foundation-sdk/table";
import { eventTag } from "../configs/grafana";
import {
  eventsTable,
  historyTable,
  staleSeconds,
  stateTable,
  stateWords,
} from "../configs/logbook";
import * as panels from "./panels";
import { inTimeRange, quote, reference, sources } from "./queries";

/** Grafana's own alerts and annotations, as panels and dashboards refer to them. */
const grafana = { type: "grafana", uid: "-- Grafana --" };

/** uid of the dashboard. That of the folder of alert rules is another: Grafana has one space for both. */
export const uid = "bess-alert-list";

/** What is wrong now, the gravest first. The SDK has no options of Grafana's alert list. */
export const activeAlerts = () =>
  new dashboard.PanelBuilder()
    .type("alertlist")
    .title("What is wrong now")
    .description(
      "Alerts that fire or are about to, the gravest first, with unit, value and since when. " +
        "“No alerts matching filters”: nothing is wrong.",
    )
    .options({
      viewMode: "list",
      groupMode: "default",
      groupBy: [],
      maxItems: 50,
      // The gravest first.
      sortOrder: 3,
      dashboardAlerts: false,
      alertName: "",
      // It fires always: an outside watcher waits for it.
      alertInstanceLabelFilter: '{kind!="BessWatchdog"}',
      datasource: "-- Grafana --",
      showInstances: true,
      showInactiveAlerts: false,
      stateFilter: {
        firing: true,
        recovering: true,
        pending: true,
        error: true,
        noData: true,
        normal: false,
      },
    });

/** Colour of each word that a state begins with. */
const stateColors: Record<(typeof stateWords)[number], string> = {
  Normal: "green",
  Notice: "blue",
  Warning: "orange",
  Critical: "red",
  Unknown: "purple",
};

/** How the site is, in a sentence that a manager understands. */
export const state = (): Stat =>
  panels
    .panel(
      new Stat(),
      "State of the site",
      "The gravest alert that fires: since when, of which unit, and how many more there are.",
      [
        {
          source: sources.pipeline,
          query:
            `SELECT last("state") AS "state", last("what") AS "what" FROM ${quote(stateTable.table)} ` +
            `WHERE time > now() - ${staleSeconds}s`,
        },
      ],
    )
    .noValue("Unknown: InfluxDB does not answer, or nothing has told it for five minutes")
    .reduceOptions(panels.reduced("lastNotNull").fields("/^(state|what)$/"))
    .textMode(common.BigValueTextMode.Value)
    .colorMode(common.BigValueColorMode.Value)
    .graphMode(common.BigValueGraphMode.None)
    .orientation(common.VizOrientation.Horizontal)
    // Of a size that can be read on a phone, where a sentence goes over some lines.
    .text(new common.VizTextDisplayOptionsBuilder().valueSize(18))
    .thresholds(panels.steps("text"))
    .overrideByName("state", [
      panels.property(
        "mappings",
        stateWords.map((word) => panels.colored(`/^${word}.*/`, stateColors[word])),
      ),
    ]);

/** What stands for state and alerts where a site has none. */
export const alertsOff = () =>
  panels.words("**Alerts are off** (`alerts.enabled` of the site): nobody watches the values.");

/** Alerts that are over, with how long they lasted. */
const history = (): Table =>
  panels
    .panel(
      new Table(),
      "Alerts that are over",
      "Alerts that ended in the time range of the dashboard, the newest first. They are kept as long as " +
        "the figures of the days, whatever becomes of Grafana.",
      [
        {
          source: sources.history,
          query:
            `SELECT "begin", "seconds", "severity", "unit", "what" FROM ${quote(historyTable.table)} ` +
            `WHERE ${inTimeRange} ORDER BY time DESC LIMIT 500`,
        },
      ],
    )
    .withTransformation(panels.ordered(["begin", "Time", "seconds", "severity", "unit", "what"]))
    .overrideByName("begin", [
      panels.property("displayName", "Began"),
      panels.property("unit", "dateTimeAsLocal"),
      panels.property("custom.width", 170),
    ])
    .overrideByName("Time", [
      panels.property("displayName", "Ended"),
      panels.property("custom.width", 170),
    ])
    .overrideByName("seconds", [
      panels.property("displayName", "Lasted"),
      panels.property("unit", "dtdhms"),
      panels.property("custom.width", 110),
    ])
    .overrideByName("severity", [
      panels.property("displayName", "Severity"),
      panels.property("custom.width", 90),
    ])
    .overrideByName("unit", [
      panels.property("displayName", "Unit"),
      panels.property("custom.width", 130),
    ])
    .overrideByName("what", [panels.property("displayName", "What")]);

/** What was done at the site. */
const done = () =>
  new AnnotationsList()
    .title("What was done")
    .description(
      "Mutes and deployments in the time range of the dashboard, and when Grafana saw alerts begin and " +
        "end. The newest first.",
    )
    .datasource(grafana)
    .onlyInTimeRange(true)
    .onlyFromThisDashboard(false)
    .limit(200)
    .showTags(false)
    .showTime(true)
    .showUser(false);

/** Draws what was done at a site on every panel of a dashboard. */
const doneEvents = () =>
  new dashboard.AnnotationQueryBuilder()
    .name("Mutes and other events")
    .datasource(grafana)
    .enable(true)
    .iconColor("blue")
    .target({
      build: () => ({
        limit: 100,
        matchAny: false,
        tags: [eventTag],
        type: "tags",
        _implementsDataqueryVariant() {},
      }),
    })
    .build();

/**
 * Draws what befell a site: a service that was started, and a time whose rows came later. Its target is
 * one of InfluxDB's data source, of which the SDK does not know; the keys that it wants change nothing.
 */
function befallenEvents(kind: string, name: string, color: string): dashboard.AnnotationQuery {
  const query =
    `SELECT "text", "until" FROM ${quote(eventsTable.table)} ` +
    `WHERE "kind" = '${kind}' AND ${inTimeRange}`;
  const target = {
    limit: 100,
    matchAny: false,
    tags: [],
    type: "tags",
    refId: "Anno",
    query,
    rawQuery: true,
    fromAnnotations: true,
    textColumn: "text",
    timeEndColumn: "until",
    _implementsDataqueryVariant() {},
  };
  return new dashboard.AnnotationQueryBuilder()
    .name(name)
    .datasource(reference(sources.pipeline))
    .enable(true)
    .iconColor(color)
    .target({ build: () => target })
    .build();
}

/** What is drawn on every panel of a dashboard. */
export const events = (): dashboard.AnnotationQuery[] => [
  doneEvents(),
  befallenEvents("start", "Starts of services", "purple"),
  befallenEvents("backlog", "Backlog: rows that came later", "yellow"),
];

/** What is wrong, and what was. @param enabled whether the site has alerts. */
export function alerts(title: string, enabled: boolean): dashboard.Dashboard {
  const board = panels.board(uid, title, "What is wrong now, and when alerts began and ended.");
  board.time({ from: "now-7d", to: "now" }).refresh("30s");
  panels.place(board, 4, [enabled ? state() : alertsOff()]);
  if (enabled) panels.place(board, 9, [activeAlerts()]);
  panels.place(board, 10, [history()]);
  panels.place(board, 10, [done()]);
  return panels.finished(board);
}
