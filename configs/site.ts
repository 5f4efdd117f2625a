import * as z from "zod";
import { alertsSchema, alertSecrets } from "./alerting";
import { backupSchema } from "./backup-schema";
import { bridgesSchema } from "./bridges";
import { gatewaysSchema } from "./broker-users";
import { hostSchema } from "./host";
import {
  deployedImage,
  imageIds,
  type ImageKey,
  images,
  pinnedImage,
  type Service,
  services,
  verifyFinding,
} from "./images";
import { interfaceSchema } from "./interface";
import { profiles } from "./profiles";
import { retentionFindings, retentionSchema } from "./retention";
import { scenarioNames } from "./scenarios";
import { text, validate } from "./validation";
import { isSsh, sshSchema } from "./ssh";
import { pairFindings } from "./tls";
import { updateSchema } from "./update-locks";
import { uplinkSchema } from "./uplink";
import { durationPattern, durationUnit, durationWithin, sizePattern, sizeUnit } from "./units";
import { isZone } from "./zones";

const loopback = "127.0.0.1";

const isPort = (text: string) => Number(text) >= 1 && Number(text) <= 65535;
const port = (preset: number, what: string) =>
  z
    .int()
    .min(1)
    .max(65535)
    .default(preset)
    .meta({ description: `TCP port of the host for ${what}.`, examples: [preset + 1] });
const address = (preset: string, what: string) =>
  z
    .union(
      [z.ipv4(), z.ipv6()],
      "write an IP address of the host: 127.0.0.1 for the host alone, 0.0.0.0 for all its networks",
    )
    .default(preset)
    .meta({
      description: `Address of the host that ${what} listens on.`,
      examples: ["0.0.0.0", "192.168.1.20"],
    });
const pem = (kind: string) =>
  z.string().regex(new RegExp(`-----BEGIN ${kind}-----[^]+-----END ${kind}-----`), {
    error: "paste it in PEM form, from -----BEGIN to -----END",
    abort: true,
  });
/** A certificate and its key. @param whose such as `The broker's`. */
const tlsPair = <More extends z.ZodRawShape = Record<never, never>>(
  whose: string,
  description: string,
  more?: More,
) =>
  z
    .strictObject({
      ...(more as More),
      certificate: pem("CERTIFICATE").meta({
        description: `${whose} certificate with its chain, in PEM form.`,
        examples: ["-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----"],
      }),
      key: pem("(?:RSA |EC |ENCRYPTED )?PRIVATE KEY").meta({
        description:
          "The certificate's private key, in PEM form. " +
          "Set it with `pulumi config set --secret`.",
        examples: ["-----BEGIN PRIVATE KEY-----\n…\n-----END PRIVATE KEY-----"],
      }),
    })
    .superRefine((pair, context) => {
      for (const { key, message } of pairFindings(pair as { certificate: string; key: string }))
        context.addIssue({ code: "custom", path: [key], message });
    })
    .optional()
    .describe(description);
const serviceNames: Record<ImageKey, string> = {
  mosquitto: "Mosquitto, the MQTT broker",
  telegraf: "Telegraf",
  influxdb: "InfluxDB 3 Core",
  rollup: "the rollups: Node.js",
  explorer: "InfluxDB 3 Explorer",
  grafana: "Grafana",
  simulator: "the simulated BESS: Node.js",
  backup: "the backup: restic",
  proxy: "the interface's proxy: Caddy",
};
const image = (service: ImageKey) =>
  z
    .string()
    .regex(pinnedImage, "pin it by a tag other than latest, or by a digest")
    .default(images[service])
    .meta({
      description: `Image of ${serviceNames[service]}.`,
      examples: [`registry.example/${images[service]}`],
    });

/** What can be rotated: any new value makes a new secret, and touches only who uses it. */
export const rotatable = [
  "gateway",
  "telegraf",
  "monitor",
  "grafana",
  "influxTelegraf",
  "influxGrafana",
  "influxExplorer",
  "influxRollup",
  "interface",
] as const;
/** One secret that can be rotated on its own. */
export type Rotatable = (typeof rotatable)[number];

/** JSON Schema of what only a site with an engine `ssh://` has. */
export const onlyOverSsh = {
  if: { properties: { engine: { pattern: "^ssh://" } } },
  else: {
    properties: { ssh: { maxProperties: 0 }, host: { properties: { prepare: { const: false } } } },
  },
};

