import * as z from "zod";
import { durationPattern, durationUnit, type Unit, units } from "./units";
import { isZone } from "./zones";

/**
 * Where a value is in a payload.
 * Keys are split by dots; `\.` is a dot in a key, `\[` a bracket. A number is a list's element, counted from 0.
 * `#` is the key or the number of the element at hand, and `\#` a key that is called so.
 */
const pathPattern = /^(?:[^.\\[\]]|\\[^])+(?:\.(?:[^.\\[\]]|\\[^])+)*$/;

/** A JSON path, read. */
export interface Path {
  /** Where it begins: 0 the element at hand, 1 the one around it and so on, -1 the whole payload. */
  up: number;
  keys: readonly string[];
}

/** In a path, the key or the number of the element at hand. JSON has no such character in a key. */
export const hereKey = "\u0001#";

/** Paths that were read: those of a few models, each for every message that is built. */
const paths = new Map<string, Path>();

/** A JSON path of a validated model, read. */
export function parsePath(text: string): Path {
  let path = paths.get(text);
  if (!path) paths.set(text, (path = readPath(text)));
  return path;
}

function readPath(text: string): Path {
  const keys = text.match(/(?:[^.\\]|\\[^])+/g) ?? [];
  const ups = keys.findIndex((key) => key !== "^");
  const up = ups === -1 ? keys.length : ups;
  const [head] = keys;
  const from = head === "$" ? -1 : up;
  const rest = head === "$" || head === "@" ? keys.slice(1) : keys.slice(up);
  return { up: from, keys: rest.map((key) => (key === "#" ? hereKey : unescaped(key))) };
}

/** A path as the plain name of a value. */
export const unescaped = (text: string): string => text.replaceAll(/\\([^])/g, "$1");

/** The path of one key, whatever is in it. */
export const escapedKey = (key: string): string =>
  key.replaceAll(/[.\\[\]]/g, "\\$&").replace(/^[$@^#]$/, "\\$&");

/** Schema of a JSON path. */
const jsonPath = z
  .string()
  .regex(
    pathPattern,
    "write a JSON path such as soc or cells.max.voltage, with cells.0 for an element of a list, and \\. for a dot in a key",
  );

const placeKeys = {
  path: jsonPath.optional().meta({
    description:
      "JSON path in the payload. Keys are split by `.`, and `\\.` is a dot in a key; a number is an " +
      "element of a list, counted from 0. `$` is the whole payload, `@` the element of `each`, and " +
      "`^` what is around it. `#` is the element's own key or number, for values that stand in lists " +
      "beside each other: `^.soc.#`.",
    examples: ["id"],
  }),
  segment: z
    .union([z.int("write a whole number, or #"), z.literal("#")])
    .optional()
    .meta({
      description:
        "Segment of the topic, counted from 0; -1 is the last one. `#` is all that the pattern's `#` " +
        "stands for.",
      examples: [1],
    }),
  key: z
    .literal(true)
    .optional()
    .describe("The element's key, where `each` goes through an object."),
  index: z
    .int()
    .min(0)
    .optional()
    .meta({ description: "The element's number in its list, counted from this.", examples: [1] }),
  fixed: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "A text that is the same for every message.", examples: ["rack-1"] }),
  of: z
    .int()
    .min(0)
    .optional()
    .meta({
      description: "Which level of `each` the `key` or `index` is of, counted from 0.",
      default: "the innermost",
      examples: [0],
    }),
  split: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "What the text is split at, to take one part of it.", examples: ["_"] }),
  part: z
    .union([
      z.int("write a whole number, or a range such as 1.."),
      z.string().regex(/^(?:-?\d{1,4})?\.\.(?:-?\d{1,4})?$/, "write a range such as 0..1 or 1.."),
    ])
    .optional()
    .meta({
      description:
        "Which part is taken, counted from 0; -1 is the last one. `0..1` takes the first two, and " +
        "`1..` all from the second on, with what is between them.",
      examples: [1],
    }),
};

const kindsOfPlace = ["path", "segment", "key", "index", "fixed"] as const;

/** What an error says of a place that names none of them, or several. */
export const onePlace = `give one of ${kindsOfPlace.slice(0, -1).join(", ")} and ${kindsOfPlace.at(-1)}`;

