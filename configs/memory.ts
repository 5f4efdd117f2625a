import { filesOfTable, memoryShares, rollupTables, snapshots, snapshotsToRead } from "./influxdb";
import type { Model } from "./model";
import { profiles } from "./profiles";
import { type RetentionChoice, retentionOf } from "./retention";
import { type Retention, type Tier, tierNames, tiers } from "./rollups";
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

/** Tables of a model's rows, and of each tier of their rollups. */
type TableCounts = Record<keyof Retention, number>;

function tableCounts(model: Model): TableCounts {
  const rollups = rollupTables(model);
  const of = (tier: Tier) => rollups.filter(({ db }) => db === tiers[tier].database).length;
  return {
    raw: model.measurements.length,
    minute: of("minute"),
    hour: of("hour"),
    day: of("day"),
  };
}

/** MiB of InfluxDB's memory for the index of a retention. */
function indexMiB(tables: TableCounts, retention: Retention): number {
  const perTable = filesOfTable(retention);
  const files =
    (["raw", ...tierNames] as const).reduce((sum, of) => sum + tables[of] * perTable[of], 0) +
    // What has expired stays listed until its snapshots are merged.
    pipelineTableCount * (snapshots.untouched + snapshots.group);
  return (snapshotsToRead(retention) * measured.perSnapshot + files * measured.perFile) / 2 ** 20;
}

/** The most days of the rows' retention whose index `room` holds; 0 for none. */
function mostDays(room: number, index: (raw: string) => number): number {
  let days = 0;
  while (index(`${days + 1}d`) <= room) days++;
  return days;
}

/**
 * Checks that InfluxDB's memory holds the index of what a site stores: a snapshot for each block, and a
 * Parquet file for each table and block, of rollups for each table and window.
 * @throws InputError with the figures, and the longest retention that the profile's memory holds.
 */
export function checkMemory(model: Model, site: RetentionChoice): void {
  const { memory } = profiles[site.profile];
  const retention = retentionOf(site);
  const tables = tableCounts(model);
  const needed = indexMiB(tables, retention);
  const room = indexRoom(memory.influxdb);
  if (needed <= room) return;
  const { profile, retention: asked } = site;
  const others = typeof asked === "string" ? {} : asked;
  const days = mostDays(room, (raw) =>
    indexMiB(tables, retentionOf({ profile, retention: { ...others, raw } })),
  );
  const key = typeof asked === "object" ? "retention.raw" : "retention";
  throw new InputError("bess-telemetry:site", [
    `${key} is "${retention.raw}": InfluxDB needs ${Math.ceil(needed)} MiB of memory for the index of ` +
      `${model.measurements.length} tables over that time and of their rollups, and the profile ` +
      `${profile} has ${Math.floor(room)} MiB for it; ` +
      `${days > 0 ? `keep ${days}d at most, or ` : ""}choose a larger profile`,
  ]);
}
