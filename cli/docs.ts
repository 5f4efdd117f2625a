import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { z } from "zod";
import { loadModel, type Measurement, type Model, modelSchema } from "../configs/model";
import { siteSchema } from "../configs/site";
import { fleetSchema } from "../configs/inventory";

const root = join(__dirname, "..");

/** A JSON schema with what zod's checks say in words, which JSON schema has no place for. */
type Schema = z.core.JSONSchema.BaseSchema & { rules?: string[] };

/** One key of a schema, as a reference lists it. */
interface Key {
  key: string;
  allowed: string;
  preset: string;
  meaning: string;
}

const code = (text: string) => `\`${text}\``;
const row = (cells: string[]) =>
  `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
const table = (head: string[], body: string[][]) =>
  [row(head), row(head.map(() => "---")), ...body.map(row)].join("\n");

/** What a refusal of this schema would tell the person who wrote the value. */
function rulesOf(schema: z.core.$ZodType): string[] {
  const definitions = [
    schema._zod.def,
    ...(schema._zod.def.checks ?? []).map((check) => check._zod.def),
  ];
  return definitions.flatMap(({ error }) => {
    const told = error?.({ code: "custom", input: undefined, path: [] } as never);
    return typeof told === "string" ? [told.replace(/^write /, "")] : [];
  });
}

function jsonSchema(schema: z.ZodType): Schema {
  return z.toJSONSchema(schema, {
    io: "input",
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      const rules = rulesOf(zodSchema);
      if (rules.length > 0) (jsonSchema as Schema).rules = rules;
    },
  });
}

function typeOf(schema: Schema): string {
  if (schema.enum)
    return schema.enum.map((value) => code(value === "" ? '""' : String(value))).join(", ");
  if (schema.anyOf)
    return [...new Set(schema.anyOf.map((option) => typeOf(option as Schema)))].join(" or ");
  if (schema.prefixItems)
    return `[${schema.prefixItems.map((item) => typeOf(item as Schema)).join(", ")}]`;
  const names = schema.propertyNames as Schema | undefined;
  if (names?.enum)
    return `object of ${typeOf(schema.additionalProperties as Schema)}s; its keys: ${typeOf(names)}`;
  if (schema.type === "array") return "list";
  return String(schema.type ?? "any");
}

/** Limits of a number; zod gives an integer without limits those of JavaScript. */
function limitsOf({ minimum, maximum }: Schema): string[] {
  const least = minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER;
  const most = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER;
  if (least && most) return [`${minimum} to ${maximum}`];
  return least ? [`${minimum} or more`] : most ? [`${maximum} or less`] : [];
}

function allowedIn(schema: Schema): string {
  const each = (schema.items as Schema | undefined)?.rules ?? [];
  const rules = [
    ...limitsOf(schema),
    ...(schema.rules ?? []),
    ...each.map((rule) => `in each, ${rule}`),
  ];
  return [...new Set([typeOf(schema), ...rules])].join("; ");
}

/** Keys of an object, and of the objects and lists of objects in it, in the order of the schema. */
function keysOf(schema: Schema, prefix = ""): Key[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, value]) => {
    const property = value as Schema;
    // What may be anything is told where it belongs.
    if (Object.keys(property).length === 0) return [];
    const key = prefix + name;
    const items = property.items as Schema | undefined;
    const named = property.additionalProperties as Schema | undefined;
    const [inner, prefixed] = property.properties
      ? [property, `${key}.`]
      : items?.properties
        ? [items, `${key}[].`]
        : [named ?? {}, `${key}.<name>.`];
    const nested = keysOf(inner, prefixed);
    if (nested.length > 0 && !property.description) return nested;
    return [
      {
        key,
        allowed: allowedIn(property),
        preset: presetOf(property, schema.required?.includes(name) ?? false),
        meaning: property.description ?? "",
      },
      ...nested,
    ];
  });
}

function presetOf(schema: Schema, required: boolean): string {
  if (required) return "required";
  return schema.default === undefined ? "none" : code(JSON.stringify(schema.default));
}

/** The reference of a schema, as Markdown. */
export function schemaReference(title: string, introduction: string, schema: z.ZodType): string {
  const body = keysOf(jsonSchema(schema)).map(({ key, allowed, preset, meaning }) => [
    code(key),
    allowed,
    preset,
    meaning,
  ]);
  return page(
    title,
    introduction,
    table(["key", "type, allowed values", "default", "meaning"], body),
  );
}

/** The reference of a telemetry model, as Markdown. */
export function modelReference(model: Model): string {
  const introduction =
    "One section per measurement: one MQTT topic pattern with JSON payloads, stored as one table in InfluxDB. A payload's value times the scale is what is stored, in the unit.";
  return page(
    `Telemetry: ${model.title}`,
    introduction,
    ...model.measurements.map(measurementReference),
  );
}

function measurementReference(m: Measurement): string {
  const message = [
    ["topic", code(m.topic)],
    ["interval", `one message every ${m.interval} from each unit`],
    ["time", `JSON path ${code(m.time.path)}, ${code(m.time.format)}`],
  ];
  const tags = m.tags.map((t) => [
    code(t.name),
    t.path === undefined
      ? `segment ${t.segment} of the topic, counted from 0`
      : `JSON path ${code(t.path)}`,
    t.meaning,
  ]);
  const fields = m.fields.map((f) => {
    const stored = f.scale === 1 ? f.unit || "as sent" : `× ${f.scale} → ${f.unit || "no unit"}`;
    return [code(f.name), code(f.path), stored, f.type, f.range?.join(" to ") ?? "", f.meaning];
  });
  return [
    `## ${m.title} (${code(m.name)})`,
    m.meaning,
    table(["message", ""], message),
    table(["tag", "from", "meaning"], tags),
    table(["field", "JSON path", "payload → stored", "type", "normal range", "meaning"], fields),
  ].join("\n\n");
}

