import * as pulumi from "@pulumi/pulumi";
import * as explorer from "../configs/explorer";
import { password } from "./secrets";
import { dataVolume, type File, Service, type ServiceContext } from "./service";

/** What the Explorer shows, and where. */
export interface ExplorerArgs extends ServiceContext {
  /**
   * Name of the Docker network of the site's data.
   * @example
   * ```ts
   * { network: "kiel-1-data" }
   * ```
   */
  network: pulumi.Input<string>;
  /**
   * Port on the host's loopback address.
   * @example
   * ```ts
   * { port: 8888 }
   * ```
   */
  port: pulumi.Input<number>;
  /**
   * The Explorer's token for InfluxDB; secret.
   * @example
   * ```ts
   * { token: influxdb.token("explorer", undefined) }
   * ```
   */
  token: pulumi.Input<string>;
  /**
   * Whether the data volume is deleted with the stack.
   * @example
   * ```ts
   * { purge: false }
   * ```
   */
  purge: boolean;
}

/** InfluxDB 3 Explorer in admin mode. It has no login: its port is opened on loopback alone. */
export class Explorer extends pulumi.ComponentResource {
  /** Its container. */
  readonly service: Service;

  constructor(name: string, args: ExplorerArgs, opts: pulumi.ComponentResourceOptions) {
    super("bess:index:Explorer", name, {}, opts);
    const volume = dataVolume(`${name}-data`, { ...args, service: "explorer" }, this);
    this.service = new Service(
      name,
      {
        ...args,
        service: "explorer",
        networks: [args.network],
        user: "1500:1500",
        entrypoints: ["/bin/sh", explorer.paths.start],
        command: ["--mode=admin"],
        files: this.files(name, args),
        volumes: [{ name: volume.name, path: explorer.paths.data }],
        ports: [{ internal: explorer.port, external: args.port, address: "127.0.0.1" }],
        healthCheck: explorer.healthCheck,
      },
      { parent: this },
    );
    this.registerOutputs({});
  }

  private files(name: string, args: ExplorerArgs): File[] {
    const connection = pulumi
      .all([args.site, args.token])
      .apply(([site, token]) => explorer.connection(site, "influxdb", token));
    const session = password(`${name}-session`, undefined, this);
    return [
      { path: explorer.paths.start, content: explorer.startScript(), executable: true },
      { path: explorer.paths.connection, content: connection, secret: true },
      { path: explorer.paths.session, content: session, secret: true },
    ];
  }
}
