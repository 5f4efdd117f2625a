// Before `npm pack`: builds the package in dist/, which is JavaScript, its types, and the files
// that are read at run time. Only what components/index.ts reaches goes into it.
//
// In package.json's `exports`, Node takes `node`, which is the package. Pulumi's Node.js runner
// takes `default` for the program of a stack, before `main`: so that is index.ts.
const { execFileSync } = require("node:child_process");
const { cpSync, mkdirSync, rmSync, writeFileSync } = require("node:fs");
const { dirname, extname, join } = require("node:path");

const root = join(__dirname, "..");
const dist = join(root, "dist");

rmSync(dist, { recursive: true, force: true });
const compiler = require.resolve("typescript/bin/tsc");
execFileSync(process.execPath, [compiler, "-p", __dirname], { stdio: "inherit" });

// Telemetry models, and the scripts that run in containers: all of configs/ but its code.
cpSync(join(root, "configs"), join(dist, "configs"), {
  recursive: true,
  filter: (path) => extname(path) !== ".ts",
});

require("ts-node").register({ project: join(root, "tsconfig.json") });
const { bundledPrograms, bundleOf, packedBundle } = require("../components/bundles");
for (const program of bundledPrograms) {
  const bundle = join(dist, packedBundle(program));
  mkdirSync(dirname(bundle), { recursive: true });
  writeFileSync(bundle, bundleOf(program));
}
