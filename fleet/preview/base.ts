import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RenderedResource } from "../../automation";
import { inventoryFile, loadFleet } from "../../configs/inventory";
import { readYaml } from "../../configs/files";
import { run } from "../since";
import { digestsOf } from "./code";
import { namesOf } from "./names";
import type { PlanStore } from "./plans";
import { type Rendering, renderSites, type SiteRender } from "./render";

/** File in which `fleet render --store` tells which site has which plan. */
const rendersFile = "sites.ndjson";

export const writeRenders = (folder: string, renders: readonly SiteRender[]): void =>
  writeFileSync(
    join(folder, rendersFile),
    renders.map((render) => `${JSON.stringify(render)}\n`).join(""),
  );

/**
 * How a checkout runs its own `bess fleet`; undefined where it had no fleet yet, and so no sites.
 */
function fleetCommand(base: string): string[] | undefined {
  if (existsSync(join(base, "cli/bess.js"))) return ["cli/bess.js", "fleet"];
  // Before release 0.2 the commands were in tools/ and fleet/; read until 0.3.
  return existsSync(join(base, "fleet/cli.ts")) ? ["tools/run.js", "../fleet/cli"] : undefined;
}

/** Before this release it had no store, and wrote a file for each site; read until 0.4. */
export const hasPlanStore = (base: string): boolean => existsSync(join(base, "fleet/preview"));

/**
 * The sites of a checkout as its own code renders them. Where that is the code of this checkout,
 * they are rendered here: most of them have the plan that they have here too.
 * @param base the checkout.
 * @param folder for what the checkout's own command writes.
 * @param options `models`: digest of the models of this checkout; `isAsked`: the sites that count.
 */
export async function rendersOf(
  base: string,
  folder: string,
  { isAsked, models, ...rendering }: Rendering & { models: string; isAsked(name: string): boolean },
): Promise<SiteRender[]> {
  const { store } = rendering;
  const { code, models: own } = digestsOf(base);
  if (code === rendering.code && own === models) {
    const { sites } = loadFleet(join(base, inventoryFile));
    return renderSites(
      sites.filter(({ name }) => isAsked(name)),
      rendering,
      base,
    );
  }
  const command = fleetCommand(base);
  if (!command) return [];
  mkdirSync(folder, { recursive: true });
  const hasStore = hasPlanStore(base);
  const args = ["render", "--out", folder, ...(hasStore ? ["--store", store.folder] : [])];
  run(process.execPath, [...command, ...args], base);
  return hasStore ? readRenders(join(folder, rendersFile)) : formerRenders(folder, base, store);
}

const readRenders = (file: string): SiteRender[] =>
  readFileSync(file, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as SiteRender);

/** A file for each site, each under its own names. */
function formerRenders(folder: string, base: string, store: PlanStore): SiteRender[] {
  const file = join(base, inventoryFile);
  const sites = existsSync(file)
    ? enginesOf(file)
    : new Map<string, Pick<SiteRender, "engine" | "stack">>();
  return readdirSync(folder).map((name) => {
    const site = name.replace(/\.json$/, "");
    const resources = JSON.parse(readFileSync(join(folder, name), "utf8")) as RenderedResource[];
    const plan = store.add(resources);
    const { stack = site, engine = "" } = sites.get(site) ?? {};
    const names = namesOf(stack, { name: site, engine });
    return { name: site, stack, engine, names, wave: "", plan, shared: false, others: "" };
  });
}

/** Of an inventory that another version may have written: it is not checked by this one's rules. */
function enginesOf(file: string): Map<string, Pick<SiteRender, "engine" | "stack">> {
  const { sites = {} } = (readYaml(file, inventoryFile) ?? {}) as {
    sites?: Record<string, { engine?: string; stack?: string }>;
  };
  return new Map(
    Object.entries(sites).map(([name, { engine = "", stack = name }]) => [name, { engine, stack }]),
  );
}
