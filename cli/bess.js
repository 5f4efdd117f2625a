#!/usr/bin/env node
// Behind every npm command: makes sure of the packages, then runs a tool of this folder. Plain JavaScript, for
// before `npm ci` nothing here can read TypeScript.
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
  console.log("installing packages: npm ci");
  const { status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--fetch-retries=1"], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (status !== 0) {
    console.error(
      "missing   packages: npm ci failed; it needs the npm registry, and its own lines above say why",
    );
    process.exit(status ?? 1);
  }
}

const [tool, ...args] = process.argv.slice(2);
process.argv = [process.argv[0], join(__dirname, tool), ...args];
require("ts-node").register({ project: join(root, "tsconfig.json") });
// Pulumi's SDK takes a stack trace for every promise: telling each in TypeScript's lines takes half of a preview's time.
if (!process.env.NODE_DEBUG) delete Error.prepareStackTrace;
require(`./${tool}`);
