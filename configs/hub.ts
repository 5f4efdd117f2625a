import * as z from "zod";
import { alertsSchema } from "./alerting";
import {
  deployedImage,
  hubImages,
  type HubService,
  imageIds,
  images,
  pinnedImage,
  verifyFinding,
} from "./images";
import { hostPort, secretKeys, siteSchema } from "./site";
import { pairFindings } from "./tls";
import { durationPattern, durationSeconds, durationUnit, durationWithin } from "./units";
import { InputError, text, validate } from "./validation";

/** Key of a stack's configuration that makes it a hub. */
export const hubKey = "bess-telemetry:hub";

const { name: siteName, engine, ssh, purge, grafana, timeZone } = siteSchema.shape;

const pem = (kind: string) =>
  z.string().regex(new RegExp(`-----BEGIN ${kind}-----[^]+-----END ${kind}-----`), {
    error: "paste it in PEM form, from -----BEGIN to -----END",
    abort: true,
  });

const image = (service: HubService, what: string) => {
  const preset = { ...images, ...hubImages }[service];
  return z
    .string()
    .regex(pinnedImage, "pin it by a tag other than latest, or by a digest")
    .default(preset)
    .meta({ description: `Image of ${what}.`, examples: [`registry.example/${preset}`] });
};

/** An address that no other network reaches: the cluster's nodes speak without TLS and login. */
const privateNode =
  /^ssh:\/\/[A-Za-z_][\w.-]*@(10(\.\d{1,3}){3}|192\.168(\.\d{1,3}){2}|172\.(1[6-9]|2\d|3[01])(\.\d{1,3}){2})(:\d+)?$/;

const serverUrl = /^https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/;

