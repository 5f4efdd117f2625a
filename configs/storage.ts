import { filesOfTable, rollupTables } from "./influxdb";
import type { Measurement, Model } from "./model";
import { outageSeconds, type Profile, profiles } from "./profiles";
import { type RetentionChoice, retentionOf } from "./retention";
import { aggregatesOf, type Retention, rolledOf, type Tier, tierNames, tiers } from "./rollups";
import type { SiteConfig } from "./site";
import { durationSeconds, gigabytes, sizeBytes } from "./units";
import { InputError } from "./validation";

const KiB = 1024;

/** Disk space that a site's data is expected to take. */
export interface Storage {
  /** Bytes of the telemetry in InfluxDB with its rollups, once it is kept for the retention. */
  telemetry: number;
  /** Bytes of the broker's queue: a day of messages. They are allocated from the beginning. */
  queue: number;
  /** Inodes of the telemetry. */
  inodes: number;
  /** Seconds until most of it is there: the retention of the rows. */
  retention: number;
}

/** Bytes of all that a site stores. */
export const totalBytes = ({ telemetry, queue }: Storage): number => telemetry + queue;

/**
 * Bytes of a stored field. Measured on InfluxDB 3.10.1 with three decimals of noise, the least
 * compressible values that a meter sends: 35 bytes for a message of 4.7 fields, with its time and
 * tags.
 */
const bytesPerField = 8;

/**
 * Bytes of a message of 250 bytes in the broker's database. Measured on Mosquitto 2.1.2: 393, 602,
 * 913 and 1597 for payloads of 100, 300, 600 and 1200 bytes.
 */
const bytesPerQueuedMessage = 600;

/** Bytes of the broker's queue when it holds a day of messages at the profile's rate. */
export const queueBytes = ({ messageRate }: Pick<Profile, "messageRate">): number =>
  messageRate * outageSeconds * bytesPerQueuedMessage;

/** Messages of a measurement that a unit sends in a second. */
const rateOf = ({ interval }: Measurement) => 1 / durationSeconds(interval);

/** The mean of a model's measurements, each weighted by how often it is sent. */
function meanOf({ measurements }: Model, value: (measurement: Measurement) => number): number {
  const total = measurements.reduce((sum, m) => sum + rateOf(m), 0);
  return measurements.reduce((sum, m) => sum + (value(m) * rateOf(m)) / total, 0);
}

/** Rows of a field's time in each state that a row of a tier has, as a unit rarely is in more. */
const statesPerRow = 3;

/** Bytes of all rows of a tier over its retention, and its files. */
function rollups(
  model: Model,
  { messageRate }: Pick<Profile, "messageRate">,
  tier: Tier,
  retention: Retention,
): { bytes: number; files: number } {
  const { database, seconds } = tiers[tier];
  const tables = rollupTables(model).filter(({ db }) => db === database);
  // Each unit sends every measurement, and one that is sent more rarely than a tier's row has fewer rows.
  const units = messageRate / model.measurements.reduce((sum, m) => sum + rateOf(m), 0);
  const columns = model.measurements.reduce((sum, m) => {
    const rolled = rolledOf(m);
    const values = rolled.reduce((count, each) => count + aggregatesOf(each).length, 1);
    const states = rolled.filter((each) => each.states).length * statesPerRow * 2;
    return sum + (values + states) * Math.min(1, rateOf(m) * seconds);
  }, 0);
  const rows = (units * durationSeconds(retention[tier])) / seconds;
  return {
    bytes: rows * columns * bytesPerField,
    files: tables.length * filesOfTable(retention)[tier],
  };
}

/**
 * Disk space that a model's data takes. InfluxDB keeps a folder with a Parquet file for each table
 * and block, of rollups for each table and window; a quarter is added for what is written in parts.
 * @param profile its message rate is that of all units together; it is shared out by the model's
 * intervals.
 */
export function storage(
  model: Model,
  profile: Pick<Profile, "messageRate">,
  retention: Retention,
): Storage {
  const seconds = durationSeconds(retention.raw);
  const fieldsPerMessage = meanOf(model, (m) => m.fields.length);
  const ofTiers = tierNames.map((tier) => rollups(model, profile, tier, retention));
  const rows = profile.messageRate * seconds * fieldsPerMessage * bytesPerField;
  const bytes = ofTiers.reduce((sum, tier) => sum + tier.bytes, rows);
  const files = ofTiers.reduce(
    (sum, tier) => sum + tier.files,
    filesOfTable(retention).raw * model.measurements.length,
  );
  return {
    telemetry: Math.ceil(1.25 * (bytes + files * 6 * KiB)),
    queue: queueBytes(profile),
    inodes: Math.ceil(1.25 * files * 2),
    retention: seconds,
  };
}

/** What a site's data is expected to take, and what it may take. */
export interface StorageBudget {
  expected: Storage;
  /** Bytes: `storage.max`, or what is expected where that is not set. */
  budget: number;
}

/**
 * What a site's data is expected to take, and what it may take.
 * @throws InputError with the figures, if it needs more than `storage.max`.
 */
export function storageBudget(
  model: Model,
  { storage: { max }, ...site }: RetentionChoice & Pick<SiteConfig, "storage">,
): StorageBudget {
  const { messageRate } = profiles[site.profile];
  const retention = retentionOf(site);
  const expected = storage(model, { messageRate }, retention);
  const budget = max === undefined ? totalBytes(expected) : sizeBytes(max);
  if (totalBytes(expected) > budget)
    throw new InputError("bess-telemetry:site", [
      `storage.max is "${max}": ${retention.raw} of the model ${model.name} at ${messageRate} messages/s ` +
        `need ${gigabytes(totalBytes(expected))}, of which ${gigabytes(expected.queue)} are the ` +
        "broker's queue; raise storage.max, or shorten retention",
    ]);
  return { expected, budget };
}

/** Percentages of the budget, and of the disk, from which an operator is warned. */
export const fillLevels = { warning: 80, critical: 90 } as const;
