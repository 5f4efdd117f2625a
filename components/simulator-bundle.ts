import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";

const root = join(__dirname, "..");

/** The bundle as the package holds it; a checkout has none. */
const packed = join(root, "simulator/bundle.js");

let bundle: string | undefined;
let sources: string[] = [];

/**
 * The simulator and the libraries it uses, as one file that plain Node runs; made once for all
 * sites of a process.
 */
export const simulatorBundle = (): string =>
  (bundle ??= existsSync(packed) ? readFileSync(packed, "utf8") : buildBundle());

/** Files that the bundle was made of, relative to the project; none while there is no bundle. */
export const bundledSources = (): readonly string[] => sources;

function buildBundle(): string {
  const { outputFiles, metafile } = buildSync({
    entryPoints: [join(root, "simulator/main.ts")],
    absWorkingDir: root,
    bundle: true,
    minify: true,
    platform: "node",
    target: "node22",
    write: false,
    legalComments: "none",
    metafile: true,
  });
  sources = Object.keys(metafile.inputs);
  return outputFiles.map(({ text }) => text).join("");
}
