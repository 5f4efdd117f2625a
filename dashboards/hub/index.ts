import * as common from "@grafana/grafana-foundation-sdk/common";
import type * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import type { Dataquery as PromQuery } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as Table } from "@grafana/grafana-foundation-sdk/table";
import { PanelBuilder as Text } from "@grafana/grafana-foundation-sdk/text";
import { type HubShownSite, modelsOf } from "../../configs/hub-sites";
import type { Model } from "../../configs/model";
import { siteLabel } from "../../configs/uplink";
import { finished, inOut, lines, place, property, row, steps } from "../panels";
import { fleet } from "./fleet";
import {
  alertTable,
  board,
  bySite,
  count,
  hubDashboardUids,
  line,
  panel,
  silentSeconds,
  siteVariable,
  toSite,
} from "./panels";
import * as ask from "./queries";

export { gazetteer, gazetteerText } from "./fleet";
export { hubDashboardUids, silentSeconds } from "./panels";
export { hubQuery, hubSource, muted as hubMuted } from "./queries";

/** What a hub's dashboards are made of. */
export interface HubDashboardOptions {
  sites: readonly HubShownSite[];
  /** Where the hub keeps its values: what it can tell of its own health. */
  storage: "single" | "cluster" | "external";
}

/** Lines of each chosen site. */
function compare(models: readonly Model[]): dashboard.Dashboard {
  const made = board(
    hubDashboardUids.compare,
    "Compare sites",
    "The same value of several sites, one above the other.",
    "now-24h",
  ).withVariable(siteVariable(true));
  const [soc, power] = [ask.soc(models), ask.power(models)];
  const legend = `{{${siteLabel}}}`;
  // Filled areas of many sites cover each other.
  const compared = (...of: Parameters<typeof line>) => line(...of).fillOpacity(0);
  place(
    made,
    10,
    [
      ...(soc
        ? [compared("State of charge", "Average of each site.", soc, legend).unit("percent")]
        : []),
      ...(power
        ? [
            compared("Power", "Over zero: out of the battery.", power, legend)
              .unit("watt")
              .axisLabel(inOut),
          ]
        : []),
      compared("Alerts", "Alerts of each site that fire.", ask.firing(), legend).axisSoftMin(0),
      compared(
        "Age of the last minute",
        "How old each site's newest minute is.",
        ask.age(),
        legend,
      ).unit("s"),
    ],
    1,
  );
  return finished(made);
}

/** One site, and the way to its own Grafana. */
function site(models: readonly Model[]): dashboard.Dashboard {
  const made = board(
    hubDashboardUids.site,
    "One site",
    "One site at a glance.",
    "now-24h",
  ).withVariable(siteVariable(false));
  const [soc, power] = [ask.soc(models), ask.power(models)];
  const latest = (title: string, description: string, expr: string, unit: string) =>
    count(title, description, expr).unit(unit);
  place(
    made,
    4,
    [
      latest("Age of the last minute", "How old the newest minute is.", ask.age(), "s").thresholds(
        steps("green", [180, "orange"], [silentSeconds, "red"]),
      ),
      latest(
        "Alerts",
        "Alerts that fire at the site.",
        `${ask.firing()} or vector(0)`,
        "none",
      ).thresholds(steps("green", [1, "red"])),
      ...(soc ? [latest("State of charge", "Average of its units.", soc, "percent")] : []),
      ...(power ? [latest("Power", "Over zero: out of the battery.", power, "watt")] : []),
    ],
    4,
  );
  made.withPanel(
    new Text()
      .title("Its own Grafana")
      .content(
        "Every reading, the cells and the pipeline are at the site itself. On your machine:\n\n" +
          `\`npx bess open --stack \${${siteLabel}}\``,
      )
      .span(24)
      .height(4),
  );
  made.withPanel(alertTable().span(24).height(6));
  place(made, 8, [
    ...(power
      ? [line("Power", "Over zero: out of the battery.", power, "power").unit("watt")]
      : []),
    ...(soc
      ? [line("State of charge", "Average of its units.", soc, "average").unit("percent")]
      : []),
    line(
      "Disk",
      "Share of the site's disk that is used.",
      ask.series("bess_pipeline_disk_used_percent"),
      "used",
    )
      .unit("percent")
      .axisSoftMin(0)
      .axisSoftMax(100),
  ]);
  return finished(made);
}

