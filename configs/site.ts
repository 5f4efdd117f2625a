import { z } from "zod";
import { hostSchema } from "./host";
import { fromMirror, images, pinnedImage, type Service } from "./images";
import { profiles } from "./profiles";
import { validate } from "./validation";
import { isSsh, sshSchema } from "./ssh";
import { durationPattern, durationSeconds } from "./units";

const loopback = "127.0.0.1";

const port = (preset: number, what: string) =>
  z.int().min(1).max(65535).default(preset).describe(`Port of ${what} on the host.`);
const address = (preset: string, what: string) =>
  z
    .union(
      [z.ipv4(), z.ipv6()],
      "write an IP address of the host: 127.0.0.1 for the host alone, 0.0.0.0 for all its networks",
    )
    .default(preset)
    .describe(`Address that ${what} listens on.`);
const pem = (kind: string) =>
  z
    .string()
    .regex(
      new RegExp(`-----BEGIN ${kind}-----[^]+-----END ${kind}-----`),
      `paste it in PEM form, from -----BEGIN to -----END`,
    );
const image = (service: Service) =>
  z
    .string()
    .regex(pinnedImage, "pin it by a tag other than latest, or by a digest")
    .default(images[service])
    .describe(`Image of ${service}.`);

/** What can be rotated: any new value makes a new secret, and touches only who uses it. */
export const rotatable = [
  "gateway",
  "telegraf",
  "monitor",
  "grafana",
  "influxTelegraf",
  "influxGrafana",
  "influxExplorer",
] as const;
/** One secret that can be rotated on its own. */
export type Rotatable = (typeof rotatable)[number];

