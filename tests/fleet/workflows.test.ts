import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { loadFleet } from "../../configs/inventory";
import { readWorkflow } from "../support/workflow";

const root = join(__dirname, "../..");
const folder = join(root, ".github/workflows");
const files = readdirSync(folder);
const textOf = (file: string) => readFileSync(join(folder, file), "utf8");

const workflow = (file: string) => readWorkflow(join(folder, file));

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

test("a preview of a fork, or of Dependabot, has no secret", () => {
  expect(JSON.stringify(workflow("preview.yml").jobs.rendered)).not.toContain("secrets.");
});

test("the set-up page has every secret, variable and environment of the workflows, and no other", () => {
  const page = readFileSync(join(root, "docs/github-actions.md"), "utf8");
  const rows = [...page.matchAll(/^\| `([A-Z_]+)` \| (secret|variable)/gm)].map(
    ([, name, kind]) => `${kind} ${name}`,
  );
  const used = files.flatMap((file) =>
    [...textOf(file).matchAll(/\b(secret|var)s\.([A-Z_]+)/g)].map(
      ([, kind, name]) => `${kind === "var" ? "variable" : kind} ${name}`,
    ),
  );
  expect(rows.sort()).toEqual([...new Set(used)].sort());
  const environments = files.flatMap((file) =>
    Object.values(workflow(file).jobs).flatMap(({ environment }) => environment ?? []),
  );
  expect(environments.sort()).toEqual(["drift", "rollout-${{ inputs.wave }}"]);
  for (const name of ["drift", "rollout-<wave>"]) expect(page).toContain(`\`${name}\``);
});

test("a rollout goes through the waves of the inventory, each after the one before", () => {
  const jobs = Object.values(workflow("rollout.yml").jobs);
  expect(jobs.map((job) => job.with?.wave)).toEqual(loadFleet().waves);
  expect(jobs.map(({ needs }) => needs)).toEqual([undefined, ...loadFleet().waves.slice(0, -1)]);
});
