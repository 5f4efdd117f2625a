import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Engine } from "../../rehearsal";
import { Checkout } from "../support/checkout";
import { temporaryFolder } from "../support/programs";
import {
  type Contexts,
  filled,
  githubApi,
  githubScript,
  type JobResult,
  type Post,
  readWorkflow,
  Runner,
  starts,
} from "../support/workflow";

jest.setTimeout(300_000);

const checkout = new Checkout();
const home = temporaryFolder();
const answers = new Map<string, unknown>();
let api: Awaited<ReturnType<typeof githubApi>>;
let key: string;

const jobsOf = (file: string) => readWorkflow(checkout.at(`.github/workflows/${file}`)).jobs;
const job = (file: string, name: string) => {
  const found = jobsOf(file)[name];
  if (!found) throw new Error(`${file} has no job ${name}`);
  return found;
};

/** Two sites go in the last wave, and none in the one before. */
const inventory = `labels: { ring: [canary, early] }
defaults: { profile: pi, explorer: { enabled: false } }
waves:
  - { name: canary, when: { ring: canary } }
  - { name: early, when: { ring: early } }
  - { name: rest }
sites:
  kiel-1: { engine: "ssh://bess@kiel-1.example", labels: { ring: canary } }
  kiel-2: { engine: "ssh://bess@kiel-2.example" }
  aachen-1: { engine: "ssh://bess@aachen-1.example" }
`;

beforeAll(async () => {
  writeFileSync(checkout.at("fleet/fleet.yaml"), inventory);
  checkout.git("commit", "-q", "-a", "-m", "three sites");
  mkdirSync(join(home.path, "states"));
  api = await githubApi(answers);
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(home.path, "key")]);
  key = readFileSync(join(home.path, "key"), "utf8");
});
afterAll(() => {
  api.close();
  checkout.remove();
  home.remove();
});

const environments = ["rollout-canary", "rollout-early", "rollout-rest", "drift"];
const environment = (change: object = {}) => ({
  protection_rules: [
    { type: "branch_policy" },
    { type: "required_reviewers", reviewers: [{ type: "User", reviewer: { login: "ann" } }] },
  ],
  deployment_branch_policy: { protected_branches: false, custom_branch_policies: true },
  ...change,
});
/** Lets branches deploy to each environment. */
function branches(...names: string[]): void {
  const policies = { branch_policies: names.map((name) => ({ name })) };
  for (const name of environments)
    answers.set(`/repos/bess/sites/environments/${name}/deployment-branch-policies`, policies);
}
const runs = "/repos/bess/sites/actions/workflows/rollout.yml/runs?per_page=100";
beforeEach(() => {
  answers.clear();
  answers.set("/repos/bess/sites", { default_branch: "main" });
  for (const name of environments)
    answers.set(`/repos/bess/sites/environments/${name}`, environment());
  answers.set("/repos/bess/sites/environments/drift", environment({ protection_rules: [] }));
  branches("main");
  answers.set(runs, { workflow_runs: [{ status: "completed" }] });
});

const github = {
  token: "run-token",
  run_id: "17",
  run_attempt: "1",
  actor: "ann",
  repository: "bess/sites",
};
const secrets = () => ({ PULUMI_CONFIG_PASSPHRASE: "word", FLEET_SSH_KEY: key });
const vars = () => ({
  PULUMI_BACKEND_URL: `file://${home.path}/states`,
  FLEET_KNOWN_HOSTS: "kiel-1.example ssh-ed25519 AAAA\r\nkiel-2.example ssh-ed25519 AAAA",
});
const everything = (): Contexts => ({ github, secrets: secrets(), vars: vars() });

/** A runner that is new, as GitHub's are. */
function runner(environment: NodeJS.ProcessEnv = {}, told: Record<string, string> = {}): Runner {
  rmSync(join(home.path, "runner"), { recursive: true, force: true });
  const env = {
    ...checkout.person,
    GITHUB_API_URL: api.url,
    GITHUB_REPOSITORY: "bess/sites",
    GITHUB_REF: "refs/heads/main",
    ...environment,
  };
  return new Runner(checkout.at("."), env, join(home.path, "runner"), told);
}
const simulated = { "fleet up": "--rehearse", "fleet drift": "--rehearse" };

const said = ({ ran }: JobResult) => ran.map(({ output }) => output).join("");
const scripts = ({ ran }: JobResult) => ran.map(({ step, code }) => [step.split("\n")[0], code]);

