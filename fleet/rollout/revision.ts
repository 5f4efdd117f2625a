import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../automation";
import { InputError } from "../../configs/validation";
import * as inventory from "../../configs/inventory";
import * as sites from "../../configs/sites";
import { checkOut, commitOf } from "../since";

/** The code and the inventory of one commit: what a site is brought to. */
export interface Revision {
  commit: string;
  /** Path of the module that exports the program. */
  program: string;
  /**
   * The site's whole `bess-telemetry:site`, as the commit has it.
   * @throws InputError where it has no such site.
   */
  configOf(site: string): Record<string, unknown>;
}

/** What reads a revision's own inventory and stack files. */
interface SiteFiles {
  loadFleet: typeof inventory.loadFleet;
  findSite: typeof sites.findSite;
}

function revisionOf(commit: string, { loadFleet, findSite }: SiteFiles, folder: string): Revision {
  const fleet = loadFleet(join(folder, inventory.inventoryFile));
  return {
    commit,
    program: join(folder, "index.ts"),
    configOf(name) {
      const site = fleet.sites.find((known) => known.name === name);
      if (!site)
        throw new InputError(`revision ${commit.slice(0, 12)}`, [
          `sites.${name} is not in its ${inventory.inventoryFile}`,
        ]);
      return findSite(site.stack, folder).settings;
    },
  };
}

/**
 * What is checked out here, by its commit; files may differ from that, so nothing is to be rolled
 * out of it.
 */
export const workingTree = (): Revision =>
  revisionOf(commitOf("HEAD"), { ...inventory, ...sites }, root);

/**
 * What is checked out here, by its commit.
 * @throws InputError where files differ from the commit: nobody could bring a site back to that.
 */
export function currentRevision(): Revision {
  const { stdout } = spawnSync("git", ["status", "--porcelain", "--untracked-files=no"], {
    cwd: root,
    encoding: "utf8",
  });
  // Pulumi writes a salt into a stack's file when it is first used.
  const changed = stdout
    .split("\n")
    .filter((line) => line.trim() && !/ Pulumi\.[\w-]+\.yaml$/.test(line));
  if (changed.length > 0)
    throw new InputError("the working tree", [
      "it differs from its commit, so that no revision could be gone back to; commit first: " +
        changed.map((line) => line.slice(3)).join(", "),
    ]);
  return workingTree();
}

/** What reads a checkout's inventory and stack files, by the checkout's own code. */
function siteFilesOf(base: string): SiteFiles {
  if (existsSync(join(base, "configs/sites.ts")))
    return {
      ...(require(join(base, "configs/inventory")) as typeof inventory),
      ...(require(join(base, "configs/sites")) as typeof sites),
    };
  // Before release 0.2 the inventory's own module read the stack files too; read until 0.3.
  const { loadFleet, stackConfig } = require(join(base, "fleet/inventory")) as Former;
  const findSite = (stack: string, folder = base): sites.StackSite => {
    const { sites: known } = loadFleet(join(folder, inventory.inventoryFile));
    const found = known.find((site) => site.stack === stack);
    if (!found) throw new InputError(`stack ${stack}`, [`not in its ${inventory.inventoryFile}`]);
    return { stack, settings: stackConfig(found, folder), sources: ["inventory"] };
  };
  return { loadFleet, findSite };
}

/** fleet/inventory.ts, as it was before configs/sites.ts. */
interface Former {
  loadFleet: typeof inventory.loadFleet;
  stackConfig(site: inventory.FleetSite, folder: string): inventory.Settings;
}

/** The code and the inventory of any commit, from a checkout of its own beside this one. */
export function revisionAt(commit: string): Revision {
  const full = commitOf(commit);
  if (full === commitOf("HEAD")) return currentRevision();
  const folder = join(root, ".cache/revisions", full);
  if (!existsSync(join(folder, "base/index.ts"))) checkOut(full, folder);
  const base = join(folder, "base");
  return revisionOf(full, siteFilesOf(base), base);
}
