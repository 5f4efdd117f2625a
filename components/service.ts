import * as command from "@pulumi/command";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { labels, readyScript } from "../configs/containers";
import type { AnyService, Service as ServiceName } from "../configs/images";
import type { SiteConfig } from "../configs/site";
import { engineEnvironment, engineLine, type EnginePlace } from "../configs/ssh";
import { revisionOf } from "./revision";
import {
  type FileTransform,
  type SiteTransform,
  type TransformableContainer,
  transformContainer,
  transformText,
} from "./transform";

/** A file inside a service's container. It belongs to root: the service can read it alone. */
export interface File {
  /**
   * Where it lies in the container. It is no `Input`: a transform finds the file by it.
   * @example
   * ```ts
   * { path: "/etc/telegraf/telegraf.conf" }
   * ```
   */
  path: string;
  /**
   * What it holds, as text.
   * @example
   * ```ts
   * { content: "[agent]\n" }
   * ```
   */
  content: pulumi.Input<string>;
  /**
   * Whether it is a program.
   * @default `false`
   * @example
   * ```ts
   * { executable: true }
   * ```
   */
  executable?: boolean | undefined;
  /**
   * Whether its content is a secret: encrypted in the state, and no part of the revision.
   * @default `false`
   * @example
   * ```ts
   * { secret: true }
   * ```
   */
  secret?: boolean | undefined;
}

/** A port that the host opens for a service. */
export interface PublishedPort {
  /**
   * Port that the service listens on in its container.
   * @example
   * ```ts
   * { internal: 1883 }
   * ```
   */
  internal: number;
  /**
   * Port on the host.
   * @example
   * ```ts
   * { external: 1884 }
   * ```
   */
  external: pulumi.Input<number>;
  /**
   * The host's own address that it listens on.
   * @example
   * ```ts
   * { address: "127.0.0.1" }
   * ```
   */
  address: pulumi.Input<string>;
}

/** What the services of a site, or of the hub, have in common. `Name`: which services there are. */
export interface ServiceContext<Name extends AnyService = ServiceName> extends EnginePlace {
  /**
   * Name of the site: containers, networks and volumes are named after it.
   * @example
   * ```ts
   * { site: "kiel-1" }
   * ```
   */
  site: pulumi.Input<string>;
  /**
   * Docker engine that the site runs on.
   * @default `DOCKER_HOST`, else the local engine
   * @example
   * ```ts
   * { engine: "ssh://pi@bess-pi.local" }
   * ```
   */
  engine?: string | undefined;
  /**
   * How ssh reaches the engine's host; used where the engine is one of SSH's.
   * @example
   * ```ts
   * { ssh: { jump: "bastion.example" } }
   * ```
   */
  ssh: EnginePlace["ssh"];
  /**
   * Image of each service, pinned by a tag or a digest.
   * @example
   * ```ts
   * { images: { ...images, grafana: "grafana/grafana:13.1.1" } }
   * ```
   */
  images: Record<Name, pulumi.Input<string>>;
  /**
   * Whether the engine pulls an image that it lacks: `missing`, or `never`.
   * @example
   * ```ts
   * { pull: "missing" }
   * ```
   */
  pull: SiteConfig["images"]["pull"];
  /**
   * Whether an image must have the content that was pinned: `none`, or `digest`.
   * @default `"none"`
   * @example
   * ```ts
   * { verify: "digest" }
   * ```
   */
  verify?: SiteConfig["images"]["verify"] | undefined;
  /**
   * Of each service: what the engine may call its image, where `pull` is `never` and images are
   * verified.
   * @default any
   * @example
   * ```ts
   * { imageIds: { grafana: ["sha256:…"] } }
   * ```
   */
  imageIds?: Partial<Record<Name, readonly string[]>> | undefined;
  /**
   * Memory limit of each service, in MiB; there is no swap beyond it.
   * @example
   * ```ts
   * { memory: { ...profiles.pi.memory, influxdb: 2048 } }
   * ```
   */
  memory: Record<Name, pulumi.Input<number>>;
  /**
   * What is changed of a service's container and rendered files before they are made.
   * @default nothing
   * @example
   * ```ts
   * { transform: { telegraf: { container: { cpus: "0.5" } } } }
   * ```
   */
  transform?: SiteTransform | undefined;
}

/** A named volume, and where it is mounted; to be read alone if it says so. */
interface Mount {
  name: pulumi.Input<string>;
  path: pulumi.Input<string>;
  readOnly?: boolean;
}