describe("rollout.yml", () => {
  const admit = (wave: string, told: NodeJS.ProcessEnv = {}, runners = 2) =>
    runner(told).run(job("rollout-wave.yml", "admit"), {
      ...everything(),
      inputs: { wave, runners },
    });
  const up = (contexts: Contexts, wave: string, matrix: Contexts["matrix"] = {}, told = {}) =>
    runner({}, told).run(job("rollout-wave.yml", "up"), { ...contexts, inputs: { wave }, matrix });

  test("brings the sites to the commit, wave by wave, and passes over a wave without any", async () => {
    const done: [string, ...string[]][] = [];
    for (const { with: { wave = "", runners = 1 } = {} } of Object.values(jobsOf("rollout.yml"))) {
      const { result, outputs } = await admit(wave, {}, runners);
      expect(result).toBe("success");
      const needs = { admit: { result, outputs } };
      if (!starts(job("rollout-wave.yml", "up"), { needs })) continue;
      const { include } = JSON.parse(outputs.matrix ?? "") as { include: Contexts["matrix"][] };
      for (const matrix of include) {
        const ended = await up(everything(), wave, matrix, simulated);
        expect([said(ended), ended.result]).toEqual([expect.anything(), "success"]);
        const results = said(ended).match(/\d+ (verified|up-to-date)/g) ?? [];
        done.push([wave, ...new Set(results)]);
      }
    }
    // The runners of a wave do not do a site twice.
    expect(done).toEqual([
      ["canary", "1 verified"],
      ["rest", "2 verified"],
      ["rest", "2 up-to-date"],
    ]);
  }, 600_000);

  test("fails where there is no such wave", async () => {
    answers.set("/repos/bess/sites/environments/rollout-first", environment());
    const ended = await admit("first");
    expect(ended).toMatchObject({ result: "failure", outputs: { matrix: "" } });
    expect(said(ended)).toContain("--wave is first: allowed here: canary, early, rest");
  });

  test.each([
    [
      "is not there",
      undefined,
      "environment rollout-canary is not there: GitHub would make it, without any protection",
    ],
    [
      "has no reviewers",
      environment({ protection_rules: [{ type: "branch_policy" }] }),
      "environment rollout-canary has no required reviewers: nobody would have to approve",
    ],
    [
      "takes every branch",
      environment({ deployment_branch_policy: null }),
      "environment rollout-canary takes every branch: let it take main alone",
    ],
    [
      "takes another branch",
      environment({ deployment_branch_policy: { custom_branch_policies: true } }),
      "environment rollout-canary takes mine/*: let it take main alone",
    ],
    [
      "takes protected branches, of which there are none",
      environment({ deployment_branch_policy: { custom_branch_policies: false } }),
      "environment rollout-canary takes protected branches, and main is not protected",
    ],
  ])("refuses a wave whose environment %s", async (_, answer, told) => {
    answers.set("/repos/bess/sites/environments/rollout-canary", answer);
    branches("main", "mine/*");
    const ended = await admit("canary");
    expect([ended.result, ended.outputs]).toEqual(["failure", { matrix: "" }]);
    expect(said(ended)).toContain(told);
  });

  test("refuses another branch than the default one", async () => {
    const ended = await admit("canary", { GITHUB_REF: "refs/heads/mine" });
    expect(said(ended)).toContain("refs/heads/mine is not the default branch: start it from main");
    expect(ended.result).toBe("failure");
  });

  test.each<[string, () => Contexts, RegExp]>([
    [
      "every secret",
      () => ({ github }),
      /FLEET_SSH_KEY is empty, .*\n.*FLEET_KNOWN_HOSTS is empty/,
    ],
    [
      "the backend",
      () => ({ github, secrets: secrets(), vars: { ...vars(), PULUMI_BACKEND_URL: undefined } }),
      /PULUMI_BACKEND_URL is empty, PULUMI_ACCESS_TOKEN is empty, and this/,
    ],
    [
      "the passphrase",
      () => ({ github, secrets: { FLEET_SSH_KEY: key }, vars: vars() }),
      /PULUMI_CONFIG_PASSPHRASE is empty: it opens the secrets of kiel-1/,
    ],
    [
      "a key that ssh reads",
      () => ({ github, secrets: { ...secrets(), FLEET_SSH_KEY: "mine" }, vars: vars() }),
      /FLEET_SSH_KEY is no private key that ssh reads/,
    ],
  ])("touches no site without %s", async (_, contexts, told) => {
    const ended = await up(contexts(), "canary");
    expect(said(ended)).toMatch(told);
    expect(said(ended)).not.toMatch(/kiel-1 running|Stack kiel-1/);
    expect([ended.result, existsSync(checkout.at(".pulumi-state"))]).toEqual(["failure", false]);
    expect(existsSync(join(home.path, "runner/.ssh/id_ed25519"))).toBe(false);
  });

  test("lets ssh in while it runs, and leaves a runner's own files as they are", async () => {
    const run = job("rollout-wave.yml", "up");
    const machine = runner({}, { "fleet up": "--help" });
    const contexts = { ...everything(), inputs: { wave: "canary" } };
    const withoutEnd = { ...run, steps: (run.steps ?? []).slice(0, -2) };
    await machine.run(withoutEnd, contexts);
    expect(readFileSync(machine.at(".ssh/id_ed25519"), "utf8")).toBe(key);
    expect(statSync(machine.at(".ssh/id_ed25519")).mode & 0o777).toBe(0o600);
    const known = readFileSync(machine.at(".ssh/known_hosts"), "utf8");
    expect(known).toBe("kiel-1.example ssh-ed25519 AAAA\nkiel-2.example ssh-ed25519 AAAA\n");
    // The same runner again, as one of one's own is.
    await machine.run(run, contexts);
    expect(existsSync(machine.at(".ssh/id_ed25519"))).toBe(false);
    expect(readFileSync(machine.at(".ssh/known_hosts"), "utf8")).toBe(known);
    writeFileSync(machine.at(".ssh/id_ed25519"), "its own");
    const refused = await machine.run(run, contexts);
    expect(said(refused)).toContain("a runner with a key of its own needs no FLEET_SSH_KEY");
    expect(readFileSync(machine.at(".ssh/id_ed25519"), "utf8")).toBe("its own");
  });
});

