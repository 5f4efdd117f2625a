import * as z from "zod";

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