/** A stack's configuration, `bess-telemetry:site`; docs/configuration.md is generated from it. */
export const siteSchema = z
  .strictObject({
    name: z
      .string()
      .regex(
        /^[a-z][a-z0-9-]{0,30}$/,
        "write lower case letters, digits and -, starting with a letter, at most 31",
      )
      .meta({
        description: "Name of the site. Containers, networks and volumes are named after it.",
        examples: ["kiel-1"],
      }),
    engine: z
      .string()
      .regex(
        /^(unix:\/\/\/\S+|ssh:\/\/[A-Za-z_][\w.-]*@(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9][\w.-]*)(:\d+)?|tcp:\/\/(127\.0\.0\.1|localhost):\d+)$/,
        "write unix:///path, ssh://user@host or tcp://127.0.0.1:port",
      )
      .refine(
        (text) => text.startsWith("unix:") || isPort(/:(\d+)$/.exec(text)?.[1] ?? "22"),
        "write a port from 1 to 65535",
      )
      .optional()
      .meta({
        description:
          "Docker Engine to deploy on. A host that is reached over SSH is checked first. " +
          "Without it: `DOCKER_HOST`, else the local engine.",
        examples: ["ssh://pi@bess-pi.local", "unix:///var/run/docker.sock"],
      }),
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
      .meta({
        description: "File of the site's telemetry model, relative to the project.",
        examples: ["configs/models/m5bat.yaml"],
      }),
    timeZone: z
      .string()
      .refine(isZone, "write a time zone such as Europe/Berlin")
      .optional()
      .meta({
        description:
          "Time zone of the site: of dashboards, quiet hours and times in messages. Without it " +
          "dashboards show that of whoever looks, and alerts take UTC.",
        examples: ["Europe/Berlin"],
      }),
    retention: retentionSchema,
    storage: z
      .strictObject({
        max: text(sizePattern, `write a number and ${sizeUnit}, such as 40GB`)
          .optional()
          .meta({
            description:
              "Disk space that the site's data may take. A model that is expected to need more is " +
              "refused; operators are warned at 80 % and at 90 %. Without it: what the model is " +
              "expected to need ([telemetry.md](telemetry.md#disk-space)).",
            unit: sizeUnit,
            examples: ["40GB"],
          }),
      })
      .prefault({}),
    purge: z
      .boolean()
      .default(false)
      .describe(
        "Whether `down` deletes the data volumes. Set it and run `up` before `down`: it asks for a confirmation.",
      ),
    mqtt: z
      .strictObject({
        address: address(loopback, "the broker"),
        port: port(1883, "MQTT"),
        anonymous: z
          .boolean()
          .default(false)
          .describe("Whether a gateway that has no password may publish the model's topics."),
        gateways: gatewaysSchema.optional().meta({
          description:
            "Gateways with a user and a password of their own. None may publish another's topics. " +
            "Without it: all use the user `gateway`.",
          examples: [{ bms: { measurements: ["battery"] } }],
        }),
        bridge: bridgesSchema.optional().meta({
          description:
            "Brokers of devices or plants that the site's broker fetches from, by a name. " +
            "Without it: none.",
          examples: [{ victron: { address: "192.168.1.30", topics: ["N/+/battery/#"] } }],
        }),
        websocket: z
          .strictObject({
            enabled: z.boolean().default(false).describe("Whether MQTT over WebSocket is offered."),
            port: port(9001, "MQTT over WebSocket"),
          })
          .prefault({}),
        tls: tlsPair("The broker's", "Adds MQTT over TLS. Without it: off.", {
          port: port(8883, "MQTT over TLS"),
        }),
      })
      .prefault({}),
    influxdb: z
      .strictObject({
        address: address(loopback, "InfluxDB"),
        port: port(8181, "InfluxDB's HTTP API"),
      })
      .optional()
      .describe(
        "Publishes InfluxDB's API on the host. Without it only the site's containers reach it.",
      ),
    explorer: z
      .strictObject({
        enabled: z.boolean().default(true).describe("Whether InfluxDB 3 Explorer runs."),
        port: port(8888, "InfluxDB 3 Explorer, which listens on 127.0.0.1 alone"),
      })
      .prefault({}),
    grafana: z
      .strictObject({
        address: address(loopback, "Grafana"),
        port: port(3000, "Grafana"),
        url: z
          .url({ protocol: /^https?$/, error: "write an address such as http://127.0.0.1:3000" })
          .optional()
          .meta({
            description:
              "Address by which the machine that runs Pulumi reaches Grafana's API. " +
              "Without it: `http://127.0.0.1` with `grafana.port`, or an SSH tunnel where " +
              "`engine` is `ssh://`.",
            examples: ["http://127.0.0.1:13000"],
            pattern: "^https?:",
          }),
        embedding: z
          .boolean()
          .default(false)
          .describe("Whether other web pages may embed Grafana's panels."),
        anonymous: z
          .boolean()
          .default(false)
          .describe("Whether anybody who reaches Grafana may view dashboards without a login."),
      })
      .prefault({}),
    interface: interfaceSchema({
      address: address(loopback, "the interface"),
      port: port(8443, "the interface"),
      tls: tlsPair(
        "The interface's",
        "Without it the proxy makes one, of an authority of its own.",
      ),
    })
      .optional()
      .meta({
        description:
          "Your own interface beside Grafana, at one address with TLS " +
          "([interface.md](interface.md)). Without it: none.",
        examples: [{ image: "registry.example/bess-interface:1.4.0", host: "kiel-1.example" }],
      }),
    alerts: alertsSchema.prefault({}),
    backup: backupSchema.optional().meta({
      description: "Backups of the site's data ([backup.md](backup.md)). Without it: none.",
      examples: [{ to: "/mnt/usb/bess" }],
    }),
    uplink: uplinkSchema.optional().meta({
      description:
        "Way to a hub, which gets the site's minutes ([uplink.md](uplink.md)). Without it: none.",
      examples: [{ url: "https://hub.example:8427/api/v1/write", token: "hub_u3Vb0Qf6XcJ2" }],
    }),
    update: updateSchema.prefault({}).meta({
      description: "When a rollout may touch the site ([fleet.md](fleet.md#update-locks)).",
    }),
    simulator: z
      .strictObject({
        enabled: z
          .boolean()
          .default(false)
          .describe("Whether a simulated BESS publishes in the model's topics."),
        units: z
          .int()
          .min(1)
          .max(100)
          .default(2)
          .meta({
            description: "How many BESS units it simulates.",
            unit: "BESS units",
            examples: [10],
          }),
        interval: text(durationPattern, "write a duration such as 1s or 100ms")
          .refine(durationWithin("1ms", "1d"), "write 1d at most")
          .default("1s")
          .meta({
            description: "Time between two messages of one unit.",
            unit: durationUnit,
            examples: ["100ms"],
          }),
        scenario: z
          .enum(scenarioNames)
          .optional()
          .meta({
            description:
              "Fault that its first unit has ([simulator.md](simulator.md)). Without it: none. " +
              "`npx bess simulate` asks a running simulator for one.",
            examples: ["cell-overheats"],
          }),
      })
      .prefault({}),
    images: z
      .strictObject({
        mosquitto: image("mosquitto"),
        telegraf: image("telegraf"),
        influxdb: image("influxdb"),
        rollup: image("rollup"),
        explorer: image("explorer"),
        grafana: image("grafana"),
        simulator: image("simulator"),
        backup: image("backup"),
        proxy: image("proxy"),
        mirror: z
          .string()
          .regex(
            /^[A-Za-z0-9][\w.-]*(:\d+)?(\/[\w.-]+)*$/,
            "write a registry such as mirror.lan:5000, without https:// and without / at the end",
          )
          .optional()
          .meta({
            description:
              "Registry that mirrors Docker Hub. " +
              "The site pulls from it each image that names no registry.",
            examples: ["mirror.lan:5000"],
          }),
        pull: z
          .enum(["missing", "never"])
          .default("missing")
          .describe(
            "Whether the site's engine pulls an image that it lacks. " +
              "`never`: images are loaded by `npx bess images`.",
          ),
        verify: z
          .enum(["none", "digest"])
          .default("none")
          .describe(
            "`digest`: no image is used but with the content that `npx bess images pin` has recorded " +
              "([images.md](images.md)).",
          ),
      })
      .prefault({})
      .describe("Images other than the pinned ones, and where they come from."),
    rotate: z
      .partialRecord(z.enum(rotatable), z.string().min(1))
      .default({})
      .meta({
        description:
          "A new value makes a new secret; the value is not the secret. " +
          "Only the services that use it change.",
        examples: [{ gateway: "2026-11" }],
      }),
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
    for (const { tier, message } of retentionFindings(site)) refuse(["retention", tier], message);
    if (site.mqtt.anonymous && site.mqtt.gateways)
      refuse(
        ["mqtt", "anonymous"],
        "a client without a password could publish what is a gateway's: leave it away, or mqtt.gateways",
      );
    const images = siteServices(site).map((service) => chosenImage(site, service));
    const finding = verifyFinding(images, site.images);
    if (finding) refuse(["images", "verify"], finding);
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
  })
  .meta(onlyOverSsh);