/** How many of the kinds a place names. */
const placesIn = (place: Partial<Record<(typeof kindsOfPlace)[number], unknown>>): number =>
  kindsOfPlace.filter((kind) => place[kind] !== undefined).length;

const splitNeedsPart = (place: { split?: string | undefined; part?: unknown }) =>
  (place.split === undefined) === (place.part === undefined);

/** The first and the last part that are taken, counted as a place's `part`; null for the end. */
export function partsOf(part: number | string = 0): [from: number, to: number | null] {
  if (typeof part === "number") return [part, part];
  const [from = "", to = ""] = part.split("..");
  return [from === "" ? 0 : Number(from), to === "" ? null : Number(to)];
}

/** Schema of where a text is: in the payload, in the topic, or the element's key or number. */
export const placeSchema = z
  .strictObject(placeKeys)
  .refine((place) => placesIn(place) === 1, onePlace)
  .refine(splitNeedsPart, "split and part go together")
  .meta({ examples: [{ segment: 1 }] });

/** Where a text is. */
export type Place = z.output<typeof placeSchema>;

/** The keys of {@link placeSchema}, for a schema that has others beside them. */
export const placeShape = placeKeys;
export { placesIn, splitNeedsPart };

/** Named spellings of a time. */
const timeFormats = ["iso8601", "http", "unix", "unix_ms", "unix_us", "unix_ns"] as const;

/** Parts of a declared spelling, longest first. */
const timeTokens = [
  "YYYY",
  "ddd",
  "MMM",
  "SSS",
  "YY",
  "MM",
  "DD",
  "HH",
  "hh",
  "mm",
  "ss",
  "M",
  "D",
  "H",
  "A",
  "Z",
];

const tokenPattern = new RegExp(`${timeTokens.join("|")}|[^]`, "g");

/** A declared spelling of a time as its tokens and the text between them. */
export const tokensOf = (format: string): string[] => format.match(tokenPattern) ?? [];

/** Whether a text has what a time needs: a year, month, day and hour. */
function isTimePattern(format: string): boolean {
  const tokens = tokensOf(format);
  const has = (...names: string[]) => names.some((name) => tokens.includes(name));
  const twelve = has("hh");
  return (
    has("YYYY", "YY") &&
    has("MMM", "MM", "M") &&
    has("DD", "D") &&
    has("HH", "H", "hh") &&
    twelve === has("A") &&
    tokens.every((token) => timeTokens.includes(token) || !/[A-Za-z0-9]/.test(token))
  );
}

/** Schema of an event's own time. */
export const timeSchema = z
  .strictObject({
    path: z.union([jsonPath, z.array(jsonPath).min(1)]).meta({
      description:
        "JSON path of the event's own time. A list of two for a date and a clock in keys of their own.",
      examples: ["timestamp"],
    }),
    format: z
      .string()
      .refine(
        (format) => timeFormats.some((name) => name === format) || isTimePattern(format),
        `write ${timeFormats.join(", ")}, or a pattern such as DD.MM.YYYY HH:mm:ss`,
      )
      .meta({
        description:
          "`iso8601` text in any spelling; `http`, such as `Fri, 13 Nov 2026 12:05:07 GMT`; `unix`, " +
          "`unix_ms`, `unix_us` or `unix_ns` for the Unix time in s, ms, µs or ns; or a pattern of " +
          "`YYYY` `YY` `MMM` `MM` `M` `DD` `D` `HH` `H` `hh` `A` `mm` `ss` `SSS` `Z` `ddd`. A fraction may " +
          "follow the seconds.",
        examples: ["iso8601"],
      }),
    zone: z
      .string()
      .refine(isZone, "write a time zone such as Europe/Berlin")
      .default("UTC")
      .meta({
        description:
          "Time zone of a time that names none. Of an hour that the end of daylight saving repeats, " +
          "the one nearer to the arrival is meant.",
        examples: ["Europe/Berlin"],
      }),
    optional: z
      .boolean()
      .default(false)
      .describe(
        "Whether a message may lack it without being counted. It is stored at its arrival.",
      ),
    lead: z
      .string()
      .regex(durationPattern, "write a duration such as 10m")
      .optional()
      .meta({
        description: "How far in the future a time is believed. Default: any.",
        unit: durationUnit,
        examples: ["10m"],
      }),
    outside: z
      .enum(["drop", "arrival"])
      .default("drop")
      .meta({
        description:
          "What happens to a message whose time is older than the retention, or further ahead than " +
          "`lead`: it is dropped, or stored at its arrival. It is counted in both cases.",
        examples: ["arrival"],
      }),
  })
  .meta({ examples: [{ path: "timestamp", format: "iso8601" }] });

