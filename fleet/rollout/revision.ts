import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { PulumiFn } from "@pulumi/pulumi/automation";
import { InputError } from "../../configs/validation";
import program from "../..";
import * as here from "../../configs/inventory";
import { checkOut, commitOf } from "../since";

const root = join(__dirname, "../..");

/** The code and the inventory of one commit: what a site is brought to. */
export interface Revision {
  commit: string;
  program: PulumiFn;
  /** The site's whole `bess-telemetry:site`, as the commit has it. @throws InputError where it has no such site. */
  configOf(site: string): Record<string, unknown>;
}

function revisionOf(
  commit: string,
  inventory: typeof here,
  run: PulumiFn,
  folder: string,
): Revision {
  const fleet = inventory.loadFleet(join(folder, here.inventoryFile));
  return {
    commit,
    program: run,
    configOf(name) {
      const site = fleet.sites.find((known) => known.name === name);
      if (!site)
        throw new InputError(`revision ${commit.slice(0, 12)}`, [
          `sites.${name} is not in its ${here.inventoryFile}`,
        ]);
      return inventory.stackConfig(site, folder);
    },
  };
}

/** What is checked out here, by its commit; files may differ from that, so nothing is to be rolled out of it. */
export const workingTree = (): Revision => revisionOf(commitOf("HEAD"), here, program, root);

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
      `it differs from its commit, so that no revision could be gone back to; commit first: ${changed.map((line) => line.slice(3)).join(", ")}`,
    ]);
  return workingTree();
}

/** The code and the inventory of any commit, from a checkout of its own beside this one. */
export function revisionAt(commit: string): Revision {
  const full = commitOf(commit);
  if (full === commitOf("HEAD")) return currentRevision();
  const folder = join(root, ".cache/revisions", full);
  if (!existsSync(join(folder, "base/index.ts"))) checkOut(full, folder);
  const base = join(folder, "base");
  return revisionOf(
    full,
    require(join(base, "fleet/inventory")),
    require(join(base, "index")),
    base,
  );
}
