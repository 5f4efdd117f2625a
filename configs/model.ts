import * as z from "zod";
import { parseYaml, readText } from "./files";
import {
  type Condition,
  hereKey,
  onePlace,
  parsePath,
  type Place,
  placesIn,
  placeShape,
  type Reading,
  readingShape,
  shapeKeys,
  sourceSchema,
  splitNeedsPart,
  type Text,
  type Time,
  timeSchema,
  topicPattern,
} from "./payload";
import { text, validate } from "./validation";
import { durationPattern, durationUnit, durationWithin, units, type Unit } from "./units";
import { isWatch, numberKeys, watchShape } from "./watch";

/** What a field can measure. Dashboards and the simulator go by it, never by a field's name. */
export const quantities = [
  "state_of_charge",
  "state_of_health",
  "current",
  "current_in",
  "current_out",
  "voltage",
  "cell_voltage",
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
export const pipelineTables = ["internal_*", "mosquitto", "mqtt_*", "cpu", "mem", "disk", "temp"];

const isPipelineTable = (name: string) =>
  pipelineTables.some((table) =>
    table.endsWith("*") ? name.startsWith(table.slice(0, -1)) : name === table,
  );

/** Columns that InfluxDB 3 Core takes in a table: the time, tags and fields. */
export const mostColumns = 500;

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

const meaning = z.string().min(1, "say in a sentence what it means");

const tag = z
  .strictObject({
    name: identifier.meta({ description: "Name of the tag in InfluxDB.", examples: ["unit"] }),
    ...placeShape,
    optional: z
      .boolean()
      .default(false)
      .describe(
        "Whether a message may lack it, or leave it empty. Else such a message is dropped.",
      ),
    default: z
      .string()
      .min(1)
      .optional()
      .meta({ description: "What is stored where a message lacks it.", examples: ["main"] }),
    meaning: meaning.meta({
      description: "What the tag identifies, in a sentence.",
      examples: ["Identifier of the battery unit."],
    }),
  })
  .refine((t) => placesIn(t) <= 1, onePlace)
  .refine(splitNeedsPart, "split and part go together")
  .meta({
    examples: [{ name: "unit", segment: 1, meaning: "Identifier of the battery unit." }],
    not: { required: ["path", "segment"] },
  });

/** JSON Schema of what fields of other types must keep to. */
const onlyFor = (types: string[], otherwise: Record<string, unknown>) => ({
  if: { properties: { type: { enum: types } } },
  else: { properties: otherwise },
});

const field = z
  .strictObject({
    name: identifier.meta({ description: "Name of the field in InfluxDB.", examples: ["voltage"] }),
    ...readingShape,
    type: z.enum(["float", "int", "bool", "string"]).describe("Type of the stored value."),
    unit: z
      .enum(Object.keys(units) as [Unit, ...Unit[]])
      .default("")
      .meta({ description: "Unit of the stored value.", examples: ["V"] }),
    scale: readingShape.scale
      .unwrap()
      .default(1)
      .meta({
        ...readingShape.scale.meta(),
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
    ...watchShape,
    quantity: z
      .enum(quantities)
      .default("other")
      .meta({
        description:
          "Physical quantity. Dashboards and the simulator go by it, never by a field's name.",
        examples: ["voltage"],
      }),
    extreme: z
      .enum(["highest", "lowest"])
      .optional()
      .meta({
        description:
          "Which of a unit's cells or sensors the value is of. Without it: a certain one, or all together.",
        examples: ["highest"],
      }),
    circuit: z
      .enum(circuits)
      .default("dc")
      .meta({
        description: "Electrical circuit that a voltage or a current belongs to.",
        examples: ["ac_a"],
      }),
    positive: z
      .enum(["discharging", "charging"])
      .default("discharging")
      .meta({
        description:
          "What the battery does while the stored current or power is positive. Dashboards and " +
          "figures go by it. To turn a sign, write `scale: -1`.",
        examples: ["charging"],
      }),
    meaning: meaning.meta({
      description: "What the value means, in a sentence.",
      examples: ["DC voltage at the terminals."],
    }),
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
      onlyFor(["float", "int"], {
        scale: { const: 1 },
        offset: false,
        sent: false,
        signed: false,
        exponent: false,
        range: false,
        unit: { const: "" },
        ...Object.fromEntries(numberKeys.map((key) => [key, false])),
      }),
      onlyFor(["bool", "string"], { alarm: false }),
      onlyFor(["float", "int", "bool"], { number: false }),
      onlyFor(["string", "bool"], { values: false }),
      onlyFor(["bool"], { bit: false, has: false }),
    ],
  });

/** What is wrong with a way of reading a field, by the key; nothing where it is right. */
function readingFindings(type: FieldType, unit: Unit, reading: Reading): [string, string][] {
  const { scale = 1, offset, sent, number, values, bit, has, signed, exponent } = reading;
  const isNumeric = isNumber({ type });
  const texts = Object.values(values ?? {});
  const kind = type === "bool" ? "boolean" : "string";
  const converts = sent === undefined || units[sent].measures === units[unit].measures;
  const found: [boolean, string, string][] = [
    [scale !== 1 && !isNumeric, "scale", "only a number can be scaled"],
    [offset !== undefined && !isNumeric, "offset", "only a number has an offset"],
    [sent !== undefined && !isNumeric, "sent", "only a number has a unit"],
    [!converts, "sent", `it is no unit of ${units[unit].measures}, which "${unit}" is`],
    [number !== undefined && type === "string", "number", "a text is stored as it is sent"],
    [values !== undefined && isNumeric, "values", "only a string or a bool has values"],
    [texts.some((text) => typeof text !== kind), "values", `a ${type} needs values of its type`],
    [bit !== undefined && type !== "bool", "bit", "only a bool is a bit"],
    [bit !== undefined && values !== undefined, "bit", "a bit has no values"],
    [has !== undefined && type !== "bool", "has", "only a bool says whether something is there"],
    [has !== undefined && (bit ?? values) !== undefined, "has", "it goes with no bit or values"],
    [signed !== undefined && !isNumeric, "signed", "only a number has a sign"],
    [exponent !== undefined && !isNumeric, "exponent", "only a number has an exponent"],
  ];
  return found.flatMap(([wrong, key, message]) => (wrong ? [[key, message]] : []));
}

/** The number by which a unit shows that it works while `of` may be stuck: a flow, else any other. */
export function workOf(fields: readonly Field[], of: Field): Field | undefined {
  const others = fields.filter((f) => f.name !== of.name && isNumber(f));
  const flows: Field["quantity"][] = ["power", "current", "current_in", "current_out"];
  return others.find((f) => flows.includes(f.quantity)) ?? others[0];
}

/** The power that follows a set point: of the same circuit, in a unit that converts. */
export const followerOf = (fields: readonly Field[], setPoint: Field): Field | undefined =>
  fields.find(
    (f) =>
      f.quantity === followed[setPoint.quantity] &&
      f.circuit === setPoint.circuit &&
      units[f.unit].measures === units[setPoint.unit].measures,
  );

/** The lowest value that belongs to a highest one: of the same quantity and unit. */
export const lowestOf = (fields: readonly Field[], highest: Field): Field | undefined =>
  highest.extreme === "highest"
    ? fields.find(
        (f) => f.extreme === "lowest" && f.quantity === highest.quantity && f.unit === highest.unit,
      )
    : undefined;

const followed: Partial<Record<Field["quantity"], Field["quantity"]>> = {
  power_set_point: "power",
  reactive_power_set_point: "reactive_power",
};

/** Whether a field is a number. */
export const isNumber = ({ type }: Pick<Field, "type">): boolean =>
  type === "float" || type === "int";

/** What is wrong with the keys of a field by which alerts are made. */
function watchFindings(m: Pick<Measurement, "fields" | "tags">, f: Field): [string, string][] {
  const { limits, range, drift, spread, follow, alarm } = f;
  const follows = Object.keys(followed).join(" or ");
  const inside =
    !limits || !range || (limits[0] <= range[0] && range[1] <= limits[1])
      ? undefined
      : `the range ${range.join(" to ")} must lie within`;
  const tags = m.tags.map(({ name }) => name);
  const found: [boolean, string, string][] = [
    ...numberKeys.map((key): [boolean, string, string] => [
      f[key] !== undefined && !isNumber(f),
      key,
      "only a number has it",
    ]),
    [inside !== undefined, "limits", inside ?? ""],
    [
      f.stuckAfter !== undefined && !workOf(m.fields, f),
      "stuckAfter",
      "no other number of the measurement shows whether its unit works",
    ],
    [
      drift?.among !== undefined && !tags.includes(drift.among),
      "drift",
      `the measurement has the tags ${tags.join(", ")}`,
    ],
    [
      drift !== undefined && tags.every((tag) => tag === drift.among),
      "drift",
      "no tag is left that tells units apart",
    ],
    [
      spread !== undefined && !lowestOf(m.fields, f),
      "spread",
      "only a field with extreme: highest has it, beside one with extreme: lowest, the same quantity and unit",
    ],
    [
      follow !== undefined && !followerOf(m.fields, f),
      "follow",
      `only a ${follows} has it, beside the power of the same circuit`,
    ],
    [alarm !== undefined && isNumber(f), "alarm", "only a bool or a string is an alarm"],
    [
      alarm !== undefined && (typeof alarm === "string") !== (f.type === "bool"),
      "alarm",
      "write a severity for a bool, and values with their severities for a string",
    ],
  ];
  return found.flatMap(([wrong, key, message]) => (wrong ? [[key, message]] : []));
}

const measurement = z
  .strictObject({
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
      .union([topicPattern, z.array(topicPattern).min(1)])
      .optional()
      .meta({
        description: "MQTT topic pattern, or several. Write either `topic` or `sources`.",
        examples: ["battery/+/status"],
      }),
    interval: text(durationPattern, "write a duration such as 1s or 500ms")
      .refine(durationWithin("1ms", "366d"), "write 366d at most")
      .meta({
        description: "Expected time between two messages of one unit.",
        unit: durationUnit,
        examples: ["1s"],
      }),
    time: timeSchema
      .optional()
      .describe(
        "The event's own time. Without it a message is stored at the time at which the broker got it.",
      ),
    ...shapeKeys,
    tags: z
      .array(tag)
      .min(1, "name at least one tag that tells the units apart")
      .describe("What tells one unit from another: InfluxDB's tags."),
    fields: z
      .array(field)
      .min(1, "name at least one field")
      .describe("Values of a message: InfluxDB's fields."),
    sources: z
      .array(sourceSchema)
      .min(1)
      .optional()
      .describe(
        "Forms in which messages of the measurement come, where there are several. Each takes from the " +
          "measurement what it does not say itself.",
      ),
  })
  .meta({
    oneOf: [{ required: ["topic"] }, { required: ["sources"] }],
    examples: [
      {
        name: "battery",
        title: "Battery",
        meaning: "One battery string.",
        topic: "battery/+/status",
        interval: "1s",
        time: { path: "timestamp", format: "iso8601" },
        tags: [{ name: "unit", segment: 1, meaning: "Identifier of the battery unit." }],
        fields: [{ name: "soc", type: "float", unit: "%", meaning: "State of charge." }],
      },
    ],
  });

type FieldType = z.output<typeof field>["type"];

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
      .describe("One measurement for each table."),
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
      const issue = (path: PropertyKey[], message: string) =>
        context.addIssue({ code: "custom", path: [...at, ...path], message });
      m.fields.forEach((f, j) => {
        const same = m.fields
          .slice(0, j)
          .find(
            (earlier) =>
              pathOf(earlier) === pathOf(f) && earlier.bit === f.bit && earlier.has === f.has,
          );
        if (same)
          issue(
            ["fields", j, "path"],
            `field "${same.name}" has this path already; every field needs its own`,
          );
        if (m.tags.some((t) => t.name === f.name))
          issue(["fields", j, "name"], "a tag has this name already");
        for (const [key, message] of readingFindings(f.type, f.unit, f))
          issue(["fields", j, key], message);
        for (const [key, message] of watchFindings(m, f)) issue(["fields", j, key], message);
        if (f.positive === "charging" && !signed.includes(f.quantity))
          issue(["fields", j, "positive"], `only ${signed.join(", ")} have a sign`);
      });
      m.tags.forEach((t, j) => {
        for (const key of ["segment", "path"] as const) {
          const other = m.tags
            .slice(0, j)
            .find(
              (earlier) =>
                t[key] !== undefined && earlier[key] === t[key] && earlier.part === t.part,
            );
          if (other)
            issue(
              ["tags", j, key],
              `tag "${other.name}" has this ${key} already; every tag needs its own`,
            );
        }
      });
      if ((m.topic === undefined) === (m.sources === undefined)) {
        issue([m.topic === undefined ? "topic" : "sources"], "write either topic or sources");
        return;
      }
      checkSources(m, issue);
    });
  });

