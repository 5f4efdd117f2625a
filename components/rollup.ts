import * as pulumi from "@pulumi/pulumi";
import { type Model, withoutWatch } from "../configs/model";
import { alertReader, type AlertSource, url as grafana } from "../configs/grafana";
import type { LogbookConfig } from "../configs/logbook";
import { healthCheck, paths, port, type Retention, type RollupConfig } from "../configs/rollups";
import { type UplinkConfig, uplinkTokenFile } from "../configs/uplink";
import { bundleOf, programVersion } from "./bundles";
import { type File, Service, type ServiceContext } from "./service";
import type { LateValues } from "./site-values";

/** What is rolled up, and where the database is. */
export interface RollupArgs extends ServiceContext {
  /**
   * Telemetry model of the site: what of its tables is rolled up.
   * @example
   * ```ts
   * { model: loadModel("configs/telemetry.yaml") }
   * ```
   */
  model: Model;
  /**
   * How long rows and each tier are kept.
   * @example
   * ```ts
   * { retention: { raw: "90d", minute: "365d", hour: "3650d", day: "3650d" } }
   * ```
   */
  retention: Retention;
  /**
   * Time zone of the days whose figures are reckoned.
   * @default UTC
   * @example
   * ```ts
   * { timeZone: "Europe/Berlin" }
   * ```
   */
  timeZone?: string | undefined;
  /**
   * Name of the Docker network of the site's data.
   * @example
   * ```ts
   * { network: "kiel-1-data" }
   * ```
   */
  network: pulumi.Input<string>;
  /**
   * URL of InfluxDB's API, as the container reaches it.
   * @example
   * ```ts
   * { influxdb: "http://influxdb:8181" }
   * ```
   */
  influxdb: pulumi.Input<string>;
  /**
   * URL at which a write is answered once it is on the disk.
   * @example
   * ```ts
   * { relay: "http://influxdb:8182" }
   * ```
   */
  relay: pulumi.Input<string>;
  /**
   * Name of the volume with the relay's notes of what was written.
   * @example
   * ```ts
   * { notes: influxdb.notes.name }
   * ```
   */
  notes: pulumi.Input<string>;
  /**
   * Its token for InfluxDB; secret.
   * @example
   * ```ts
   * { token: influxdb.token("rollup", undefined) }
   * ```
   */
  token: pulumi.Input<string>;
  /**
   * How the site's alerts are read at Grafana: the password of the user who does, which is secret, and
   * the seconds between two evaluations of the slowest rule.
   * @default alerts are off
   * @example
   * ```ts
   * { alerts: { password: password("kiel-1-alert-reader", undefined, this), slowest: 60 } }
   * ```
   */
  alerts?: { password: pulumi.Input<string>; slowest: number } | undefined;
  /**
   * Way to a hub, which gets the site's minutes.
   * @default none
   * @example
   * ```ts
   * { uplink: { url: "https://hub.example:8427/api/v1/write", token, raw: [] } }
   * ```
   */
  uplink?: LateValues["uplink"];
}

/** The rollups of a site's rows, a reader that answers queries from them, and the site's logbook. */
export class Rollup extends pulumi.ComponentResource {
  /** Its container. */
  readonly service: Service;
  /** Where the site's containers ask it as they would ask InfluxDB. */
  readonly url = `http://rollup:${port}`;

  constructor(name: string, args: RollupArgs, opts: pulumi.ComponentResourceOptions) {
    super("bess:index:Rollup", name, {}, opts);
    this.service = new Service(
      name,
      {
        ...args,
        service: "rollup",
        networks: [args.network],
        user: "1000:1000",
        entrypoints: ["node"],
        command: [paths.program, paths.config],
        files: files(args),
        volumes: [{ name: args.notes, path: paths.notes, readOnly: true }],
        healthCheck,
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}

/** Where the site's Grafana tells of its alerts. */
const alertSource: AlertSource = {
  url: grafana,
  user: alertReader,
  passwordFile: paths.grafanaPassword,
};

function files(args: RollupArgs): File[] {
  const { model, retention, influxdb, relay, token, timeZone, alerts, uplink, site } = args;
  const { url, user, ca, raw = [] } = uplink ?? {};
  const logbook: LogbookConfig = {
    grafana,
    ...(alerts && {
      // A rule is evaluated some seconds after Grafana's start at the soonest.
      alerts: { source: alertSource, settle: alerts.slowest + 60 },
    }),
  };
  const told: { [key in keyof UplinkConfig]?: pulumi.Input<unknown> } | undefined = uplink && {
    site,
    version: programVersion(),
    url,
    user,
    tokenFile: uplinkTokenFile,
    ca,
    raw,
    ...(alerts && { grafana: alertSource }),
  };
  const config: Record<keyof RollupConfig | "logbook", pulumi.Input<unknown> | undefined> = {
    model: withoutWatch(model),
    retention,
    influxdb,
    relay,
    tokenFile: paths.token,
    notes: paths.notes,
    zone: timeZone,
    listen: undefined,
    due: undefined,
    logbook,
    // A site without an uplink has no such key.
    ...(told && { uplink: told }),
  };
  return [
    { path: paths.program, content: bundleOf("rollup") },
    { path: paths.config, content: pulumi.jsonStringify(config) },
    { path: paths.token, content: token, secret: true },
    ...(alerts ? [{ path: paths.grafanaPassword, content: alerts.password, secret: true }] : []),
    ...(uplink ? [{ path: uplinkTokenFile, content: uplink.token, secret: true }] : []),
  ];
}
