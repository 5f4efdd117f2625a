import { loadFleet } from "../../configs/inventory";
import { acting, bessCommand, jsonOption, printJson, table } from "../command";
import { refusedSites, selected, selecting, type Selection } from "./selection";

const head = ["SITE", "WAVE", "STACK", "ENGINE", "PROFILE", "MODEL", "LABELS"];

function list(selection: Selection & { json?: boolean }): number {
  const fleet = loadFleet();
  const chosen = selected(fleet, selection);
  const refused = refusedSites(fleet, chosen);
  const code = refused.size > 0 ? 1 : 0;
  const sites = chosen
    .sort((a, b) => fleet.waves.indexOf(a.wave) - fleet.waves.indexOf(b.wave))
    .map(({ name, stack, engine, labels, wave, config: { profile, model } }) => {
      const problem = refused.get(name)?.join("; ");
      return { name, stack, engine, labels, wave, profile, model, ...(problem && { problem }) };
    });
  if (selection.json) {
    printJson(sites);
    return code;
  }
  const rows = sites.map(({ name, wave, stack, engine, profile, model, labels }) => {
    const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
    return [name, wave, stack, engine, profile, model, pairs.join(" ")];
  });
  console.log(table([head, ...rows]));
  for (const [name, problems] of refused)
    console.error(`${name} is refused: ${problems.join("; ")}`);
  return code;
}

export const fleetList = () =>
  selecting(bessCommand("list", "Lists the sites, in the order of a rollout."))
    .addOption(jsonOption())
    .example("Every site with its wave", "fleet list")
    .example(
      "The sites of one customer in the north",
      "fleet list --label customer=solarpark --label region=north",
    )
    .action(acting(list));
