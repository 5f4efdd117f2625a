import * as pulumi from "@pulumi/pulumi";
import * as configs from "../configs/backup";
import { kindOf } from "../configs/backup-schema";
import { dataVolume, type File, Service, type ServiceContext } from "./service";
import type { LateValues } from "./site-values";

/** What is copied. */
export interface CopierArgs extends ServiceContext {
  /**
   * Names of the data volumes, by their service.
   * @example
   * ```ts
   * { volumes: { influxdb: influxdb.volume, mosquitto: mosquitto.volume, grafana: grafana.volume } }
   * ```
   */
  volumes: Record<"influxdb" | "mosquitto" | "grafana", pulumi.Input<string>> & {
    interface?: pulumi.Input<string> | undefined;
  };
  /**
   * Whether the volume of the copies is deleted with the stack; the backups stay.
   * @example
   * ```ts
   * { purge: false }
   * ```
   */
  purge: boolean;
}

/** Makes copies of one moment of what a site's services write, for the backup. It has no network. */
export class Copier extends pulumi.ComponentResource {
  /** Its container. */
  readonly service: Service;
  /** Name of the volume with the copies, and with the backup's own notes. */
  readonly volume: pulumi.Output<string>;

  constructor(name: string, args: CopierArgs, opts: pulumi.ComponentResourceOptions) {
    super("bess:index:Copier", name, {}, opts);
    this.volume = dataVolume(`${name}-data`, { ...args, service: "backup" }, this).name;
    const { influxdb, mosquitto, grafana, interface: own } = args.volumes;
    this.service = new Service(
      name,
      {
        ...args,
        service: "copier",
        networks: [],
        // It reads and links what belongs to several users, as each of them.
        user: "0:0",
        capabilities: ["CAP_SETGID", "CAP_SETUID"],
        entrypoints: [configs.python, configs.scripts.copier],
        files: [
          {
            path: configs.scripts.copier,
            content: pulumi
              .output(args.site)
              .apply((site) => configs.copierProgram({ site, interface: own !== undefined })),
          },
        ],
        volumes: [
          { name: this.volume, path: configs.places.state },
          { name: influxdb, path: configs.places.influxdb },
          { name: mosquitto, path: configs.places.mosquitto },
          { name: grafana, path: configs.places.grafana },
          ...(own === undefined ? [] : [{ name: own, path: configs.places.interface }]),
        ],
        healthCheck: configs.copierHealthCheck,
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}

/** What is backed up, and where to. */
export interface BackupArgs extends ServiceContext {
  /**
   * Where the backups are kept, how often one is made, and the secrets.
   * @example
   * ```ts
   * { backup: { to: "/mnt/usb/bess", every: "1d", keep, sameDisk: false } }
   * ```
   */
  backup: NonNullable<LateValues["backup"]> & { password: pulumi.Input<string> };
  /**
   * Name of the Docker network by which a server is reached; a folder of the host needs none.
   * @default none
   * @example
   * ```ts
   * { network: "kiel-1-backup" }
   * ```
   */
  network?: pulumi.Input<string> | undefined;
  /**
   * Names of the copies' volume, and of InfluxDB's.
   * @example
   * ```ts
   * { volumes: { copies: copier.volume, influxdb: influxdb.volume } }
   * ```
   */
  volumes: Record<"copies" | "influxdb", pulumi.Input<string>>;
}

/** Backups of a site: restic puts copies where they are kept, and may only read the site's data. */
export class Backup extends pulumi.ComponentResource {
  /** Its container. */
  readonly service: Service;

  constructor(name: string, args: BackupArgs, opts: pulumi.ComponentResourceOptions) {
    super("bess:index:Backup", name, {}, opts);
    const { backup, network, volumes } = args;
    const isFolder = kindOf(backup.to) === "folder";
    this.service = new Service(
      name,
      {
        ...args,
        service: "backup",
        networks: network === undefined ? [] : [network],
        // Other users' files are to be read, and a disk may belong to anybody.
        user: "0:0",
        capabilities: ["CAP_DAC_OVERRIDE"],
        entrypoints: ["/bin/sh", configs.scripts.start],
        files: this.files(args),
        volumes: [
          { name: volumes.copies, path: configs.places.state },
          { name: volumes.influxdb, path: configs.places.influxdb, readOnly: true },
        ],
        folders: isFolder ? [{ host: backup.to, path: configs.places.target }] : [],
        healthCheck: configs.healthCheck,
      },
      { parent: this },
    );
    this.registerOutputs({});
  }

  private files({ site, backup }: BackupArgs): File[] {
    const start = pulumi.output(site).apply((name) => configs.startScript({ site: name, backup }));
    return [
      { path: configs.scripts.start, content: start, executable: true },
      { path: configs.scripts.now, content: configs.nowScript(), executable: true },
      ...configs
        .secretsOf<pulumi.Input<string>>(backup, backup.password)
        .map(({ file, content }) => ({
          path: `${configs.places.secrets}/${file}`,
          content,
          secret: true,
        })),
    ];
  }
}
