import { existsSync, readFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import pLimit from "p-limit";
import { availableParallelism } from "node:os";
import { isTransformed, renderSite, root, type WorkerPool } from "../../automation";
import { type Fleet, type FleetSite, inventoryFile, loadFleet } from "../../configs/inventory";
import { withSecretPlaceholders } from "../../configs/secret-placeholders";
import { parseSite } from "../../configs/site";
import { findSite, readStackFile, siteKey } from "../../configs/sites";
import { anonymousSettings, type Names, namesOf, standIns } from "./names";
import { hash, type PlanStore } from "./plans";

/** A site as a revision renders it: small, for a fleet has many. */
export interface SiteRender {
  name: string;
  stack: string;
  wave: string;
  names: Names;
  /** Address of its engine. */
  engine: string;
  /** Digest of its rendered plan. */
  plan: string;
  /** Whether the plan has stand-ins in the place of the site's names. */
  shared: boolean;
  /** Digest of what its stack's file sets beside the site; empty where that is nothing. */
  others: string;
}

/** Contents of models by their paths. */
type ModelDigests = Map<string, string>;

function modelDigest(model: string, folder: string, known: ModelDigests): string {
  const path = isAbsolute(model) ? model : join(folder, model);
  const digest = known.get(path) ?? (existsSync(path) ? hash(readFileSync(path, "utf8")) : "");
  known.set(path, digest);
  return digest;
}

/** What one site's plan is rendered from. */
interface Spec {
  site: FleetSite;
  names: Names;
  engine: string;
  key: string;
  stack: string;
  settings: Record<string, unknown>;
  shared: boolean;
  others: string;
}

function specOf(
  site: FleetSite,
  { code, apart = false }: Pick<Rendering, "code" | "apart">,
  folder: string,
  fleet: Fleet,
  models: ModelDigests,
): Spec {
  const found = findSite(site.stack, folder, fleet);
  const settings = withSecretPlaceholders(found.settings) as Record<string, unknown>;
  const names = namesOf(site.stack, settings);
  const { stack } = names;
  const { [siteKey]: _, ...others } = readStackFile(site.stack, folder).config ?? {};
  // What transform.ts does to a site by its name is in no setting.
  const shared = !apart && !isTransformed(stack);
  const rendered = shared ? anonymousSettings(settings) : settings;
  const { model } = parseSite(settings);
  const from = [code, modelDigest(model, folder, models), rendered, shared ? "" : stack];
  return {
    site,
    names,
    engine: typeof settings.engine === "string" ? settings.engine : site.engine,
    key: hash(JSON.stringify(from)),
    stack: shared ? standIns.stack : stack,
    settings: rendered,
    shared,
    others: Object.keys(others).length > 0 ? hash(JSON.stringify(others)) : "",
  };
}

/** What sites are rendered with. */
export interface Rendering {
  store: PlanStore;
  /** Digest of the code of this checkout. */
  code: string;
  workers: WorkerPool;
  /**
   * Whether each site is rendered under its own names, as before release 0.2; needed until 0.4, for
   * digests of secrets are made from the names. Default: false.
   */
  apart?: boolean;
}

/**
 * Renders sites by the code of this checkout, on all cores. Sites that differ in their names alone
 * are rendered once, and what has been rendered before is not rendered again.
 * @param folder where the inventory, stack files and models lie. Default: this checkout.
 */
export async function renderSites(
  sites: readonly FleetSite[],
  { store, code, workers, apart }: Rendering,
  folder = root,
): Promise<SiteRender[]> {
  const models: ModelDigests = new Map();
  const fleet = loadFleet(join(folder, inventoryFile));
  const specs = sites.map((site) =>
    specOf(site, { code, ...(apart && { apart }) }, folder, fleet, models),
  );
  const plans = new Map<string, Promise<string>>();
  const limit = pLimit(Math.max(2, availableParallelism()));
  const render = async ({ key, stack, settings, shared }: Spec) =>
    store.find(key) ??
    store.keep(key, (await renderSite(stack, settings, workers, shared)).resources);
  const renders = specs.map(async (spec): Promise<SiteRender> => {
    const plan = plans.get(spec.key) ?? limit(() => render(spec));
    plans.set(spec.key, plan);
    const { name, stack, wave } = spec.site;
    const { names, engine, shared, others } = spec;
    return { name, stack, wave, names, engine, plan: await plan, shared, others };
  });
  return Promise.all(renders);
}