/** Energy and what is missing, month by month. */
function months(models: readonly Model[]): dashboard.Dashboard {
  const made = board(
    hubDashboardUids.months,
    "Months",
    "Energy and completeness by month of 30 days, of the sites that are chosen. Energy is that of the average power of each quarter of an hour.",
    "now-360d",
  ).withVariable(siteVariable(true));
  const legend = `{{${siteLabel}}}`;
  const monthly = (title: string, description: string, expr: string) =>
    panel(lines(), title, description, [{ expr, legend }]).interval("30d");
  // One on the other: bars side by side would need a time for each.
  const stacked = (...of: Parameters<typeof monthly>) =>
    monthly(...of)
      .drawStyle(common.GraphDrawStyle.Bars)
      .fillOpacity(60)
      .stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal))
      .axisSoftMin(0);
  const [out, into] = [ask.energy(models, "out", "30d"), ask.energy(models, "in", "30d")];
  place(
    made,
    10,
    [
      ...(out
        ? [
            stacked(
              "Energy out",
              "Energy that each site gave in 30 days, one on the other.",
              out,
            ).unit("kwatth"),
          ]
        : []),
      ...(into
        ? [
            stacked(
              "Energy in",
              "Energy that each site took in 30 days, one on the other.",
              into,
            ).unit("kwatth"),
          ]
        : []),
      monthly(
        "Complete",
        "Share of the minutes of 30 days that have reached the hub.",
        `100 * sum by (${siteLabel}) (count_over_time(${ask.series("bess_site_info")}[30d])) / 43200`,
      )
        .fillOpacity(0)
        .showPoints(common.VisibilityMode.Always)
        .unit("percent")
        .min(0)
        .max(100),
    ],
    1,
  );
  return finished(made);
}

/** What each site's data costs, and how the hub itself is. */
function data({ storage }: HubDashboardOptions): dashboard.Dashboard {
  const made = board(
    hubDashboardUids.data,
    "Data and hub",
    "What sites send, and how the hub is.",
    "now-24h",
  ).withVariable(siteVariable(true));
  const table = panel(
    new Table(),
    "What each site sends",
    "Series that a site has sent within five minutes, and what they take: 1,440 values a day each, at the " +
      "bytes per value that the hub needs for all it holds.",
    [
      { expr: ask.activeSeries(), instant: true },
      ...(storage === "single"
        ? [
            {
              expr: `${ask.activeSeries()} * 1440 * scalar(${bytesPerValue})`,
              instant: true as const,
            },
          ]
        : []),
    ],
  );
  bySite(table)
    .overrideByName(siteLabel, [property("displayName", "Site"), property("links", [toSite])])
    .overrideByName("Value", [property("displayName", "Series")])
    .overrideByName("Value #A", [property("displayName", "Series")])
    .overrideByName("Value #B", [
      property("displayName", "Disk a day"),
      property("unit", "decbytes"),
    ]);
  made.withPanel(table.span(24).height(10));
  row(made, "Hub");
  const own = (...of: [string, string, readonly ask.HubQuery[]]) =>
    panel(lines(), ...of).noValue("The hub has told nothing of this in this time.");
  place(
    made,
    8,
    [
      own("Requests of sites", "Requests a second at the entrance, by site.", [
        {
          expr: "sum by (username) (rate(vmauth_user_requests_total[5m]))",
          legend: "{{username}}",
        },
      ]).unit("reqps"),
      own("Refused", "Requests a second that the entrance refused.", [
        {
          expr: "sum by (reason) (rate(vmauth_http_request_errors_total[5m]))",
          legend: "{{reason}}",
        },
      ]).unit("reqps"),
      ...(storage === "single"
        ? [
            own("Values", "Values a second that are stored.", [
              { expr: "sum(rate(vm_rows_inserted_total[5m]))", legend: "values" },
            ]),
            own("Disk", "Bytes of the hub's data, and bytes that are free.", [
              { expr: "sum(vm_data_size_bytes)", legend: "data" },
              { expr: "min(vm_free_disk_space_bytes)", legend: "free" },
            ]).unit("decbytes"),
            own("Memory", "Memory of VictoriaMetrics.", [
              { expr: 'process_resident_memory_bytes{job="victoria-metrics"}', legend: "used" },
              { expr: "vm_available_memory_bytes", legend: "allowed" },
            ]).unit("bytes"),
          ]
        : []),
    ],
    2,
  );
  return finished(made);
}

/** Bytes on the disk of one value, of all that the hub holds. */
const bytesPerValue =
  'sum(vm_data_size_bytes{type!~"indexdb.*"}) / sum(vm_rows{type!~"indexdb.*"})';

/** The dashboards of a hub: pure functions of its sites' models. */
export function hubDashboards(options: HubDashboardOptions): dashboard.Dashboard[] {
  const models = modelsOf(options.sites);
  return [
    fleet(options.sites, models),
    compare(models),
    site(models),
    months(models),
    data(options),
  ];
}

/** Queries of all sites, each with a series for a site at most; of a value that no model has, none. */
export const hubSiteQueries = (models: readonly Model[]) => ({
  age: ask.age(""),
  firing: ask.firing(""),
  muted: ask.muted(),
  soc: ask.soc(models, ""),
  power: ask.power(models, ""),
  info: ask.info(""),
});

/** Every query that a hub's dashboard asks, with what panel asks it. */
export function hubQueriesOf(
  made: dashboard.Dashboard,
): { panel: string; expr: string; instant: boolean }[] {
  const panels = (made.panels ?? []).filter((it): it is dashboard.Panel => "targets" in it);
  return panels.flatMap((it) =>
    (it.targets as PromQuery[]).map(({ expr, instant = false }) => ({
      panel: it.title ?? "",
      expr,
      instant,
    })),
  );
}
