import { loadFleet } from "../../configs/inventory";
import { acting, bessCommand, jsonOption, printJson, table } from "../command";
import { selected, selecting, type Selection } from "./selection";

const head = ["SITE", "WAVE", "STACK", "ENGINE", "PROFILE", "MODEL", "LABELS"];

function list(selection: Selection & { json?: boolean }): void {
  const fleet = loadFleet();
  const sites = selected(fleet, selection)
    .sort((a, b) => fleet.waves.indexOf(a.wave) - fleet.waves.indexOf(b.wave))
    .map(({ name, stack, engine, labels, wave, config: { profile, model } }) => {
      return { name, stack, engine, labels, wave, profile, model };
    });
  if (selection.json) return printJson(sites);
  const rows = sites.map(({ name, wave, stack, engine, profile, model, labels }) => {
    const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
    return [name, wave, stack, engine, profile, model, pairs.join(" ")];
  });
  console.log(table([head, ...rows]));
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
