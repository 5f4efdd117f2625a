import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import ts from "typescript";
import * as z from "zod";
import type { SiteArgs } from "../../components";
import { parseSite, siteSchema } from "../../configs/site";
import { keyPair } from "../support/key-pairs";
import { deployOnMocks, isSecret, type MockedContainer } from "../support/mocked-site";

const pair = keyPair();
const dev: SiteArgs = { name: "dev" };
const textOf = ({ uploads }: MockedContainer, path: string) =>
  uploads.find(({ file }) => file.endsWith(path))?.content;

describe("a value that is known later", () => {
  test("may be the TLS certificate and its key, which stays a secret", async () => {
    const tls = {
      certificate: pulumi.output(pair.certificate),
      key: pulumi.secret(pair.key),
    };
    const { containers, registered } = await deployOnMocks({ ...dev, mqtt: { tls } });
    expect(textOf(containers.mosquitto, "/server.crt")).toBe(pair.certificate);
    expect(textOf(containers.mosquitto, "/server.key")).toBe(pair.key);
    const broker = registered.find(
      ({ type, name }) => type.endsWith(":Container") && name === "dev-mosquitto",
    );
    expect(isSecret(broker?.inputs.uploads)).toBe(true);
  });

  test("may be a rotation", async () => {
    const { registered } = await deployOnMocks({
      ...dev,
      rotate: { gateway: pulumi.output("2"), grafana: Promise.resolve("3") },
    });
    const keepers = (name: string) => registered.find((r) => r.name === name)?.inputs.keepers;
    expect([keepers("dev-mosquitto-gateway"), keepers("dev-grafana-admin")]).toEqual([
      { rotation: "2" },
      { rotation: "3" },
    ]);
  });

  test("may be no other, and the refusal names those that may", async () => {
    const engine = pulumi.output("unix:///var/run/docker.sock") as unknown;
    await expect(deployOnMocks({ ...dev, engine: engine as string })).rejects.toThrow(
      /engine is an Output: it must be known .*\n.*allowed at mqtt.tls.certificate, mqtt.tls.key,/,
    );
  });
});

/** One documented key of the arguments, such as `mqtt.port`. */
interface DocumentedKey {
  key: string;
  preset: string | undefined;
  example: string | undefined;
}

/** Every key of SiteArgs, with what its docstring says. */
function documentedKeys(): DocumentedKey[] {
  const file = join(__dirname, "../../components/site-args.ts");
  const source = ts.createSourceFile(
    file,
    readFileSync(file, "utf8"),
    ts.ScriptTarget.ES2022,
    true,
  );
  const interfaces = new Map(
    source.statements.filter(ts.isInterfaceDeclaration).map((found) => [found.name.text, found]),
  );
  const commentOf = (member: ts.Node, tag: string) => {
    const found = ts.getJSDocTags(member).find(({ tagName }) => tagName.text === tag);
    return found && ts.getTextOfJSDocComment(found.comment);
  };
  const keysOf = (name: string, prefix: string): DocumentedKey[] =>
    (interfaces.get(name)?.members ?? []).flatMap((member) => {
      const key = prefix + (member.name?.getText() ?? "");
      const type = /^(\w+Args)(\[\])?( \||$)/.exec(
        ts.isPropertySignature(member) ? (member.type?.getText() ?? "") : "",
      );
      return [
        { key, preset: commentOf(member, "default"), example: commentOf(member, "example") },
        ...(type?.[1] ? keysOf(type[1], `${key}${type[2] ?? ""}.`) : []),
      ];
    });
  return keysOf("SiteArgs", "").filter(({ key }) => key !== "transform");
}

/** Every key of the schema, with its default where it has one. */
function schemaKeys(): Map<string, unknown> {
  const keysOf = (schema: z.core.JSONSchema.BaseSchema, prefix: string): [string, unknown][] =>
    Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
      if (typeof property === "boolean") return [];
      const key = prefix + name;
      const items = property.items as z.core.JSONSchema.BaseSchema | undefined;
      const names = property.propertyNames as z.core.JSONSchema.BaseSchema | undefined;
      return [
        [key, property.default],
        ...keysOf(property, `${key}.`),
        ...keysOf(items ?? {}, `${key}[].`),
        ...(names?.enum ?? []).map((name): [string, unknown] => [`${key}.${name}`, undefined]),
      ];
    });
  return new Map(keysOf(z.toJSONSchema(siteSchema, { io: "input", unrepresentable: "any" }), ""));
}

describe("the documentation of SiteArgs", () => {
  const documented = documentedKeys();
  const schema = schemaKeys();
  const isService = (key: string) => /^images\.(?!mirror|pull|verify)/.test(key);

  test("has every key of the schema, and no other", () => {
    // The images of the services are one key by service, documented at `images`.
    const keys = [...schema.keys()].filter((key) => !isService(key));
    expect(documented.map(({ key }) => key).sort()).toEqual(keys.sort());
  });

  test("names the schema's defaults", () => {
    const presets = documented.flatMap(({ key, preset }) => {
      const text = /^`([^`{]+)`$/.exec(preset ?? "")?.[1];
      return text === undefined ? [] : [[key, JSON.parse(text)]];
    });
    const plain = [...schema].filter(
      ([key, preset]) => preset !== undefined && !isService(key) && !isEmptyObject(preset),
    );
    expect(Object.fromEntries(presets)).toEqual(Object.fromEntries(plain));
  });

  test.each(documented.map(({ key, example }) => [key, example]))(
    "has an example of %s that is accepted",
    (key = "", example = "") => {
      const code = /^```ts\n([^]+)\n```$/.exec(example)?.[1] ?? "";
      const token = "t".repeat(40);
      const named = {
        ...pair,
        readFileSync: () => pair.certificate,
        config: { requireSecret: (name: string) => (name.endsWith("Token") ? token : pair.key) },
        url: "https://hub.example:8427/api/v1/write",
        token,
        password: "a-password-of-40-letters-or-so-that-fits",
        hub: { requireOutput: () => ({ apply: () => token }) },
      };
      const read = new Function(...Object.keys(named), `return (${code});`);
      const args: object = read(...Object.values(named));
      const over = { name: "kiel-1", ...(/^(host|ssh)/.test(key) && { engine: "ssh://pi@kiel" }) };
      expect(() => parseSite({ ...over, ...args })).not.toThrow();
      expect(Object.keys(args)).toContain(key.split(".")[0]);
    },
  );
});

const isEmptyObject = (value: unknown) => JSON.stringify(value) === "{}";

/** What a stack's file may hold, a program may write: the compiler proves it. */
export const asArgs = (input: z.input<typeof siteSchema>): SiteArgs => input;
