import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hubSchema } from "../configs/hub";
import { fleetSchema } from "../configs/inventory";
import { loadModel, modelSchema } from "../configs/model";
import { siteSchema } from "../configs/site";
import { changeRules, rules } from "../policy";
import { alertsReference } from "./alerts-reference";
import { cliReference } from "./cli-reference";
import { acting, type BessCommand, bessCommand } from "./command";
import { modelReference, policyReference, scenarioReference, schemaReference } from "./reference";
import { editorSchemas } from "./schemas";

const root = join(__dirname, "..");

const defaultModel = () => loadModel(join(root, "configs/telemetry.yaml"));

/** The models of the project, the default one first. */
const models = () => [
  defaultModel(),
  ...readdirSync(join(root, "configs/models"))
    .filter((file) => file.endsWith(".yaml"))
    .map((file) => loadModel(join(root, "configs/models", file))),
];

/** Every generated file of docs/, by its path in the project. */
export const pages = (program: BessCommand): Record<string, string> => ({
  "docs/alerts.md": alertsReference(loadModel(join(root, "configs/telemetry.yaml"))),
  "docs/cli.md": cliReference(program),
  "docs/configuration.md": schemaReference(
    "Configuration of a site",
    "Keys of `bess-telemetry:site` in `Pulumi.<stack>.yaml`. A key that is unknown, or has a " +
      "wrong value, is refused before anything is touched. " +
      "Example: [Pulumi.pi.yaml](../Pulumi.pi.yaml).",
    siteSchema,
    "Pulumi.pi.yaml",
  ),
  "docs/hub-configuration.md": schemaReference(
    "Configuration of a hub",
    "Keys of `bess-telemetry:hub` in `Pulumi.hub.yaml`. A key that is unknown, or has a wrong " +
      "value, is refused before anything is touched. What a hub is: [hub.md](hub.md). " +
      "Example: [Pulumi.hub.yaml](../Pulumi.hub.yaml).",
    hubSchema,
    "Pulumi.hub.yaml",
  ),
  "docs/inventory.md": schemaReference(
    "Inventory of a fleet",
    "Keys of `fleet/fleet.yaml`. `defaults`, `overrides[].set` and each site also take the keys " +
      "of [a site's configuration](configuration.md), except `name` and `engine`. A site's own " +
      "key wins over the overrides, and the overrides win over the defaults. " +
      "Example: [fleet/fleet.yaml](../fleet/fleet.yaml).",
    fleetSchema,
    "fleet/fleet.yaml",
  ),
  "docs/policy.md": policyReference([...rules, ...changeRules]),
  "docs/simulator.md": scenarioReference(models()),
  "docs/telemetry-model.md": schemaReference(
    "Telemetry model",
    "Keys of a model file, such as [configs/telemetry.yaml](../configs/telemetry.yaml). Names " +
      "must not repeat. No message may match the topics of two measurements. " +
      "What a change of it does at a site: [changing-a-model.md](changing-a-model.md).",
    modelSchema,
    "configs/telemetry.yaml",
  ),
  "docs/telemetry.md": modelReference(defaultModel()),
  ...Object.fromEntries(
    Object.entries(editorSchemas).map(([path, schema]) => [
      path,
      `${JSON.stringify(schema, null, 2)}\n`,
    ]),
  ),
});

/**
 * Generated files that are missing, or differ from what the schemas and the model say now.
 * @param program the program that docs/cli.md describes.
 * @param folder the project, by default this one.
 */
export function outdated(program: BessCommand, folder = root): string[] {
  const text = (path: string) => (existsSync(path) ? readFileSync(path, "utf8") : undefined);
  return Object.entries(pages(program)).flatMap(([path, wanted]) =>
    text(join(folder, path)) === wanted ? [] : [path],
  );
}

/** Writes the generated files, or checks them. @returns the exit code. */
function renew(program: BessCommand, check?: boolean): number {
  const stale = outdated(program);
  if (check) {
    for (const path of stale) console.error(`${path} is out of date: npx bess docs renews it`);
    return stale.length > 0 ? 1 : 0;
  }
  for (const [path, text] of Object.entries(pages(program)))
    if (stale.includes(path)) writeFileSync(join(root, path), text);
  console.log(stale.length > 0 ? `written: ${stale.join(", ")}` : "all files are up to date");
  return 0;
}

/** Renews the generated files of docs/. @param program what docs/cli.md describes. */
export const docs = (program: BessCommand) =>
  bessCommand("docs", "Writes the generated pages and JSON Schemas in docs/.")
    .option("--check", "write nothing; fail if a file is out of date")
    .example("After a change of a schema or a command", "docs")
    .action(acting(({ check }: { check?: boolean }) => renew(program, check)));
