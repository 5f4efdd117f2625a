import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";

const root = join(__dirname, "..");

/** The bundle as the package holds it; a checkout has none. */
const packed = join(root, "simulator/bundle.js");

let bundle: string | undefined;

/**
 * The simulator and the libraries it uses, as one file that plain Node runs; made once for all
 * sites of a process.
 */
export const simulatorBundle = (): string =>
  (bundle ??= existsSync(packed) ? readFileSync(packed, "utf8") : buildBundle());

function buildBundle(): string {
  const { outputFiles } = buildSync({
    entryPoints: [join(root, "simulator/main.ts")],
    absWorkingDir: root,
    bundle: true,
    minify: true,
    platform: "node",
    target: "node22",
    write: false,
    legalComments: "none",
  });
  return outputFiles.map(({ text }) => text).join("");
}