describe("drift.yml", () => {
  const idle = (told: NodeJS.ProcessEnv = {}) =>
    runner(told).run(job("drift.yml", "idle"), everything());
  const look = (contexts = everything()) =>
    runner({}, simulated).run(job("drift.yml", "look"), contexts);
  /** Runs the job that keeps the issue, where GitHub would start it. */
  async function keepIssue(
    issues: Post[],
    idleResult: string,
    lookResult: string,
  ): Promise<boolean> {
    const keeper = job("drift.yml", "issue");
    const needs = { idle: { result: idleResult }, look: { result: lookResult } };
    if (!starts(keeper, { needs })) return false;
    await githubScript(keeper.steps?.at(-1), checkout.at("."), { issues }, { RESULT: lookResult });
    return true;
  }

  test("keeps one issue about what was changed by hand, and closes it", async () => {
    const before = await idle();
    expect([before.outputs.idle, before.result]).toEqual(["true", "success"]);
    const issues: Post[] = [];
    const engines = checkout.at(".cache/rehearsal/engines");
    const kiel = Engine.open(engines, "ssh://bess@kiel-1.example");
    const { containers } = structuredClone(kiel.state);
    kiel.save(() => delete kiel.state.containers["kiel-1-telegraf"]);
    expect(scripts(await look())).toEqual([
      ["npm ci", 0],
      ["npx bess ci ssh", 0],
      ["npx bess fleet drift --markdown drift.md", 0],
      ["npx bess ci ssh --remove", 0],
    ]);
    expect(await keepIssue(issues, "success", "success")).toBe(true);
    expect(await keepIssue(issues, "success", "success")).toBe(true);
    expect(issues).toEqual([
      expect.objectContaining({
        title: "The fleet has drifted",
        state: "open",
        body: expect.stringContaining("| kiel-1 | delete Container:kiel-1-telegraf |"),
      }),
    ]);
    rmSync(checkout.at("drift.md"));
    kiel.save(() => Object.assign(kiel.state.containers, containers));
    expect((await look()).result).toBe("success");
    expect(existsSync(checkout.at("drift.md"))).toBe(false);
    await keepIssue(issues, "success", "success");
    expect(issues[0]?.state).toBe("closed");
  });

  test("is passed over while a rollout runs, or waits for its approval", async () => {
    const url = "https://github.example/bess/sites/actions/runs/17";
    answers.set(runs, {
      workflow_runs: [
        { status: "completed" },
        { status: "waiting", html_url: url, created_at: "2026-11-27T02:00:00Z" },
      ],
    });
    const { result, outputs, ran } = await idle();
    expect([result, outputs]).toEqual(["success", { idle: "false" }]);
    expect(ran.at(-1)?.output).toBe(`a rollout is waiting since 2026-11-27T02:00:00Z: ${url}\n`);
    expect(starts(job("drift.yml", "look"), { needs: { idle: { result, outputs } } })).toBe(false);
    expect(await keepIssue([], "success", "skipped")).toBe(false);
  });

  test("gives way to a rollout, and is in its group", async () => {
    const { concurrency } = readWorkflow(checkout.at(".github/workflows/rollout.yml"));
    expect(job("drift.yml", "look").concurrency?.group).toBe(concurrency?.group);
    expect(await keepIssue([], "success", "cancelled")).toBe(false);
  });

  test("fails on another branch, and where another could take its key, and says so", async () => {
    branches("main", "mine");
    const ended = await idle({ GITHUB_REF: "refs/heads/mine" });
    expect(said(ended)).toMatch(/mine is not the default branch[^]*environment drift takes mine:/);
    const { result } = ended;
    expect(result).toBe("failure");
    const issues: Post[] = [];
    expect(await keepIssue(issues, result, "skipped")).toBe(true);
    expect(issues[0]?.body).toContain("The nightly look at the fleet failed");
  });

  test("fails without its secrets, each by its name", async () => {
    const ended = await look({ github });
    expect(ended.result).toBe("failure");
    expect(said(ended)).toMatch(/FLEET_SSH_KEY is empty[^]*FLEET_KNOWN_HOSTS is empty/);
  });
});