/** A validated telemetry model. */
export type Model = z.output<typeof modelSchema>;
/** One measurement of a model: one table. */
export type Measurement = Model["measurements"][number];
/** One field of a measurement. */
export type Field = Measurement["fields"][number];
/** One tag of a measurement: what tells one unit from another. */
export type Tag = Measurement["tags"][number];

/** A model without what only alerts read: a service that has this one need not follow a changed limit. */
export const withoutWatch = (model: Model): Model => ({
  ...model,
  measurements: model.measurements.map((m) => ({
    ...m,
    fields: m.fields.map(
      (field) =>
        Object.fromEntries(Object.entries(field).filter(([key]) => !isWatch(key))) as Field,
    ),
  })),
});

/**
 * The first entry of a list that the model's schema keeps from being empty.
 * @throws RangeError if it is empty.
 */
export function first<T>(list: readonly T[]): T {
  const [entry] = list;
  if (entry === undefined) throw new RangeError("a list of a validated model is empty");
  return entry;
}

/** Quantities whose sign says whether the battery charges. */
const signed: readonly Field["quantity"][] = ["current", "power", "power_set_point"];

/** JSON path of a field, or its name in a list of names. Default: the field's name. */
export const pathOf = ({ path, name }: Pick<Field, "path" | "name">): string => path ?? name;

