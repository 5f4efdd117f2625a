import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import Ajv from "ajv";
import { sbomOf } from "../../cli/images/sbom";
import { images } from "../../configs/images";
import { temporaryFolder } from "../support/programs";

const root = join(__dirname, "../..");
const schemas = join(root, "node_modules/@cyclonedx/cyclonedx-library/res/schema");
const schema = (name: string) =>
  JSON.parse(readFileSync(join(schemas, `${name}.SNAPSHOT.schema.json`), "utf8")) as object;

/** What CycloneDX's own schema finds. Its formats of addresses and times are not checked. */
function findings(text: string): string[] {
  const ajv = new Ajv({ allErrors: true, strict: false, validateFormats: false });
  const validate = ajv
    .addSchema(schema("spdx"), "http://cyclonedx.org/schema/spdx.SNAPSHOT.schema.json")
    .addSchema(schema("jsf-0.82"), "http://cyclonedx.org/schema/jsf-0.82.SNAPSHOT.schema.json")
    .compile(schema("bom-1.6"));
  validate(JSON.parse(text));
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

interface Part {
  "bom-ref": string;
  name: string;
  purl: string;
  scope?: string;
  components?: Part[];
  properties?: { name: string; value: string }[];
}
interface Bill {
  serialNumber: string;
  metadata: { timestamp?: string; component: Part };
  components: Part[];
  dependencies: { ref: string; dependsOn?: string[] }[];
  compositions: { aggregate: string; assemblies?: string[]; dependencies?: string[] }[];
}
const parse = (text: string) => JSON.parse(text) as Bill;

const digest = `sha256:${"ab".repeat(32)}`;
const own = `registry.example:5000/team/interface:1.4.0@${digest}`;
const text = sbomOf(
  "kiel-1",
  new Map([
    [images.telegraf, ["telegraf"]],
    [images.rollup, ["rollup", "simulator"]],
    [own, ["interface"]],
  ]),
);
const bill = parse(text);
const [program] = bill.components.filter(({ name }) => name === "bess-telemetry");
const packages = program?.components ?? [];

describe("the bill of materials of a site", () => {
  test("is one of CycloneDX 1.6, by its own schema", () => {
    expect(findings(text)).toEqual([]);
    expect(findings(text.replace('"type": "container"', '"type": "image"'))).not.toEqual([]);
  });
  test("names each image once, with its services, and by its digest where that is known", () => {
    const found = bill.components.filter(({ properties }) => properties);
    expect(found.map(({ purl }) => purl.replace(/sha256%3A.*/, ""))).toEqual([
      expect.stringContaining("node@"),
      `pkg:oci/interface@`,
      expect.stringContaining("telegraf@"),
    ]);
    expect(found[0]?.properties?.slice(0, 2)).toEqual([
      { name: "bess:service", value: "rollup" },
      { name: "bess:service", value: "simulator" },
    ]);
    expect(found[1]).toMatchObject({
      version: "1.4.0",
      hashes: [{ alg: "SHA-256", content: "ab".repeat(32) }],
      purl: `pkg:oci/interface@${encodeURIComponent(digest)}?repository_url=registry.example%3A5000%2Fteam%2Finterface&tag=1.4.0`,
    });
  });
  test("has every package that npm installs for the program, and none of the tests' own", () => {
    const names = packages.map(({ purl }) => purl.replace(/^pkg:npm\/|@[^@]*$/g, ""));
    const { dependencies, devDependencies } = JSON.parse(
      readFileSync(join(root, "package.json"), "utf8"),
    ) as Record<"dependencies" | "devDependencies", Record<string, string>>;
    const spelt = (name: string) => name.replace("@", "%40");
    expect(names).toEqual(expect.arrayContaining(Object.keys(dependencies).map(spelt)));
    for (const tool of ["jest", "oxlint", "cspell"]) {
      expect(devDependencies).toHaveProperty(tool);
      expect(names).not.toContain(tool);
    }
    expect(packages.find(({ name }) => name === "linux-x64")?.scope).toBe("optional");
  });
  test("tells what depends on what, and nothing that is not in it", () => {
    const refs = new Set(
      [bill.metadata.component, ...bill.components, ...packages].map((part) => part["bom-ref"]),
    );
    const named = bill.dependencies.flatMap(({ ref, dependsOn = [] }) => [ref, ...dependsOn]);
    expect(new Set(named)).toEqual(refs);
    const composed = bill.compositions.flatMap(({ assemblies = [], dependencies = [] }) => [
      ...assemblies,
      ...dependencies,
    ]);
    expect(composed.filter((ref) => !refs.has(ref))).toEqual([]);
    // Nested: the one that is found there, not that of the root.
    const nested = packages.find((part) => part["bom-ref"].includes("/node_modules/"));
    const users = bill.dependencies.filter(({ dependsOn }) =>
      dependsOn?.includes(nested?.["bom-ref"] ?? ""),
    );
    expect(users.length).toBeGreaterThan(0);
    for (const { ref } of users)
      expect(
        nested?.["bom-ref"].startsWith(`${ref.replace(/\/?node_modules\/[^/]+(\/[^/]+)?$/, "")}`),
      ).toBe(true);
  });
});

describe("npx bess images sbom", () => {
  const folder = temporaryFolder();
  afterAll(() => folder.remove());
  const sbom = (...more: string[]) =>
    execFileSync(process.execPath, ["cli/bess.js", "images", "sbom", "--stack", "dev", ...more], {
      cwd: root,
      encoding: "utf8",
      env: { ...process.env, SOURCE_DATE_EPOCH: more.length > 0 ? "" : "1790000000" },
    });

  test("gives the same bytes again, and a time only where one is given", () => {
    const file = join(folder.path, "dev.cdx.json");
    expect(sbom("--file", file)).toBe("");
    const written = readFileSync(file, "utf8");
    expect(findings(written)).toEqual([]);
    // More than a pipe holds: nothing is cut off.
    const { serialNumber, metadata, ...rest } = parse(sbom());
    const { serialNumber: before, metadata: former, ...same } = parse(written);
    expect(rest).toEqual(same);
    expect(serialNumber).not.toBe(before);
    expect(metadata).toEqual({ ...former, timestamp: "2026-09-21T14:13:20.000Z" });
  });
});