/** What one service needs. */
export interface ServiceArgs<Name extends AnyService = ServiceName> extends ServiceContext<Name> {
  /**
   * Which service it is. The site's other containers reach it under this name.
   * @example
   * ```ts
   * { service: "telegraf" }
   * ```
   */
  service: Name;
  /**
   * Names of the Docker networks that it joins; without any it has no network.
   * @example
   * ```ts
   * { networks: ["kiel-1-field", "kiel-1-data"] }
   * ```
   */
  networks: pulumi.Input<string>[];
  /**
   * User that it runs as, `uid:gid` or a name that the image knows.
   * @default the image's own user
   * @example
   * ```ts
   * { user: "1883:1883" }
   * ```
   */
  user?: pulumi.Input<string> | undefined;
  /**
   * What the container starts.
   * @default the image's own entrypoint
   * @example
   * ```ts
   * { entrypoints: ["/bin/sh", "/etc/grafana/start.sh"] }
   * ```
   */
  entrypoints?: pulumi.Input<string>[] | undefined;
  /**
   * Arguments of the entrypoint.
   * @default the image's own command
   * @example
   * ```ts
   * { command: ["serve", "--node-id=kiel-1"] }
   * ```
   */
  command?: pulumi.Input<string>[] | undefined;
  /**
   * Environment variables. They are no place for a secret: `docker inspect` shows them.
   * @default only the image's own
   * @example
   * ```ts
   * { environment: ["GF_USERS_ALLOW_SIGN_UP=false"] }
   * ```
   */
  environment?: pulumi.Input<string>[] | undefined;
  /**
   * Files that are put into the container before it starts.
   * @default none
   * @example
   * ```ts
   * { files: [{ path: "/run/secrets/token", content: token, secret: true }] }
   * ```
   */
  files?: File[] | undefined;
  /**
   * Capabilities of Linux that it keeps, of those that Docker gives a container.
   * @default none
   * @example
   * ```ts
   * { capabilities: ["CAP_DAC_OVERRIDE"] }
   * ```
   */
  capabilities?: string[] | undefined;
  /**
   * Folders of the host, and where they are mounted. The engine makes one that is not there.
   * @default none
   * @example
   * ```ts
   * { folders: [{ host: "/mnt/usb/bess", path: "/target" }] }
   * ```
   */
  folders?: { host: pulumi.Input<string>; path: string }[] | undefined;
  /**
   * Named volumes that hold data, where they are mounted, and whether they may only be read.
   * @default none
   * @example
   * ```ts
   * { volumes: [{ name: "kiel-1-grafana-data", path: "/var/lib/grafana" }] }
   * ```
   */
  volumes?: Mount[] | undefined;
  /**
   * Ports that the host opens, all TCP.
   * @default none: only the site's own containers reach the service
   * @example
   * ```ts
   * { ports: [{ internal: 3000, external: 3000, address: "127.0.0.1" }] }
   * ```
   */
  ports?: PublishedPort[] | undefined;
  /**
   * Command that proves that the service answers, as Docker takes it: `CMD` and its arguments, or
   * `CMD-SHELL` and a line. It runs every 10 s and has 5 s.
   * @example
   * ```ts
   * { healthCheck: ["CMD", "curl", "-fsS", "http://127.0.0.1:8181/health"] }
   * ```
   */
  healthCheck: string[];
  /**
   * Seconds that an update waits for the service to be healthy, before it fails. A service that
   * dies fails it at once.
   * @default `180`
   * @example
   * ```ts
   * { waitSeconds: 300 }
   * ```
   */
  waitSeconds?: number | undefined;
}

/**
 * One container of a site, hardened the same way for all: a pinned image, a health check that an
 * update waits for, no capabilities, no new privileges, bounded memory and logs, and a restart
 * after a reboot.
 */
export class Service<Made extends AnyService = AnyService> extends pulumi.ComponentResource {
  /** The container. */
  readonly container: docker.Container;
  /** The check that the service answers; what uses the service waits for it. */
  readonly ready: command.local.Command;
  /** Digest of all that the service is made from but its secrets: 12 hex digits. */
  readonly revision: pulumi.Output<string>;

