import * as pulumi from "@pulumi/pulumi";
import * as grafana from "@pulumiverse/grafana";
import { alertGroups } from "../alerts";
import type { BackupConfig } from "../configs/backup-schema";
import { databases } from "../configs/influxdb";
import * as configs from "../configs/grafana";
import type { Model } from "../configs/model";
import { tiers } from "../configs/rollups";
import type { StorageBudget } from "../configs/storage";
import { dashboards, sources } from "../dashboards";
import type { Profile } from "../configs/profiles";
import { Alerting } from "./alerting";
import { GrafanaServer, type GrafanaServerArgs } from "./grafana-server";

/** What Grafana shows, and to whom. */
export interface GrafanaArgs extends GrafanaServerArgs {
  /**
   * What each dashboard's title begins with.
   * @example
   * ```ts
   * { title: "kiel-1" }
   * ```
   */
  title: string;
  /**
   * Telemetry model of the site: it decides which dashboards there are.
   * @example
   * ```ts
   * { model: loadModel("configs/telemetry.yaml") }
   * ```
   */
  model: Model;
  /**
   * What the site's data is expected to take of the disk, and what it may take.
   * @example
   * ```ts
   * { storage: storageBudget(model, config) }
   * ```
   */
  storage: StorageBudget;
  /**
   * How often the site is backed up.
   * @default never
   * @example
   * ```ts
   * { backup: { every: "1d" } }
   * ```
   */
  backup?: Pick<BackupConfig, "every"> | undefined;
  /**
   * Whether the site sends its minutes to a hub.
   * @default false
   * @example
   * ```ts
   * { uplink: true }
   * ```
   */
  uplink?: boolean | undefined;
  /**
   * Password of a viewer by whom alerts are read, to cross to the hub; secret.
   * @default there is no such user
   * @example
   * ```ts
   * { alertsPassword: password("kiel-1-alert-reader", undefined, this) }
   * ```
   */
  alertsPassword?: pulumi.Output<string> | undefined;
  /**
   * Size of the host, by which alerts of the pipeline go.
   * @example
   * ```ts
   * { profile: profiles.pi }
   * ```
   */
  profile: Profile;
  /**
   * When the broker's certificate ends.
   * @default no alert tells it
   * @example
   * ```ts
   * { certificateEnds: new Date("2027-06-30") }
   * ```
   */
  certificateEnds: Date | undefined;
  /**
   * Time zone of the site.
   * @default dashboards show that of whoever looks; alerts take UTC
   * @example
   * ```ts
   * { timeZone: "Europe/Berlin" }
   * ```
   */
  timeZone?: string | undefined;
  /**
   * URL of InfluxDB's API, as Grafana's container reaches it.
   * @example
   * ```ts
   * { influxdb: "http://influxdb:8181" }
   * ```
   */
  influxdb: pulumi.Input<string>;
  /**
   * URL of the reader, which answers queries from rollups, as Grafana's container reaches it.
   * @example
   * ```ts
   * { rollup: "http://rollup:8183" }
   * ```
   */
  rollup: pulumi.Input<string>;
  /**
   * Grafana's token for InfluxDB; secret.
   * @example
   * ```ts
   * { token: influxdb.token("grafana", undefined) }
   * ```
   */
  token: pulumi.Input<string>;
}

/** Grafana with its data sources, folder and dashboards, all made through its API. */
export class Grafana extends GrafanaServer {
  constructor(
    private readonly name: string,
    private readonly args: GrafanaArgs,
    opts: pulumi.ComponentResourceOptions,
  ) {
    super(name, args, Object.values(sources), opts);
    const { api } = this;
    const made = [...this.createDataSources(api), ...this.createDashboards(api)];
    if (args.alerts.enabled)
      new Alerting(
        `${name}-alerts`,
        {
          groups: alertGroups({ ...args, site: args.title, runbook: args.alerts.runbook }),
          alerts: args.alerts,
          timeZone: args.timeZone ?? "UTC",
          late: args.lateAlerts,
        },
        // A rule names its data source.
        { ...api, dependsOn: made },
      );
    if (args.alertsPassword)
      new grafana.oss.User(
        `${name}-alerts`,
        {
          login: configs.alertReader,
          name: "Rollups, which read alerts",
          email: `${configs.alertReader}@localhost`,
          password: args.alertsPassword,
        },
        api,
      );
    this.registerOutputs({ adminPassword: this.adminPassword });
  }

  private createDataSources(api: pulumi.CustomResourceOptions) {
    const telemetry = this.influxQlSource(
      "influxql",
      { uid: sources.telemetry, name: "InfluxDB (InfluxQL)", database: databases.telemetry },
      api,
      true,
    );
    // Grafana makes a source the default while there is none, whatever the request says: the others
    // come after it.
    const afterDefault = { ...api, dependsOn: [telemetry] };
    const pipeline = this.influxQlSource(
      "pipeline",
      {
        uid: sources.pipeline,
        name: "InfluxDB pipeline (InfluxQL)",
        database: databases.pipeline,
      },
      afterDefault,
    );
    const rollups = this.influxQlSource(
      "rollups",
      {
        uid: sources.rollups,
        name: "InfluxDB rollups (InfluxQL)",
        database: databases.telemetry,
        url: this.args.rollup,
      },
      afterDefault,
    );
    const history = this.influxQlSource(
      "history",
      { uid: sources.history, name: "InfluxDB alerts (InfluxQL)", database: tiers.day.database },
      afterDefault,
    );
    return [telemetry, pipeline, rollups, history, this.sqlSource(afterDefault)];
  }

  private influxQlSource(
    suffix: string,
    source: { uid: string; name: string; database: string; url?: pulumi.Input<string> },
    opts: pulumi.CustomResourceOptions,
    isDefault = false,
  ) {
    const { uid, name, database, url = this.args.influxdb } = source;
    return new grafana.oss.DataSource(
      `${this.name}-${suffix}`,
      {
        uid,
        name,
        type: "influxdb",
        url,
        isDefault,
        databaseName: database,
        jsonDataEncoded: JSON.stringify({ dbName: database, httpMode: "GET" }),
        httpHeaders: pulumi.secret({
          Authorization: pulumi.interpolate`Bearer ${this.args.token}`,
        }),
      },
      opts,
    );
  }

  private sqlSource(opts: pulumi.CustomResourceOptions) {
    return new grafana.oss.DataSource(
      `${this.name}-sql`,
      {
        uid: sources.sql,
        name: "InfluxDB (SQL)",
        type: "influxdb",
        url: this.args.influxdb,
        // The Flight SQL API has no TLS inside the site's own network.
        jsonDataEncoded: JSON.stringify({
          version: "SQL",
          dbName: databases.telemetry,
          insecureGrpc: true,
        }),
        secureJsonDataEncoded: pulumi.secret(pulumi.jsonStringify({ token: this.args.token })),
      },
      opts,
    );
  }

  private createDashboards(api: pulumi.CustomResourceOptions) {
    const { model, storage, backup, uplink, title, timeZone, alerts } = this.args;
    const uid = configs.folders.dashboards;
    const folder = new grafana.oss.Folder(this.name, { uid, title: "BESS" }, api);
    const shown = { site: title, storage, backup, uplink, timeZone, alerts: alerts.enabled };
    return dashboards(model, shown).map(
      (dashboard) =>
        new grafana.oss.Dashboard(
          `${this.name}-${dashboard.uid}`,
          { folder: folder.uid, configJson: JSON.stringify(dashboard), overwrite: true },
          api,
        ),
    );
  }
}