/** A stack's validated configuration. */
export type SiteConfig = z.output<typeof siteSchema>;

/** Every port that a configuration opens on the host, by its key. */
export function publishedPorts({
  mqtt,
  influxdb,
  explorer,
  grafana,
  interface: own,
}: SiteConfig): [key: string, port: number, address: string][] {
  const published: [string, number | undefined, string][] = [
    ["mqtt.port", mqtt.port, mqtt.address],
    ["mqtt.websocket.port", mqtt.websocket.enabled ? mqtt.websocket.port : undefined, mqtt.address],
    ["mqtt.tls.port", mqtt.tls?.port, mqtt.address],
    ["influxdb.port", influxdb?.port, influxdb?.address ?? loopback],
    ["explorer.port", explorer.enabled ? explorer.port : undefined, loopback],
    ["grafana.port", grafana.port, grafana.address],
    ["interface.port", own?.enabled ? own.port : undefined, own?.address ?? loopback],
  ];
  return published.flatMap(([key, port, address]) =>
    port === undefined ? [] : [[key, port, address]],
  );
}

/** An address of the host with a port, as a URL has it: IPv6 stands in brackets. */
export const hostPort = (address: string, port: number): string =>
  `${address.includes(":") ? `[${address}]` : address}:${port}`;

/** The key of a service's image; the copier's is InfluxDB's. */
const imageKey = (service: Exclude<Service, "interface">): ImageKey =>
  service === "copier" ? "influxdb" : service;

