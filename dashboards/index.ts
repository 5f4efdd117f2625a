import type { Dashboard, Panel } from "@grafana/grafana-foundation-sdk/dashboard";
import type { BackupConfig } from "../configs/backup-schema";
import type { Model } from "../configs/model";
import type { StorageBudget } from "../configs/storage";
import { alerts, events } from "./alerts";
import { measurement } from "./measurement";
import { overview } from "./overview";
import { performance } from "./performance";
import { pipeline } from "./pipeline";
import type { InfluxQuery } from "./queries";

export {
  gazetteer,
  gazetteerText,
  type HubDashboardOptions,
  hubDashboards,
  hubDashboardUids,
  hubMuted,
  hubQueriesOf,
  hubQuery,
  hubSiteQueries,
  hubSource,
  silentSeconds,
} from "./hub";
export { measurementUid } from "./measurement";
export { brokerTopics } from "./pipeline";
export {
  byUnit,
  type InfluxQlSource,
  InfluxQueryBuilder,
  isState,
  quote,
  sentence,
  sources,
} from "./queries";

/** What the dashboards need to know of the site. */
export interface DashboardOptions {
  /** Name of the site, put before each title. Default: none. */
  site?: string | undefined;
  /** What its data may take of the disk. Default: not shown. */
  storage?: StorageBudget | undefined;
  /** How often it is backed up. Default: never, and not shown. */
  backup?: Pick<BackupConfig, "every"> | undefined;
  /** Whether it sends its minutes to a hub. Default: no, and not shown. */
  uplink?: boolean | undefined;
  /** Whether it has alerts. Default: yes. */
  alerts?: boolean | undefined;
  /** Time zone of all times, such as `Europe/Berlin`. Default: the one of whoever looks. */
  timeZone?: string | undefined;
}

/**
 * The dashboards of a telemetry model: an overview, one of each measurement, and those of performance,
 * alerts and the pipeline. A pure function: what it returns is Grafana's JSON, once stringified.
 */
export function dashboards(
  model: Model,
  {
    site,
    storage,
    backup,
    uplink,
    alerts: watched = true,
    timeZone = "browser",
  }: DashboardOptions = {},
): Dashboard[] {
  const title = (name: string) => (site ? `${site}: ${name}` : name);
  const made = [
    overview(model, title("Overview"), watched),
    ...model.measurements.map((m) => measurement(m, title(m.title))),
    performance(model, title("Performance")),
    alerts(title("Alerts"), watched),
    pipeline(model, title("Pipeline"), storage, backup, uplink),
  ];
  return made.map((d) => ({ ...d, timezone: timeZone, annotations: { list: events() } }));
}

/** One query of a dashboard, and the panel that asks it. */
export interface PanelQuery {
  panel: string;
  /** uid of the data source. */
  datasource: string;
  /** InfluxQL with Grafana's macros and variables. */
  query: string;
}

/** Every query that a dashboard's panels ask. */
export function queriesOf(dashboard: Dashboard): PanelQuery[] {
  const panels = (dashboard.panels ?? []).filter((p): p is Panel => "targets" in p);
  return panels.flatMap((p) =>
    (p.targets as InfluxQuery[]).map((t) => ({
      panel: p.title ?? "",
      datasource: t.datasource.uid,
      query: t.query,
    })),
  );
}