  constructor(name: string, args: ServiceArgs<Made>, opts: pulumi.ComponentResourceOptions) {
    super("bess:index:Service", name, {}, opts);
    const image = this.image(name, args);
    const files = transformedFiles(args);
    const container = this.transformedContainer(name, args);
    this.revision = revisionFrom(args, files, container.changes);
    this.container = new docker.Container(
      name,
      {
        ...container.args,
        name: pulumi.interpolate`${args.site}-${args.service}`,
        image,
        uploads: files?.map(containerUpload),
        labels: this.labels(args, container.args.labels),
      },
      { ...container.opts, parent: this },
    );
    this.ready = this.check(name, args);
    this.registerOutputs({ container: this.container, revision: this.revision });
  }

  /**
   * Waits until the container is healthy, and says why it is not. The provider's own `wait` says
   * nothing, waits for a container that died, and leaves one behind that no later update mends.
   */
  private check<Name extends AnyService>(
    name: string,
    args: ServiceArgs<Name>,
  ): command.local.Command {
    const { site, service, waitSeconds = 180 } = args;
    const line = pulumi
      .output(site)
      .apply((prefix) => engineLine(args, `sh -s -- ${prefix}-${service} ${waitSeconds}`));
    return new command.local.Command(
      `${name}-ready`,
      {
        create: line,
        stdin: readyScript(),
        environment: engineEnvironment(args),
        triggers: [this.container.id],
        // What it prints is the error; it would be shown twice.
        logging: "none",
      },
      { parent: this },
    );
  }

  /** Id of the image on the engine, which pulls it where it may. */
  private image<Name extends AnyService>(
    name: string,
    args: ServiceArgs<Name>,
  ): pulumi.Output<string> {
    const image = args.images[args.service];
    if (args.pull === "never") {
      const ids = args.imageIds?.[args.service];
      return pulumi
        .all([image, docker.getRemoteImageOutput({ name: image }, { parent: this }).id])
        .apply(([asked, id]) => {
          if (!ids || ids.includes(id)) return id;
          throw new Error(
            `the engine's ${asked} is ${id}, and not what npx bess images pin has recorded: ` +
              "load it again by npx bess images load, from a file that npx bess images save has verified",
          );
        });
    }
    return new docker.RemoteImage(
      name,
      {
        name: image,
        // A site behind a slow link keeps what it has pulled.
        keepLocally: true,
        // By this the policy knows that the image must have a digest.
        ...(args.verify === "digest" && { triggers: { verify: "digest" } }),
      },
      { parent: this },
    ).imageId;
  }

  /** The container's arguments and options, and what the transform has changed of the arguments. */
  private transformedContainer<Name extends AnyService>(name: string, args: ServiceArgs<Name>) {
    const transform = transformOf(args)?.container;
    const changed = transformContainer(transform, name, containerArgs(args), containerOptions);
    const changes = transform && changesOf(containerArgs(args), changed.args);
    return { ...changed, changes };
  }

  private labels<Name extends AnyService>(
    args: ServiceArgs<Name>,
    added: TransformableContainer["labels"],
  ) {
    const own = [
      { label: labels.site, value: args.site },
      { label: labels.revision, value: this.revision },
    ];
    return added ? pulumi.output(added).apply((others = []) => [...others, ...own]) : own;
  }
}

/** What is changed of a service; the hub's own have no transform. */
const transformOf = <Name extends AnyService>({ transform, service }: ServiceArgs<Name>) =>
  transform?.[service as ServiceName];

/** A container's arguments, but for those that a transform has no part in. */
const containerArgs = <Name extends AnyService>(
  args: ServiceArgs<Name>,
): TransformableContainer => ({
  ...hardened(),
  hostname: args.service,
  ...(args.capabilities && { capabilities: { adds: args.capabilities, drops: ["ALL"] } }),
  ...(args.networks.length > 0
    ? { networksAdvanced: args.networks.map((name) => ({ name, aliases: [args.service] })) }
    : { networkMode: "none" }),
  ports: args.ports?.map(containerPort),
  volumes: mountsOf(args),
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
  memory: args.memory[args.service],
  memorySwap: args.memory[args.service],
});

const containerOptions: pulumi.CustomResourceOptions = {
  // A container's name can be had only once.
  deleteBeforeReplace: true,
  // The engine cannot change these in place, though the provider says that it did.
  replaceOnChanges: ["healthcheck", "tmpfs"],
  // The provider adds the host's own log options, which would look like a change for ever.
  ignoreChanges: ["logOpts"],
};

