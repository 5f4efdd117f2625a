import recorded from "./registry.json";
import { joined } from "./text";

/** The pinned images, by the service that each is made for. What registries say of them is in registry.json. */
const pinned = {
  mosquitto: "eclipse-mosquitto:2.1.2-alpine",
  telegraf: "telegraf:1.39.3-alpine",
  influxdb: "influxdb:3.12.2-core",
  rollup: "node:22.23.3-bookworm-slim",
  explorer: "influxdata/influxdb3-ui:1.9.0",
  grafana: "grafana/grafana:13.1.1",
  simulator: "node:22.23.3-bookworm-slim",
  backup: "restic/restic:0.19.1",
  proxy: "caddy:2.11.9-alpine",
} as const;

/** The image of each service. The copier needs nothing but the Python of InfluxDB's. */
export const images = { ...pinned, copier: pinned.influxdb } as const;

/** The image of each service that a hub alone has; its Grafana is a site's. */
export const hubImages = {
  "victoria-metrics": "victoriametrics/victoria-metrics:v1.145.0",
  vmauth: "victoriametrics/vmauth:v1.145.0",
  vmstorage: "victoriametrics/vmstorage:v1.145.0-cluster",
  vminsert: "victoriametrics/vminsert:v1.145.0-cluster",
  vmselect: "victoriametrics/vmselect:v1.145.0-cluster",
  vmbackup: "victoriametrics/vmbackup:v1.145.0",
} as const;

/** A service that has an image. */
export type Service = keyof typeof images | "interface";

/** Every service of a site. The image of the interface is the user's own. */
export const services = [...(Object.keys(images) as (keyof typeof images)[]), "interface"] as const;

/** What each service is called where people read of it. */
export const serviceTitles: Record<Service, string> = {
  mosquitto: "Mosquitto",
  telegraf: "Telegraf",
  influxdb: "InfluxDB",
  rollup: "Rollup",
  explorer: "Explorer",
  grafana: "Grafana",
  simulator: "Simulator",
  backup: "Backup",
  copier: "Copier",
  interface: "Interface",
  proxy: "Proxy",
};

/** A service that a hub may run. */
export type HubService = keyof typeof hubImages | "grafana";

/** A service of a site or of the hub. */
export type AnyService = Service | HubService;

/** A service whose image can be chosen. */
export type ImageKey = keyof typeof pinned;

/**
 * The name of an image at a mirror of Docker Hub. An image that names its own registry keeps its
 * name.
 * @param mirror such as `mirror.lan:5000`; undefined for none.
 */
export function fromMirror(mirror: string | undefined, image: string): string {
  if (mirror === undefined) return image;
  const slash = image.indexOf("/");
  if (slash === -1) return `${mirror}/library/${image}`;
  const namesRegistry = /[.:]|^localhost$/.test(image.slice(0, slash));
  return namesRegistry ? image : `${mirror}/${image}`;
}

/** Of one architecture: the digest of an image's manifest, and of its config, which is its id too. */
export interface ArchitectureRecord {
  manifest?: string;
  config?: string;
}

/** What a registry says of an image. The digests are there once `bess images pin` has asked for them. */
export interface ImageRecord {
  /** Of its index, which names every architecture's manifest. */
  digest?: string;
  architectures: Record<string, ArchitectureRecord>;
}

/** An image's record in registry.json; undefined where it has none. */
export const imageRecord = (image: string): ImageRecord | undefined =>
  (recorded.images as Record<string, ImageRecord>)[image];

/** An image's name without its tag and its digest. */
export const repositoryOf = (image: string): string => image.replace(/[:@][^/]*$/, "");

/** Licence of the program that an image is named after, as SPDX spells it; undefined if not known. */
export const imageLicence = (image: string): string | undefined =>
  (recorded.licences as Record<string, string>)[repositoryOf(image)];

/** How a site gets its images, and whether it checks them: keys of its configuration. */
export interface ImageSource {
  mirror?: string | undefined;
  pull: "missing" | "never";
  verify: "none" | "digest";
}

/** An image as the engine is asked for it: of a mirror, and by its digest where that is verified. */
export function deployedImage(image: string, { mirror, pull, verify }: ImageSource): string {
  // An image that was loaded from a file has no digest at the engine: its id is verified instead.
  const isPulled = verify === "digest" && pull === "missing";
  const digest = isPulled && !image.includes("@") ? imageRecord(image)?.digest : undefined;
  return fromMirror(mirror, digest ? `${image}@${digest}` : image);
}

/**
 * What an engine may call an image: the digests of its index, and of its manifests and configs. None where
 * `bess images pin` has not recorded them.
 */
export function imageIds(image: string): string[] {
  const { digest, architectures = {} } = imageRecord(image) ?? {};
  if (!digest) return [];
  const parts = Object.values(architectures).flatMap(({ manifest, config }) => [manifest, config]);
  return [digest, ...parts.filter((part) => part !== undefined)];
}

/** Why a site cannot verify its images; undefined where it can, or is not to. */
export function verifyFinding(
  images: readonly string[],
  { pull, verify }: ImageSource,
): string | undefined {
  if (verify === "none") return undefined;
  // The engine names no image that was loaded from a file by its digest.
  const unknown = images.filter(
    (image) => imageIds(image).length === 0 && (pull === "never" || !image.includes("@")),
  );
  if (unknown.length === 0) return undefined;
  const tagged = [...new Set(unknown.map((image) => image.replace(/(:[^/@]+)@.*/, "$1")))];
  return `configs/registry.json has no digest of ${joined(tagged)}: run npx bess images pin`;
}

/** Matches an image that is pinned: by a tag other than latest, or by a digest. */
export const pinnedImage = /^[^\s@]+(:(?!latest$)[\w.-]+|@sha256:[0-9a-f]{64})$/;

/** An image's tag; its digest where it has none. */
export const tagOf = (image: string): string => /[:@]([^/@]*)(?:@[^/]*)?$/.exec(image)?.[1] ?? "";

/** A version as scripts and people name it: an image's tag, or the beginning of its digest. */
export const imageVersion = (image: string): string =>
  /[:@]sha256:/.test(image) && !/:[^/@]+@/.test(image)
    ? `sha256-${image.slice(image.lastIndexOf(":") + 1).slice(0, 12)}`
    : tagOf(image);

/** Numbers of a version: of `3.12.2-core` 3, 12 and 2. */
const numbersOf = (version: string): number[] | undefined =>
  /^v?(\d+(?:\.\d+)+)/.exec(version)?.[1]?.split(".").map(Number);

/**
 * Compares the numbers of two versions, as `scripts/clone.sh` does.
 * @returns less than 0 where the first is the older one; undefined where the names do not tell.
 */
export function compareVersions(a: string, b: string): number | undefined {
  if (a === b) return 0;
  const [from, to] = [numbersOf(a), numbersOf(b)];
  if (!from || !to) return undefined;
  const length = Math.max(from.length, to.length);
  const differences = Array.from({ length }, (_, i) => (from[i] ?? 0) - (to[i] ?? 0));
  return differences.find((difference) => difference !== 0) ?? 0;
}
