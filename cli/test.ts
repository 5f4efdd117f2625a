import { spawn, type StdioOptions } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import pLimit from "p-limit";
import { environment, root, setUp } from "../automation";
import { acting, bessCommand } from "./command";

/** A program of the packages that checks the project. */
interface Check {
  name: string;
  program: string;
  args: readonly string[];
}

/** The program and the rooms. */
const sources = (require("../tsconfig.json") as { include: string[] }).include.filter(
  (path) => path !== "tests",
);

/** What a person writes in prose. */
const pages = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs"].filter((page) =>
  existsSync(join(root, page)),
);

const checks: readonly Check[] = [
  { name: "types", program: "tsc", args: ["-p", "."] },
  { name: "format", program: "oxfmt", args: ["--check"] },
  { name: "lint", program: "oxlint", args: ["--deny-warnings"] },
  { name: "rooms", program: "depcruise", args: sources },
  { name: "references", program: "node", args: ["cli/bess.js", "docs", "--check"] },
  { name: "links", program: "remark", args: ["--quiet", "--frail", "--no-stdout", ...pages] },
  // Each step's script goes through shellcheck.
  { name: "workflows", program: "actionlint", args: ["-pyflakes=", "-no-color"] },
  // Low ones are hints of style: a new spelling of a path, for instance.
  {
    name: "holes in workflows",
    program: "zizmor",
    args: ["--offline", "--quiet", "--color=never", "--min-severity=medium", ".github/workflows"],
  },
  // cspell.json names the files.
  { name: "spelling", program: "cspell", args: ["--no-progress", "--no-summary"] },
];

/** Runs a program of the packages. @returns its exit code and, unless inherited, its output. */
function run(program: string, args: readonly string[], stdio: StdioOptions) {
  const path = [join(root, "node_modules/.bin"), environment().PATH].join(":");
  const env = { ...environment(), PATH: path };
  const child = spawn(program, args, { cwd: root, stdio, env });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (data: Buffer) => (output += data.toString()));
  return new Promise<{ code: number | null; output: string }>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, output }));
  });
}

/** Runs every check, two at once, and prints a line for each. @returns how many failed. */
async function runChecks(): Promise<number> {
  const limit = pLimit(2);
  const codes = await Promise.all(
    checks.map(({ name, program, args }) =>
      limit(async () => {
        const began = performance.now();
        const { code, output } = await run(program, args, ["ignore", "pipe", "pipe"]).catch(
          ({ message }: Error) => ({ code: 1, output: `${message}: npm test installs it` }),
        );
        const seconds = ((performance.now() - began) / 1000).toFixed(1);
        console.log(`${code === 0 ? "passed" : "FAILED"}    ${name}: ${seconds} s`);
        if (code !== 0) console.log(output.trimEnd());
        return code;
      }),
    ),
  );
  return codes.filter((code) => code !== 0).length;
}

const jestReport = join(root, ".cache/jest.json");

interface JestReport {
  numPassedTests: number;
  numFailedTests: number;
  numRuntimeErrorTestSuites: number;
  numPendingTests: number;
  numTodoTests: number;
}

/** Runs jest. @returns its exit code, and what it counted, if it came that far. */
async function runJest(args: readonly string[]) {
  rmSync(jestReport, { force: true });
  const report = ["--json", `--outputFile=${jestReport}`];
  const { code } = await run("jest", [...report, ...args], "inherit");
  const counted = existsSync(jestReport)
    ? (JSON.parse(readFileSync(jestReport, "utf8")) as JestReport)
    : undefined;
  return { code, counted };
}

async function testAll(jestArgs: readonly string[]): Promise<number> {
  if (!(await setUp("test"))) return 1;
  const failed = await runChecks();
  const { code, counted } = await runJest(jestArgs);
  if (counted) {
    const passing = checks.length - failed + counted.numPassedTests;
    const failing = failed + counted.numFailedTests + counted.numRuntimeErrorTestSuites;
    const skipped = counted.numPendingTests + counted.numTodoTests;
    console.log(`${passing} passed, ${failing} failed, ${skipped} skipped`);
  }
  return code === 0 && failed === 0 ? 0 : 1;
}

/** Checks the project without running it. */
export const lint = () =>
  bessCommand("lint", "Checks types, format, imports, references, links, workflows and spelling.")
    .example("In about 20 seconds", "lint")
    .action(acting(async () => ((await runChecks()) === 0 ? 0 : 1)));

/** Checks the project, and runs its tests. */
export const test = () =>
  bessCommand("test", "Installs what the tests need, checks all that lint checks, and runs jest.")
    .argument("[jest...]", "what jest takes, such as the path of a test")
    .allowUnknownOption()
    .passThroughOptions()
    .example("Everything", "test")
    .example("One test", "test tests/configs/sites.test.ts")
    .action(acting((jestArgs: string[]) => testAll(jestArgs)));
