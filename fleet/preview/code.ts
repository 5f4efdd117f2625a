import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";

/**
 * Files of the project that no site's plan is made from, or that its plan's key has apart: the
 * inventory, stack files and models. Whatever else there is may be code, or read by it.
 */
const apart = [
  /^(\.ci|\.devcontainer|\.github|bench|dist|docs|packaging|tests)\//,
  /\.md$/,
  /^fleet\/fleet\.yaml$/,
  /^Pulumi\.[\w-]+\.yaml$/,
];
const models = /^configs\/(telemetry\.yaml$|models\/)/;

export const isApart = (file: string): boolean =>
  models.test(file) || apart.some((pattern) => pattern.test(file));

/** Folders that hold nothing of the project's own. */
const notOwn = new Set(["node_modules", ".git", ".cache", ".pulumi-state"]);

function filesBelow(root: string, folder = root): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (notOwn.has(entry.name)) return [];
    return entry.isDirectory() ? filesBelow(root, path) : [relative(root, path)];
  });
}

/** Files of a checkout: what git knows or would take, or all that is there without git. */
function filesOf(root: string): string[] {
  if (!existsSync(join(root, ".git"))) return filesBelow(root);
  const { status, stdout } = spawnSync(
    "git",
    ["ls-files", "--cached", "--others", "--exclude-standard", "-z"],
    { cwd: root, encoding: "utf8", maxBuffer: 64 * 2 ** 20 },
  );
  return status === 0 ? stdout.split("\0").filter(Boolean) : filesBelow(root);
}

/** Digests of a checkout: equal for two that render every site alike. */
export interface CodeDigests {
  /** Of all but models, the inventory and stack files. */
  code: string;
  /** Of the models of configs/. */
  models: string;
}

export function digestsOf(root: string): CodeDigests {
  const [code, own] = [createHash("sha256"), createHash("sha256")];
  code.update(process.version);
  for (const file of filesOf(root).sort()) {
    const hash = models.test(file) ? own : isApart(file) ? undefined : code;
    if (!hash || !statSync(join(root, file), { throwIfNoEntry: false })?.isFile()) continue;
    const content = createHash("sha256")
      .update(readFileSync(join(root, file)))
      .digest("hex");
    hash.update(`${file}\0${content}\n`);
  }
  return { code: code.digest("hex"), models: own.digest("hex") };
}
