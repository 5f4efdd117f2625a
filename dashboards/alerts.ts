import { PanelBuilder as AnnotationsList } from "@grafana/grafana-foundation-sdk/annotationslist";
import * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import { eventTag } from "../configs/grafana";
import * as panels from "./panels";

/** Grafana's own alerts and annotations, as panels and dashboards refer to them. */
const grafana = { type: "grafana", uid: "-- Grafana --" };

/** uid of the dashboard. That of the folder of alert rules is another: Grafana has one space for both. */
export const uid = "bess-alert-list";

/** What an alert list shows. */
interface Shown {
  viewMode: "list" | "stat";
  stateFilter: Partial<Record<"firing" | "recovering" | "pending" | "error" | "noData", boolean>>;
}

/** Options of Grafana's alert list; the SDK has none. */
const alertList = ({ viewMode, stateFilter }: Shown) =>
  new dashboard.PanelBuilder().type("alertlist").options({
    viewMode,
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
    showInstances: viewMode === "list",
    showInactiveAlerts: false,
    stateFilter: {
      firing: false,
      recovering: false,
      pending: false,
      error: false,
      noData: false,
      normal: false,
      ...stateFilter,
    },
  });

/** What is wrong now, the gravest first. */
export const activeAlerts = () =>
  alertList({
    viewMode: "list",
    stateFilter: { firing: true, recovering: true, pending: true, error: true, noData: true },
  })
    .title("What is wrong now")
    .description(
      "Alerts that fire or are about to, the gravest first, with unit, value and since when. " +
        "“No alerts matching filters”: nothing is wrong.",
    );

/** How many rules have an alert that fires. */
export const alertCount = () =>
  alertList({ viewMode: "stat", stateFilter: { firing: true } })
    .title("Alerts")
    .description("Rules with an alert that fires. 0: nothing is wrong.");

/** When alerts began and ended, and what was done at the site. */
const history = () =>
  new AnnotationsList()
    .title("History")
    .description(
      "When alerts began and ended in the time range of the dashboard, and what was done at the " +
        "site, such as mutes. The newest first.",
    )
    .datasource(grafana)
    .onlyInTimeRange(true)
    .onlyFromThisDashboard(false)
    .limit(200)
    .showTags(false)
    .showTime(true)
    .showUser(false);

/** Draws what was done at a site on every panel of a dashboard. */
export const events = () =>
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

/** What is wrong, and what was. */
export function alerts(title: string): dashboard.Dashboard {
  const board = panels.board(uid, title, "What is wrong now, and when alerts began and ended.");
  board.time({ from: "now-7d", to: "now" }).refresh("30s");
  panels.place(board, 12, [activeAlerts()]);
  panels.place(board, 14, [history()]);
  return panels.finished(board);
}