describe("preview.yml", () => {
  const event = (from: string, login = "ann") => ({
    ...github,
    event: { pull_request: { number: 7, user: { login }, head: { repo: { full_name: from } } } },
  });
  const own = event("bess/sites");
  const dependabot = event("bess/sites", "dependabot[bot]");
  beforeAll(() => {
    checkout.change("fleet/fleet.yaml", "profile: pi,", "profile: pi, retention: 200d,");
    checkout.git("commit", "-q", "-a", "-m", "a retention");
  });
  afterEach(() => {
    for (const file of ["comment.md", "report.md"]) rmSync(checkout.at(file), { force: true });
  });

  test("keeps one comment, from the states of the stacks", async () => {
    const contexts = { ...everything(), github: own };
    expect(starts(job("preview.yml", "plan"), contexts)).toBe(true);
    expect(starts(job("preview.yml", "rendered"), contexts)).toBe(false);
    const ended = await runner().run(job("preview.yml", "plan"), contexts);
    expect([said(ended), ended.result]).toEqual([expect.anything(), "success"]);
    const comments: Post[] = [];
    const script = job("preview.yml", "comment").steps?.at(-1);
    for (let again = 0; again < 2; again++)
      await githubScript(script, checkout.at("."), { comments });
    expect(comments).toEqual([
      expect.objectContaining({ body: expect.stringMatching(/^<!-- .* -->\n## 3 of 3 sites/) }),
    ]);
  });

  test("fails without its secrets, each by its name, and posts nothing", async () => {
    const ended = await runner().run(job("preview.yml", "plan"), { github: own });
    expect(ended.result).toBe("failure");
    expect(said(ended)).toMatch(
      /PULUMI_BACKEND_URL is empty, PULUMI_ACCESS_TOKEN is empty, and this.*\n.*docs\/github-actions\.md tells/,
    );
    const comments: Post[] = [];
    await githubScript(job("preview.yml", "comment").steps?.at(-1), checkout.at("."), { comments });
    expect(comments).toEqual([]);
  });

  test.each([
    ["a fork", event("stranger/sites")],
    ["Dependabot", dependabot],
  ])("renders what %s sends, says that it has no secret, and why", async (whose, told) => {
    expect(starts(job("preview.yml", "plan"), { github: told })).toBe(false);
    expect(starts(job("preview.yml", "rendered"), { github: told })).toBe(true);
    const { result, summary } = await runner().run(job("preview.yml", "rendered"), {
      github: told,
    });
    expect(result).toBe("success");
    expect(summary).toMatch(
      new RegExp(`^GitHub gives a run of ${whose} no secret[^]*## 3 of 3 sites change`),
    );
  });

  test.each([
    [{}, "ubuntu-24.04"],
    [{ FLEET_PREVIEW: "real" }, "self-hosted"],
    [{ FLEET_PREVIEW: "real", FLEET_RUNNER: "sites" }, "sites"],
  ])("with the variables %p runs on %s", (variables, label) => {
    const { "runs-on": expression = "", env } = job("preview.yml", "plan");
    expect(Object.keys(env ?? {})).toContain("PULUMI_BACKEND_URL");
    expect(filled(expression, { vars: variables })).toBe(label);
  });
});