/** One form in which a measurement's messages come, with all that it takes from the measurement. */
export interface Source {
  /** MQTT topic patterns. */
  topics: string[];
  /** The event's own time; undefined where the arrival is the time. */
  time: Time | undefined;
  /** JSON paths of lists within lists, whose innermost elements are a row each. */
  each: string[];
  names: Place | undefined;
  /** JSON path of the value that `names` is of. */
  value: string;
  /** What makes a message or an element the measurement's. */
  where: Condition[];
  /** What makes its values good. */
  good: Condition[];
  /** How a payload is read that is no JSON. */
  text: Text | undefined;
  /** Where each tag is, in the order of the measurement's. */
  tags: { tag: Tag; place: Place | undefined }[];
  /** How each field is read, in the order of the measurement's. */
  fields: { field: Field; reading: Reading & { path: string } }[];
}

/** A value, or the values of a list. */
const listed = <T>(value: T | T[] | undefined): T[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value];

type OwnSource = NonNullable<Measurement["sources"]>[number];

/** The forms in which a measurement's messages come. */
export const sourcesOf = (m: Measurement): Source[] =>
  (m.sources ?? [{ topic: m.topic ?? [], tags: {}, fields: {} }]).map((own: OwnSource) => {
    const { time = m.time, each = m.each, names = m.names, value = m.value ?? "@" } = own;
    const { where = m.where ?? [], good = m.good ?? [], text: read = m.text } = own;
    return {
      topics: listed(own.topic),
      time: time === "arrival" ? undefined : time,
      each: listed(each),
      names,
      value,
      where,
      good,
      text: read,
      tags: m.tags.map((t) => {
        const { path, segment, key, index, fixed, of, split, part } = t;
        const place = { path, segment, key, index, fixed, of, split, part };
        return { tag: t, place: own.tags[t.name] ?? (placesIn(place) > 0 ? place : undefined) };
      }),
      fields: m.fields.map((f) => {
        const { path = pathOf(f), scale, offset, sent, number, values, bit } = f;
        const { has, absent, signed, exponent } = f;
        const declared = {
          scale,
          offset,
          sent,
          number,
          values,
          bit,
          has,
          absent,
          signed,
          exponent,
        };
        const change = own.fields[f.name] ?? {};
        const { path: other = path, ...rest } =
          typeof change === "string" ? { path: change } : change;
        return {
          field: f,
          reading: { ...declared, ...rest, path: other },
        };
      }),
    };
  });

