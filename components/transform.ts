import type * as docker from "@pulumi/docker";
import type * as pulumi from "@pulumi/pulumi";
import * as z from "zod";
import * as backup from "../configs/backup";
import * as explorer from "../configs/explorer";
import * as grafana from "../configs/grafana";
import { type Service as ServiceName, services } from "../configs/images";
import * as own from "../configs/interface";
import * as influxdb from "../configs/influxdb";
import * as mosquitto from "../configs/mosquitto";
import * as rollups from "../configs/rollups";
import * as simulator from "../configs/simulator";
import * as telegraf from "../configs/telegraf";
import { InputError, validate } from "../configs/validation";

/** Files of each service that a transform may change: those that hold no secret. */
export const transformableFiles = {
  mosquitto: [
    mosquitto.paths.config,
    mosquitto.paths.acl,
    mosquitto.paths.start,
    mosquitto.paths.trial,
    mosquitto.paths.session,
  ],
  telegraf: [
    telegraf.paths.config,
    telegraf.paths.program,
    telegraf.paths.start,
    telegraf.paths.voltage,
  ],
  influxdb: [
    influxdb.paths.start,
    influxdb.paths.relay,
    influxdb.paths.snapshots,
    influxdb.paths.health,
  ],
  rollup: [rollups.paths.program, rollups.paths.config],
  explorer: [explorer.paths.start],
  grafana: [grafana.paths.start],
  simulator: [simulator.paths.program, simulator.paths.config],
  backup: [backup.scripts.start, backup.scripts.now],
  copier: [backup.scripts.copier],
  interface: [],
  proxy: [own.paths.caddyfile],
} as const satisfies Record<ServiceName, readonly string[]>;

/** Path of a file of a service that a transform may change. */
export type TransformableFile<S extends ServiceName> = (typeof transformableFiles)[S][number];

/** Arguments of a container that stay the site's own: its tools find the container by them. */
const ownArguments = ["name", "image", "uploads"] as const;

/**
 * Arguments of a service's container that a transform may change. A label is added to those of the
 * site; an image is set by the configuration's `images`, a file's text by `files`.
 */
export type TransformableContainer = Omit<docker.ContainerArgs, (typeof ownArguments)[number]>;

/**
 * Changes a container before it is made: arguments that replace the site's own, or a function that
 * changes arguments and options in place.
 */
export type ContainerTransform =
  | Partial<TransformableContainer>
  | ((args: TransformableContainer, opts: pulumi.CustomResourceOptions, name: string) => undefined);

/** Changes a rendered file: takes its text, and returns what is put into the container instead. */
export type FileTransform = (text: string) => string;

/** What is changed of one service. */
export interface ServiceTransform<S extends ServiceName = ServiceName> {
  /**
   * Changes the container before it is made.
   * @default the container stays as the site makes it
   * @example
   * ```ts
   * { container: { cpus: "0.5" } }
   * ```
   * Or a function, where the site's own value is to be kept in part.
   * ```ts
   * {
   *   container: (args, opts) => {
   *     args.envs = pulumi.output(args.envs).apply((envs = []) => [...envs, "TZ=Europe/Berlin"]);
   *     opts.protect = true;
   *   },
   * }
   * ```
   */
  container?: ContainerTransform | undefined;
  /**
   * Changes rendered files, by their path in the container. Files that hold secrets are not among
   * them.
   * @default every file stays as it is rendered
   * @example
   * ```ts
   * { files: { "/etc/telegraf/telegraf.conf": (text) => `${text}\n[[inputs.net]]\n` } }
   * ```
   */
  files?: { [P in TransformableFile<S>]?: FileTransform | undefined } | undefined;
}

/** What is changed of a site, by service. A service that the site does not run is left out. */
export type SiteTransform = { [S in ServiceName]?: ServiceTransform<S> | undefined };

const isContainerTransform = (value: unknown) =>
  typeof value === "function" ||
  (z.record(z.string(), z.unknown()).safeParse(value).success &&
    !ownArguments.some((key) => key in (value as object)));

const serviceSchema = (service: ServiceName) =>
  z
    .strictObject({
      container: z
        .custom<ContainerTransform>(
          isContainerTransform,
          "write arguments of docker.Container, or a function that changes them; " +
            `${ownArguments.join(", ")} stay the site's own`,
        )
        .optional(),
      files: z
        .strictObject(
          Object.fromEntries(
            transformableFiles[service].map((path) => [
              path,
              z
                .custom<FileTransform>(
                  (value) => typeof value === "function",
                  "write a function that takes the file's text and returns another",
                )
                .optional(),
            ]),
          ),
        )
        .optional(),
    })
    .optional();

const transformSchema = z.strictObject(
  Object.fromEntries(services.map((service) => [service, serviceSchema(service)])),
);

/** @throws InputError naming a service or a file that there is not, with those that there are. */
export function checkTransform(transform: SiteTransform = {}): void {
  validate(transformSchema, transform, "transform");
}

/**
 * A container as the transform leaves it.
 * @throws InputError if the transform sets what stays the site's own, or returns something.
 */
export function transformContainer(
  transform: ContainerTransform | undefined,
  name: string,
  args: TransformableContainer,
  opts: pulumi.CustomResourceOptions,
): { args: TransformableContainer; opts: pulumi.CustomResourceOptions } {
  if (typeof transform !== "function") return { args: { ...args, ...transform }, opts };
  const changed = { args: { ...args }, opts: { ...opts } };
  const returned: unknown = transform(changed.args, changed.opts, name);
  const findings = ownArguments.flatMap((key) =>
    key in changed.args ? [`${key} stays the site's own`] : [],
  );
  if (returned !== undefined)
    findings.push("it returns something: change args and opts in place, and at once");
  if (findings.length > 0) throw new InputError(`transform of the container ${name}`, findings);
  return changed;
}

/**
 * A file's text as the transform leaves it.
 * @throws InputError if the transform returns anything but a text.
 */
export function transformText(path: string, transform: FileTransform, text: string): string {
  const changed: unknown = transform(text);
  if (typeof changed === "string") return changed;
  throw new InputError(`transform of ${path}`, [`it returns ${typeof changed}, not a text`]);
}
