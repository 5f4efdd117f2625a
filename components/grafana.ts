import * as pulumi from "@pulumi/pulumi";
import * as grafana from "@pulumiverse/grafana";
import { databases } from "../configs/influxdb";
import * as configs from "../configs/grafana";
import type { Model } from "../configs/model";
import type { SiteConfig } from "../configs/site";
import { dashboards, sources } from "../dashboards";
import { password } from "./secrets";
import { dataVolume, Service, type ServiceContext } from "./service";

/** What Grafana shows, and to whom. */
export interface GrafanaArgs extends ServiceContext {
  /** What the dashboards are headed with. */
  title: string;
  model: Model;
  grafana: SiteConfig["grafana"];
  /** Where Grafana's API is reached from where Pulumi runs. */
  api: pulumi.Input<string>;
  network: pulumi.Input<string>;
  purge: boolean;
  /** A new value makes a new admin password. */
  rotation?: string;
  /** Where Grafana reaches InfluxDB. */
  influxdb: pulumi.Input<string>;
  /** Grafana's token for InfluxDB. */
  token: pulumi.Input<string>;
}

/** Grafana with its data sources, folder and dashboards, all made through its API. */
export class Grafana extends pulumi.ComponentResource {
  readonly service: Service;
  /** Password of the user `admin`; secret. */
  readonly adminPassword: pulumi.Output<string>;
  private readonly api: pulumi.CustomResourceOptions;

  constructor(name: string, args: GrafanaArgs, opts: pulumi.ComponentResourceOptions) {
    super("bess:index:Grafana", name, {}, opts);
    this.adminPassword = password(`${name}-admin`, args.rotation, this);
    this.service = this.run(name, args);
    const provider = new grafana.Provider(
      name,
      { url: args.api, auth: pulumi.interpolate`admin:${this.adminPassword}` },
      { parent: this },
    );
    this.api = { parent: this, provider, dependsOn: [this.service.container] };
    this.dataSources(name, args);
    this.show(name, args);
    this.registerOutputs({ adminPassword: this.adminPassword });
  }

  private run(name: string, args: GrafanaArgs): Service {
    const volume = dataVolume(
      `${name}-data`,
      { site: args.site, service: "grafana", purge: args.purge },
      this,
    );
    return new Service(
      name,
      {
        ...args,
        service: "grafana",
        networks: [args.network],
        user: "472:0",
        entrypoints: ["/bin/sh", configs.paths.start],
        environment: configs.environment(args.grafana),
        files: [
          { path: configs.paths.start, content: configs.startScript(), executable: true },
          { path: configs.paths.password, content: this.adminPassword, secret: true },
          {
            path: configs.paths.seed,
            content: password(`${name}-secret-key`, undefined, this),
            secret: true,
          },
        ],
        volumes: [{ name: volume.name, path: configs.paths.data }],
        ports: [
          { internal: configs.port, external: args.grafana.port, address: args.grafana.address },
        ],
        healthCheck: configs.healthCheck,
      },
      { parent: this },
    );
  }

  private dataSources(name: string, args: GrafanaArgs) {
    const influxQl = (
      suffix: string,
      uid: string,
      title: string,
      database: string,
      isDefault: boolean,
      options = this.api,
    ) =>
      new grafana.oss.DataSource(
        `${name}-${suffix}`,
        {
          uid,
          name: title,
          type: "influxdb",
          url: args.influxdb,
          isDefault,
          databaseName: database,
          jsonDataEncoded: JSON.stringify({ dbName: database, httpMode: "GET" }),
          httpHeaders: pulumi.secret({ Authorization: pulumi.interpolate`Bearer ${args.token}` }),
        },
        options,
      );
    const telemetry = influxQl(
      "influxql",
      sources.telemetry,
      "InfluxDB (InfluxQL)",
      databases.telemetry,
      true,
    );
    // Grafana makes a source the default while there is none, whatever it was told: the others come after it.
    const after = { ...this.api, dependsOn: [this.service.container, telemetry] };
    influxQl(
      "pipeline",
      sources.pipeline,
      "InfluxDB pipeline (InfluxQL)",
      databases.pipeline,
      false,
      after,
    );
    new grafana.oss.DataSource(
      `${name}-sql`,
      {
        uid: sources.sql,
        name: "InfluxDB (SQL)",
        type: "influxdb",
        url: args.influxdb,
        // The Flight SQL API has no TLS inside the site's own network.
        jsonDataEncoded: JSON.stringify({
          version: "SQL",
          dbName: databases.telemetry,
          insecureGrpc: true,
        }),
        secureJsonDataEncoded: pulumi.secret(pulumi.jsonStringify({ token: args.token })),
      },
      after,
    );
  }

  private show(name: string, args: GrafanaArgs) {
    const folder = new grafana.oss.Folder(name, { uid: "bess", title: "BESS" }, this.api);
    for (const dashboard of dashboards(args.model, { site: args.title })) {
      new grafana.oss.Dashboard(
        `${name}-${dashboard.uid}`,
        { folder: folder.uid, configJson: JSON.stringify(dashboard), overwrite: true },
        this.api,
      );
    }
  }
}
