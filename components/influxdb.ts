import * as command from "@pulumi/command";
import type * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { rowsFolder } from "../configs/backup";
import * as influxdb from "../configs/influxdb";
import type { Model } from "../configs/model";
import type { Profile } from "../configs/profiles";
import type { Retention } from "../configs/rollups";
import { engineEnvironment, engineLine, isSsh } from "../configs/ssh";
import { dataVolume, type File, type PublishedPort, Service, type ServiceContext } from "./service";

/** What a stack decides about its database. */
export interface InfluxDbArgs extends ServiceContext {
  /**
   * Telemetry model of the site: a table for each of its measurements.
   * @example
   * ```ts
   * { model: loadModel("configs/telemetry.yaml") }
   * ```
   */
  model: Model;
  /**
   * How long telemetry and its rollups are kept, as InfluxDB spells a duration.
   * @example
   * ```ts
   * { retention: { raw: "90d", minute: "365d", hour: "3650d", day: "3650d" } }
   * ```
   */
  retention: Retention;
  /**
   * Size of the host: how often Telegraf writes.
   * @example
   * ```ts
   * { profile: profiles.pi }
   * ```
   */
  profile: Profile;
  /**
   * Whether the data volume is deleted with the stack.
   * @example
   * ```ts
   * { purge: false }
   * ```
   */
  purge: boolean;
  /**
   * Name of the Docker network of the site's data.
   * @example
   * ```ts
   * { network: "kiel-1-data" }
   * ```
   */
  network: pulumi.Input<string>;
  /**
   * Where the host publishes the HTTP API.
   * @default nowhere: only the site's own containers reach it
   * @example
   * ```ts
   * { publish: { address: "127.0.0.1", port: 8181 } }
   * ```
   */
  publish?: { address: pulumi.Input<string>; port: pulumi.Input<number> } | undefined;
  /**
   * Whether it stores rows about backups, which the copier leaves in its volume.
   * @default `false`
   * @example
   * ```ts
   * { backedUp: true }
   * ```
   */
  backedUp?: boolean | undefined;
}

/**
 * InfluxDB 3 Core with its databases, tables and tokens. Its own container's tools make them, run
 * there through the Docker engine: its API need not be reachable from where Pulumi runs.
 */
export class InfluxDb extends pulumi.ComponentResource {
  /** Its container. */
  readonly service: Service;
  /** Name of its data volume. */
  readonly volume: pulumi.Output<string>;
  /** Where the site's containers reach the API. */
  readonly url = `http://influxdb:${influxdb.port}`;
  /** Where they reach it for writes that no power cut may take. */
  readonly writeUrl = `http://influxdb:${influxdb.writePort}`;
  /** Volume with the relay's notes of what was written, for the rollups. */
  readonly notes: docker.Volume;
  /** The databases and tables; what writes waits for them. */
  readonly schema: command.local.Command;

  constructor(
    private readonly name: string,
    private readonly args: InfluxDbArgs,
    opts: pulumi.ComponentResourceOptions,
  ) {
    super("bess:index:InfluxDb", name, {}, opts);
    const volume = dataVolume(`${name}-data`, { ...args, service: "influxdb" }, this);
    this.notes = dataVolume(`${name}-notes`, { ...args, service: "rollup" }, this);
    this.volume = volume.name;
    this.service = new Service(
      name,
      {
        ...args,
        service: "influxdb",
        networks: [args.network],
        user: "1500:1500",
        entrypoints: ["/bin/bash", influxdb.paths.start],
        command: this.serveArguments(),
        files: this.files(),
        volumes: [
          { name: volume.name, path: influxdb.paths.data },
          { name: this.notes.name, path: influxdb.paths.notes },
        ],
        ports: ports(args),
        healthCheck: influxdb.healthCheck,
        // After months it reads thousands of snapshots at its start, from a slow card.
        waitSeconds: 600,
      },
      { parent: this },
    );
    this.schema = this.createSchema();
    this.registerOutputs({});
  }