/** A hub's configuration, `bess-telemetry:hub`; docs/hub-configuration.md is generated from it. */
export const hubSchema = z
  .strictObject({
    name: siteName.default("hub").meta({
      description: "Name of the hub. Containers, networks and volumes are named after it.",
      examples: ["hub-north"],
    }),
    engine: engine.meta({
      description: "Docker Engine to deploy on. Without it: `DOCKER_HOST`, else the local engine.",
      examples: ["ssh://bess@hub.example"],
    }),
    ssh,
    purge,
    entrance: z
      .strictObject({
        address: z
          .union([z.ipv4(), z.ipv6()], "write an IP address of the host, or 0.0.0.0 for all")
          .default("0.0.0.0")
          .meta({
            description: "Address of the host that sites reach. All else listens on 127.0.0.1.",
            examples: ["192.0.2.10"],
          }),
        port: z
          .int()
          .min(1)
          .max(65535)
          .default(8427)
          .meta({ description: "TCP port that sites reach, with TLS.", examples: [443] }),
        names: z
          .array(text(/^[A-Za-z0-9][A-Za-z0-9.:-]*$/, "write a host name or an IP address"))
          .min(1)
          .default(["localhost"])
          .meta({
            description:
              "Names and addresses by which sites reach the hub. A generated certificate is for " +
              "these, and `addresses` has the first.",
            examples: [["hub.example", "192.0.2.10"]],
          }),
        certificate: pem("CERTIFICATE")
          .optional()
          .meta({
            description:
              "Certificate with its chain, in PEM form. Without it: one is made for `names`, which " +
              "lasts ten years; sites get it as `uplink.ca` (output `certificate`).",
            examples: ["-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----"],
          }),
        key: pem("(?:RSA |EC |ENCRYPTED )?PRIVATE KEY")
          .optional()
          .meta({
            description:
              "The certificate's private key, in PEM form. Set it with `pulumi config set --secret`.",
            examples: ["-----BEGIN PRIVATE KEY-----\n…\n-----END PRIVATE KEY-----"],
          }),
      })
      .superRefine(({ certificate, key }, context) => {
        const refuse = (path: string, message: string) =>
          context.addIssue({ code: "custom", path: [path], message });
        if ((certificate === undefined) !== (key === undefined))
          return refuse(key === undefined ? "key" : "certificate", "both go together");
        if (certificate === undefined || key === undefined) return undefined;
        for (const finding of pairFindings({ certificate, key }))
          refuse(finding.key, finding.message);
        return undefined;
      })
      .prefault({}),
    retention: text(durationPattern, "write a duration such as 1825d")
      .refine(durationWithin("1d", "36500d"), "write 1d or more")
      .default("1825d")
      .meta({
        description: "How long the hub keeps what sites send.",
        unit: durationUnit,
        examples: ["3650d"],
      }),
    memory: z
      .int()
      .min(256)
      .max(1_000_000)
      .default(2048)
      .meta({
        description:
          "Memory of VictoriaMetrics, of each storage node in a cluster " +
          "([hub.md](hub.md#how-large)).",
        unit: "MiB",
        examples: [4096],
      }),
    storage: z
      .strictObject({
        nodes: z
          .array(
            text(
              privateNode,
              "write ssh://user@ADDRESS with an address of a private network, such as 10.8.0.2",
            ),
          )
          .min(2, "name two nodes at least")
          .meta({
            description:
              "Docker Engines that each keep a part of the data. The hub reaches them by the same " +
              "address, at the ports 8400 and 8401, which have neither TLS nor a login.",
            examples: [["ssh://bess@10.8.0.2", "ssh://bess@10.8.0.3"]],
          }),
        replication: z
          .int()
          .min(1)
          .max(5)
          .default(2)
          .meta({
            description:
              "How many nodes keep each value: with 2, one may be lost. To keep as many copies of new " +
              "values while it is lost, have one node more.",
            examples: [3],
          }),
      })
      .refine(({ nodes }) => new Set(nodes).size === nodes.length, {
        error: "each node must differ",
        path: ["nodes"],
      })
      .refine(({ nodes, replication }) => replication <= nodes.length, {
        error: "there are fewer nodes than this",
        path: ["replication"],
      })
      .optional()
      .meta({
        description:
          "Keeps the data on several machines, by VictoriaMetrics' cluster. Without it: on the hub.",
        examples: [{ nodes: ["ssh://bess@10.8.0.2", "ssh://bess@10.8.0.3"], replication: 2 }],
      }),
    external: z
      .strictObject({
        write: text(serverUrl, "write an address, without /api/v1/write").meta({
          description:
            "Address that takes `/api/v1/write` below it and keeps `extra_label`: VictoriaMetrics, " +
            "`vminsert` or `vmagent`.",
          examples: ["http://10.8.0.9:8480/insert/0/prometheus"],
        }),
        query: text(serverUrl, "write an address, without /api/v1/query").meta({
          description: "Address that answers `/api/v1/query` below it.",
          examples: ["http://10.8.0.9:8481/select/0/prometheus"],
        }),
      })
      .optional()
      .meta({
        description:
          "A database that is run elsewhere, such as a cluster of VictoriaMetrics' operator. " +
          "Without it: the hub runs its own.",
        examples: [
          {
            write: "http://10.8.0.9:8480/insert/0/prometheus",
            query: "http://10.8.0.9:8481/select/0/prometheus",
          },
        ],
      }),
    revoked: z
      .array(siteName)
      .default([])
      .meta({
        description:
          "Sites of the inventory that may not send any more: the next `up` makes their tokens worthless.",
        examples: [["kiel-1"]],
      }),
    grafana,
    timeZone,
    alerts: alertsSchema.prefault({}),
    backup: z
      .strictObject({
        to: text(
          /^(\/[^\s'"\\$`:]*|s3:\/\/[\w.-]+\/[\w./-]+)$/,
          "write the path of a folder on the hub's host, or s3://bucket/path",
        ).meta({
          description:
            "Where backups are kept: a folder of the host, on a disk of its own, or a bucket of S3.",
          examples: ["/mnt/usb/hub", "s3://bess-backups/hub"],
        }),
        every: text(durationPattern, "write a duration such as 1d")
          .refine(durationWithin("1h", "31d"), "write from 1h to 31d")
          .default("1d")
          .meta({
            description: "Time between two backups. Each of the last seven days keeps one.",
            unit: durationUnit,
            examples: ["6h"],
          }),
        endpoint: text(serverUrl, "write an address such as https://s3.example.com")
          .optional()
          .meta({
            description: "Server that speaks S3. Without it: Amazon's.",
            examples: ["https://s3.example.com"],
          }),
        login: z
          .strictObject({
            user: z
              .string()
              .min(1)
              .meta({ description: "Access key id.", examples: ["hub"] }),
            password: z
              .string()
              .min(1)
              .meta({
                description: "Secret access key. Set it with `pulumi config set --secret`.",
                examples: ["wJalrXUtnFEMI"],
              }),
          })
          .optional()
          .describe("Login at S3."),
      })
      .optional()
      .meta({
        description: "Backups of the hub's data by vmbackup. Without it: none.",
        examples: [{ to: "/mnt/usb/hub" }],
      }),
    images: z
      .strictObject({
        "victoria-metrics": image("victoria-metrics", "VictoriaMetrics, single node"),
        vmauth: image("vmauth", "vmauth, the entrance"),
        vmstorage: image("vmstorage", "a cluster's storage node"),
        vminsert: image("vminsert", "what writes to a cluster's nodes"),
        vmselect: image("vmselect", "what reads of a cluster's nodes"),
        vmbackup: image("vmbackup", "vmbackup"),
        grafana: image("grafana", "Grafana"),
        mirror: siteSchema.shape.images.unwrap().shape.mirror,
        pull: siteSchema.shape.images.unwrap().shape.pull,
        verify: siteSchema.shape.images.unwrap().shape.verify,
      })
      .prefault({})
      .describe("Images other than the pinned ones, and where they come from."),
    rotate: z
      .record(siteName, z.string().min(1))
      .default({})
      .meta({
        description:
          "A new value makes a new token of that site; the value is not the token. `grafana` makes a " +
          "new password of Grafana's admin.",
        examples: [{ "kiel-1": "2026-11" }],
      }),
  })
  .superRefine((hub, context) => {
    const refuse = (path: string[], message: string) =>
      context.addIssue({ code: "custom", path, message });
    const finding = verifyFinding(
      hubServices(hub).map((service) => hub.images[service]),
      hub.images,
    );
    if (finding) refuse(["images", "verify"], finding);
    if (hub.storage && hub.external)
      refuse(["external"], "the hub has storage of its own; leave one of the two away");
    if (hub.external && hub.backup)
      refuse(["backup"], "who runs the external database backs it up too");
    if (hub.storage && hub.backup)
      refuse(["backup"], "a cluster's nodes are backed up one by one: docs/hub.md");
    if (hub.backup?.to.startsWith("/") && (hub.backup.login || hub.backup.endpoint))
      refuse(["backup", hub.backup.login ? "login" : "endpoint"], "only s3:// has it");
    if (hub.grafana.port === hub.entrance.port)
      refuse(["grafana", "port"], `port ${hub.entrance.port} is the entrance's; write another`);
  });

/** A hub's validated configuration. */
export type HubConfig = z.output<typeof hubSchema>;

/**
 * Validates a hub's configuration and fills in its defaults.
 * @throws InputError with every problem: the key, its value and what is allowed.
 */
export const parseHub = (input: unknown, source = hubKey): HubConfig =>
  validate(hubSchema, input, source, secretKeys);

/**
 * Refuses names of sites that the inventory does not have: a slip would leave the token that was meant.
 * @throws InputError with each of them.
 */
export function requireSites(
  { revoked, rotate }: Pick<HubConfig, "revoked" | "rotate">,
  sites: readonly { name: string }[],
  source = hubKey,
): void {
  const names = sites.map(({ name }) => name);
  const isKnown = (name: string) => names.includes(name);
  const findings = [
    ...revoked
      .filter((name) => !isKnown(name))
      .map((name) => `revoked has "${name}": no site of the inventory has this name`),
    ...Object.keys(rotate)
      .filter((name) => name !== "grafana" && !isKnown(name))
      .map((name) => `rotate.${name} is no site of the inventory, and not grafana`),
  ];
  if (findings.length > 0) throw new InputError(source, findings);
}

const services = ["grafana", ...Object.keys(hubImages)] as HubService[];

/** The services that a hub runs. */
function hubServices({
  storage,
  external,
  backup,
}: Pick<HubConfig, "storage" | "external" | "backup">): HubService[] {
  const isCluster = storage !== undefined;
  const runs: Partial<Record<HubService, boolean>> = {
    "victoria-metrics": !isCluster && !external,
    vmstorage: isCluster,
    vminsert: isCluster,
    vmselect: isCluster,
    vmbackup: backup !== undefined,
  };
  return services.filter((service) => runs[service] ?? true);
}

/** What the engine may call each image, where it pulls none and they are verified; else nothing. */
export const hubImageIds = ({
  images: chosen,
}: Pick<HubConfig, "images">): Partial<Record<HubService, string[]>> =>
  chosen.verify === "digest" && chosen.pull === "never"
    ? Object.fromEntries(services.map((service) => [service, imageIds(chosen[service])]))
    : {};

/** The image of each service of a hub. */
export function hubServiceImages({
  images: chosen,
}: Pick<HubConfig, "images">): Record<HubService, string> {
  return Object.fromEntries(
    services.map((service) => [service, deployedImage(chosen[service], chosen)]),
  ) as Record<HubService, string>;
}

/** Memory of each service of a hub, in MiB. A storage node has what VictoriaMetrics would have. */
export const hubMemory = ({ memory }: Pick<HubConfig, "memory">): Record<HubService, number> => ({
  "victoria-metrics": memory,
  // It took 66 MiB with 1,000 sites, and 383 MiB with 10,000, whose database has 8 GiB.
  vmauth: Math.max(128, Math.ceil(memory / 16)),
  vmstorage: memory,
  vminsert: 512,
  vmselect: 1024,
  vmbackup: 256,
  grafana: 512,
});

/** Where sites write to: `https://HOST:PORT/api/v1/write`. */
export const uplinkUrl = ({ entrance }: Pick<HubConfig, "entrance">): string =>
  `https://${hostPort(entrance.names[0] ?? "localhost", entrance.port)}/api/v1/write`;

/** A duration as VictoriaMetrics spells it: it knows no seconds. */
export const retentionHours = (duration: string): string =>
  `${Math.ceil(durationSeconds(duration) / 3600)}h`;
