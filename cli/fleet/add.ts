import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkSite } from "../../configs/checks";
import { parseYaml } from "../../configs/files";
import { addSite, inventoryFile, type Labels, parseFleet } from "../../configs/inventory";
import { newStackFile, stackFile } from "../../configs/sites";
import { acting, bessCommand } from "../command";
import { labelOption, siteNamed } from "./selection";

const root = join(__dirname, "../..");

interface Added {
  engine: string;
  label: Labels;
  stack?: string;
  profile?: string;
  model?: string;
}

function add(name: string, { engine, label: labels, stack, profile, model }: Added): void {
  const inventory = join(root, inventoryFile);
  const text = addSite(readFileSync(inventory, "utf8"), name, {
    engine,
    labels,
    ...(stack && { stack }),
    ...(profile && { profile }),
    ...(model && { model }),
  });
  const added = parseFleet(parseYaml(text, inventoryFile)).sites.find((site) => site.name === name);
  if (added) checkSite(added.config, `sites.${name} of ${inventoryFile}`);
  const file = stackFile(stack ?? name);
  const isKept = existsSync(join(root, file));
  if (!isKept) writeFileSync(join(root, file), newStackFile(name));
  writeFileSync(inventory, text);
  console.log(`${inventoryFile}: site ${name} is added, to wave ${siteNamed(name).wave}`);
  console.log(
    isKept
      ? `${file}: is there already, and stays as it is`
      : `${file}: written; it takes the stack's secrets`,
  );
}

export const fleetAdd = () =>
  bessCommand("add", `Adds a site to ${inventoryFile}, and a file for its stack's secrets.`)
    .argument("<site>", "name of the site")
    .requiredOption("--engine <address>", "Docker engine of the site, such as ssh://bess@host")
    .addOption(labelOption("label of the site; repeatable"))
    .option("--stack <name>", "its Pulumi stack (default: the site's name)")
    .option("--profile <name>", "size of its host (default: by its labels)")
    .option("--model <path>", "its telemetry model (default: by its labels)")
    .addHelpText(
      "after",
      `
Everything else that docs/configuration.md lists can be written there by hand. Comments and order of
${inventoryFile} stay.`,
    )
    .example(
      "A new site in the north",
      "fleet add kiel-3 --engine ssh://bess@kiel-3.example --label region=north --label hardware=pi",
    )
    .action(acting(add));
