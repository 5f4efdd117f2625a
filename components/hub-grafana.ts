import type * as pulumi from "@pulumi/pulumi";
import * as grafana from "@pulumiverse/grafana";
import { hubAlertGroups } from "../alerts";
import * as configs from "../configs/grafana";
import {
  gazetteer,
  gazetteerText,
  type HubDashboardOptions,
  hubDashboards,
  hubSource,
} from "../dashboards";
import { Alerting } from "./alerting";
import { GrafanaServer, type GrafanaServerArgs } from "./grafana-server";

/** What the hub's Grafana shows. */
export interface HubGrafanaArgs extends GrafanaServerArgs {
  /** What the dashboards and alert rules are made of. */
  shown: HubDashboardOptions & { backupEvery?: string | undefined };
  /** Address below which `/api/v1/query` is, as Grafana's container reaches it. */
  query: string;
  /** Time zone of days on dashboards, of quiet hours, and of times in messages. Default: UTC. */
  timeZone?: string | undefined;
}

/** The hub's Grafana: one data source, the dashboards of all sites, and the hub's alerts. */
export class HubGrafana extends GrafanaServer {
  constructor(name: string, args: HubGrafanaArgs, opts: pulumi.ComponentResourceOptions) {
    super(
      name,
      {
        ...args,
        extraFiles: [
          {
            path: `/usr/share/grafana/public/${gazetteer}`,
            content: gazetteerText(args.shown.sites),
          },
        ],
      },
      [hubSource],
      opts,
    );
    const { api } = this;
    const source = new grafana.oss.DataSource(
      `${name}-prometheus`,
      {
        uid: hubSource,
        name: "Hub (PromQL)",
        type: "prometheus",
        url: args.query,
        isDefault: true,
        jsonDataEncoded: JSON.stringify({
          httpMethod: "POST",
          prometheusType: "Prometheus",
          // Sites send a minute at a time.
          timeInterval: "1m",
        }),
      },
      api,
    );
    const folder = new grafana.oss.Folder(
      name,
      { uid: configs.folders.dashboards, title: "BESS hub" },
      api,
    );
    const timezone = args.timeZone ?? "browser";
    for (const dashboard of hubDashboards(args.shown))
      new grafana.oss.Dashboard(
        `${name}-${dashboard.uid}`,
        {
          folder: folder.uid,
          configJson: JSON.stringify({ ...dashboard, timezone }),
          overwrite: true,
        },
        api,
      );
    if (args.alerts.enabled)
      new Alerting(
        `${name}-alerts`,
        {
          groups: hubAlertGroups({ ...args.shown, runbook: args.alerts.runbook }),
          alerts: args.alerts,
          late: args.lateAlerts,
          timeZone: args.timeZone ?? "UTC",
        },
        // A rule names its data source.
        { ...api, dependsOn: [source] },
      );
    this.registerOutputs({ adminPassword: this.adminPassword });
  }
}
