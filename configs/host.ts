import { z } from "zod";
import type { Model } from "./model";
import { durationSeconds } from "./units";

// YAML reads an id of digits as a number, and drops its leading zeros.
const idRule = 'write four hex digits in quotes, such as "0403"';
const serialRule =
  "write the serial number in quotes, as udevadm info --attribute-walk shows ATTRS{serial}";
const usbId = z.string(idRule).regex(/^[0-9a-f]{4}$/, idRule);

/** What is done to the host of a site that is reached over SSH. */
export const hostSchema = z.strictObject({
  prepare: z
    .boolean()
    .default(false)
    .describe(
      "Whether `up` prepares the host: Docker Engine, its group and log limits, kernel " +
        "parameters and udev rules. The user of `engine` needs sudo without a password.",
    ),
  reboot: z
    .boolean()
    .default(false)
    .describe(
      "Whether `host.prepare` may reboot the host after a change of its kernel parameters.",
    ),
  updates: z
    .boolean()
    .default(false)
    .describe("Whether `host.prepare` turns on unattended security updates."),
  udev: z
    .array(
      z.strictObject({
        symlink: z
          .string()
          .regex(
            /^[A-Za-z][\w-]{0,31}$/,
            "write letters, digits, _ and -, starting with a letter, at most 32",
          )
          .meta({ description: "Name of the link in /dev.", examples: ["bms"] }),
        vendor: usbId.meta({
          description: "USB vendor id, as lsusb shows it.",
          examples: ["0403"],
        }),
        product: usbId.meta({
          description: "USB product id, as lsusb shows it.",
          examples: ["6001"],
        }),
        serial: z
          .string(serialRule)
          .regex(/^[\w.:-]+$/, serialRule)
          .optional()
          .meta({
            description: "Serial number of the adapter. Without it, any adapter with these ids.",
            examples: ["A50285BI"],
          }),
      }),
    )
    .default([])
    .describe("Stable names of USB serial adapters."),
});

/** How a host is to be prepared. */
export type HostConfig = z.output<typeof hostSchema>;
/** One USB serial adapter's stable name. */
export type UdevRule = HostConfig["udev"][number];

const KiB = 1024;

/** Disk space that a site's data takes. */
export interface Storage {
  bytes: number;
  inodes: number;
  /** Seconds until it has grown to that: the retention. */
  retention: number;
}

/**
 * Bytes of a stored field. Measured on InfluxDB 3.10.1 with three decimals of noise, the least
 * compressible values that a meter sends: 35 bytes for a message of 4.7 fields, with its time and
 * tags.
 */
const bytesPerField = 8;

/**
 * Disk space that a model's data takes once it is kept for the retention. InfluxDB keeps a folder
 * with a Parquet file for each table and ten minutes; a quarter is added for files that it has not
 * merged yet.
 * @param messageRate messages a second of all units together; they are shared out by the model's
 * intervals.
 * @param retention such as `90d`.
 * @throws RangeError if the retention is no duration.
 */
export function storage(model: Model, messageRate: number, retention: string): Storage {
  const seconds = durationSeconds(retention);
  const rates = model.measurements.map((m) => ({
    fields: m.fields.length,
    rate: 1 / durationSeconds(m.interval),
  }));
  const total = rates.reduce((sum, m) => sum + m.rate, 0);
  const fieldsPerMessage = rates.reduce((sum, m) => sum + (m.fields * m.rate) / total, 0);
  const files = Math.ceil(seconds / 600) * model.measurements.length;
  return {
    bytes: Math.ceil(
      1.25 * (messageRate * seconds * fieldsPerMessage * bytesPerField + files * 6 * KiB),
    ),
    inodes: Math.ceil(1.25 * files * 2),
    retention: seconds,
  };
}