/** The topic patterns of a measurement. */
export const topicsOf = (m: Measurement): string[] => sourcesOf(m).flatMap(({ topics }) => topics);

/** Checks the forms of a measurement's messages, and what they say of its tags and fields. */
function checkSources(m: Measurement, issue: (path: PropertyKey[], message: string) => void): void {
  const sources = sourcesOf(m);
  const patterns: { topic: string; at: PropertyKey[] }[] = [];
  sources.forEach((source, i) => {
    const at = m.sources ? ["sources", i] : [];
    const own = m.sources?.[i];
    for (const [kind, declared] of [
      ["tags", m.tags],
      ["fields", m.fields],
    ] as const)
      for (const name of Object.keys(own?.[kind] ?? {}))
        if (!declared.some((entry) => entry.name === name))
          issue(
            [...at, kind, name],
            `${m.name} has the ${kind} ${declared.map((entry) => entry.name).join(", ")}`,
          );
    source.tags.forEach(({ tag: t, place }, j) => {
      const path = own?.tags[t.name] ? [...at, "tags", t.name] : ["tags", j];
      if (place) checkPlace(place, source, path, issue);
      else if (!t.optional && t.default === undefined) issue(["tags", j], onePlace);
    });
    if (source.names) checkPlace(source.names, source, [...at, "names"], issue);
    for (const key of ["where", "good"] as const)
      for (const condition of source[key]) checkPlace(condition, source, [...at, key], issue);
    source.fields.forEach(({ field: f, reading }, j) => {
      if (
        source.each.length === 0 &&
        !source.names &&
        parsePath(reading.path).keys.includes(hereKey)
      )
        issue(
          own?.fields[f.name] === undefined ? ["fields", j, "path"] : [...at, "fields", f.name],
          "only an element of each has a #; \\# is a key that is called so",
        );
      if (own?.fields[f.name] === undefined) return;
      for (const [key, message] of readingFindings(f.type, f.unit, reading))
        issue([...at, "fields", f.name, key], message);
    });
    if (source.time && listed(source.time.path).length > 1)
      checkParts(source.time, [...at, "time"], issue);
    source.topics.forEach((topic, j) => {
      const path = Array.isArray(own?.topic ?? m.topic) ? [...at, "topic", j] : [...at, "topic"];
      const other = patterns.find((earlier) => topicsOverlap(earlier.topic, topic));
      // One pattern in two forms is a gateway of two firmwares; two patterns would store twice.
      const allowed = other?.topic === topic && other.at[1] !== path[1];
      if (other && !allowed) issue(path, `a message could match ${other.topic} too`);
      patterns.push({ topic, at: path });
    });
  });
}

