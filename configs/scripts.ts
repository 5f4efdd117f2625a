import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Folder of the scripts that run in a site's containers and at its host. */
export const scriptFolder = join(__dirname, "scripts");

/** The value of each `@name@` of a script. */
export type Placeholders = Record<string, string | number>;

/** Placeholders of a script, and the entries of its `each` blocks by the block's name. */
export type ScriptValues = Record<string, string | number | Placeholders[]>;

/**
 * Renders a script of {@link scriptFolder}. What is stored is itself a script, which shellcheck
 * reads. In it
 * - `@name@` is replaced by a value;
 * - `. ./other.sh` is replaced by that script;
 * - `#: each names` to `#: end` is rendered once for each entry of `names`, with its placeholders;
 * - any other line that begins with `#:`, and shellcheck's directives, are left out.
 * @throws Error if a value is missing, or if the script does not use one.
 */
export function renderScript(file: string, values: ScriptValues = {}): string {
  const unused = new Set(Object.keys(values));
  const lookUp = (name: string) => {
    unused.delete(name);
    return values[name];
  };
  const rendered: string[] = [];
  let block: { entries: Placeholders[]; lines: string[] } | undefined;
  for (const line of storedLines(file)) {
    const each = /^#: each (\w+)$/.exec(line)?.[1];
    if (each !== undefined) {
      const entries = lookUp(each);
      if (!Array.isArray(entries)) throw new Error(`${file} needs a list of ${each}`);
      block = { entries, lines: [] };
    } else if (line === "#: end" && block) {
      const { entries, lines } = block;
      for (const entry of entries)
        rendered.push(...lines.map((one) => fill(one, file, (name) => entry[name])));
      block = undefined;
    } else if (!/^\s*(#:|# shellcheck )/.test(line)) {
      if (block) block.lines.push(line);
      else rendered.push(fill(line, file, lookUp));
    }
  }
  if (block) throw new Error(`${file} has a block without an end`);
  if (unused.size > 0) throw new Error(`${file} has no use for ${[...unused].join(", ")}`);
  return rendered.join("\n");
}

/** The lines of a stored script, with those of the scripts that it sources in their place. */
function storedLines(file: string): string[] {
  return readFileSync(join(scriptFolder, file), "utf8")
    .split("\n")
    .flatMap((line) => {
      const sourced = /^\. \.\/(\S+)$/.exec(line)?.[1];
      // The sourced script's last line end is that of this line.
      return sourced === undefined ? [line] : storedLines(sourced).slice(0, -1);
    });
}

function fill(line: string, file: string, lookUp: (name: string) => unknown): string {
  return line.replaceAll(/@(\w+)@/g, (_, name: string) => {
    const value = lookUp(name);
    if (typeof value === "string" || typeof value === "number") return String(value);
    throw new Error(`${file} needs a value of ${name}`);
  });
}
