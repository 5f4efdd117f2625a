import * as pulumi from "@pulumi/pulumi";
import type { HubConfig } from "../configs/hub";
import type { HubService } from "../configs/images";
import * as configs from "../configs/vmbackup";
import { type File, Service, type ServiceContext } from "./service";

/** What is backed up, and where to. */
export interface VmbackupArgs extends ServiceContext<HubService> {
  /** Name of the Docker network of the hub's programs. */
  network: pulumi.Input<string>;
  backup: NonNullable<HubConfig["backup"]>;
  /** Name of VictoriaMetrics' data volume. */
  volume: pulumi.Input<string>;
}

/** Backups of a hub: vmbackup sends the parts of a snapshot that are not there yet. */
export class Vmbackup extends pulumi.ComponentResource {
  /** Its container. */
  readonly service: Service;

  constructor(name: string, args: VmbackupArgs, opts: pulumi.ComponentResourceOptions) {
    super("bess:index:Vmbackup", name, {}, opts);
    const { backup, network, volume } = args;
    const { login } = backup;
    const files: File[] = [
      { path: configs.paths.start, content: configs.startScript(backup), executable: true },
      ...(login
        ? [
            {
              path: configs.paths.login,
              content: pulumi.secret(configs.loginFile(login)),
              secret: true,
            },
          ]
        : []),
    ];
    this.service = new Service(
      name,
      {
        ...args,
        service: "vmbackup",
        networks: [network],
        // The data are root's, as VictoriaMetrics' image has it, and a disk may belong to anybody.
        user: "0:0",
        capabilities: ["CAP_DAC_OVERRIDE"],
        entrypoints: ["/bin/sh", configs.paths.start],
        files,
        volumes: [{ name: volume, path: configs.paths.data, readOnly: true }],
        folders: backup.to.startsWith("/") ? [{ host: backup.to, path: configs.paths.target }] : [],
        healthCheck: configs.healthCheck,
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}
