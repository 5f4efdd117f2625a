import { z } from "zod";
import { parseYaml, readText } from "./files";
import { validate } from "./validation";
import { durationPattern, durationUnit, durationWithin, units, type Unit } from "./units";

/** What a field can measure. Dashboards and the simulator go by it, never by a field's name. */
export const quantities = [
  "state_of_charge",
  "state_of_health",
  "current",
  "current_in",
  "current_out",
  "voltage",
  "power",
  "power_set_point",
  "reactive_power",
  "reactive_power_set_point",
  "energy",
  "frequency",
  "temperature",
  "mode",
  "quality",
  "other",
] as const;

/** Circuits that a voltage and a current can belong to: the same circuit's product is its power. */
export const circuits = ["dc", "ac_a", "ac_b", "ac_c"] as const;

/** Names that InfluxDB or its query languages use themselves. */
const reserved = ["time", "_time", "_field", "_measurement"];

/** Tables that Telegraf writes about the pipeline and its host, as patterns for its `namepass`. */
export const pipelineTables = ["internal_*", "mosquitto", "cpu", "mem", "disk", "temp"];

const isPipelineTable = (name: string) =>
  pipelineTables.some((table) =>
    table.endsWith("*") ? name.startsWith(table.slice(0, -1)) : name === table,
  );

/** Columns that InfluxDB 3 Core takes in a table: the time, tags and fields. */
const mostColumns = 500;

const identifierPattern = /^[a-z][a-z0-9_]{0,62}$/;

/** JSON Schema's pattern of an identifier that is none of some names; `*` stands for any end. */
const identifierExcept = (names: string[]) =>
  `^(?!(${names.join("|").replaceAll("*", ".*")})$)${identifierPattern.source.slice(1)}`;

const identifier = z
  .string()
  .regex(
    identifierPattern,
    "write lower case letters, digits and _, starting with a letter, at most 63",
  )
  .refine((name) => !reserved.includes(name), `${reserved.join(", ")} are reserved`)
  .meta({ pattern: identifierExcept(reserved) });

const jsonPath = z
  .string()
  .regex(
    /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/,
    "write a JSON path such as soc or cells.max.voltage",
  );

const meaning = z.string().min(1, "say in a sentence what it means");

const tag = z
  .strictObject({
    name: identifier.meta({ description: "Name of the tag in InfluxDB.", examples: ["unit"] }),
    path: jsonPath.optional().meta({
      description: "JSON path in the payload. Write either `path` or `segment`.",
      examples: ["id"],
    }),
    segment: z
      .int()
      .min(0)
      .optional()
      .meta({
        description: "Segment of the topic, counted from 0. Write either `path` or `segment`.",
        examples: [1],
      }),
    meaning: meaning.meta({
      description: "What the tag identifies, in a sentence.",
      examples: ["Identifier of the battery unit."],
    }),
  })
  .refine(
    (t) => (t.path === undefined) !== (t.segment === undefined),
    "give either path or segment",
  )
  .meta({
    examples: [{ name: "unit", segment: 1, meaning: "Identifier of the battery unit." }],
    oneOf: [{ required: ["path"] }, { required: ["segment"] }],
  });

/** JSON Schema of what fields of other types must keep to. */
const onlyFor = (types: string[], otherwise: Record<string, unknown>) => ({
  if: { properties: { type: { enum: types } } },
  else: { properties: otherwise },
});

