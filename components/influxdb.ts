import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import * as influxdb from "../configs/influxdb";
import type { Model } from "../configs/model";
import { isSsh, type Reach, remoteLine } from "../configs/ssh";
import { dataVolume, Service, type ServiceContext } from "./service";

/** What a stack decides about its database. */
export interface InfluxDbArgs extends ServiceContext {
  model: Model;
  /** How long telemetry is kept, such as `90d`. */
  retention: string;
  purge: boolean;
  network: pulumi.Input<string>;
  /** Where the host publishes the API. Default: nowhere. */
  publish?: { address: pulumi.Input<string>; port: pulumi.Input<number> };
  /** Docker engine that InfluxDB runs on; by default the local one. */
  engine?: string;
  /** How ssh reaches the engine's host, where the engine is one of SSH's. */
  ssh: Reach["ssh"];
}

/**
 * InfluxDB 3 Core with its databases, tables and tokens. They are made by its own container's tools,
 * run there through the Docker engine: its API need not be reachable from where Pulumi runs.
 */
export class InfluxDb extends pulumi.ComponentResource {
  readonly service: Service;
  /** Where the site's containers reach the API. */
  readonly url = `http://influxdb:${influxdb.port}`;
  /** The databases and tables; what writes waits for them. */
  readonly schema: command.local.Command;
  private readonly args: InfluxDbArgs;

  constructor(
    private readonly name: string,
    args: InfluxDbArgs,
    opts: pulumi.ComponentResourceOptions,
  ) {
    super("bess:index:InfluxDb", name, {}, opts);
    this.args = args;
    const volume = dataVolume(
      `${name}-data`,
      { site: args.site, service: "influxdb", purge: args.purge },
      this,
    );
    this.service = new Service(
      name,
      {
        ...args,
        service: "influxdb",
        networks: [args.network],
        user: "1500:1500",
        entrypoints: ["/bin/bash", influxdb.paths.start],
        command: this.serve(),
        files: [
          { path: influxdb.paths.start, content: influxdb.startScript(), executable: true },
          {
            path: influxdb.paths.seed,
            content: this.adminToken().apply(influxdb.adminTokenFile),
            secret: true,
          },
        ],
        volumes: [{ name: volume.name, path: influxdb.paths.data }],
        ports: args.publish && [
          { internal: influxdb.port, external: args.publish.port, address: args.publish.address },
        ],
        healthCheck: influxdb.healthCheck,
      },
      { parent: this },
    );
    const script = influxdb.schemaScript(influxdb.schema(args.model, args.retention));
    this.schema = new command.local.Command(
      `${name}-schema`,
      { create: this.inContainer(), stdin: script, environment: this.environment() },
      this.after(),
    );
    this.registerOutputs({});
  }

  /**
   * A named admin token (Core has no other kind); the server makes it. Revoked when no longer used.
   * @param rotation a new value makes a new token; the former is revoked once its user has the new one.
   */
  token(user: string, rotation: string | undefined): pulumi.Output<string> {
    const id = new random.RandomId(
      `${this.name}-token-${user}`,
      { byteLength: 4, keepers: { rotation: rotation ?? "" } },
      { parent: this },
    );
    const tokenName = pulumi.interpolate`${user}-${id.hex}`;
    const made = new command.local.Command(
      `${this.name}-token-${user}`,
      {
        create: this.inContainer("create", tokenName),
        delete: this.inContainer("revoke", tokenName),
        environment: {
          ...this.environment(),
          TOKEN_NAME: tokenName,
          BESS_CREATE: influxdb.createTokenScript(),
          BESS_REVOKE: influxdb.revokeTokenScript(),
        },
        triggers: [tokenName],
        logging: "none",
      },
      { ...this.after(), additionalSecretOutputs: ["stdout"] },
    );
    return pulumi.secret(made.stdout).apply((token) => token.trim());
  }

  private serve(): pulumi.Output<string>[] {
    const rendered = pulumi
      .output({ node: this.args.site, memoryMiB: this.args.memory.influxdb })
      .apply((host) => influxdb.serveArguments({ ...host, retention: this.args.retention }));
    return influxdb
      .serveArguments({ node: "", retention: this.args.retention, memoryMiB: 0 })
      .map((_, i) => rendered[i]);
  }

  private adminToken(): pulumi.Output<string> {
    const characters = { length: 64, special: true, overrideSpecial: "-_" };
    const secret = new random.RandomPassword(`${this.name}-admin-token`, characters, {
      parent: this,
      additionalSecretOutputs: ["result", "bcryptHash"],
    });
    return pulumi.interpolate`apiv3_${secret.result}`;
  }

  /** Command line that runs a script in InfluxDB's container: its standard input, or one of the environment's. */
  private inContainer(
    script?: "create" | "revoke",
    tokenName: pulumi.Input<string> = "",
  ): pulumi.Output<string> {
    const input = script ? `printf '%s' "$BESS_${script.toUpperCase()}" | ` : "";
    const { engine, ssh } = this.args;
    return pulumi.all([this.args.site, tokenName]).apply(([site, token]) => {
      const run = `docker exec -i -e TOKEN_NAME ${site}-influxdb bash -s`;
      // The site's own client asks its engine in one round trip; one here would open several connections for it.
      return (
        input +
        (isSsh(engine)
          ? remoteLine({ engine, ssh }, token ? `TOKEN_NAME=${token} ${run}` : run)
          : run)
      );
    });
  }

  private environment(): Record<string, pulumi.Input<string>> {
    const { engine } = this.args;
    return engine && !isSsh(engine) ? { DOCKER_HOST: engine } : {};
  }

  private after(): pulumi.CustomResourceOptions {
    return { parent: this, dependsOn: [this.service.container] };
  }
}
