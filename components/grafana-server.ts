import * as command from "@pulumi/command";
import type * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import * as grafana from "@pulumiverse/grafana";
import type { Alerts } from "../configs/alerting";
import * as configs from "../configs/grafana";
import type { SiteConfig } from "../configs/site";
import { engineEnvironment, engineLine } from "../configs/ssh";
import { password } from "./secrets";
import { dataVolume, type File, Service, type ServiceContext } from "./service";
import type { LateAlerts } from "./site-values";

/** Where Grafana runs, and who reaches it. */
export interface GrafanaServerArgs extends ServiceContext<"grafana"> {
  /**
   * Where Grafana listens on the host, and what it allows without a login.
   * @example
   * ```ts
   * { grafana: { address: "127.0.0.1", port: 3000, embedding: false, anonymous: false } }
   * ```
   */
  grafana: SiteConfig["grafana"];
  /**
   * Where browsers reach it, if a proxy leads them there; its pages may be embedded under this origin.
   * @default its own port
   * @example
   * ```ts
   * { rootUrl: "https://kiel-1.example/grafana/" }
   * ```
   */
  rootUrl?: string | undefined;
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
   * More files of Grafana's container.
   * @default none
   * @example
   * ```ts
   * { extraFiles: [{ path: "/usr/share/grafana/public/gazetteer/sites.json", content: "[]" }] }
   * ```
   */
  extraFiles?: File[] | undefined;
}

/** A Grafana without content: its container, and the way to its API. */
export abstract class GrafanaServer extends pulumi.ComponentResource {
  /** Its container. */
  readonly service: Service;
  /** Its data volume. */
  readonly volume: docker.Volume;
  /** Password of the user `admin`; secret. */
  readonly adminPassword: pulumi.Output<string>;
  /** Options of what is made through the API, once Grafana is healthy. */
  protected readonly api: ReturnType<GrafanaServer["connect"]>;

  /** @param sources uids of all data sources that are made. */
  constructor(
    name: string,
    args: GrafanaServerArgs,
    sources: readonly string[],
    opts: pulumi.ComponentResourceOptions,
  ) {
    super("bess:index:Grafana", name, {}, opts);
    this.adminPassword = password(`${name}-admin`, args.rotation, this);
    this.volume = dataVolume(`${name}-data`, { ...args, service: "grafana" }, this);
    this.service = this.createService(name, args);
    this.api = this.connect(name, args, sources);
  }

  private createService(name: string, args: GrafanaServerArgs): Service {
    const { smtp } = args.alerts;
    return new Service(
      name,
      {
        ...args,
        service: "grafana",
        networks: [args.network],
        user: "472:0",
        entrypoints: ["/bin/sh", configs.paths.start],
        environment: configs.environment({ ...args.grafana, smtp, rootUrl: args.rootUrl }),
        files: this.files(name, args),
        volumes: [{ name: this.volume.name, path: configs.paths.data }],
        ports: [
          { internal: configs.port, external: args.grafana.port, address: args.grafana.address },
        ],
        healthCheck: configs.healthCheck,
      },
      { parent: this },
    );
  }

  private files(name: string, args: GrafanaServerArgs): File[] {
    const secretKey = password(`${name}-secret-key`, undefined, this);
    const { smtpPassword } = args.lateAlerts;
    const start = pulumi
      .all([args.site, args.images.grafana])
      .apply(([site, image]) => configs.startScript({ site, image }));
    return [
      { path: configs.paths.start, content: start, executable: true },
      { path: configs.paths.password, content: this.adminPassword, secret: true },
      { path: configs.paths.seed, content: secretKey, secret: true },
      ...(smtpPassword
        ? [{ path: configs.paths.smtpPassword, content: smtpPassword, secret: true }]
        : []),
      ...(args.extraFiles ?? []),
    ];
  }

  private connect(name: string, args: GrafanaServerArgs, sources: readonly string[]) {
    const provider = new grafana.Provider(
      name,
      { url: args.api, auth: pulumi.interpolate`admin:${this.adminPassword}` },
      { parent: this },
    );
    return {
      parent: this,
      provider,
      dependsOn: [this.forgetFormer(name, args, sources)],
      // All lies in the volume. It goes or stays with it, also where Grafana does not answer.
      deletedWith: this.volume,
    };
  }

  /** Removes, once, what another stack has left in a volume that was kept. */
  private forgetFormer(
    name: string,
    args: GrafanaServerArgs,
    sources: readonly string[],
  ): command.local.Command {
    const line = pulumi
      .output(args.site)
      .apply((site) => engineLine(args, `docker exec -i ${site}-grafana sh -s`));
    return new command.local.Command(
      `${name}-inherit`,
      {
        create: line,
        stdin: configs.inheritScript(sources),
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
}