const field = z
  .strictObject({
    name: identifier.meta({ description: "Name of the field in InfluxDB.", examples: ["voltage"] }),
    path: jsonPath.meta({
      description: "JSON path of the value in the payload.",
      examples: ["cells.max.voltage"],
    }),
    type: z.enum(["float", "int", "bool", "string"]).describe("Type of the stored value."),
    unit: z
      .enum(Object.keys(units) as [Unit, ...Unit[]])
      .default("")
      .meta({ description: "Unit of the stored value.", examples: ["V"] }),
    scale: z
      .number()
      .positive("write a factor over 0")
      .default(1)
      .meta({
        description: "The payload's value times `scale` is the stored value. Only for a float.",
        unit: "the field's `unit` per payload unit",
        examples: [0.001],
      }),
    range: z
      .tuple([z.number(), z.number()], "write two numbers: [lowest, highest]")
      .refine(([low, high]) => low <= high, "the first must not be greater than the second")
      .optional()
      .meta({
        description:
          "Normal range of the stored value: `[lowest, highest]`; `[0, 0]` where only 0 is normal. " +
          "A value outside is stored, and dashboards show it as abnormal. Only for a number.",
        unit: "the field's `unit`",
        examples: [[650, 850]],
      }),
    quantity: z
      .enum(quantities)
      .default("other")
      .meta({
        description:
          "Physical quantity. Dashboards and the simulator go by it, never by a field's name.",
        examples: ["voltage"],
      }),
    circuit: z
      .enum(circuits)
      .default("dc")
      .meta({
        description: "Electrical circuit that a voltage or a current belongs to.",
        examples: ["ac_a"],
      }),
    meaning: meaning.meta({
      description: "What the value means, in a sentence.",
      examples: ["DC voltage at the terminals."],
    }),
  })
  .refine((f) => f.scale === 1 || f.type === "float", {
    path: ["scale"],
    error: "only a float can be scaled",
  })
  .refine((f) => f.range === undefined || f.type === "float" || f.type === "int", {
    path: ["range"],
    error: "only a number has a range",
  })
  .refine((f) => f.unit === "" || f.type === "float" || f.type === "int", {
    path: ["unit"],
    error: "only a number has a unit",
  })
  .meta({
    allOf: [
      onlyFor(["float"], { scale: { const: 1 } }),
      onlyFor(["float", "int"], { range: false, unit: { const: "" } }),
    ],
  });

