import { stringify } from "yaml";
import type { z } from "zod";
import {
  type Field,
  type Measurement,
  type Model,
  type Source,
  sourcesOf,
  type Tag,
} from "../configs/model";
import type { Condition, Place, Reading, Text } from "../configs/payload";
import { profiles } from "../configs/profiles";
import { retentionOf } from "../configs/retention";
import { scenarioNames, scenarios, scenariosOf } from "../configs/scenarios";
import { storage, totalBytes } from "../configs/storage";
import { gigabytes } from "../configs/units";
import type { Rule } from "../policy";
import { code, page, table } from "./markdown";
import { type AnnotatedSchema, annotatedSchema } from "./schemas";

/** A value as YAML in one line: as JSON, which is YAML too, where a text has several lines. */
function inYaml(value: unknown): string {
  const text = stringify(value, { collectionStyle: "flow", lineWidth: 0 }).trim();
  return text.includes("\n") ? JSON.stringify(value) : text;
}

/** What stands in a schema: of an object's key, a list's items, or a map's values. */
const inner = (schema: unknown): AnnotatedSchema | undefined =>
  typeof schema === "object" && schema !== null && !Array.isArray(schema)
    ? (schema as AnnotatedSchema)
    : undefined;

/** The values of a schema that allows only certain ones. */
const listed = (values: readonly unknown[]) =>
  values.map((value) => code(value === "" ? '""' : String(value))).join(", ");

/** A type in words; `many` for the items of a list or a map. */
function typeOf(schema: AnnotatedSchema, many = false): string {
  const plural = (word: string) => (many ? `${word}s` : word);
  if (schema.anyOf)
    return [...new Set(schema.anyOf.map((option) => typeOf(option as AnnotatedSchema, many)))].join(
      " or ",
    );
  if (Array.isArray(schema.items)) return plural(`list of ${schema.items.length} numbers`);
  const items = inner(schema.items);
  if (items) return `${plural("list")} of ${typeOf(items, true)}`;
  const values = inner(schema.additionalProperties);
  if (values) return `${plural("map")} of names to ${typeOf(values, true)}`;
  return plural(String(schema.type));
}

/** Limits of a number; zod gives an integer without limits those of JavaScript. */
function limitsOf({ minimum, maximum }: AnnotatedSchema): string[] {
  const lower = minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER;
  const upper = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER;
  if (lower && upper) return [`${minimum} to ${maximum}`];
  return lower ? [`${minimum} or more`] : upper ? [`${maximum} or less`] : [];
}

const rulesIn = (schema: AnnotatedSchema | undefined) =>
  (schema?.rules ?? []).map((rule) => rule.replace(/^write /, ""));

/** Type, allowed values and unit. */
function typeAndLimits(schema: AnnotatedSchema): string {
  const names = inner(schema.propertyNames)?.enum;
  const parts = [
    typeOf(schema),
    ...(schema.enum ? [`one of ${listed(schema.enum)}`] : []),
    ...(names ? [`allowed names: ${listed(names)}`] : []),
    ...limitsOf(schema),
    ...rulesIn(schema),
    ...rulesIn(inner(schema.items)).map((rule) => `each: ${rule}`),
    ...(schema.unit ? [`unit: ${schema.unit}`] : []),
  ];
  return [...new Set(parts)].join("; ");
}

/**
 * A value that the schema takes: its own example, else what its keys or items show. None where
 * the inventory leaves a key to the site's schema.
 */
export function exampleOf(schema: AnnotatedSchema): unknown {
  const [own] = schema.examples ?? [];
  if (own !== undefined) return own;
  if (schema.const !== undefined) return schema.const;
  const [alternative] = schema.anyOf ?? [];
  if (alternative) return exampleOf(alternative as AnnotatedSchema);
  if (schema.enum) return schema.enum.find((value) => value !== schema.default);
  if (schema.type === "boolean") return schema.default !== true;
  const items = inner(schema.items);
  if (items) return [exampleOf(items)];
  const keys = Object.entries(schema.properties ?? {});
  const required = keys.filter(([key]) => schema.required?.includes(key));
  const shown = required.length > 0 ? required : keys.slice(0, 1);
  if (shown.length > 0)
    return Object.fromEntries(
      shown.map(([key, value]) => [key, exampleOf(value as AnnotatedSchema)]),
    );
  const values = inner(schema.additionalProperties);
  const name = inner(schema.propertyNames);
  return values && name ? { [String(exampleOf(name))]: exampleOf(values) } : undefined;
}

/** One key of a schema. */
export interface Key {
  /** Such as `mqtt.port`, `host.udev[].symlink` or `sites.<name>.engine`. */
  name: string;
  schema: AnnotatedSchema;
  required: boolean;
}

