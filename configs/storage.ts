import { blocks } from "./influxdb";
import type { Measurement, Model } from "./model";
import { outageSeconds, type Profile, profiles } from "./profiles";
import type { SiteConfig } from "./site";
import { durationSeconds, gigabytes, sizeBytes } from "./units";
import { InputError } from "./validation";

const KiB = 1024;

/** Disk space that a site's data is expected to take. */
export interface Storage {
  /** Bytes of the telemetry in InfluxDB, once it is kept for the retention. */
  telemetry: number;
  /** Bytes of the broker's queue: a day of messages. They are allocated from the beginning. */
  queue: number;
  /** Inodes of the telemetry. */
  inodes: number;
  /** Seconds until the telemetry has grown to that: the retention. */
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

/** The mean of a model's measurements, each weighted by how often it is sent. */
function meanOf({ measurements }: Model, value: (measurement: Measurement) => number): number {
  const rate = (m: Measurement) => 1 / durationSeconds(m.interval);
  const total = measurements.reduce((sum, m) => sum + rate(m), 0);
  return measurements.reduce((sum, m) => sum + (value(m) * rate(m)) / total, 0);
}

/**
 * Disk space that a model's data takes. InfluxDB keeps a folder with a Parquet file for each table
 * and block; a quarter is added for files that it has not merged yet.
 * @param profile its message rate is that of all units together; it is shared out by the model's
 * intervals.
 * @param retention such as `90d`.
 * @throws RangeError if the retention is no duration.
 */
export function storage(
  model: Model,
  profile: Pick<Profile, "messageRate">,
  retention: string,
): Storage {
  const seconds = durationSeconds(retention);
  const fieldsPerMessage = meanOf(model, (m) => m.fields.length);
  const files = blocks(retention) * model.measurements.length;
  const points = profile.messageRate * seconds;
  return {
    telemetry: Math.ceil(1.25 * (points * fieldsPerMessage * bytesPerField + files * 6 * KiB)),
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
  { profile, retention, storage: { max } }: Pick<SiteConfig, "profile" | "retention" | "storage">,
): StorageBudget {
  const { messageRate, retention: preset } = profiles[profile];
  const kept = retention ?? preset;
  const expected = storage(model, { messageRate }, kept);
  const budget = max === undefined ? totalBytes(expected) : sizeBytes(max);
  if (totalBytes(expected) > budget)
    throw new InputError("bess-telemetry:site", [
      `storage.max is "${max}": ${kept} of the model ${model.name} at ${messageRate} messages/s ` +
        `need ${gigabytes(totalBytes(expected))}, of which ${gigabytes(expected.queue)} are the ` +
        "broker's queue; raise storage.max, or shorten retention",
    ]);
  return { expected, budget };
}

/** Percentages of the budget, and of the disk, from which an operator is warned. */
export const fillLevels = { warning: 80, critical: 90 } as const;