/** What every container of a site has in common. */
const hardened = () => ({
  restart: "unless-stopped",
  logDriver: "json-file",
  logOpts: { "max-size": "10m", "max-file": "3" },
  capabilities: { drops: ["ALL"] },
  securityOpts: ["no-new-privileges:true"],
  destroyGraceSeconds: 30,
});

function mountsOf({
  volumes,
  folders = [],
}: Pick<ServiceArgs, "volumes" | "folders">): docker.types.input.ContainerVolume[] | undefined {
  if (!volumes && folders.length === 0) return undefined;
  return [
    ...(volumes ?? []).map(({ name, path, readOnly }) => ({
      volumeName: name,
      containerPath: path,
      ...(readOnly && { readOnly }),
    })),
    ...folders.map(({ host, path }) => ({ hostPath: host, containerPath: path })),
  ];
}

const containerPort = ({ internal, external, address }: PublishedPort) => ({
  internal,
  external,
  ip: address,
  protocol: "tcp",
});

const containerUpload = ({ path, content, executable, secret }: File) => ({
  file: path,
  content: secret ? pulumi.secret(content) : content,
  // An uploaded file belongs to root: a service that is not root reads it as one of the others.
  permissions: executable ? "0755" : "0644",
});

function transformedFiles<Name extends AnyService>(args: ServiceArgs<Name>): File[] | undefined {
  const changes: Partial<Record<string, FileTransform>> = transformOf(args)?.files ?? {};
  return args.files?.map((file) => {
    const change = file.secret ? undefined : changes[file.path];
    if (!change) return file;
    const content = pulumi
      .output(file.content)
      .apply((text) => transformText(file.path, change, text));
    return { ...file, content };
  });
}

/** @param container what a transform has changed of the container's arguments, if there is one. */
function revisionFrom<Name extends AnyService>(
  args: ServiceArgs<Name>,
  files: File[] = [],
  container?: pulumi.Output<object | undefined>,
): pulumi.Output<string> {
  const { service, images, entrypoints, command, environment, healthCheck } = args;
  return pulumi
    .output({
      // A digest beside a tag makes no other service: its content shows in the container's image.
      image: pulumi.output(images[service]).apply((name) => name.replace(/(:[^/@]+)@.*$/, "$1")),
      entrypoints,
      command,
      environment,
      healthCheck,
      files: files.filter((file) => !file.secret),
      container,
    })
    .apply(revisionOf);
}

/** Arguments that differ, as they are after; undefined if none does. Secret ones are left out. */
function changesOf(
  before: TransformableContainer,
  after: TransformableContainer,
): pulumi.Output<object | undefined> {
  return pulumi.all([withoutSecrets(before), withoutSecrets(after)]).apply(([from, to]) => {
    const changed = Object.keys({ ...from, ...to }).filter(
      (key) => JSON.stringify(from[key]) !== JSON.stringify(to[key]),
    );
    return changed.length === 0
      ? undefined
      : Object.fromEntries(changed.sort().map((key) => [key, to[key] ?? null]));
  });
}

const withoutSecrets = (args: object): pulumi.Output<Record<string, unknown>> =>
  pulumi.output(
    Object.fromEntries(
      Object.entries(args).map(([key, value]) => {
        const resolved = pulumi.output<unknown>(value);
        const isSecret = pulumi.output(pulumi.isSecret(resolved));
        return [key, isSecret.apply((secret) => (secret ? undefined : resolved))];
      }),
    ),
  );

/** What a service's data volume needs. */
export interface DataVolumeArgs {
  /**
   * Name of the site.
   * @example
   * ```ts
   * { site: "kiel-1" }
   * ```
   */
  site: pulumi.Input<string>;
  /**
   * The service that keeps its data there.
   * @example
   * ```ts
   * { service: "influxdb" }
   * ```
   */
  service: AnyService;
  /**
   * Whether the volume is deleted with the stack. It is no `Input`: Pulumi keeps it as an option of
   * the resource.
   * @example
   * ```ts
   * { purge: false }
   * ```
   */
  purge: boolean;
}

/** A named volume of a site. It outlives the stack unless `purge`. */
export function dataVolume(
  name: string,
  args: DataVolumeArgs,
  parent: pulumi.Resource,
): docker.Volume {
  return new docker.Volume(
    name,
    {
      name: pulumi.interpolate`${args.site}-${args.service}-data`,
      labels: [{ label: labels.site, value: args.site }],
    },
    { parent, retainOnDelete: !args.purge },
  );
}
