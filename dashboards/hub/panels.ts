import * as common from "@grafana/grafana-foundation-sdk/common";
import * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import type * as geomap from "@grafana/grafana-foundation-sdk/geomap";
import type { PanelBuilder as Stat } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as Table } from "@grafana/grafana-foundation-sdk/table";
import type { PanelBuilder as TimeSeries } from "@grafana/grafana-foundation-sdk/timeseries";
import { siteLabel } from "../../configs/uplink";
import { board as shared, lines, numbers, property, reduced } from "../panels";
import * as ask from "./queries";

/** A site is silent after so many seconds: its minutes come one at a time, and each a minute late. */
export const silentSeconds = 300;

/** uids of the hub's dashboards. */
export const hubDashboardUids = {
  fleet: "bess-hub-fleet",
  compare: "bess-hub-compare",
  site: "bess-hub-site",
  months: "bess-hub-months",
  data: "bess-hub-data",
} as const;

const noSite = "No site has sent anything in this time: see docs/hub.md, a site that is silent.";

type HubPanel = Stat | Table | TimeSeries | geomap.PanelBuilder;

/** Gives a panel its title, its description and its queries. */
export function panel<P extends HubPanel>(
  made: P,
  title: string,
  description: string,
  queries: readonly ask.HubQuery[],
): P {
  made.title(title).description(description).datasource(ask.hubReference);
  // A cell that is empty is one of a site that has sent other values.
  made.noValue(made instanceof Table ? "-" : noSite);
  made.targets(queries.map((query, i) => ask.hubQuery(query, String.fromCharCode(65 + i))));
  return made;
}

/** An empty dashboard of the hub. */
export const board = (uid: string, title: string, description: string, from: string) =>
  shared(uid, title, description, { tag: "bess-hub", title: "BESS hub" })
    .timezone("browser")
    .time({ from, to: "now" })
    .refresh("1m");

/** The sites that are shown. */
export const siteVariable = (many: boolean) => {
  const made = new dashboard.QueryVariableBuilder(siteLabel)
    .label("Site")
    .datasource(ask.hubReference)
    .query(`label_values(bess_site_info, ${siteLabel})`)
    .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
    .sort(dashboard.VariableSort.NaturalAsc);
  return many
    ? made
        .multi(true)
        .includeAll(true)
        .allValue(".+")
        .current({ selected: true, text: ["All"], value: ["$__all"] })
    : made;
};

/** Leads from a row to its site. */
export const toSite = {
  title: "This site at a glance",
  url: `/d/${hubDashboardUids.site}?var-${siteLabel}=\${__value.raw}`,
};

export const hidden = [property("custom.hidden", true)];
export const asText = property("custom.cellOptions", {
  type: common.TableCellDisplayMode.ColorText,
});

/** Joins the tables of several queries by their site, a row each. */
export const bySite = (table: Table): Table =>
  table
    .withTransformation({ id: "joinByField", options: { byField: siteLabel, mode: "outer" } })
    .overrideByRegexp("/^Time/", hidden);

export const count = (title: string, description: string, expr: string) =>
  panel(numbers(), title, description, [{ expr, instant: true }])
    .graphMode(common.BigValueGraphMode.None)
    .reduceOptions(reduced("lastNotNull"));

/** What fires, and where. */
export const alertTable = () =>
  panel(
    new Table(),
    "Alerts that fire",
    "Of each site at most fifty, the gravest. Muted: nobody is told. The site's own Grafana has the values.",
    [{ expr: ask.firingNames(), instant: true }],
  )
    .noValue("Nothing fires.")
    .withTransformation({
      id: "organize",
      options: {
        excludeByName: { Time: true, Value: true },
        indexByName: { severity: 0, [siteLabel]: 1, alertname: 2, unit: 3, alertstate: 4 },
        renameByName: {
          severity: "Severity",
          [siteLabel]: "Site",
          alertname: "Alert",
          unit: "Unit",
          alertstate: "State",
        },
      },
    })
    .sortBy([{ build: () => ({ displayName: "Severity" }) }])
    .overrideByName("Site", [property("links", [toSite])]);

export const line = (title: string, description: string, expr: string, legend: string) =>
  panel(lines(), title, description, [{ expr, legend }]).interval("1m").spanNulls(180_000);
