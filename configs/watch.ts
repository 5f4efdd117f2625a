import * as z from "zod";
import { text } from "./validation";
import { durationPattern, durationUnit, durationWithin } from "./units";

/** How grave an alert is: who is called by it, and when. */
export const severities = ["critical", "warning", "info"] as const;
/** How grave an alert is. */
export type Severity = (typeof severities)[number];

const duration = (least: string, most: string) =>
  text(durationPattern, "write a duration such as 10m").refine(
    durationWithin(least, most),
    `write from ${least} to ${most}`,
  );

const most = z.number().positive("write a number over 0");

/** Keys of a field by which alerts are made. Each is left away where nobody is to be told. */
export const watchShape = {
  limits: z
    .tuple([z.number(), z.number()], "write two numbers: [lowest, highest]")
    .refine(([low, high]) => low < high, "the first must be less than the second")
    .optional()
    .meta({
      description:
        "What the value must never leave: `[lowest, highest]`. Outside is a critical alert, outside " +
        "`range` alone a warning. Only for a number.",
      unit: "the field's `unit`",
      examples: [[600, 900]],
    }),
  maxRate: z
    .strictObject({
      change: most.meta({
        description: "Most that the value changes in `within`.",
        unit: "the field's `unit`",
        examples: [5],
      }),
      within: duration("1s", "1h").meta({
        description: "Time in which it changes by no more.",
        unit: durationUnit,
        examples: ["1m"],
      }),
    })
    .optional()
    .meta({
      description: "Fastest change that is possible. A faster one is a warning.",
      examples: [{ change: 5, within: "1m" }],
    }),
  stuckAfter: duration("1m", "1d")
    .optional()
    .meta({
      description:
        "Time after which a value that stays the same is a warning, while another number of its unit " +
        "moves: a power or a current, else any.",
      unit: durationUnit,
      examples: ["15m"],
    }),
  drift: z
    .strictObject({
      most: most.meta({
        description: "Most that the highest and the lowest unit differ by.",
        unit: "the field's `unit`",
        examples: [10],
      }),
      among: z
        .string()
        .optional()
        .meta({
          description:
            "Tag that units of one rack share. Without it: all units of the measurement.",
          examples: ["group_id"],
        }),
    })
    .optional()
    .meta({
      description: "How far units may drift apart. Further is a warning.",
      examples: [{ most: 10, among: "group_id" }],
    }),
  spread: most.optional().meta({
    description:
      "Most that this highest value is over the lowest one: of the field with the same `quantity` and " +
      "`extreme: lowest`. More is a warning.",
    unit: "the field's `unit`",
    examples: [0.1],
  }),
  follow: z
    .strictObject({
      tolerance: most.meta({
        description: "Most that the power differs from its set point.",
        unit: "the field's `unit`",
        examples: [50],
      }),
      within: duration("1s", "1h").meta({
        description: "Time in which the power follows.",
        unit: durationUnit,
        examples: ["30s"],
      }),
    })
    .optional()
    .meta({
      description:
        "How the power of the same circuit follows this set point. One that does not is a warning.",
      examples: [{ tolerance: 50, within: "30s" }],
    }),
  alarm: z
    .union([
      z.enum(severities),
      z.record(z.string().min(1), z.enum(severities)).refine((map) => Object.keys(map).length > 0, {
        error: "name a value",
      }),
    ])
    .optional()
    .meta({
      description:
        "Severity of the alert that a bool raises while it is true, such as a bit of an alarm word. " +
        "Of a string: its values that are alarms, with the severity of each.",
      examples: ["critical"],
    }),
};

/** Values of the keys of {@link watchShape}, as a field has them. */
export type Watch = { [K in keyof typeof watchShape]: z.output<(typeof watchShape)[K]> };

/** Whether a key of a field is one of {@link watchShape}. */
export const isWatch = (key: string): boolean => Object.keys(watchShape).includes(key);

/** Keys that only a number can have. */
export const numberKeys = ["limits", "maxRate", "stuckAfter", "drift", "spread", "follow"] as const;
