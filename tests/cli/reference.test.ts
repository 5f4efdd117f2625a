import { parse as parseYaml } from "yaml";
import * as z from "zod";
import { fleetSchema } from "../../configs/inventory";
import { loadModel, modelSchema } from "../../configs/model";
import { siteSchema } from "../../configs/site";
import {
  exampleOf,
  keysOf,
  modelReference,
  policyReference,
  schemaReference,
} from "../../cli/reference";
import { annotatedSchema, editorSchemas } from "../../cli/schemas";
import { validator } from "../support/json-schema";

const schemas = { site: siteSchema, model: modelSchema, inventory: fleetSchema };
const keys = Object.entries(schemas).flatMap(([owner, schema]) =>
  keysOf(annotatedSchema(schema)).map((key) => ({ ...key, title: `${owner}: ${key.name}` })),
);

describe("a key's example", () => {
  test.each(keys)("is taken by the key's schema: $title", ({ schema, title }) => {
    const example = exampleOf(schema);
    expect(example).toBeDefined();
    const definitions = editorSchemas["docs/schemas/fleet.json"]?.definitions ?? {};
    expect(validator(schema, definitions)(example)).toEqual([]);
    expect(title).toBeTruthy();
  });

  test("is taken by zod's own checks where it is written at the schema", () => {
    const checked: string[] = [];
    for (const schema of Object.values(schemas))
      z.toJSONSchema(schema, {
        io: "input",
        unrepresentable: "any",
        override: ({ zodSchema, jsonSchema, path }) => {
          for (const example of jsonSchema.examples ?? []) {
            expect([path, z.core.safeParse(zodSchema, example).error]).toEqual([path, undefined]);
            checked.push(path.join("."));
          }
        },
      });
    expect(checked.length).toBeGreaterThan(50);
  });
});

test("every key has a meaning", () => {
  expect(keys.filter(({ schema }) => !schema.description).map(({ title }) => title)).toEqual([]);
});

/** Cells of a reference's only row. */
function cells(schema: z.ZodType): string[] {
  const reference = schemaReference("T", "I", z.strictObject({ key: schema }), "examples.yaml");
  const row = reference.split("\n").find((line) => line.startsWith("| `key` |"));
  return row?.slice(2, -2).split(" | ") ?? [];
}

describe("a key's row", () => {
  test("has type, limits, unit, default, example and meaning", () => {
    const schema = z.int().min(1).max(9).default(2);
    expect(cells(schema.meta({ description: "Waits.", unit: "s", examples: [5] }))).toEqual([
      "`key`",
      "integer; 1 to 9; unit: s",
      "`2`",
      "`5`",
      "Waits.",
    ]);
  });
  test("names the allowed values, and shows another than the default", () => {
    expect(cells(z.enum(["a", "b"]).default("a").describe("Which."))).toEqual([
      "`key`",
      "string; one of `a`, `b`",
      "`a`",
      "`b`",
      "Which.",
    ]);
  });
  test("tells a pattern in the words of its refusal", () => {
    const schema = z.string().regex(/^\d+d$/, "write a duration such as 90d");
    expect(cells(schema.meta({ description: "How long.", examples: ["7d"] }))).toEqual([
      "`key`",
      "string; a duration such as 90d",
      "required",
      "`7d`",
      "How long.",
    ]);
  });
  test("points to the shipped file where an example is long", () => {
    const schema = z.string().meta({ description: "Long.", examples: ["x".repeat(200)] });
    expect(cells(schema)[3]).toBe("[examples.yaml](../examples.yaml)");
  });
  test("keeps an example of several lines in one", () => {
    const [, , , example = ""] = cells(
      z.string().meta({ examples: ["a\nb"], description: "PEM." }),
    );
    expect(parseYaml(example.slice(1, -1))).toBe("a\nb");
  });
});

test("keys of lists and of maps are named as such", () => {
  const item = z.strictObject({ port: z.int().describe("Port.") });
  const schema = z.strictObject({ list: z.array(item), map: z.record(z.string(), item) });
  expect(keysOf(annotatedSchema(schema)).map(({ name }) => name)).toEqual([
    "list[].port",
    "map.<name>.port",
  ]);
});

test("a rule's row has its name and its meaning", () => {
  const rule = { name: "logs-limited", description: "Logs are limited." };
  expect(policyReference([rule])).toContain("| `logs-limited` | Logs are limited. |");
});

describe("a model's reference", () => {
  test("tells how a payload's value is stored", () => {
    expect(modelReference(loadModel("configs/telemetry.yaml"))).toContain(
      "| `voltage` | `voltage` | × 0.001 → V | float | 650 to 850 | 620 to 870 | DC voltage at the terminals. |",
    );
  });
  test("names a tag's segment of the topic", () => {
    expect(modelReference(loadModel("configs/models/m5bat.yaml"))).toContain(
      "| `unit` | segment 1 of the topic, counted from 0 | Identifier of the battery unit. |",
    );
  });
});