/** An event's own time. */
export type Time = z.output<typeof timeSchema>;

const number = z
  .strictObject({
    decimal: z
      .enum([".", ","])
      .default(".")
      .meta({ description: "Decimal sign.", examples: [","] }),
    group: z
      .string()
      .length(1, "write one character")
      .optional()
      .meta({ description: "Sign between thousands.", examples: ["."] }),
    suffix: z
      .string()
      .min(1)
      .optional()
      .meta({ description: "Text behind the number, such as its unit.", examples: ["V"] }),
    base: z
      .literal([10, 16])
      .default(10)
      .meta({
        description: "Base of a whole number's digits; `0x` may stand before 16's.",
        examples: [16],
      }),
  })
  .refine(({ decimal, group }) => decimal !== group, "decimal and group must differ")
  .meta({ examples: [{ decimal: "," }] });

/** How a number is written in a text. */
export type NumberText = z.output<typeof number>;

/** Keys that say how a value is read. A source may have others than the field. */
export const readingShape = {
  path: jsonPath.optional().meta({
    description:
      "JSON path of the value in the payload, as of a tag. Where the measurement has `names`: the " +
      "name by which the gateway calls the value. Default: the field's name.",
    examples: ["cells.max.voltage"],
  }),
  scale: z
    .number()
    .refine((scale) => scale !== 0, "write a factor other than 0")
    .optional()
    .meta({
      description:
        "The value as sent times `scale`, plus `offset`, is in the unit `sent`. Default: 1. Only for a " +
        "number.",
      unit: "the unit `sent` per step",
      not: { const: 0 },
      examples: [0.001],
    }),
  offset: z
    .number()
    .optional()
    .meta({
      description: "What is added after `scale`. Default: 0. Only for a number.",
      unit: "the unit `sent`",
      examples: [-100],
    }),
  sent: z
    .enum(Object.keys(units) as [Unit, ...Unit[]])
    .optional()
    .meta({
      description: "Unit of the value as sent, which is converted to `unit`. Default: `unit`.",
      examples: ["mV"],
    }),
  number: number.optional().describe("How a number is written, where it is a text."),
  values: z
    .record(z.string(), z.union([z.string(), z.boolean()]))
    .optional()
    .meta({
      description:
        "What is stored for a value as sent: a text, or true or false. A text that is not listed is " +
        "stored as sent. Only for a string and a bool.",
      examples: [{ "0": "standby", "1": "charging" }],
    }),
  bit: z
    .int()
    .min(0)
    .max(63)
    .optional()
    .meta({
      description: "Bit of a whole number, counted from 0. Only for a bool.",
      examples: [3],
    }),
  has: z
    .string()
    .min(1)
    .optional()
    .meta({
      description:
        "What a list, or a text with commas, has while the value is true, such as an alarm's name. " +
        "Only for a bool.",
      examples: ["overvoltage"],
    }),
  absent: z
    .array(z.union([z.string(), z.number()]))
    .min(1)
    .optional()
    .meta({
      description:
        "Values as sent that mean *no reading*. They are passed over, as null is, and not counted.",
      examples: [[65535, "unavailable"]],
    }),
  signed: z
    .literal([8, 16, 32, 64])
    .optional()
    .meta({
      description:
        "Bits of a register whose number is sent without its sign: with 16, 65535 is -1. Only for a number.",
      examples: [16],
    }),
  exponent: jsonPath.optional().meta({
    description:
      "JSON path of the power of ten that the value as sent is multiplied by, such as SunSpec's `W_SF`. " +
      "A value without it is dropped. Only for a number.",
    examples: ["W_SF"],
  }),
};

const reading = z.strictObject(readingShape).meta({ examples: [{ path: "Soc", scale: 0.1 }] });

/** How a value is read. */
export type Reading = z.output<typeof reading>;

