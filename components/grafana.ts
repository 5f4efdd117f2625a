import * as command from "@pulumi/command";
import type * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import * as grafana from "@pulumiverse/grafana";
import type { BackupConfig } from "../configs/backup-schema";
import { databases } from "../configs/influxdb";
import type { Alerts } from "../configs/alerting";
import * as configs from "../configs/grafana";
import type { Model } from "../configs/model";
import type { SiteConfig } from "../configs/site";
import type { StorageBudget } from "../configs/storage";
import { dashboards, sources } from "../dashboards";
import { engineEnvironment, engineLine } from "../configs/ssh";
import type { Profile } from "../configs/profiles";
import { Alerting } from "./alerting";
import { password } from "./secrets";
import { dataVolume, type File, Service, type ServiceContext } from "./service";
import type { LateAlerts } from "./site-values";

/** What Grafana shows, and to whom. */
export interface GrafanaArgs extends ServiceContext {
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
   * Where Grafana listens on the host, and what it allows without a login.
   * @example
   * ```ts
   * { grafana: { address: "127.0.0.1", port: 3000, embedding: false, anonymous: false } }
   * ```
   */
  grafana: SiteConfig["grafana"];
  /**
   * Alert rules, and who is told.
   * @example
   * ```ts
   * { alerts: parseSite({ name: "kiel-1" }).alerts }
   * ```
   */
  alerts: Alerts;
  /**
   * What of `alerts` may be known later.
   * @example
   * ```ts
   * { lateAlerts: { contacts: {}, smtpPassword: undefined, deadManUrl: undefined } }
   * ```
   */
  lateAlerts: LateAlerts;
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
   * URL of Grafana's API, as it is reached from where Pulumi runs.
   * @example
   * ```ts
   * { api: "http://127.0.0.1:3000" }
   * ```
   */
  api: pulumi.Input<string>;
  /**
   * Name of the Docker network of the site's data.
   * @example
   * ```ts
   * { network: "kiel-1-data" }
   * ```
   */
  network: pulumi.Input<string>;
  /**
   * Whether the data volume is deleted with the stack.
   * @example
   * ```ts
   * { purge: false }
   * ```
   */
  purge: boolean;
  /**
   * A new value makes a new admin password.
   * @default the first password stays
   * @example
   * ```ts
   * { rotation: "2026-11" }
   * ```
   */
  rotation?: pulumi.Input<string> | undefined;
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
export class Grafana extends pulumi.ComponentResource {
  /** Its container. */
  readonly service: Service;
  /** Its data volume. */
  readonly volume: docker.Volume;
  /** Password of the user `admin`; secret. */
  readonly adminPassword: pulumi.Output<string>;
  /** What holds all that is made through the API. */

  constructor(
    private readonly name: string,
    private readonly args: GrafanaArgs,
    opts: pulumi.ComponentResourceOptions,
  ) {
    super("bess:index:Grafana", name, {}, opts);
    this.adminPassword = password(`${name}-admin`, args.rotation, this);
    this.volume = dataVolume(`${name}-data`, { ...args, service: "grafana" }, this);
    this.service = this.createService();
    const api = this.connect();
    const made = [...this.createDataSources(api), ...this.createDashboards(api)];
    if (args.alerts.enabled)
      new Alerting(
        `${name}-alerts`,
        { ...args, site: args.title, late: args.lateAlerts },
        // A rule names its data source.
        { ...api, dependsOn: made },
      );
    this.registerOutputs({ adminPassword: this.adminPassword });
  }

  private createService(): Service {
    const { name, args } = this;
    const { smtp } = args.alerts;
    return new Service(
      name,
      {
        ...args,
        service: "grafana",
        networks: [args.network],
        user: "472:0",
        entrypoints: ["/bin/sh", configs.paths.start],
        environment: configs.environment({ ...args.grafana, smtp }),
        files: this.files(),
        volumes: [{ name: this.volume.name, path: configs.paths.data }],
        ports: [
          { internal: configs.port, external: args.grafana.port, address: args.grafana.address },
        ],
        healthCheck: configs.healthCheck,
      },
      { parent: this },
    );
  }

  private files(): File[] {
    const secretKey = password(`${this.name}-secret-key`, undefined, this);
    const { smtpPassword } = this.args.lateAlerts;
    const start = pulumi
      .all([this.args.site, this.args.images.grafana])
      .apply(([site, image]) => configs.startScript({ site, image }));
    return [
      { path: configs.paths.start, content: start, executable: true },
      { path: configs.paths.password, content: this.adminPassword, secret: true },
      { path: configs.paths.seed, content: secretKey, secret: true },
      ...(smtpPassword
        ? [{ path: configs.paths.smtpPassword, content: smtpPassword, secret: true }]
        : []),
    ];
  }

  /** Options of what is made through Grafana's API, once Grafana is healthy. */
  private connect() {
    const provider = new grafana.Provider(
      this.name,
      { url: this.args.api, auth: pulumi.interpolate`admin:${this.adminPassword}` },
      { parent: this },
    );
    return {
      parent: this,
      provider,
      dependsOn: [this.forgetFormer()],
      // All lies in the volume. It goes or stays with it, also where Grafana does not answer.
      deletedWith: this.volume,
    };
  }

  /** Removes, once, what another stack has left in a volume that was kept. */
  private forgetFormer(): command.local.Command {
    const { args } = this;
    const line = pulumi
      .output(args.site)
      .apply((site) => engineLine(args, `docker exec -i ${site}-grafana sh -s`));
    return new command.local.Command(
      `${this.name}-inherit`,
      {
        create: line,
        stdin: configs.inheritScript(Object.values(sources)),
        environment: engineEnvironment(args),
        logging: "none",
      },
      // A later version's script has nothing to do either.
      {
        parent: this,
        dependsOn: [this.service.ready],
        ignoreChanges: ["stdin", "create", "environment"],
      },
    );
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
    return [telemetry, pipeline, rollups, this.sqlSource(afterDefault)];
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
    const { model, storage, backup, title } = this.args;
    const uid = configs.folders.dashboards;
    const folder = new grafana.oss.Folder(this.name, { uid, title: "BESS" }, api);
    return dashboards(model, { site: title, storage, backup }).map(
      (dashboard) =>
        new grafana.oss.Dashboard(
          `${this.name}-${dashboard.uid}`,
          { folder: folder.uid, configJson: JSON.stringify(dashboard), overwrite: true },
          api,
        ),
    );
  }
}
