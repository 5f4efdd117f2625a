import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse as parseYaml } from "yaml";
import { loadFleet } from "../../configs/inventory";
import { program } from "../support/programs";

const root = join(__dirname, "../..");
const folder = join(root, ".github/workflows");
const files = readdirSync(folder);
const textOf = (file: string) => readFileSync(join(folder, file), "utf8");

interface Job {
  uses?: string;
  needs?: string;
  with?: { wave: string };
  permissions?: Record<string, string>;
  steps?: { uses?: string; run?: string; with?: Record<string, unknown> }[];
}
interface Workflow {
  on: Record<string, unknown>;
  permissions: Record<string, string>;
  jobs: Record<string, Job>;
}
const workflow = (file: string): Workflow => parseYaml(textOf(file), { merge: true });

/** Runs actionlint, without shellcheck and pyflakes: not every machine has them. */
const lint = (args: string[], input?: string) =>
  spawnSync(program("actionlint"), ["-shellcheck=", "-pyflakes=", "-no-color", ...args], {
    cwd: root,
    input,
    encoding: "utf8",
  });

test("actionlint takes every workflow", () => {
  const { status, stdout } = lint([]);
  expect(stdout).toBe("");
  expect(status).toBe(0);
});

test("actionlint works: a mistake is reported", () => {
  const { status, stdout } = lint(["-"], textOf("check.yml").replace("runs-on:", "run-on:"));
  expect(stdout).toContain('unexpected key "run-on"');
  expect(status).toBe(1);
});

describe.each(files)("%s", (file) => {
  const { on, permissions, jobs } = workflow(file);
  const rights = [permissions, ...Object.values(jobs).map((job) => job.permissions ?? {})];

  test("pins each action by its commit, and names its version", () => {
    const used = textOf(file)
      .split("\n")
      .filter((line) => /^\s*(- )?uses: (?!\.\/)/.test(line));
    expect(
      used.filter((line) => !/uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line)),
    ).toEqual([]);
  });
  test("says what its token may, and grants nothing at large", () => {
    expect(permissions).toBeDefined();
    expect(Object.values(permissions).filter((right) => right !== "read")).toEqual([]);
    expect(
      rights.flatMap(Object.values).filter((right) => right !== "read" && right !== "write"),
    ).toEqual([]);
  });
  test("never runs a stranger's code with the project's rights", () =>
    expect(Object.keys(on)).not.toContain("pull_request_target"));
  test("checks nothing out, and runs nothing of it, where its token may write", () => {
    const writing = Object.values(jobs).filter((job) =>
      Object.values(job.permissions ?? {}).includes("write"),
    );
    expect(
      writing.flatMap(({ steps = [] }) =>
        steps.filter(({ run, uses }) => run !== undefined || uses?.startsWith("actions/checkout")),
      ),
    ).toEqual([]);
  });
  test("leaves no token behind in what it checks out", () => {
    const checkouts = Object.values(jobs).flatMap(({ steps = [] }) =>
      steps.filter(({ uses }) => uses?.startsWith("actions/checkout")),
    );
    expect(checkouts.filter((step) => step.with?.["persist-credentials"] !== false)).toEqual([]);
  });
  test("puts no text of an event or a variable into a script", () => {
    expect(
      Object.values(jobs).flatMap(({ steps = [] }) =>
        steps.filter(({ run }) => run?.includes("${{")),
      ),
    ).toEqual([]);
  });
});

test("a fork's preview has no secret", () => {
  expect(JSON.stringify(workflow("preview.yml").jobs.fork)).not.toContain("secrets.");
});

test("a rollout goes through the waves of the inventory, each after the one before", () => {
  const jobs = Object.values(workflow("rollout.yml").jobs);
  expect(jobs.map((job) => job.with?.wave)).toEqual(loadFleet().waves);
  expect(jobs.map(({ needs }) => needs)).toEqual([undefined, ...loadFleet().waves.slice(0, -1)]);
});