const page = (title: string, ...parts: string[]) =>
  `<!-- Generated by npm run docs; edit the source instead. -->\n\n${[`# ${title}`, ...parts].join("\n\n")}\n`;

/** Every generated page, by its path in the project. */
export const pages = (): Record<string, string> => ({
  "docs/configuration.md": schemaReference(
    "Configuration of a site",
    "Keys of `bess-telemetry:site` in `Pulumi.<stack>.yaml`. A wrong or unknown one is refused before anything is touched.",
    siteSchema,
  ),
  "docs/inventory.md": schemaReference(
    "Inventory of a fleet",
    "Keys of `fleet/fleet.yaml`. `defaults`, `overrides[].set` and each site also take the keys of [a site's configuration](configuration.md) other than `name` and `engine`; a site's own line wins over the overrides, and those over the defaults.",
    fleetSchema,
  ),
  "docs/telemetry-model.md": schemaReference(
    "Telemetry model",
    "Keys of a model file, such as `configs/telemetry.yaml`. Names must not repeat, and no message may match the topics of two measurements.",
    modelSchema,
  ),
  "docs/telemetry.md": modelReference(loadModel(join(root, "configs/telemetry.yaml"))),
});

/**
 * Pages whose file is missing, or is not what the schemas and the model say now.
 * @param folder the project, by default this one.
 */
export function outdated(folder = root): string[] {
  const text = (path: string) => (existsSync(path) ? readFileSync(path, "utf8") : undefined);
  return Object.entries(pages()).flatMap(([path, wanted]) =>
    text(join(folder, path)) === wanted ? [] : [path],
  );
}

function main() {
  const command = new Command("npm run docs --")
    .description("Writes the generated pages in docs/.")
    .option("--check", "write nothing; fail if a page is out of date");
  const { check } = command.parse().opts<{ check?: boolean }>();
  const stale = outdated();
  if (check) {
    for (const path of stale) console.error(`${path} is out of date: npm run docs renews it`);
    process.exitCode = stale.length > 0 ? 1 : 0;
    return;
  }
  const made = pages();
  for (const path of stale) writeFileSync(join(root, path), made[path]);
  console.log(stale.length > 0 ? `written: ${stale.join(", ")}` : "all pages are up to date");
}

// Run as a command, which cli/bess.js begins; a test only imports it.
if (require.main?.path === __dirname) main();