/** Keys of an object, and of the objects, lists and maps in it, in the order of the schema. */
export function keysOf(schema: AnnotatedSchema, prefix = ""): Key[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, value]) => {
    const property = value as AnnotatedSchema;
    if (property.keyOfSite !== undefined) return [];
    const name = prefix + key;
    const items = inner(property.items);
    const map = [property, ...(property.anyOf ?? []).map(inner)].find((one) => one?.properties);
    const nested = map
      ? keysOf(map, `${name}.`)
      : items?.properties
        ? keysOf(items, `${name}[].`)
        : keysOf(inner(property.additionalProperties) ?? {}, `${name}.<name>.`);
    // An object that has no meaning of its own only groups its keys.
    if (nested.length > 0 && !property.description) return nested;
    return [
      { name, schema: property, required: schema.required?.includes(key) ?? false },
      ...nested,
    ];
  });
}

function defaultOf({ schema, required }: Key): string {
  if (required) return "required";
  return schema.default === undefined ? "none" : code(inYaml(schema.default));
}

/** Longest example that a table can show, in characters. */
const longestExample = 150;

/**
 * The reference of a schema, as Markdown.
 * @param exampleFile a shipped file in the project: it stands for examples that are too long.
 */
export function schemaReference(
  title: string,
  introduction: string,
  schema: z.ZodType,
  exampleFile: string,
): string {
  const example = (key: Key) => {
    const text = inYaml(exampleOf(key.schema));
    return text.length <= longestExample ? code(text) : `[${exampleFile}](../${exampleFile})`;
  };
  const body = keysOf(annotatedSchema(schema)).map((key) => [
    code(key.name),
    typeAndLimits(key.schema),
    defaultOf(key),
    example(key),
    key.schema.description ?? "",
  ]);
  const head = ["key", "type, allowed values, unit", "default", "example", "meaning"];
  return page(title, introduction, table(head, body));
}

/** The reference of the rules that every site must keep, as Markdown. */
export function policyReference(rules: readonly Pick<Rule, "name" | "description">[]): string {
  const body = rules.map(({ name, description }) => [code(name), description]);
  return page(
    "Policy",
    "Rules that every site must keep. A fleet's previews and rollouts check them, and stop at a " +
      "violation. `pulumi preview --policy-pack policy/pack` checks them for one stack, but for the " +
      "last two: those compare a stack's state with what comes, and `npx bess up` checks " +
      "`data-kept` too. The inventory allows exceptions by name: " +
      "[`allow` and `confirm`](inventory.md), [how](fleet.md#a-change-that-loses-data).",
    table(["rule", "meaning"], body),
  );
}

/** The reference of a telemetry model, as Markdown. */
export function modelReference(model: Model): string {
  const introduction =
    "One section for each measurement: the messages of a topic pattern, stored as one table in " +
    "InfluxDB. The payload's value times the scale is stored, in the unit.";
  return page(
    `Telemetry: ${model.title}`,
    introduction,
    ...model.measurements.map(measurementReference),
    storageReference(model),
  );
}

/** What the data of a model is expected to take of the disk, by profile. */
function storageReference(model: Model): string {
  const body = Object.entries(profiles).map(([name, profile]) => {
    const expected = storage(
      model,
      profile,
      retentionOf({ profile: name as keyof typeof profiles }),
    );
    return [
      code(name),
      `${profile.messageRate} messages/s`,
      profile.retention,
      gigabytes(expected.telemetry),
      gigabytes(expected.queue),
      gigabytes(totalBytes(expected)),
    ];
  });
  return [
    "## Disk space",
    "What the data is expected to take at the profile's message rate and retention. The host " +
      "check asks for it before anything is made, and `storage.max` limits it " +
      "([configuration.md](configuration.md)). The broker's queue of a day is allocated from the " +
      "beginning, so that a full disk cannot take its place.",
    table(["profile", "rate", "retention", "telemetry", "broker's queue", "in all"], body),
  ].join("\n\n");
}

function measurementReference(m: Measurement): string {
  const parts = sourcesOf(m).flatMap((source) => sourceReference(m, source));
  return [`## ${m.title} (${code(m.name)})`, m.meaning, ...parts].join("\n\n");
}

/** One form of a measurement's messages. */
function sourceReference(m: Measurement, source: Source): string[] {
  const { topics, time, each, names, value } = source;
  const list = (texts: string[]) => texts.map(code).join(", ");
  const message = [
    ["topic", list(topics)],
    ["interval", `one message every ${m.interval} from each unit`],
    [
      "time",
      time ? `JSON path ${list([time.path].flat())}, ${code(time.format)}` : "that of its arrival",
    ],
    ...(source.text ? [["the payload", textText(source.text)]] : []),
    ...(each.length > 0 ? [["a row for each element of", list(each)]] : []),
    ...(names ? [["a value's name", placeText(names)]] : []),
    ...(names ? [["the value", `JSON path ${code(value)}`]] : []),
    ...source.where.map((condition) => ["where", conditionText(condition)]),
    ...source.good.map((condition) => ["good where", conditionText(condition)]),
  ];
  const tags = source.tags.map(({ tag, place }) => [
    code(tag.name),
    tagSource(tag, place),
    tag.meaning,
  ]);
  const fields = source.fields.map(({ field: f, reading }) => [
    code(f.name),
    code(reading.path),
    storedText(f, reading),
    f.type,
    f.range?.join(" to ") ?? "",
    f.limits?.join(" to ") ?? "",
    f.meaning,
  ]);
  const from = names ? "name" : "JSON path";
  return [
    table(["message", ""], message),
    table(["tag", "from", "meaning"], tags),
    table(["field", from, "payload → stored", "type", "normal range", "limits", "meaning"], fields),
  ];
}

