import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { root } from "../automation";
import { InputError } from "../configs/validation";

/** Runs a program. @throws InputError with the last line of what it says. */
export function run(command: string, args: string[], cwd: string): void {
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
