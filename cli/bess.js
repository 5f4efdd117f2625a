#!/usr/bin/env node
// The program `bess`: makes sure of the packages, then runs a command of cli/program.ts. Plain
// JavaScript, for before `npm ci` nothing here can read TypeScript.
const { spawnSync } = require("node:child_process");
const { existsSync, lstatSync, readFileSync } = require("node:fs");
const { join } = require("node:path");

const root = join(__dirname, "..");
const lock = (file) => JSON.parse(readFileSync(join(root, file), "utf8")).packages;

/** Whether what npm installed last is what the lock file asks for, other platforms' packages aside. */
function installed() {
  // A link leads to another checkout's packages, which npm ci would empty.
  if (lstatSync(join(root, "node_modules"), { throwIfNoEntry: false })?.isSymbolicLink())
    return true;
  if (!existsSync(join(root, "node_modules/.package-lock.json"))) return false;
  const have = lock("node_modules/.package-lock.json");
  return Object.entries(lock("package-lock.json")).every(
    ([path, { version, optional }]) => !path || optional || have[path]?.version === version,
  );
}

if (!installed()) {
  // Standard output may be a report.
  console.error("installing packages: npm ci");
  const { status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--fetch-retries=1"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
  if (status !== 0) {
    console.error(
      "missing   packages: npm ci failed; it needs the npm registry, and its own lines above say why",
    );
    process.exit(status ?? 1);
  }
}

require("../typescript");

const args = process.argv.slice(2);
// A file of the project, relative to this folder, is run as it is: a benchmark, or a test's program.
const file = args[0]?.startsWith("../") ? join(__dirname, args[0]) : undefined;
if (file) {
  process.argv = [process.argv[0], file, ...args.slice(1)];
  require(file);
} else {
  require("./program").run(args);
}