  /**
   * A named admin token, for Core has no other kind; secret. The server makes it, and it is revoked
   * when its resource goes.
   * @param user who is to hold it: part of the token's name.
   * @param rotation a new value makes a new token; the former one is revoked once its user has the
   * new one.
   */
  token(user: string, rotation: pulumi.Input<string> | undefined): pulumi.Output<string> {
    const id = new random.RandomId(
      `${this.name}-token-${user}`,
      { byteLength: 4, keepers: { rotation: rotation ?? "" } },
      { parent: this },
    );
    const tokenName = pulumi.interpolate`${user}-${id.hex}`;
    const created = new command.local.Command(
      `${this.name}-token-${user}`,
      {
        create: this.inContainer("create", tokenName),
        delete: this.inContainer("revoke", tokenName),
        environment: {
          ...engineEnvironment(this.args),
          TOKEN_NAME: tokenName,
          BESS_CREATE: influxdb.createTokenScript(),
          BESS_REVOKE: influxdb.revokeTokenScript(),
        },
        triggers: [tokenName],
        logging: "none",
      },
      { ...this.onceReady(), additionalSecretOutputs: ["stdout"] },
    );
    return pulumi.secret(created.stdout).apply((token) => token.trim());
  }

  private files(): File[] {
    const { site, images, backedUp } = this.args;
    const rows = backedUp ? rowsFolder : undefined;
    const adminToken = this.adminToken().apply(influxdb.adminTokenFile);
    const node = pulumi.output(site);
    const start = pulumi
      .all([site, images.influxdb])
      .apply(([name, image]) => influxdb.startScript({ node: name, image, rows }));
    const relay = node.apply((name) => influxdb.relayProgram({ node: name }));
    const snapshots = node.apply((name) => influxdb.snapshotsProgram({ node: name }));
    return [
      { path: influxdb.paths.start, content: start, executable: true },
      { path: influxdb.paths.relay, content: relay },
      { path: influxdb.paths.snapshots, content: snapshots },
      { path: influxdb.paths.health, content: influxdb.healthScript(), executable: true },
      { path: influxdb.paths.seed, content: adminToken, secret: true },
    ];
  }

  private serveArguments(): pulumi.Output<string>[] {
    const { site, memory, retention, profile } = this.args;
    const rendered = pulumi
      .output({ node: site, memoryMiB: memory.influxdb })
      .apply((known) => influxdb.serveArguments({ ...known, retention, profile }));
    // A list of Outputs, and not an Output of a list: how many there are is known at once.
    return influxdb
      .serveArguments({ node: "", memoryMiB: 0, retention, profile })
      .map((preset, index) => rendered.apply((args) => args[index] ?? preset));
  }

  private adminToken(): pulumi.Output<string> {
    const characters = { length: 64, special: true, overrideSpecial: "-_" };
    const secret = new random.RandomPassword(`${this.name}-admin-token`, characters, {
      parent: this,
      additionalSecretOutputs: ["result", "bcryptHash"],
    });
    return pulumi.interpolate`apiv3_${secret.result}`;
  }

  private createSchema(): command.local.Command {
    const { model, retention } = this.args;
    return new command.local.Command(
      `${this.name}-schema`,
      {
        create: this.inContainer(),
        stdin: influxdb.schemaScript(influxdb.schema(model, retention)),
        environment: engineEnvironment(this.args),
      },
      this.onceReady(),
    );
  }

  /**
   * Command line that runs a script in InfluxDB's container.
   * @param script which one of the environment's. Default: what comes by standard input.
   */
  private inContainer(
    script?: "create" | "revoke",
    tokenName: pulumi.Input<string> = "",
  ): pulumi.Output<string> {
    const input = script ? `printf '%s' "$BESS_${script.toUpperCase()}" | ` : "";
    return pulumi.all([this.args.site, tokenName]).apply(([site, token]) => {
      const run = `docker exec -i -e TOKEN_NAME ${site}-influxdb bash -s`;
      // The environment of this machine does not reach a site.
      const named = token && isSsh(this.args.engine) ? `TOKEN_NAME=${token} ${run}` : run;
      return input + engineLine(this.args, named);
    });
  }

  private onceReady(): pulumi.CustomResourceOptions {
    return { parent: this, dependsOn: [this.service.ready] };
  }
}

const ports = ({ publish }: InfluxDbArgs): PublishedPort[] | undefined =>
  publish && [{ internal: influxdb.port, external: publish.port, address: publish.address }];