/** Where a tag is, and what holds where a message lacks it. */
function tagSource({ optional, default: fallback }: Tag, place: Place | undefined): string {
  const missing = fallback === undefined ? (optional ? "none" : undefined) : code(fallback);
  if (!place) return missing ?? "";
  return missing === undefined ? placeText(place) : `${placeText(place)}; else ${missing}`;
}

/** How a payload is read that is no JSON, in words. */
function textText({ lines, split, pairs, header }: Text): string {
  const keys = header
    ? "; the first line has the keys"
    : pairs
      ? `, keys before ${code(pairs)}`
      : "";
  const line = split === undefined ? "JSON" : `split at ${code(split)}`;
  return `${lines ? `lines, each ${line}` : `text, ${line}`}${keys}`;
}

/** What must be at a place, in words. */
function conditionText({ is, ...place }: Condition): string {
  const texts = [is ?? []].flat().map((text) => (text === null ? "nothing" : code(String(text))));
  return `${placeText(place)} is ${texts.length > 0 ? texts.join(" or ") : "there"}`;
}

/** Where a text is, in words. */
function placeText({ path, segment, key, index, fixed, split, part }: Place): string {
  if (fixed !== undefined) return `always ${code(fixed)}`;
  const whole =
    path !== undefined
      ? `JSON path ${code(path)}`
      : segment === "#"
        ? "all of the topic that `#` stands for"
        : segment !== undefined
          ? `segment ${segment} of the topic, counted from 0`
          : key
            ? "the element's key"
            : `the element's number, counted from ${index}`;
  return split === undefined ? whole : `${whole}, part ${part} between ${code(split)}`;
}

/** How a payload's value becomes the stored one, in words. */
function storedText(field: Field, reading: Reading): string {
  const { scale = 1, offset = 0, sent = field.unit, bit, values, has, signed, exponent } = reading;
  const listed = Object.entries(values ?? {}).map(([from, to]) => `${from} → ${to}`);
  const steps = [
    ...(signed === undefined ? [] : [`${signed} bits with sign`]),
    ...(exponent === undefined ? [] : [`× 10 to the power of ${code(exponent)}`]),
    ...(scale === 1 ? [] : [`× ${scale}`]),
    ...(offset === 0 ? [] : [offset < 0 ? `− ${-offset}` : `+ ${offset}`]),
    ...(sent === field.unit ? [] : [sent]),
    ...(bit === undefined ? [] : [`bit ${bit}`]),
    ...(has === undefined ? [] : [`has ${code(has)}`]),
  ];
  if (listed.length > 0) return listed.join(", ");
  const to = field.unit || (field.type === "bool" ? "true or false" : "no unit");
  return steps.length === 0 ? field.unit || "as sent" : `${steps.join(" ")} → ${to}`;
}

/**
 * Describes the faults that the simulated BESS can show.
 * @param models the models of the project.
 */
export const scenarioReference = (models: readonly Model[]): string =>
  page(
    "Simulator",
    "A simulated BESS stands in for the battery's gateway: `simulator.enabled: true` in " +
      "[a site's configuration](configuration.md). It is derived from the telemetry model. Its " +
      "units charge and discharge by a cycle of six minutes, with noise from a seed: the same " +
      "seed gives the same values.",
    "One unit can have a fault, to see what the dashboards show of it and who is called. " +
      "`npx bess simulate --stack NAME --scenario S` asks a running simulator for one; " +
      "`simulator.scenario` gives its first unit one for good.",
    table(
      ["scenario", "what happens", "needs", "models of the project that show it"],
      scenarioNames.map((name) => {
        const { meaning, needs } = scenarios[name];
        const shown = models.filter((model) => scenariosOf(model).includes(name));
        return [
          code(name),
          meaning,
          needs?.what ?? "nothing",
          shown.length === models.length
            ? "all"
            : shown.map((model) => code(model.name)).join(", "),
        ];
      }),
    ),
    "A fault is physical. It changes the battery's currents, charges and heat, and the values follow: " +
      "cells have a thermal mass, an open-circuit voltage by their charge, and a resistance. The " +
      "cycle is quick, and so are leaks: a leaking cell loses 3 % of its charge a minute.",
  );
