import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { parse as parseYaml } from "yaml";
import { parseFleet } from "../../configs/inventory";
import { modelSchema } from "../../configs/model";
import { siteSchema } from "../../configs/site";
import { newStackFile, siteKey } from "../../configs/sites";
import { editorSchemas } from "../../cli/schemas";
import { validator } from "../support/json-schema";

const root = join(__dirname, "../..");
const read = (file: string) => readFileSync(join(root, file), "utf8");

/** The schema that an editor finds by a YAML file's first line. */
function schemaOf(file: string, text = read(file)): string {
  const [, path = ""] = /^# yaml-language-server: \$schema=(\S+)\n/.exec(text) ?? [];
  return relative(root, join(root, dirname(file), path));
}

const shipped = [
  "Pulumi.dev.yaml",
  "Pulumi.pi.yaml",
  "fleet/fleet.yaml",
  "configs/telemetry.yaml",
  ...readdirSync(join(root, "configs/models"))
    .filter((file) => file.endsWith(".yaml"))
    .map((file) => `configs/models/${file}`),
];

describe("a shipped YAML file", () => {
  test.each(shipped)("%s names a schema, which takes it", (file) => {
    const schema = editorSchemas[schemaOf(file)];
    expect(schema).toBeDefined();
    expect(validator(schema ?? {})(parseYaml(read(file)))).toEqual([]);
  });
});

test("a new stack's file names a schema, which takes it", () => {
  const text = newStackFile("kiel-1");
  const schema = editorSchemas[schemaOf("Pulumi.kiel-1.yaml", text)];
  expect(schema).toBeDefined();
  expect(validator(schema ?? {})(parseYaml(text))).toEqual([]);
});

const findings = (name: string) => validator(editorSchemas[`docs/schemas/${name}.json`] ?? {});
const example = (file: string) => parseYaml(read(file)) as Record<string, unknown>;

describe("the telemetry model's schema refuses what the program refuses", () => {
  const field = { name: "soc", path: "soc", type: "float", meaning: "State of charge." };
  const tag = { name: "id", path: "id", meaning: "Identifier." };
  const measurement = {
    name: "unit",
    title: "Unit",
    meaning: "A unit.",
    topic: "unit/+/status",
    interval: "1s",
    time: { path: "time", format: "unix" },
    tags: [tag],
    fields: [field],
  };
  const model = (change: object) => ({
    name: "m",
    title: "M",
    measurements: [{ ...measurement, ...change }],
  });
  const withField = (change: object) => model({ fields: [{ ...field, ...change }] });

  test("and takes what it takes", () => {
    for (const good of [
      model({}),
      withField({ unit: "%", scale: 0.1, range: [10, 95] }),
      withField({ type: "string", scale: 1, unit: "" }),
      withField({ type: "int", unit: "Wh", sent: "kWh", scale: 0.1 }),
      model({ topic: ["unit/#", "/units/+/State Of Charge"] }),
    ]) {
      expect(modelSchema.safeParse(good).success).toBe(true);
      expect(findings("telemetry-model")(good)).toEqual([]);
    }
  });
  test.each<[string, object]>([
    ["an unknown key", { ...model({}), version: 1 }],
    ["a missing key", model({ topic: undefined })],
    ["an unknown unit", withField({ unit: "Amp" })],
    ["a scaled text", withField({ type: "string", scale: 2 })],
    ["a range of a boolean", withField({ type: "bool", range: [0, 1] })],
    ["a unit of a text", withField({ type: "string", unit: "V" })],
    ["a range of one number", withField({ range: [1] })],
    ["a scale of 0", withField({ scale: 0 })],
    ["a reserved field", withField({ name: "time" })],
    ["a table of the pipeline", model({ name: "cpu" })],
    ["a table like the pipeline's", model({ name: "internal_x" })],
    ["a reserved table", model({ name: "time" })],
    ["a tag of a path and a segment", model({ tags: [{ ...tag, segment: 1 }] })],
    ["no tag", model({ tags: [] })],
    ["a topic with # before its end", model({ topic: "unit/#/status" })],
    ["a duration without a unit", model({ interval: "10" })],
  ])("%s", (_, bad) => {
    // As YAML reads it: a key without a value in an object literal is no key there.
    const input: unknown = JSON.parse(JSON.stringify(bad));
    expect(modelSchema.safeParse(input).success).toBe(false);
    expect(findings("telemetry-model")(input)).not.toEqual([]);
  });
});