const measurement = z.strictObject({
  name: identifier
    .refine(
      (name) => !isPipelineTable(name),
      `${pipelineTables.join(", ")} are the pipeline's own tables`,
    )
    .meta({
      description: "Name of the table in InfluxDB.",
      examples: ["battery"],
      pattern: identifierExcept([...reserved, ...pipelineTables]),
    }),
  title: z
    .string()
    .min(1)
    .meta({ description: "Title on dashboards and in documents.", examples: ["Battery"] }),
  meaning: meaning.meta({
    description: "What one message reports, in a sentence.",
    examples: ["One battery string as its battery management system reports it."],
  }),
  topic: z
    .string()
    .regex(
      /^[^/#+$\s]+(\/([^/#+$\s]+|\+))*$/,
      "write MQTT topic levels split by /, with + for a whole level; neither #, $ nor spaces",
    )
    .meta({
      description: "MQTT topic pattern; `+` stands for one level.",
      examples: ["battery/+/status"],
    }),
  interval: z
    .string()
    .regex(durationPattern, "write a duration such as 1s or 500ms")
    .refine(durationWithin("1ms", "366d"), "write 366d at most")
    .meta({
      description: "Expected time between two messages of one unit.",
      unit: durationUnit,
      examples: ["1s"],
    }),
  time: z
    .strictObject({
      path: jsonPath.meta({
        description: "JSON path of the event's own time.",
        examples: ["timestamp"],
      }),
      format: z.enum(["iso8601", "unix", "unix_ms", "unix_us", "unix_ns"]).meta({
        description:
          "ISO 8601 text, or the Unix time in s, ms, µs or ns. A time without a zone is UTC.",
        examples: ["iso8601"],
      }),
    })
    .describe("The event's own time. A message without it is stored at the time of its arrival."),
  tags: z
    .array(tag)
    .min(1, "name at least one tag that tells the units apart")
    .describe("What tells one unit from another: InfluxDB's tags."),
  fields: z
    .array(field)
    .min(1, "name at least one field")
    .describe("Values of a message: InfluxDB's fields."),
});

/** The telemetry model's schema; docs/telemetry-model.md is generated from it. */
export const modelSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,30}$/, "write lower case letters, digits and -")
      .meta({ description: "Name of the model.", examples: ["bess-fleet"] }),
    title: z
      .string()
      .min(1)
      .meta({ description: "Title on dashboards and in documents.", examples: ["BESS fleet"] }),
    measurements: z
      .array(measurement)
      .min(1, "declare at least one measurement")
      .describe("One measurement for each topic pattern."),
  })
  .superRefine((model, context) => {
    const duplicate = (path: PropertyKey[], what: string, names: string[]) =>
      names.forEach((name, i) => {
        const first = names.indexOf(name);
        if (first < i)
          context.addIssue({
            code: "custom",
            path: path.concat(i),
            message: `${what} "${name}" is declared twice; the first is number ${first + 1}`,
          });
      });
    duplicate(
      ["measurements"],
      "measurement",
      model.measurements.map((m) => m.name),
    );
    model.measurements.forEach((m, i) => {
      const at = ["measurements", i];
      duplicate(
        [...at, "tags"],
        "tag",
        m.tags.map((t) => t.name),
      );
      duplicate(
        [...at, "fields"],
        "field",
        m.fields.map((f) => f.name),
      );
      const columns = 1 + m.tags.length + m.fields.length;
      if (columns > mostColumns)
        context.addIssue({
          code: "custom",
          path: [...at, "fields"],
          message:
            `${m.fields.length} fields, ${m.tags.length} tags and the time are ${columns} columns; ` +
            `InfluxDB takes ${mostColumns} a table: split the measurement`,
        });
      m.fields.forEach((f, j) => {
        const samePath = m.fields.slice(0, j).find((earlier) => earlier.path === f.path);
        if (samePath)
          context.addIssue({
            code: "custom",
            path: [...at, "fields", j, "path"],
            message: `field "${samePath.name}" has this path already; every field needs its own`,
          });
        if (m.tags.some((t) => t.name === f.name))
          context.addIssue({
            code: "custom",
            path: [...at, "fields", j, "name"],
            message: "a tag has this name already",
          });
      });
      m.tags.forEach((t, j) => {
        const levels = m.topic.split("/").length;
        if (t.segment !== undefined && t.segment >= levels)
          context.addIssue({
            code: "custom",
            path: [...at, "tags", j, "segment"],
            message: `the topic ${m.topic} has segments 0 to ${levels - 1}`,
          });
        for (const key of ["segment", "path"] as const) {
          const other = m.tags
            .slice(0, j)
            .find((earlier) => t[key] !== undefined && earlier[key] === t[key]);
          if (other)
            context.addIssue({
              code: "custom",
              path: [...at, "tags", j, key],
              message: `tag "${other.name}" has this ${key} already; every tag needs its own`,
            });
        }
      });
      model.measurements.slice(0, i).forEach((other) => {
        if (topicsOverlap(m.topic, other.topic))
          context.addIssue({
            code: "custom",
            path: [...at, "topic"],
            message: `a message could match ${other.topic} of ${other.name} too`,
          });
      });
    });
  });

/** A validated telemetry model. */
export type Model = z.output<typeof modelSchema>;
/** One measurement of a model: one topic pattern, one table. */
export type Measurement = Model["measurements"][number];
/** One field of a measurement. */
export type Field = Measurement["fields"][number];
/** One tag of a measurement: what tells one unit from another. */
export type Tag = Measurement["tags"][number];

/**
 * The first entry of a list that the model's schema keeps from being empty.
 * @throws RangeError if it is empty.
 */
export function first<T>(list: readonly T[]): T {
  const [entry] = list;
  if (entry === undefined) throw new RangeError("a list of a validated model is empty");
  return entry;
}

/** Whether one topic can match two patterns that have `+` as their only wildcard. */
function topicsOverlap(a: string, b: string): boolean {
  const [left, right] = [a.split("/"), b.split("/")];
  return (
    left.length === right.length &&
    left.every((level, i) => level === right[i] || level === "+" || right[i] === "+")
  );
}

/** Models by their file, as long as its text is the same. */
const loaded = new Map<string, { text: string; model: Model }>();

/**
 * Reads a telemetry model; a file that has not changed since the last time is not parsed again.
 * @param file path of a YAML file.
 * @throws InputError if the file cannot be read, is no YAML in UTF-8, or breaks the schema.
 */
export function loadModel(file: string): Model {
  const text = readText(file);
  const known = loaded.get(file);
  if (known?.text === text) return known.model;
  const model = validate(modelSchema, parseYaml(text, file), file);
  loaded.set(file, { text, model });
  return model;
}
