import { imageVersion, type Service } from "./images";
import { renderScript } from "./scripts";

/** A service whose data are cloned before another version of its image opens them. */
export const clonedServices = ["influxdb", "grafana", "mosquitto"] as const satisfies Service[];
export type ClonedService = (typeof clonedServices)[number];

/** How many clones of a service's data are kept, and for how many days. */
const clonesKept = { clones: 2, days: 30 } as const;

/** Percentage of the disk from which a clone gives way whose files InfluxDB has removed. */
export const fullest = 90;

/** Stands for data as they are, where a clone's name is asked for. */
export const asIs = "as-is";

/** What a start script that sources `clone.sh` is rendered with. */
export const clonePlaceholders = (
  service: ClonedService,
  { site, image }: { site: string; image: string },
) => ({
  site,
  service,
  version: imageVersion(image),
  keepClones: clonesKept.clones,
  keepDays: clonesKept.days,
  asIs,
});

/**
 * A script for `sh -s`, beside a site's engine, that looks into the volumes of its data. Its arguments:
 * `list`, which prints what {@link parseClones} reads; `request`, a service and a clone's name, or none;
 * or `renewed`.
 * @param volumes where each service has its volume.
 */
export const clonesScript = (site: string, volumes: Record<ClonedService, string>): string =>
  renderScript("clones.sh", {
    site,
    services: clonedServices.map((service) => ({ service, data: volumes[service] })),
  });

/** A service's data at the beginning of an update, as a later one may have them back. */
export interface Clone {
  /** The version that left them so: an image's tag. */
  version: string;
  /** When it was taken, in ISO 8601. */
  taken: string;
  /** The version that it was taken for. */
  before: string;
  /** Bytes that are free again once it is removed. */
  bytes: number;
}

/** Data of a service at a site. */
export interface ClonedData {
  service: ClonedService;
  /** The version that has opened them last; empty where that is not known. */
  version: string;
  /** The clone that the next older version is to have, or {@link asIs}; empty for none. */
  requested: string;
  /** Whether a clone has been put back, and what does not fit it was not made anew yet. */
  returned: boolean;
  /** The newest first. */
  clones: Clone[];
}

/** Whether a service has its data cloned. */
export const isCloned = (name: string | undefined): name is ClonedService =>
  clonedServices.some((service) => service === name);

/** Parses what {@link clonesScript} has printed. */
export function parseClones(text: string): ClonedData[] {
  const found: ClonedData[] = [];
  for (const line of text.split("\n")) {
    const [kind, ...values] = line.split("|");
    const [first = "", second = "", third = "", fourth = ""] = values;
    if (kind === "data" && isCloned(first))
      found.push({
        service: first,
        version: second,
        requested: third,
        returned: fourth !== "",
        clones: [],
      });
    if (kind === "clone")
      found.at(-1)?.clones.push({
        version: first,
        taken: second,
        before: third,
        bytes: Number(fourth) * 1024,
      });
  }
  return found;
}