describe("the stack file's schema", () => {
  const stack = (site: unknown) => ({ config: { [siteKey]: site } });
  const certificate = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----";

  test.each<[string, unknown]>([
    ["only what the inventory lacks", { mqtt: { tls: { port: 8884 } } }],
    ["an encrypted key", { mqtt: { tls: { certificate, key: { secure: "AAAB" } } } }],
    ["a host over SSH", { engine: "ssh://pi@host", host: { prepare: true }, ssh: { jump: "a" } }],
    ["SSH options for the inventory's engine", { ssh: { identity: "~/.ssh/id" } }],
    ["an address of IPv6", { mqtt: { address: "::" } }],
    ["a rotated secret", { rotate: { gateway: "2026-11" } }],
  ])("takes %s", (_, site) => expect(findings("stack")(stack(site))).toEqual([]));

  test("takes what Pulumi writes beside the site", () => {
    const file = { encryptionsalt: "v1:x", config: { "pulumi:disable-default-providers": ["*"] } };
    expect(findings("stack")(file)).toEqual([]);
  });

  test.each<[string, Record<string, unknown>]>([
    ["an unknown key", { naem: "kiel-1" }],
    ["an unknown nested key", { mqtt: { prot: 1883 } }],
    ["a name in upper case", { name: "Kiel" }],
    ["a port over the limit", { grafana: { port: 70000 } }],
    ["a port as text", { mqtt: { port: "1883" } }],
    ["an unknown profile", { profile: "large" }],
    ["an image without a pin", { images: { grafana: "grafana/grafana:latest" } }],
    ["an unknown secret", { rotate: { broker: "1" } }],
    ["an engine of HTTP", { engine: "http://host" }],
    ["an address that is a name", { mqtt: { address: "localhost" } }],
    ["an address of Grafana without http", { grafana: { url: "grafana.local:3000" } }],
    ["SSH options for a local engine", { engine: "unix:///run/docker.sock", ssh: { jump: "a" } }],
    ["a local host to prepare", { engine: "unix:///run/x.sock", host: { prepare: true } }],
    ["an adapter without ids", { host: { prepare: true, udev: [{ symlink: "bms" }] } }],
    [
      "a certificate that is a path",
      { mqtt: { tls: { certificate: "cert.pem", key: "key.pem" } } },
    ],
  ])("refuses %s, as the program does", (_, site) => {
    expect(siteSchema.safeParse({ name: "kiel-1", ...site }).success).toBe(false);
    expect(findings("stack")(stack(site))).not.toEqual([]);
  });
});

describe("the inventory's schema", () => {
  const inventory = example("fleet/fleet.yaml");
  const withSite = (site: object) => ({
    ...inventory,
    sites: { "kiel-1": { engine: "ssh://bess@kiel-1.example", ...site } },
  });

  test.each<[string, object]>([
    ["an unknown key", { ...inventory, site: {} }],
    ["a site without an engine", { ...inventory, sites: { "kiel-1": {} } }],
    ["a site's name in upper case", { ...inventory, sites: { Kiel: { engine: "ssh://a@b" } } }],
    ["an unknown key of a site", withSite({ retension: "90d" })],
    ["a wrong value of a site", withSite({ mqtt: { port: 0 } })],
    ["an unknown key of the defaults", { ...inventory, defaults: { retension: "90d" } }],
    ["a wrong value of the defaults", { ...inventory, defaults: { profile: "large" } }],
    [
      "a wrong value of an override",
      { ...inventory, overrides: [{ when: { region: "north" }, set: { purge: "no" } }] },
    ],
    [
      "a wave of labels and a share",
      { ...inventory, waves: [{ name: "a", when: {}, share: "9%" }] },
    ],
    ["no wave", { ...inventory, waves: [] }],
    ["a share over 100 %", { ...inventory, waves: [{ name: "a", share: "120%" }] }],
  ])("refuses %s, as the program does", (_, bad) => {
    expect(() => parseFleet(bad)).toThrow();
    expect(findings("fleet")(bad)).not.toEqual([]);
  });
});
