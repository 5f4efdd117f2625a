import * as pulumi from "@pulumi/pulumi";
import * as explorer from "../configs/explorer";
import { password } from "./secrets";
import { dataVolume, Service, type ServiceContext } from "./service";

/** What the Explorer shows, and where. */
export interface ExplorerArgs extends ServiceContext {
  network: pulumi.Input<string>;
  /** Port on the host's loopback address. */
  port: pulumi.Input<number>;
  /** The Explorer's token for InfluxDB. */
  token: pulumi.Input<string>;
  purge: boolean;
}

/** InfluxDB 3 Explorer in admin mode. It has no login of its own, and so is never opened beyond loopback. */
export class Explorer extends pulumi.ComponentResource {
  readonly service: Service;

  constructor(name: string, args: ExplorerArgs, opts: pulumi.ComponentResourceOptions) {
    super("bess:index:Explorer", name, {}, opts);
    const volume = dataVolume(
      `${name}-data`,
      { site: args.site, service: "explorer", purge: args.purge },
      this,
    );
    const connection = pulumi
      .all([args.site, args.token])
      .apply(([site, token]) => explorer.connection(site, "influxdb", token));
    this.service = new Service(
      name,
      {
        ...args,
        service: "explorer",
        networks: [args.network],
        user: "1500:1500",
        entrypoints: ["/bin/sh", explorer.paths.start],
        command: ["--mode=admin"],
        files: [
          { path: explorer.paths.start, content: explorer.startScript(), executable: true },
          { path: explorer.paths.connection, content: connection, secret: true },
          {
            path: explorer.paths.session,
            content: password(`${name}-session`, undefined, this),
            secret: true,
          },
        ],
        volumes: [{ name: volume.name, path: explorer.paths.data }],
        ports: [{ internal: explorer.port, external: args.port, address: "127.0.0.1" }],
        healthCheck: explorer.healthCheck,
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}
