import { blocks, memoryShares, pipelineRetention, snapshotsToRead } from "./influxdb";
import type { Model } from "./model";
import { profiles } from "./profiles";
import type { SiteConfig } from "./site";
import { InputError } from "./validation";

/** MiB of InfluxDB 3.10.1 with an empty database. */
const emptyMiB = 64;

/**
 * Bytes of memory for each snapshot that InfluxDB reads at its start, and for each Parquet file that
 * they list. Measured on InfluxDB 3.10.1: 12,956 snapshots of one file took 100 MiB, and 200,000 files
 * of few snapshots 0.75 to 1.0 KB each.
 */
const bytesOf = { snapshot: 8 * 1024, file: 1024 } as const;

/** Tables that Telegraf and InfluxDB write about the pipeline. */
const pipelineTableCount = 12;

/** MiB of InfluxDB's memory that its index may take. */
function indexRoom(memoryMiB: number): number {
  const { queries, cache, buffer } = memoryShares;
  return memoryMiB * (1 - queries - cache - buffer) - emptyMiB;
}

/** MiB of InfluxDB's memory for the index of a retention. */
function indexMiB(tables: number, retention: string): number {
  const files = tables * blocks(retention) + pipelineTableCount * blocks(pipelineRetention);
  return (snapshotsToRead(retention) * bytesOf.snapshot + files * bytesOf.file) / 2 ** 20;
}

/** The most days of retention whose index `room` holds; 0 for none. */
function mostDays(tables: number, room: number): number {
  let days = 0;
  while (indexMiB(tables, `${days + 1}d`) <= room) days++;
  return days;
}

/**
 * Checks that InfluxDB's memory holds the index of what a site stores: a snapshot for each block, and
 * a Parquet file for each table and block.
 * @throws InputError with the figures, and the longest retention that the profile's memory holds.
 */
export function checkMemory(
  model: Model,
  { profile, retention }: Pick<SiteConfig, "profile" | "retention">,
): void {
  const { memory, retention: preset } = profiles[profile];
  const kept = retention ?? preset;
  const tables = model.measurements.length;
  const needed = indexMiB(tables, kept);
  const room = indexRoom(memory.influxdb);
  if (needed <= room) return;
  const days = mostDays(tables, room);
  throw new InputError("bess-telemetry:site", [
    `retention is "${kept}": InfluxDB needs ${Math.ceil(needed)} MiB of memory for the index of ` +
      `${tables} tables over that time, and the profile ${profile} has ${Math.floor(room)} MiB ` +
      `for it; ${days > 0 ? `keep ${days}d at most, or ` : ""}choose a larger profile`,
  ]);
}
