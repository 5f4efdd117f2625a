import { readFileSync } from "node:fs";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { InputError, validate } from "./validation";
import { durationPattern, units, type Unit } from "./units";

/** What a field measures, in the field's own terms; dashboards and the simulator go by it, never by a field's name. */
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

/** Names that InfluxDB takes for itself, or that a query could not tell from its own words. */
const reserved = ["time", "_time", "_field", "_measurement"];

/** Tables that Telegraf writes about the pipeline and its host; `internal_*` stands for all that begin so. */
export const pipelineTables = ["internal_*", "mosquitto", "cpu", "mem", "disk", "temp"];

const isPipelineTable = (name: string) =>
  pipelineTables.some((table) =>
    table.endsWith("*") ? name.startsWith(table.slice(0, -1)) : name === table,
  );

const identifier = z
  .string()
  .regex(
    /^[a-z][a-z0-9_]{0,62}$/,
    "write lower case letters, digits and _, starting with a letter, at most 63",
  )
  .refine((name) => !reserved.includes(name), `${reserved.join(", ")} are reserved`);

const jsonPath = z
  .string()
  .regex(
    /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/,
    "write a JSON path such as soc or cells.max.voltage",
  );

const meaning = z.string().min(1, "say in a sentence what it means");

const tag = z
  .strictObject({
    name: identifier.describe("Name of the tag in InfluxDB."),
    path: jsonPath.optional().describe("JSON path in the payload. One of path and segment."),
    segment: z
      .int()
      .min(0)
      .optional()
      .describe("Segment of the topic, counted from 0. One of path and segment."),
    meaning: meaning.describe("What the tag tells, in a sentence."),
  })
  .refine(
    (t) => (t.path === undefined) !== (t.segment === undefined),
    "give either path or segment",
  );

const field = z
  .strictObject({
    name: identifier.describe("Name of the field in InfluxDB."),
    path: jsonPath.describe("JSON path of the value in the payload."),
    type: z.enum(["float", "int", "bool", "string"]).describe("Type that is stored."),
    unit: z
      .enum(Object.keys(units) as [Unit, ...Unit[]])
      .default("")
      .describe("Unit that is stored."),
    scale: z
      .number()
      .positive("write a factor over 0")
      .default(1)
      .describe("Factor from the payload's value to the unit."),
    range: z
      .tuple([z.number(), z.number()])
      .refine(([low, high]) => low < high, "the first must be less than the second")
      .optional()
      .describe(
        "Normal range, in the unit: [lowest, highest]. Outside it is shown as abnormal; it is stored all the same.",
      ),
    quantity: z.enum(quantities).default("other").describe("What the field measures."),
    circuit: z
      .enum(circuits)
      .default("dc")
      .describe("Circuit that a voltage or a current belongs to."),
    meaning: meaning.describe("What the value tells, in a sentence."),
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
  });

const measurement = z.strictObject({
  name: identifier
    .refine(
      (name) => !isPipelineTable(name),
      `${pipelineTables.join(", ")} are the pipeline's own tables`,
    )
    .describe("Name of the table in InfluxDB."),
  title: z.string().min(1).describe("Name that people read."),
  meaning: meaning.describe("What one message tells, in a sentence."),
  topic: z
    .string()
    .regex(
      /^[^/#+$\s]+(\/([^/#+$\s]+|\+))*$/,
      "write MQTT topic levels split by /, with + for a whole level; neither #, $ nor spaces",
    )
    .describe("MQTT topic pattern; + stands for one level."),
  interval: z
    .string()
    .regex(durationPattern, "write a duration such as 1s or 500ms")
    .describe("Expected time between two messages of one unit."),
  time: z
    .strictObject({
      path: jsonPath.describe("JSON path of the event's own time."),
      format: z
        .enum(["iso8601", "unix", "unix_ms", "unix_us", "unix_ns"])
        .describe("Format of the time; one without a zone is UTC."),
    })
    .describe("The event's own time. A message without it is stored at its arrival."),
  tags: z
    .array(tag)
    .min(1, "name at least one tag that tells the units apart")
    .describe("What tells one unit from another."),
  fields: z.array(field).min(1, "name at least one field").describe("What a message measures."),
});

/** The telemetry model's schema; docs/telemetry-model.md is generated from it. */
export const modelSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,30}$/, "write lower case letters, digits and -")
      .describe("Name of the model."),
    title: z.string().min(1).describe("Name that people read."),
    measurements: z
      .array(measurement)
      .min(1, "declare at least one measurement")
      .describe("One per topic pattern."),
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
      m.fields.forEach((f, j) => {
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
        const other = m.tags
          .slice(0, j)
          .find((earlier) => t.segment !== undefined && earlier.segment === t.segment);
        if (other)
          context.addIssue({
            code: "custom",
            path: [...at, "tags", j, "segment"],
            message: `tag "${other.name}" has this segment already; a segment makes one tag`,
          });
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

/** Whether one topic can match two patterns that have `+` as their only wildcard. */
function topicsOverlap(a: string, b: string): boolean {
  const [left, right] = [a.split("/"), b.split("/")];
  return (
    left.length === right.length &&
    left.every((level, i) => level === right[i] || level === "+" || right[i] === "+")
  );
}

/**
 * Reads a telemetry model.
 * @param file path of a YAML file.
 * @throws InputError if the file cannot be read, is no YAML, or breaks the schema.
 */
export function loadModel(file: string): Model {
  let input: unknown;
  try {
    input = parseYaml(readFileSync(file, "utf8"));
  } catch (error) {
    throw new InputError(file, [(error as Error).message]);
  }
  return validate(modelSchema, input, file);
}
