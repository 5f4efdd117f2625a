import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { loadModel, type Model, modelSchema } from "../configs/model";
import { siteSchema } from "../configs/site";

const root = join(__dirname, "..");
type Schema = z.core.JSONSchema.BaseSchema;

/** One key of a schema, as a reference lists it. */
interface Key {
  key: string;
  type: string;
  preset: string;
  meaning: string;
}

const code = (text: string) => `\`${text}\``;

function typeOf(schema: Schema): string {
  if (schema.enum) return schema.enum.map((value) => code(JSON.stringify(value).replaceAll('"', "") || '""')).join(", ");
  if (schema.anyOf) return [...new Set(schema.anyOf.map((option) => typeOf(option as Schema)))].join(" or ");
  if (schema.type === "array") return "list";
  return String(schema.type ?? "value");
}

/** Every key below a schema that is not an object or a list of objects itself, in the order of the schema. */
function keysOf(schema: Schema, prefix = ""): Key[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, value]) => {
    const property = value as Schema;
    const key = prefix + name;
    const items = property.items as Schema | undefined;
    const nested = property.properties ? keysOf(property, `${key}.`) : items?.properties ? keysOf(items, `${key}[].`) : [];
    if (nested.length > 0 && !property.description) return nested;
    const required = schema.required?.includes(name) ?? false;
    const preset = property.default !== undefined && nested.length === 0 ? code(JSON.stringify(property.default)) : required ? "required" : "";
    return [{ key, type: typeOf(property), preset, meaning: property.description ?? "" }, ...nested];
  });
}

const row = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
const table = (head: string[], body: string[][]) => [row(head), row(head.map(() => "---")), ...body.map(row)].join("\n");

/** The reference of a schema, as Markdown. */
export function schemaReference(title: string, introduction: string, schema: z.ZodType): string {
  const keys = keysOf(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }));
  const body = keys.map(({ key, type, preset, meaning }) => [code(key), type, preset, meaning]);
  return `# ${title}\n\n${introduction}\n\n${table(["key", "type", "default", "meaning"], body)}\n`;
}

/** The reference of a telemetry model, as Markdown. */
export function modelReference(model: Model): string {
  const sections = model.measurements.map((m) => {
    const tags = m.tags.map((t) => [code(t.name), t.path ? `JSON path ${code(t.path)}` : `topic segment ${t.segment}`, t.meaning]);
    const fields = m.fields.map((f) => [code(f.name), code(f.path), f.type, f.unit, String(f.scale), f.range?.join(" to ") ?? "", f.meaning]);
    return [
      `## ${m.title}: ${code(m.name)}`,
      `${m.meaning} Topic ${code(m.topic)}, expected every ${m.interval}; its time is ${code(m.time.path)} (${m.time.format}).`,
      table(["tag", "from", "meaning"], tags),
      table(["field", "JSON path", "type", "unit", "scale to the unit", "normal range", "meaning"], fields),
    ].join("\n\n");
  });
  return `# Telemetry of ${model.title}\n\n${sections.join("\n\n")}\n`;
}

/** Every generated page, by its path in the project. */
export const pages = (): Record<string, string> => ({
  "docs/configuration.md": schemaReference(
    "Configuration of a site",
    "Keys of `bess-telemetry:site` in `Pulumi.<stack>.yaml`. A wrong one is refused before anything is touched.",
    siteSchema,
  ),
  "docs/telemetry-model.md": schemaReference("Telemetry model", "Keys of a model file, such as `configs/telemetry.yaml`.", modelSchema),
  "docs/telemetry.md": modelReference(loadModel(join(root, "configs/telemetry.yaml"))),
});

if (require.main === module) {
  for (const [path, text] of Object.entries(pages())) writeFileSync(join(root, path), text);
}

/** Pages whose file is not what the schemas and the model say now. */
export const outdated = (): string[] => Object.entries(pages()).flatMap(([path, text]) => (readFileSync(join(root, path), "utf8") === text ? [] : [path]));
