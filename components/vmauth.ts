import * as pulumi from "@pulumi/pulumi";
import type { HubService } from "../configs/images";
import * as configs from "../configs/vmauth";
import type { HubDatabase } from "../configs/victoria-metrics";
import { Service, type ServiceContext } from "./service";

/** Who may come in, and by which certificate the hub is known. */
export interface VmauthArgs extends ServiceContext<HubService> {
  /** Name of the Docker network of the hub's programs. */
  network: pulumi.Input<string>;
  /** Address and port of the host that sites reach. */
  entrance: { address: string; port: number };
  /** Token of each site that may send, by its name; secret. */
  sites: pulumi.Input<Record<string, string>>;
  /** Token that may read, and write nothing; secret. */
  reader: pulumi.Input<string>;
  /** Certificate with its chain, and its key, PEM. */
  certificate: pulumi.Input<string>;
  key: pulumi.Input<string>;
  /** Where values are written to, and asked for. */
  database: HubDatabase;
}

/**
 * The one door of the hub. Its users are a file of its container: an `up` that changes one makes the
 * container anew, which takes a second or two, and sites try again.
 */
export class Vmauth extends pulumi.ComponentResource {
  /** Its container. */
  readonly service: Service;

  constructor(name: string, args: VmauthArgs, opts: pulumi.ComponentResourceOptions) {
    super("bess:index:Vmauth", name, {}, opts);
    const users = pulumi
      .all([args.sites, args.reader])
      .apply(([sites, reader]) => configs.usersConfig({ sites, reader, ...args.database }));
    this.service = new Service(
      name,
      {
        ...args,
        service: "vmauth",
        networks: [args.network],
        user: "65534:65534",
        command: configs.vmauthArguments(),
        files: [
          { path: configs.paths.users, content: users, secret: true },
          { path: configs.paths.certificate, content: args.certificate },
          { path: configs.paths.key, content: args.key, secret: true },
        ],
        ports: [
          {
            internal: configs.ports.entrance,
            external: args.entrance.port,
            address: args.entrance.address,
          },
        ],
        healthCheck: configs.healthCheck,
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}
