import type { FleetSite } from "../configs/inventory";

/** The sites of one CI runner: an entry of GitHub's `matrix.include`. */
export interface Shard {
  /** Number of the runner, from 1. */
  shard: number;
  /** Number of runners. */
  shards: number;
  /** Names of its sites, separated by commas, as `--site` takes them. */
  sites: string;
}

/**
 * Splits sites over CI runners, evenly and in their order.
 * @param most most runners; there are fewer where there are fewer sites.
 */
export function splitIntoShards(sites: readonly Pick<FleetSite, "name">[], most: number): Shard[] {
  const count = Math.min(most, sites.length);
  const startOf = (shard: number) => Math.round((shard * sites.length) / count);
  return Array.from({ length: count }, (_, i) => ({
    shard: i + 1,
    shards: count,
    sites: sites
      .slice(startOf(i), startOf(i + 1))
      .map(({ name }) => name)
      .join(","),
  }));
}
