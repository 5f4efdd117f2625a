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
  const rendered = fill(storedScript(file), file, (name) => {
    unused.delete(name);
    return values[name];
  });
  if (unused.size > 0) throw new Error(`${file} does not use ${[...unused].join(", ")}`);
  return rendered;
}

/** A stored script, with the scripts that it sources in their place. */
const storedScript = (file: string): string =>
  readFileSync(join(scriptFolder, file), "utf8").replaceAll(
    /^\. \.\/(\S+)\n/gm,
    (_, sourced: string) => storedScript(sourced),
  );

/** A block with its name and lines, a line that is left out, or a placeholder with its name. */
const markup = /^#: each (\w+)\n([^]*?)^#: end\n|^[ \t]*(?:#:|# shellcheck ).*\n|@(\w+)@/gm;

function fill(
  text: string,
  file: string,
  valueOf: (name: string) => ScriptValues[string] | undefined,
): string {
  return text.replaceAll(markup, (_, block?: string, lines = "", placeholder?: string) => {
    const name = block ?? placeholder;
    if (name === undefined) return "";
    const value = valueOf(name);
    if (block !== undefined && Array.isArray(value))
      return value.map((entry) => fill(lines, file, (key) => entry[key])).join("");
    if (block !== undefined || value === undefined || Array.isArray(value))
      throw new Error(`${file} needs ${block === undefined ? "a value" : "a list"} of ${name}`);
    return String(value);
  });
}
