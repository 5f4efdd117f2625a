import { spawnSync } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { join, relative } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { root } from "../../automation";
import { parseYaml } from "../../configs/files";
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
  const changed = gitPaths("diff", "--name-only", "--no-renames", "--relative", "-z", "HEAD");
  refuseTree(
    changed
      .filter((file) => !isOnlyEncryption(file))
      .map((file) => `${file} differs from the commit`),
  );
  return workingTree();
}

/**
 * @param files what sites are made from, relative to the project.
 * @throws InputError where the commit lacks one of them, or leads elsewhere by a link: a rollback,
 * and every other machine, would not have it.
 */
export function requireCommitted(files: Iterable<string>): void {
  const committed = new Set(gitPaths("ls-tree", "-r", "--name-only", "-z", "HEAD"));
  const findings = [...new Set(files)].flatMap((file) => {
    const missing = [file, relative(root, realpathSync(join(root, file)))].find(
      (path) => !committed.has(path),
    );
    if (missing === undefined || isOnlyEncryption(file)) return [];
    const link = missing === file ? "" : `, which leads to ${missing}`;
    return [`${file}${link}: a site is made from it, and the commit does not have it`];
  });
  refuseTree(findings);
}

function refuseTree(findings: string[]): void {
  if (findings.length === 0) return;
  const reason = "no rollback could bring a site back to what is only here; commit it first";
  throw new InputError("the working tree", [...findings, reason]);
}

/** Paths that git prints, relative to the project. */
function gitPaths(...args: string[]): string[] {
  const { status, stdout, stderr, error } = git(...args);
  if (status !== 0) throw new Error(`git ${args[0]}: ${error?.message ?? stderr.trim()}`);
  return stdout.split("\0").filter(Boolean);
}

const git = (...args: string[]) =>
  spawnSync("git", args, { cwd: root, encoding: "utf8", maxBuffer: 64 * 2 ** 20 });

/**
 * Whether a file is a stack's, and differs from the commit by nothing but what Pulumi writes into
 * it when the stack is first used.
 */
function isOnlyEncryption(file: string): boolean {
  const stack = sites.stackOfFile(file);
  if (stack === undefined || !existsSync(join(root, file))) return false;
  const committed = git("show", `HEAD:./${file}`);
  const before = committed.status === 0 ? parseYaml(committed.stdout, file) : {};
  return isDeepStrictEqual(
    withoutEncryption(before),
    withoutEncryption(sites.readStackFile(stack, root)),
  );
}

function withoutEncryption(content: unknown): object {
  const entries = Object.entries(content ?? {}).filter(
    ([key]) => !sites.encryptionKeys.some((own) => own === key),
  );
  return { config: {}, ...Object.fromEntries(entries.filter(([, value]) => value !== null)) };
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
