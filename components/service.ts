import { createHash } from "node:crypto";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { Service as ServiceName } from "../configs/images";
import type { SiteConfig } from "../configs/site";

/** A file inside a service's container. */
export interface File {
  path: pulumi.Input<string>;
  content: pulumi.Input<string>;
  /** Whether it is a program. Default: false. */
  executable?: boolean;
  /** Whether its content is a secret, and so no part of the revision. Default: false. */
  secret?: boolean;
}

/** What a site's services have in common. */
export interface ServiceContext {
  /** Name of the site. */
  site: pulumi.Input<string>;
  /** Image of each service. */
  images: Record<ServiceName, pulumi.Input<string>>;
  /** Whether the engine pulls an image that it lacks. */
  pull: SiteConfig["images"]["pull"];
  /** Memory limit of each service, in MiB. */
  memory: Record<ServiceName, pulumi.Input<number>>;
}

/** What one service needs. */
export interface ServiceArgs extends ServiceContext {
  service: ServiceName;
  networks: pulumi.Input<string>[];
  /** User that it runs as, where the image's own would be root. */
  user?: pulumi.Input<string>;
  entrypoints?: pulumi.Input<string>[];
  command?: pulumi.Input<string>[];
  /** Settings that are no secret. */
  environment?: pulumi.Input<string>[];
  files?: File[];
  /** Named volumes that hold data. */
  volumes?: { name: pulumi.Input<string>; path: pulumi.Input<string> }[];
  /** Ports that the host opens. */
  ports?: { internal: number; external: pulumi.Input<number>; address: pulumi.Input<string> }[];
  /** Command that proves that the service answers, as Docker takes it. */
  healthCheck: string[];
  /** Seconds that an update waits for the service to answer. Default: 180. */
  waitSeconds?: number;
}

/** Names that tell a container's site and what it was made from. */
export const labels = { site: "bess-telemetry.site", revision: "bess-telemetry.revision" } as const;

/**
 * One container of a site, hardened the same way for all: a pinned image, a health check that an update waits for,
 * no capabilities, no new privileges, bounded memory, processes and logs, and a restart after a reboot.
 */
export class Service extends pulumi.ComponentResource {
  /** The container. */
  readonly container: docker.Container;
  /** Digest of all that the service is made from but its secrets. */
  readonly revision: pulumi.Output<string>;

  constructor(name: string, args: ServiceArgs, opts: pulumi.ComponentResourceOptions) {
    super("bess:index:Service", name, {}, opts);
    const image = this.image(name, args);
    this.revision = revisionOf(args);
    this.container = new docker.Container(
      name,
      {
        name: pulumi.interpolate`${args.site}-${args.service}`,
        image,
        hostname: args.service,
        networksAdvanced: args.networks.map((network) => ({
          name: network,
          aliases: [args.service],
        })),
        ports: args.ports?.map((port) => ({
          internal: port.internal,
          external: port.external,
          ip: port.address,
          protocol: "tcp",
        })),
        volumes: args.volumes?.map((volume) => ({
          volumeName: volume.name,
          containerPath: volume.path,
        })),
        uploads: args.files?.map((file) => ({
          file: file.path,
          content: file.secret ? pulumi.secret(file.content) : file.content,
          // Docker gives an uploaded file to root: a service that is not root reads it as one of the others.
          permissions: file.executable ? "0755" : "0644",
        })),
        user: args.user,
        entrypoints: args.entrypoints,
        command: args.command,
        envs: args.environment,
        healthcheck: {
          tests: args.healthCheck,
          interval: "10s",
          timeout: "5s",
          retries: 3,
          startPeriod: "2m0s",
        },
        wait: true,
        waitTimeout: args.waitSeconds ?? 180,
        restart: "unless-stopped",
        memory: args.memory[args.service],
        memorySwap: args.memory[args.service],
        logDriver: "json-file",
        logOpts: { "max-size": "10m", "max-file": "3" },
        capabilities: { drops: ["ALL"] },
        securityOpts: ["no-new-privileges:true"],
        destroyGraceSeconds: 30,
        labels: [
          { label: labels.site, value: args.site },
          { label: labels.revision, value: this.revision },
        ],
      },
      // The engine cannot change these in place, though the provider says that it did; and a name can be had only once.
      // It adds its host's own log options to a container's, which would look like a change for ever.
      {
        parent: this,
        deleteBeforeReplace: true,
        replaceOnChanges: ["healthcheck", "tmpfs"],
        ignoreChanges: ["logOpts"],
      },
    );
    this.registerOutputs({ container: this.container, revision: this.revision });
  }

  /** Id of the image on the engine, which pulls it where it may. */
  private image(name: string, args: ServiceArgs): pulumi.Output<string> {
    const image = args.images[args.service];
    if (args.pull === "never")
      return docker.getRemoteImageOutput({ name: image }, { parent: this }).id;
    // A site behind a slow link keeps what it has pulled.
    return new docker.RemoteImage(name, { name: image, keepLocally: true }, { parent: this })
      .imageId;
  }
}

function revisionOf(args: ServiceArgs): pulumi.Output<string> {
  const { service, images, entrypoints, command, environment, healthCheck } = args;
  const files = args.files?.filter((file) => !file.secret) ?? [];
  return pulumi
    .output({ image: images[service], entrypoints, command, environment, healthCheck, files })
    .apply((made) => createHash("sha256").update(JSON.stringify(made)).digest("hex").slice(0, 12));
}

/** A named volume of a site. It outlives the stack unless `purge`. */
export function dataVolume(
  name: string,
  args: { site: pulumi.Input<string>; service: ServiceName; purge: boolean },
  parent: pulumi.Resource,
) {
  return new docker.Volume(
    name,
    {
      name: pulumi.interpolate`${args.site}-${args.service}-data`,
      labels: [{ label: labels.site, value: args.site }],
    },
    { parent, retainOnDelete: !args.purge },
  );
}
