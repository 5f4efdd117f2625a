import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { InputError } from "../configs/validation";
import { withSecretPlaceholders } from "../configs/secret-placeholders";
import type { FleetSite } from "../configs/inventory";
import { findSite } from "../configs/sites";
import {
  comparePlans,
  type RenderedResource,
  renderSite,
  root,
  type SitePlan,
} from "../automation";

/**
 * Rendered plans of sites in a folder: one file each, so that a fleet of any size fits in memory.
 */
const planFile = (folder: string, site: string) => join(folder, `${site}.json`);

/** A site's rendered plan by the code and config of this checkout; secrets stay closed. */
const planOf = async (site: FleetSite) =>
  (await renderSite(site.stack, withSecretPlaceholders(findSite(site.stack).settings))).resources;

/** Renders the plans of sites into a folder. */
export async function renderInto(folder: string, sites: readonly FleetSite[]): Promise<void> {
  mkdirSync(folder, { recursive: true });
  for (const site of sites)
    writeFileSync(planFile(folder, site.name), JSON.stringify(await planOf(site)));
}

const read = (folder: string, site: string): RenderedResource[] => {
  const file = planFile(folder, site);
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : [];
};

function run(command: string, args: string[], cwd: string): void {
  const { status, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "ignore", "pipe"],
    maxBuffer: 64 * 2 ** 20,
  });
  if (status !== 0)
    throw new InputError("--since", [
      [command, ...args].join(" ") +
        ` failed: ${error?.message ?? stderr.trim().split("\n").at(-1)}`,
    ]);
}

/** Commit that is checked out; undefined outside a repository. */
export function checkedOutCommit(): string | undefined {
  const { status, stdout } = spawnSync("git", ["rev-parse", "HEAD"], {
    cwd: root,
    encoding: "utf8",
  });
  return status === 0 ? stdout.trim() : undefined;
}

/** Commit that a revision names. @throws InputError if there is none. */
export function commitOf(ref: string): string {
  const { status, stdout } = spawnSync(
    "git",
    ["rev-parse", "--verify", "--quiet", "--end-of-options", `${ref}^{commit}`],
    { cwd: root, encoding: "utf8" },
  );
  if (status !== 0)
    throw new InputError("--since", [
      `git knows no revision ${ref} here: name a branch, a tag or a commit that has been fetched`,
    ]);
  return stdout.trim();
}

/** The project's files at a commit, with packages of that commit's own lock file. */
export function checkOut(commit: string, folder: string): void {
  const archive = join(folder, "base.tar");
  const base = join(folder, "base");
  mkdirSync(base, { recursive: true });
  run("git", ["archive", "--output", archive, commit], root);
  run("tar", ["-xf", archive, "-C", base], root);
  const lock = (of: string) => readFileSync(join(of, "package-lock.json"), "utf8");
  if (lock(base) === lock(root))
    symlinkSync(join(root, "node_modules"), join(base, "node_modules"));
  else run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], base);
}

/**
 * How a checkout runs its own `bess fleet`; undefined where it had no fleet yet, and so no sites.
 */
function fleetCommand(base: string): string[] | undefined {
  if (existsSync(join(base, "cli/bess.js"))) return ["cli/bess.js", "fleet"];
  // Before release 0.2 the commands were in tools/ and fleet/; read until 0.3.
  return existsSync(join(base, "fleet/cli.ts")) ? ["tools/run.js", "../fleet/cli"] : undefined;
}

/**
 * Plans by which each site would go from an earlier revision to what stands here: both sides are
 * rendered, each by its own code, and compared. No site is contacted, no state is read, and no
 * secret is needed.
 * @param sites those that the inventory has here.
 * @param isAsked which of the base's sites count.
 * @throws InputError if the revision is unknown, or cannot be rendered.
 */
export async function* plansSince(
  ref: string,
  sites: readonly FleetSite[],
  isAsked: (name: string) => boolean = () => true,
): AsyncGenerator<SitePlan> {
  const folder = join(root, ".cache/since", `${process.pid}`);
  const rendered = join(folder, "plans");
  try {
    checkOut(commitOf(ref), folder);
    mkdirSync(rendered, { recursive: true });
    const base = join(folder, "base");
    const command = fleetCommand(base);
    if (command) run(process.execPath, [...command, "render", "--out", rendered], base);
    for (const site of sites)
      yield comparePlans(
        { site: site.name, stack: site.stack, wave: site.wave },
        read(rendered, site.name),
        await planOf(site),
      );
    const here = new Set(sites.map(({ name }) => name));
    const gone = readdirSync(rendered)
      .map((file) => file.replace(/\.json$/, ""))
      .filter((name) => !here.has(name) && isAsked(name));
    yield* gone.map((site): SitePlan => ({
      site,
      steps: [],
      failed:
        "it leaves the inventory: no rollout touches it any more, " +
        "so take it down before this is merged",
    }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