/** Schema of MQTT's topic patterns. */
export const topicPattern = z
  .string()
  .regex(
    /^(?![$\s])(?!.*\s$)(?:[^/#+\0]*|\+)(?:\/(?:[^/#+\0]*|\+))*(?:\/#)?$/,
    "write MQTT topic levels split by /, with + for a whole level and # for all that follow; not $ " +
      "or a space at an end",
  )
  .refine((topic) => topic !== "", "write a topic")
  .meta({
    description: "MQTT topic pattern; `+` stands for one level, `#` at the end for any number.",
    examples: ["battery/+/status"],
  });

const each = z.union([jsonPath, z.array(jsonPath).min(1).max(3)]).meta({
  description:
    "JSON path of a list whose elements are a row each, or of an object whose entries are, where a " +
    "`key` is taken. A list of paths goes into lists within lists. Other paths then begin at the " +
    "element.",
  examples: ["modules"],
});

const conditionText = z.union([z.string(), z.number(), z.boolean(), z.null()]);

const conditionSchema = z
  .strictObject({
    ...placeKeys,
    is: z
      .union([conditionText, z.array(conditionText).min(1)])
      .optional()
      .meta({
        description: "The text that must be there, or several; null for none. Default: any.",
        examples: ["battery"],
      }),
  })
  .refine((place) => placesIn(place) === 1, onePlace)
  .refine(splitNeedsPart, "split and part go together");

/** What must be at a place of a message or an element. */
export type Condition = z.output<typeof conditionSchema>;

const conditions = z.array(conditionSchema).min(1);

const textSchema = z
  .strictObject({
    lines: z
      .boolean()
      .default(false)
      .describe("Whether the payload is a list of lines. Without `split` each of them is JSON."),
    split: z
      .string()
      .min(1)
      .optional()
      .meta({ description: "What the payload, or a line, is split at.", examples: [";"] }),
    pairs: z
      .string()
      .min(1)
      .optional()
      .meta({
        description: "What stands between the key and the value of each part. Default: a list.",
        examples: ["="],
      }),
    header: z
      .boolean()
      .default(false)
      .describe("Whether the first line has the keys of the parts of the others."),
  })
  .refine(({ lines, split }) => lines || split !== undefined, "give lines, split or both")
  .refine(({ pairs, split }) => pairs === undefined || split !== undefined, "pairs needs split")
  .refine(({ header, lines, split }) => !header || (lines && split !== undefined), {
    path: ["header"],
    error: "header needs lines and split",
  })
  .refine(({ header, pairs }) => !header || pairs === undefined, "give pairs or header")
  .meta({ examples: [{ split: ";" }] });

/** How a payload is read that is no JSON. */
export type Text = z.output<typeof textSchema>;

/** What a source may say itself, and else takes from its measurement. */
export const shapeKeys = {
  each: each.optional(),
  names: placeSchema
    .optional()
    .describe("Where the name of the value is, of a message or an element that carries one value."),
  value: jsonPath.optional().meta({
    description: "JSON path of the value that `names` is the name of.",
    default: "@",
    examples: ["value"],
  }),
  where: conditions.optional().meta({
    description:
      "What a message or an element must say to be the measurement's: each entry must hold. Others are " +
      "passed over.",
    examples: [[{ path: "type", is: "battery" }]],
  }),
  good: conditions.optional().meta({
    description:
      "What a message or an element must say of its quality. Values of others are dropped and counted.",
    examples: [[{ path: "quality", is: ["Good", null] }]],
  }),
  text: textSchema
    .optional()
    .describe(
      "How a payload is read that is no JSON, but a text with several values. Its parts then have paths " +
        "as those of a list or an object have.",
    ),
};

/** Schema of one form in which a measurement's messages come. */
export const sourceSchema = z.strictObject({
  topic: z.union([topicPattern, z.array(topicPattern).min(1)]).meta({
    description: "MQTT topic pattern, or several.",
    examples: ["battery/+/status"],
  }),
  time: z
    .union([timeSchema, z.literal("arrival")])
    .optional()
    .describe("The event's own time, or `arrival`. Default: the measurement's."),
  ...shapeKeys,
  tags: z
    .record(z.string(), placeSchema)
    .default({})
    .meta({
      description: "Where tags are, by their names, if elsewhere.",
      examples: [{ id: { segment: 1 } }],
    }),
  fields: z
    .record(z.string(), z.union([jsonPath, reading]))
    .default({})
    .meta({
      description:
        "How fields are read, by their names, if otherwise: a JSON path, or keys of a field.",
      examples: [{ soc: "state.soc" }],
    }),
});
