import * as z from "zod";
import { hubKey, hubSchema } from "../configs/hub";
import { fleetSchema } from "../configs/inventory";
import { modelSchema } from "../configs/model";
import { secretKeys, siteSchema } from "../configs/site";
import { isSecretKey } from "../configs/validation";
import { siteKey, stackFileSchema } from "../configs/sites";

/** A JSON Schema, draft 7. */
export type JsonSchema = z.core.JSONSchema.BaseSchema;

/** A JSON Schema with what zod knows and JSON Schema has no keyword for. */
export interface AnnotatedSchema extends JsonSchema {
  /** What bad input is answered, such as "write a duration such as 90d". */
  rules?: string[];
  /** Unit of the value, as the schema's metadata has it. */
  unit?: string;
  /** Key of a site whose schema stands for this one. The inventory checks the value later. */
  keyOfSite?: string;
}

/** What this schema's own checks answer to bad input. */
function rulesOf(schema: z.core.$ZodType): string[] {
  const definitions = [
    schema._zod.def,
    ...(schema._zod.def.checks ?? []).map((check) => check._zod.def),
  ];
  const rules = definitions.flatMap(({ error }) => {
    const rule = error?.({ code: "custom", input: undefined, path: [] } as never);
    return typeof rule === "string" ? [rule] : [];
  });
  return [...new Set(rules)];
}

/** A zod schema as JSON Schema of what a person may write, with its rules and metadata. */
export const annotatedSchema = (schema: z.ZodType): AnnotatedSchema =>
  z.toJSONSchema(schema, {
    io: "input",
    target: "draft-07",
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      const rules = rulesOf(zodSchema);
      if (rules.length > 0) (jsonSchema as AnnotatedSchema).rules = rules;
    },
  });

const mapValues = <T, R>(record: Record<string, T>, change: (value: T) => R): Record<string, R> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));

/** The schema with another in place of each that stands directly in it. */
function mapSchemas(
  schema: JsonSchema,
  change: (inner: AnnotatedSchema) => JsonSchema,
): JsonSchema {
  const changed = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(changed)
      : typeof value === "object"
        ? change(value as AnnotatedSchema)
        : value;
  const { properties, ...rest } = schema;
  const keywords = ["items", "additionalProperties", "propertyNames", "anyOf"];
  return {
    ...rest,
    ...Object.fromEntries(
      keywords.flatMap((keyword) =>
        rest[keyword] === undefined ? [] : [[keyword, changed(rest[keyword])]],
      ),
    ),
    ...(properties ? { properties: mapValues(properties, changed) } : {}),
  } as JsonSchema;
}

/**
 * The schema in the words of an editor: units in the descriptions, rules as `patternErrorMessage`
 * (yaml-language-server shows it instead of the pattern), and the names of a map as properties, so
 * that they are completed.
 */
function forEditor(annotated: AnnotatedSchema): JsonSchema {
  const { rules, unit, keyOfSite, description, ...schema } = annotated;
  if (keyOfSite !== undefined) return { $ref: `#/definitions/${keyOfSite}` };
  const described = {
    ...(description ? { description: description + (unit ? ` Unit: ${unit}.` : "") } : {}),
    ...schema,
    ...(rules && schema.pattern ? { patternErrorMessage: rules.join("; ") } : {}),
  };
  const { propertyNames, additionalProperties, ...named } = described;
  const names = (propertyNames as JsonSchema | undefined)?.enum;
  if (!names) return mapSchemas(described, forEditor);
  const properties = Object.fromEntries(names.map((name) => [name, additionalProperties]));
  return mapSchemas({ ...named, properties, additionalProperties: false } as JsonSchema, forEditor);
}

/**
 * The schema with no key required, for what is missing may come from another place. Items of lists
 * stay whole.
 */
function partial(schema: JsonSchema): JsonSchema {
  const { properties } = schema;
  const copy = { ...schema };
  if (properties) copy.properties = mapValues(properties, partialOf);
  delete copy.required;
  return copy;
}
const partialOf = (schema: JsonSchema | boolean) =>
  typeof schema === "object" ? partial(schema) : schema;

/** A secret as Pulumi writes it into a stack's file. */
const encrypted = {
  type: "object",
  properties: { secure: { type: "string" } },
  required: ["secure"],
  additionalProperties: false,
};

/** The schema with keys whose values may be encrypted. @param above the keys that it is below. */
function withSecrets(schema: JsonSchema, above: string[] = []): JsonSchema {
  const { properties, additionalProperties, ...rest } = schema;
  const named = typeof additionalProperties === "object" ? additionalProperties : undefined;
  const changed = Object.entries(properties ?? {}).map(([key, value]) => {
    if (typeof value === "boolean") return [key, value];
    const { description, ...plain } = value;
    return [
      key,
      isSecretKey([...above, key], secretKeys)
        ? { description, anyOf: [plain, encrypted] }
        : withSecrets(value, [...above, key]),
    ];
  });
  return {
    ...rest,
    ...(properties && { properties: Object.fromEntries(changed) }),
    ...(additionalProperties !== undefined && {
      additionalProperties: named ? withSecrets(named, above) : additionalProperties,
    }),
  };
}

const site = partial(forEditor(annotatedSchema(siteSchema)));
const { $schema, ...keyOfSites } = site;
const { $schema: _, ...keysOfHub } = partial(forEditor(annotatedSchema(hubSchema)));

/** Schema of `Pulumi.<stack>.yaml`. Any key may be missing: the inventory may have it. */
const stackSchema: JsonSchema = {
  ...($schema ? { $schema } : {}),
  title: "Stack file of bess-telemetry",
  type: "object",
  properties: {
    config: {
      description: "Configuration of the stack.",
      type: "object",
      properties: {
        [siteKey]: {
          description: "The site. Keys: docs/configuration.md.",
          ...withSecrets(keyOfSites),
        },
        [hubKey]: {
          description: "The hub, in place of a site. Keys: docs/hub-configuration.md.",
          ...withSecrets(keysOfHub),
        },
      },
    },
  },
};

/** Schema of `fleet/fleet.yaml`, with the schemas of a site's keys as definitions. */
const inventorySchema: JsonSchema = {
  ...forEditor(annotatedSchema(fleetSchema)),
  title: "Inventory of a fleet",
  definitions: keyOfSites.properties ?? {},
};

/** Every JSON Schema, by its path in the project. The YAML files name it in their first lines. */
export const editorSchemas: Record<string, JsonSchema> = {
  "docs/schemas/fleet.json": inventorySchema,
  [stackFileSchema]: stackSchema,
  "docs/schemas/telemetry-model.json": {
    ...forEditor(annotatedSchema(modelSchema)),
    title: "Telemetry model",
  },
};