/** A stack's configuration, `bess-telemetry:site`; docs/configuration.md is generated from it. */
export const siteSchema = z
  .strictObject({
    name: z
      .string()
      .regex(
        /^[a-z][a-z0-9-]{0,30}$/,
        "write lower case letters, digits and -, starting with a letter, at most 31",
      )
      .describe("Name of the site. Containers, networks and volumes are named after it."),
    engine: z
      .string()
      .regex(
        /^(unix:\/\/\/\S+|ssh:\/\/[A-Za-z_][\w.-]*@(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9][\w.-]*)(:\d+)?|tcp:\/\/(127\.0\.0\.1|localhost):\d+)$/,
        "write unix:///path, ssh://user@host or tcp://127.0.0.1:port",
      )
      .optional()
      .describe(
        "Docker engine to deploy on; a host that is reached over SSH is checked first. Without it: DOCKER_HOST, else the local engine.",
      ),
    ssh: sshSchema.prefault({}),
    host: hostSchema.prefault({}),
    profile: z
      .enum(Object.keys(profiles) as [keyof typeof profiles, ...(keyof typeof profiles)[]])
      .default("dev")
      .describe(
        `Size of the host: ${Object.entries(profiles)
          .map(([name, p]) => `\`${name}\` is ${p.meaning}`)
          .join(", ")}.`,
      ),
    model: z
      .string()
      .regex(/\.ya?ml$/, "write the path of a YAML file")
      .default("configs/telemetry.yaml")
      .describe("Telemetry model of the site, relative to the project."),
    retention: z
      .string()
      .regex(durationPattern, "write a duration such as 90d")
      .refine(
        (text) => !durationPattern.test(text) || durationSeconds(text) >= 3600,
        "keep at least 1h",
      )
      .optional()
      .describe(
        `How long data is kept. Without it by profile: ${Object.entries(profiles)
          .map(([name, p]) => `${name} ${p.retention}`)
          .join(", ")}.`,
      ),
    purge: z
      .boolean()
      .default(false)
      .describe("Whether destroy deletes the data volumes; an up must have seen it first."),
    mqtt: z
      .strictObject({
        address: address(loopback, "the broker"),
        port: port(1883, "MQTT"),
        anonymous: z
          .boolean()
          .default(false)
          .describe("Whether a gateway that has no password may publish the model's topics."),
        websocket: z
          .strictObject({
            enabled: z.boolean().default(false).describe("Whether MQTT over WebSocket is offered."),
            port: port(9001, "MQTT over WebSocket"),
          })
          .prefault({}),
        tls: z
          .strictObject({
            port: port(8883, "MQTT over TLS"),
            certificate: pem("CERTIFICATE").describe(
              "The broker's certificate with its chain, PEM.",
            ),
            key: pem("(?:RSA |EC )?PRIVATE KEY").describe(
              "The certificate's key, PEM; set it with --secret.",
            ),
          })
          .optional()
          .describe("MQTT over TLS, off without it."),
      })
      .prefault({}),
    influxdb: z
      .strictObject({
        address: address(loopback, "InfluxDB"),
        port: port(8181, "InfluxDB's HTTP API"),
      })
      .optional()
      .describe(
        "Publishes InfluxDB's API on the host; without it only the site's containers reach it.",
      ),
    explorer: z
      .strictObject({
        enabled: z.boolean().default(true).describe("Whether InfluxDB 3 Explorer runs."),
        port: port(8888, "InfluxDB 3 Explorer, always on 127.0.0.1,"),
      })
      .prefault({}),
    grafana: z
      .strictObject({
        address: address(loopback, "Grafana"),
        port: port(3000, "Grafana"),
        url: z
          .url({ protocol: /^https?$/, error: "write an address such as http://127.0.0.1:3000" })
          .optional()
          .describe(
            "Where Grafana's API is reached from where Pulumi runs. Without it: http://127.0.0.1 and the port, or a tunnel's own port where engine is ssh://.",
          ),
        embedding: z.boolean().default(false).describe("Whether other pages may embed panels."),
        anonymous: z
          .boolean()
          .default(false)
          .describe("Whether anybody who reaches Grafana may view without a login."),
      })
      .prefault({}),
    simulator: z
      .strictObject({
        enabled: z
          .boolean()
          .default(false)
          .describe("Whether a simulated BESS publishes in the model's topics."),
        units: z.int().min(1).max(100).default(2).describe("How many units it simulates."),
        interval: z
          .string()
          .regex(durationPattern, "write a duration such as 1s or 100ms")
          .default("1s")
          .describe("Time between two messages of one unit."),
      })
      .prefault({}),
    images: z
      .strictObject({
        mosquitto: image("mosquitto"),
        telegraf: image("telegraf"),
        influxdb: image("influxdb"),
        explorer: image("explorer"),
        grafana: image("grafana"),
        simulator: image("simulator"),
        mirror: z
          .string()
          .regex(
            /^[A-Za-z0-9][\w.-]*(:\d+)?(\/[\w.-]+)*$/,
            "write a registry such as mirror.lan:5000, without https:// and without / at the end",
          )
          .optional()
          .describe(
            "Registry that mirrors Docker Hub: the site pulls from it every image that names no registry.",
          ),
        pull: z
          .enum(["missing", "never"])
          .default("missing")
          .describe(
            "Whether the site's engine pulls an image that it lacks; `never` where images are loaded by hand (npm run images).",
          ),
      })
      .prefault({})
      .describe("Images other than the pinned ones, and where they come from."),
    rotate: z
      .partialRecord(z.enum(rotatable), z.string().min(1))
      .default({})
      .describe("A new value makes a new secret."),
  })
  .superRefine((site, context) => {
    const refuse = (path: string[], message: string) =>
      context.addIssue({ code: "custom", path, message });
    const { prepare, ...prepared } = site.host;
    const asked = Object.entries(prepared).filter(([, value]) =>
      Array.isArray(value) ? value.length > 0 : value,
    );
    if (!prepare)
      for (const [key] of asked)
        refuse(["host", key], "only a host that is prepared has it; set host.prepare: true too");
    if (!isSsh(site.engine)) {
      const only = "only a site with an engine ssh://user@host has it";
      if (prepare) refuse(["host", "prepare"], only);
      for (const key of Object.keys(site.ssh)) refuse(["ssh", key], only);
    }
    const taken = new Map<number, string>();
    for (const [key, value] of publishedPorts(site)) {
      const other = taken.get(value);
      if (other)
        context.addIssue({
          code: "custom",
          path: key.split("."),
          message: `port ${value} belongs to ${other} already; every port of a site must differ`,
        });
      taken.set(value, key);
    }
  });

/** A stack's validated configuration. */
export type SiteConfig = z.output<typeof siteSchema>;

/** Every port that a configuration opens on the host, by its key. */
export function publishedPorts({
  mqtt,
  influxdb,
  explorer,
  grafana,
}: SiteConfig): [key: string, port: number, address: string][] {
  const published: [string, number | undefined, string][] = [
    ["mqtt.port", mqtt.port, mqtt.address],
    ["mqtt.websocket.port", mqtt.websocket.enabled ? mqtt.websocket.port : undefined, mqtt.address],
    ["mqtt.tls.port", mqtt.tls?.port, mqtt.address],
    ["influxdb.port", influxdb?.port, influxdb?.address ?? loopback],
    ["explorer.port", explorer.enabled ? explorer.port : undefined, loopback],
    ["grafana.port", grafana.port, grafana.address],
  ];
  return published.flatMap(([key, port, address]) =>
    port === undefined ? [] : [[key, port, address]],
  );
}

/** The image of each service, as the site's engine is asked for it. */
export function siteImages({
  images: { mirror, pull: _, ...named },
}: Pick<SiteConfig, "images">): Record<Service, string> {
  return Object.fromEntries(
    Object.entries(named).map(([service, image]) => [service, fromMirror(mirror, image)]),
  ) as Record<Service, string>;
}

/** The services that a configuration runs. */
export const siteServices = (site: Pick<SiteConfig, "explorer" | "simulator">): Service[] =>
  (Object.keys(images) as Service[]).filter(
    (service) => (service !== "explorer" && service !== "simulator") || site[service].enabled,
  );

/** Keys whose values no message shows: the private key of `mqtt.tls`. */
export const secretKeys = ["key"];

/**
 * Validates a stack's configuration and fills in its defaults.
 * @throws InputError with every finding: the key, its value and what is allowed.
 */
export function parseSite(input: unknown): SiteConfig {
  return validate(siteSchema, input, "bess-telemetry:site", secretKeys);
}
