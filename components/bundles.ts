import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";

const root = join(__dirname, "..");

/** Programs of this project that run in containers of plain Node; each is a room with a `main.ts`. */
export const bundledPrograms = ["simulator", "rollup"] as const;

/** One of the {@link bundledPrograms}. */
export type BundledProgram = (typeof bundledPrograms)[number];

/** A bundle as the package holds it, relative to it; a checkout has none. */
export const packedBundle = (program: BundledProgram): string => `${program}/bundle.js`;

const bundles = new Map<BundledProgram, string>();
const sources = new Set<string>();

/**
 * A program and the libraries it uses, as one file that plain Node runs; made once for all sites of a
 * process.
 */
export function bundleOf(program: BundledProgram): string {
  const made = bundles.get(program);
  if (made !== undefined) return made;
  const packed = join(root, packedBundle(program));
  const bundle = existsSync(packed) ? readFileSync(packed, "utf8") : buildBundle(program);
  bundles.set(program, bundle);
  return bundle;
}

/** This program's version. The package's own file stands above what it is built into. */
export function programVersion(): string {
  const file = [root, join(root, "..")]
    .map((folder) => join(folder, "package.json"))
    .find(existsSync);
  const { version } = JSON.parse(readFileSync(file ?? "", "utf8")) as { version: string };
  return version;
}

/** Files that the bundles were made of, relative to the project; none while there is no bundle. */
export const bundledSources = (): readonly string[] => [...sources];

function buildBundle(program: BundledProgram): string {
  const { outputFiles, metafile } = buildSync({
    entryPoints: [join(root, program, "main.ts")],
    absWorkingDir: root,
    bundle: true,
    minify: true,
    platform: "node",
    target: "node22",
    write: false,
    legalComments: "none",
    metafile: true,
  });
  for (const source of Object.keys(metafile.inputs)) sources.add(source);
  return outputFiles.map(({ text }) => text).join("");
}
