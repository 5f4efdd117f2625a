import { blocks, memoryShares, pipelineRetention, snapshotsToRead } from "./influxdb";
import type { Model } from "./model";
import { profiles } from "./profiles";
import type { SiteConfig } from "./site";
import { InputError } from "./validation";

/**
 * MiB of InfluxDB beside its index, and bytes for each snapshot that it reads at its start and each
 * Parquet file that they list. Measured on InfluxDB 3.10.1 after a start: 151 to 207 MiB with 12,957
 * snapshots of one file, 279 MiB with 52,554, and 143 to 174 MiB with 10,510 of five; 200,000 files of few
 * snapshots took 0.75 to 1.0 KB each.
 */
const measured = { mebibytes: 128, perSnapshot: 3 * 1024, perFile: 1024 } as const;

/** Tables that Telegraf and InfluxDB write about the pipeline. */
const pipelineTableCount = 15;

/** MiB of InfluxDB's memory that its index may take. */
function indexRoom(memoryMiB: number): number {
  const { queries, cache, buffer } = memoryShares;
  return memoryMiB * (1 - queries - cache - buffer) - measured.mebibytes;
}

/** MiB of InfluxDB's memory for the index of a retention. */
function indexMiB(tables: number, retention: string): number {
  const files = tables * blocks(retention) + pipelineTableCount * blocks(pipelineRetention);
  return (snapshotsToRead(retention) * measured.perSnapshot + files * measured.perFile) / 2 ** 20;
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