/** Checks that the topic and the lists of a source have what a place names. */
function checkPlace(
  { segment, key, index, of }: Place,
  { topics, each }: Source,
  path: PropertyKey[],
  issue: (path: PropertyKey[], message: string) => void,
): void {
  for (const topic of topics) {
    const open = topic.endsWith("#");
    const levels = topic.split("/").length - Number(open);
    if (segment === "#" && !open) issue([...path, "segment"], `the topic ${topic} has no #`);
    if (typeof segment !== "number") continue;
    const least = segment < 0 ? -segment : segment + 1;
    if (least > levels && !open)
      issue([...path, "segment"], `the topic ${topic} has segments 0 to ${levels - 1}`);
  }
  if ((key || index !== undefined) && each.length === 0)
    issue([...path, key ? "key" : "index"], "only an element of each has one");
  if (of !== undefined && of >= each.length)
    issue([...path, "of"], `each has ${each.length} levels, counted from 0`);
}

/** Checks that a time in several keys has a pattern that can be split among them. */
function checkParts(
  { path, format }: Time,
  at: PropertyKey[],
  issue: (path: PropertyKey[], message: string) => void,
): void {
  const parts = listed(path).length;
  const given = format === "iso8601" ? 2 : format.split(" ").length;
  if (given !== parts)
    issue(
      [...at, "format"],
      `${parts} paths need iso8601 for two, or a pattern with as many parts with a space between them`,
    );
}

/** Whether one topic can match two patterns. */
export function topicsOverlap(a: string, b: string): boolean {
  const [left, right] = [a.split("/"), b.split("/")];
  for (let i = 0; i < Math.max(left.length, right.length); i += 1) {
    const [one, two] = [left[i], right[i]];
    if (one === "#" || two === "#") return true;
    if (one === undefined || two === undefined) return left[i + 1] === "#" || right[i + 1] === "#";
    if (one !== two && one !== "+" && two !== "+") return false;
  }
  return true;
}

/** Whether a topic is one of a pattern's. */
export function topicMatches(pattern: string, topic: string): boolean {
  const [wanted, levels] = [pattern.split("/"), topic.split("/")];
  if (wanted.at(-1) === "#")
    return (
      levels.length >= wanted.length - 1 &&
      wanted.slice(0, -1).every((part, i) => part === "+" || part === levels[i])
    );
  return (
    wanted.length === levels.length && wanted.every((part, i) => part === "+" || part === levels[i])
  );
}

/** Models by their file, as long as its text is the same. */
const loaded = new Map<string, { text: string; model: Model }>();

/**
 * Reads a telemetry model; a file that has not changed since the last time is not parsed again.
 * @param file path of a YAML file.
 * @param source what an error calls it.
 * @throws InputError if the file cannot be read, is no YAML in UTF-8, or breaks the schema.
 */
export function loadModel(file: string, source = file): Model {
  const text = readText(file, source);
  const known = loaded.get(file);
  if (known?.text === text) return known.model;
  const model = validate(modelSchema, parseYaml(text, source), source);
  loaded.set(file, { text, model });
  return model;
}