/** The image of a service, as the configuration names it. */
export const chosenImage = (
  { images: chosen, interface: own }: Pick<SiteConfig, "images" | "interface">,
  service: Service,
): string => (service === "interface" ? (own?.image ?? "") : chosen[imageKey(service)]);

/** What the engine may call each image, where it pulls none and they are verified; else nothing. */
export const siteImageIds = (
  site: Pick<SiteConfig, "images" | "interface">,
): Partial<Record<Service, string[]>> =>
  site.images.verify === "digest" && site.images.pull === "never"
    ? Object.fromEntries(services.map((service) => [service, imageIds(chosenImage(site, service))]))
    : {};

/** The image of each service, as the site's engine is asked for it. */
export function siteImages(
  site: Pick<SiteConfig, "images" | "interface">,
): Record<Service, string> {
  const named = services.map((service): [Service, string] => [
    service,
    deployedImage(chosenImage(site, service), site.images),
  ]);
  return Object.fromEntries(named) as Record<Service, string>;
}

/** The services that a configuration runs. */
export const siteServices = (
  site: Pick<SiteConfig, "explorer" | "simulator" | "backup" | "interface">,
): Service[] => {
  const runs: Partial<Record<Service, boolean>> = {
    explorer: site.explorer.enabled,
    simulator: site.simulator.enabled,
    backup: site.backup !== undefined,
    copier: site.backup !== undefined,
    interface: site.interface?.enabled ?? false,
    proxy: site.interface?.enabled ?? false,
  };
  return services.filter((service) => runs[service] ?? true);
};

/**
 * Keys whose values no message shows: the private key of `mqtt.tls`, passwords, and below a key what
 * leads to people.
 */
export const secretKeys = ["key", "password", "uplink.token", ...alertSecrets];

/**
 * Validates a stack's configuration and fills in its defaults.
 * @throws InputError with every problem: the key, its value and what is allowed.
 */
export function parseSite(input: unknown): SiteConfig {
  return validate(siteSchema, input, "bess-telemetry:site", secretKeys);
}
