import { z } from "zod";
import { images, pinnedImage, type Service } from "./images";
import { profiles } from "./profiles";
import { parse } from "./refuse";
import { durationPattern, durationSeconds } from "./units";

const loopback = "127.0.0.1";

const port = (preset: number, what: string) => z.int().min(1).max(65535).default(preset).describe(`Port of ${what} on the host.`);
const address = (preset: string, what: string) =>
  z
    .union([z.ipv4(), z.ipv6()], "write an IP address of the host: 127.0.0.1 for the host alone, 0.0.0.0 for all its networks")
    .default(preset)
    .describe(`Address that ${what} listens on.`);
const pem = (kind: string) =>
  z.string().regex(new RegExp(`-----BEGIN ${kind}-----[^]+-----END ${kind}-----`), `paste it in PEM form, from -----BEGIN to -----END`);
const image = (service: keyof typeof images) =>
  z
    .string()
    .regex(pinnedImage, "pin it by a tag other than latest, or by a digest")
    .default(images[service])
    .describe(`Image of ${service}.`);

/** What can be rotated: any new value makes a new secret, and touches only who uses it. */
export const rotatable = ["gateway", "telegraf", "monitor", "grafana", "influxTelegraf", "influxGrafana", "influxExplorer"] as const;
/** One secret that can be rotated on its own. */
export type Rotatable = (typeof rotatable)[number];

/** A stack's configuration, `bess-telemetry:site`; docs/configuration.md is generated from it. */
export const siteSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,30}$/, "write lower case letters, digits and -, starting with a letter, at most 31")
      .describe("Name of the site. Containers, networks and volumes are named after it."),
    engine: z
      .string()
      .regex(/^(unix:\/\/\/\S+|ssh:\/\/\S+@\S+|tcp:\/\/(127\.0\.0\.1|localhost):\d+)$/, "write unix:///path, ssh://user@host or tcp://127.0.0.1:port")
      .optional()
      .describe("Docker engine to deploy on. Without it: DOCKER_HOST, else the local engine."),
    profile: z
      .enum(Object.keys(profiles) as [keyof typeof profiles, ...(keyof typeof profiles)[]])
      .default("dev")
      .describe(`Size of the host: ${Object.entries(profiles).map(([name, p]) => `\`${name}\` is ${p.meaning}`).join(", ")}.`),
    model: z
      .string()
      .regex(/\.ya?ml$/, "write the path of a YAML file")
      .default("configs/telemetry.yaml")
      .describe("Telemetry model of the site, relative to the project."),
    retention: z
      .string()
      .regex(durationPattern, "write a duration such as 90d")
      .refine((text) => !durationPattern.test(text) || durationSeconds(text) >= 3600, "keep at least 1h")
      .optional()
      .describe(`How long data is kept. Without it by profile: ${Object.entries(profiles).map(([name, p]) => `${name} ${p.retention}`).join(", ")}.`),
    purge: z.boolean().default(false).describe("Whether destroy deletes the data volumes; an up must have seen it first."),
    mqtt: z
      .strictObject({
        address: address(loopback, "the broker"),
        port: port(1883, "MQTT"),
        anonymous: z.boolean().default(false).describe("Whether a gateway that has no password may publish the model's topics."),
        websocket: z
          .strictObject({ enabled: z.boolean().default(false).describe("Whether MQTT over WebSocket is offered."), port: port(9001, "MQTT over WebSocket") })
          .prefault({}),
        tls: z
          .strictObject({
            port: port(8883, "MQTT over TLS"),
            certificate: pem("CERTIFICATE").describe("The broker's certificate with its chain, PEM."),
            key: pem("(?:RSA |EC )?PRIVATE KEY").describe("The certificate's key, PEM; set it with --secret."),
          })
          .optional()
          .describe("MQTT over TLS, off without it."),
      })
      .prefault({}),
    influxdb: z
      .strictObject({ address: address(loopback, "InfluxDB"), port: port(8181, "InfluxDB's HTTP API") })
      .optional()
      .describe("Publishes InfluxDB's API on the host; without it only the site's containers reach it."),
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
          .describe("Where Grafana's API is reached from where Pulumi runs. Without it: http://127.0.0.1 and the port."),
        embedding: z.boolean().default(false).describe("Whether other pages may embed panels."),
        anonymous: z.boolean().default(false).describe("Whether anybody who reaches Grafana may view without a login."),
      })
      .prefault({}),
    simulator: z
      .strictObject({
        enabled: z.boolean().default(false).describe("Whether a simulated BESS publishes in the model's topics."),
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
      })
      .prefault({})
      .describe("Images other than the pinned ones, from a mirror for instance."),
    rotate: z
      .partialRecord(z.enum(rotatable), z.string().min(1))
      .default({})
      .describe("A new value makes a new secret."),
  })
  .superRefine((site, context) => {
    const taken = new Map<number, string>();
    for (const [key, value] of publishedPorts(site)) {
      const other = taken.get(value);
      if (other) context.addIssue({ code: "custom", path: key.split("."), message: `port ${value} belongs to ${other} already; every port of a site must differ` });
      taken.set(value, key);
    }
  });

/** A stack's validated configuration. */
export type SiteConfig = z.output<typeof siteSchema>;

/** The services that a site runs. */
export const servicesOf = ({ explorer, simulator }: SiteConfig): Service[] =>
  (Object.keys(images) as Service[]).filter((service) => (service !== "explorer" || explorer.enabled) && (service !== "simulator" || simulator.enabled));

/** Every port that a configuration opens on the host, by its key. */
export function publishedPorts(site: SiteConfig): [key: string, port: number][] {
  return [
    ["mqtt.port", site.mqtt.port],
    ...(site.mqtt.websocket.enabled ? [["mqtt.websocket.port", site.mqtt.websocket.port] as [string, number]] : []),
    ...(site.mqtt.tls ? [["mqtt.tls.port", site.mqtt.tls.port] as [string, number]] : []),
    ...(site.influxdb ? [["influxdb.port", site.influxdb.port] as [string, number]] : []),
    ...(site.explorer.enabled ? [["explorer.port", site.explorer.port] as [string, number]] : []),
    ["grafana.port", site.grafana.port],
  ];
}

/**
 * Validates a stack's configuration and fills in its defaults.
 * @throws InputError with every finding: the key, its value and what is allowed. A TLS key is never shown.
 */
export function parseSite(input: unknown): SiteConfig {
  return parse(siteSchema, input, "bess-telemetry:site", ["key"]);
}
