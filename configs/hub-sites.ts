import { existsSync } from "node:fs";
import { join } from "node:path";
import { modelFile } from "./checks";
import { inventoryFile, type Labels, loadFleet, type Location } from "./inventory";
import { loadModel, type Model } from "./model";

/** A site as a hub shows it. */
export interface HubShownSite {
  name: string;
  location?: Location | undefined;
  /** What it sends is made of its model. */
  model: Model;
}

/** A site of the inventory, as a hub knows it. */
export interface HubSite extends HubShownSite {
  /** Pulumi stack of the site. */
  stack: string;
  labels: Labels;
  wave: string;
}

/**
 * The sites of an inventory, each with its model; none where there is no inventory.
 * @param folder the project.
 * @throws InputError for a bad inventory or model.
 */
export function hubSites(folder = join(__dirname, "..")): HubSite[] {
  const file = join(folder, inventoryFile);
  if (!existsSync(file)) return [];
  const models = new Map<string, Model>();
  return loadFleet(file).sites.map(({ name, stack, labels, wave, location, config }) => {
    const path = modelFile(config);
    const model = models.get(path) ?? loadModel(path, config.model);
    models.set(path, model);
    return { name, stack, labels, wave, location, model };
  });
}

/** The different models of some sites, in the order of the sites. */
export const modelsOf = (sites: readonly Pick<HubSite, "model">[]): Model[] => [
  ...new Set(sites.map(({ model }) => model)),
];
