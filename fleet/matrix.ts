import type { FleetSite } from "../configs/inventory";

/** One runner's part of some sites. */
export interface Shard {
  /** Counted from 1. */
  shard: number;
  shards: number;
  /** Names with commas between, as `--site` takes them. */
  sites: string;
}

/** Splits sites over at most `most` runners, evenly and in their order; no runner is without a site. */
export function shards(sites: readonly Pick<FleetSite, "name">[], most: number): Shard[] {
  const count = Math.min(most, sites.length);
  const edge = (i: number) => Math.round((i * sites.length) / count);
  return Array.from({ length: count }, (_, i) => ({
    shard: i + 1,
    shards: count,
    sites: sites
      .slice(edge(i), edge(i + 1))
      .map(({ name }) => name)
      .join(","),
  }));
}
