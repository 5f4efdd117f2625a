import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { join } from "node:path";
import { type StackFile, stackFile } from "../configs/sites";
import { parseYaml } from "../configs/files";
import { root } from "./backend";

/** Keys that Pulumi writes into a stack's file by itself: how its secrets are encrypted. */
const pulumiKeys = ["secretsprovider", "encryptedkey", "encryptionsalt"] as const;

/**
 * Runs work in which Pulumi may write a stack's file, and leaves the file as a person wrote it:
 * Pulumi writes it anew in its own format, without a reason to.
 * @param keys whether the lines stay by which Pulumi opens the stack's secrets. Without them
 *   nothing stays.
 * @param folder where the file lies. Default: the project.
 */
export async function keepingStackFile<T>(
  stack: string,
  keys: boolean,
  work: () => Promise<T>,
  folder = root,
): Promise<T> {
  const file = join(folder, stackFile(stack.split("/").at(-1) ?? stack));
  const before = textOf(file);
  try {
    return await work();
  } finally {
    const after = textOf(file);
    if (after !== undefined && after !== before) {
      if (before !== undefined) writeFileSync(file, keys ? withKeys(before, after) : before);
      else if (!keys) rmSync(file);
    }
  }
}

const textOf = (file: string) => (existsSync(file) ? readFileSync(file, "utf8") : undefined);

/** The text that a person wrote, with Pulumi's own keys as they are now. */
function withKeys(before: string, after: string): string {
  const [own, now] = [contentOf(before), contentOf(after)];
  // Where Pulumi has changed more than its own keys, its text counts.
  if (!isDeepStrictEqual(own.config ?? {}, now.config ?? {})) return after;
  return pulumiKeys
    .filter((key) => own[key] !== now[key])
    .reduce((text, key) => {
      const others = text.replace(new RegExp(`^${key}:.*\n?`, "m"), "");
      const value = now[key];
      if (value === undefined) return others;
      return `${others.replace(/[^\n]$/, "$&\n")}${key}: ${value}\n`;
    }, before);
}

const contentOf = (text: string) => (parseYaml(text, "the stack's file") ?? {}) as StackFile;
