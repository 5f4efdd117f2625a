import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { environment, setUp } from "../automation/programs";

/** `npm test`: sets up what the tests need, checks the types, and runs jest with coverage. */
const bin = (name: string) => join(__dirname, "../node_modules/.bin", name);
const run = (name: string, args: string[]) => {
  const { status } = spawnSync(bin(name), args, { stdio: "inherit", env: environment() });
  if (status !== 0) process.exit(status ?? 1);
};

setUp("test").then((complete) => {
  if (!complete) process.exit(1);
  run("tsc", ["-p", "."]);
  run("jest", ["--coverage", ...process.argv.slice(2)]);
});
