import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { parse as parseYaml } from "yaml";

/** A step of a job, as its workflow has it. */
export interface Step {
  id?: string;
  if?: string;
  uses?: string;
  run?: string;
  with?: Record<string, unknown>;
  env?: Record<string, string>;
}

/** A job, as its workflow has it. */
export interface Job {
  if?: string;
  uses?: string;
  needs?: string | string[];
  with?: { wave: string; runners?: number };
  permissions?: Record<string, string>;
  concurrency?: { group: string };
  environment?: string;
  "runs-on"?: string;
  outputs?: Record<string, string>;
  env?: Record<string, string>;
  steps?: Step[];
}

/** A workflow, as its file has it. */
export interface Workflow {
  on: Record<string, unknown>;
  permissions: Record<string, string>;
  concurrency?: { group: string };
  jobs: Record<string, Job>;
}

export const readWorkflow = (file: string): Workflow =>
  parseYaml(readFileSync(file, "utf8"), { merge: true });

type Context = Record<string, unknown>;

/** What an expression may name; what is not there is empty, as with GitHub. */
export interface Contexts {
  github?: Context;
  vars?: Context;
  secrets?: Context;
  inputs?: Context;
  matrix?: Context;
  needs?: Record<string, { result: string; outputs?: Record<string, string> }>;
}

const names = ["github", "vars", "secrets", "inputs", "matrix", "needs", "steps"] as const;

/** GitHub's functions that a workflow here uses, and the status of the job so far. */
const functions = (failed: boolean) => ({
  always: () => true,
  cancelled: () => false,
  success: () => !failed,
  failure: () => failed,
  fromJSON: JSON.parse as (text: string) => unknown,
});

/**
 * The value of an expression. GitHub's operators, strings and paths mean the same in JavaScript,
 * for the expressions of the workflows here.
 */
function valueOf(expression: string, contexts: Context, failed = false): unknown {
  const known = { ...functions(failed), ...contexts };
  // oxlint-disable-next-line no-new-func -- the expressions are the project's own
  return new Function(...Object.keys(known), `return (${expression});`)(...Object.values(known));
}

/** Text with its expressions filled in. */
const fill = (text: unknown, contexts: Context): string =>
  String(text).replaceAll(/\$\{\{(.+?)\}\}/g, (_, expression: string) =>
    String(valueOf(expression, contexts) ?? ""),
  );

const fillAll = (texts: Record<string, unknown> = {}, contexts: Context) =>
  Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, fill(text, contexts)]));

/** Whether a condition holds; without a word on the status it also means success. */
function holds(condition: string | undefined, contexts: Context, failed: boolean): boolean {
  if (condition === undefined) return !failed;
  const expression = condition.replace(/^\$\{\{(.*)\}\}$/s, "$1");
  const saysStatus = /\b(always|cancelled|success|failure)\(/.test(expression);
  return (saysStatus || !failed) && Boolean(valueOf(expression, contexts, failed));
}

const withAll = (contexts: Contexts): Context => ({
  ...Object.fromEntries(names.map((name) => [name, {}])),
  ...contexts,
});

/** Text of a workflow as GitHub fills it in. */
export const filled = (text: string, contexts: Contexts) => fill(text, withAll(contexts));

/** Whether GitHub would start a job. */
export function starts({ if: condition, needs = [] }: Job, contexts: Contexts = {}): boolean {
  const results = [needs].flat().map((name) => contexts.needs?.[name]?.result ?? "success");
  return holds(
    condition,
    withAll(contexts),
    results.some((result) => result !== "success"),
  );
}

/** How a step ended. */
export interface Ran {
  /** Its script, or its action. */
  step: string;
  code: number | null;
  output: string;
}

/** How a job ended. */
export interface JobResult {
  result: "success" | "failure";
  outputs: Record<string, string>;
  summary: string;
  ran: Ran[];
}

/** A stand-in for a machine that GitHub starts for a job. */
export class Runner {
  constructor(
    /** The repository, checked out. */
    private readonly checkout: string,
    private readonly environment: NodeJS.ProcessEnv,
    /** Home of its user, and where its files lie. */
    readonly home: string,
    /** Options that `bess` is given beside, by its sub-command: `fleet up`. */
    told: Record<string, string> = {},
  ) {
    mkdirSync(join(home, "bin"), { recursive: true });
    const cases = Object.entries(told).map(([words, more]) => `"${words}") set -- "$@" ${more} ;;`);
    this.program("npm", "# Stand-in: the packages are linked, and npm would empty them.");
    this.program(
      "npx",
      `shift\ncase "$1 $2" in\n${cases.join("\n")}\n*) ;;\nesac\nexec node cli/bess.js "$@"`,
    );
  }

  private program(name: string, script: string): void {
    writeFileSync(join(this.home, "bin", name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }

  /** A file of its home. */
  at = (file: string) => join(this.home, file);

  /** Runs a job's scripts, one after the other as GitHub does; its actions are passed over. */
  async run(job: Job, told: Contexts): Promise<JobResult> {
    const ran: Ran[] = [];
    const steps: Record<string, { outputs: Record<string, string> }> = Object.fromEntries(
      (job.steps ?? []).flatMap(({ id }) => (id === undefined ? [] : [[id, { outputs: {} }]])),
    );
    const contexts = { ...withAll(told), steps };
    const [output, summary] = [this.at("output"), this.at("summary")];
    writeFileSync(summary, "");
    for (const step of job.steps ?? []) {
      const failed = ran.some(({ code }) => code !== 0);
      if (step.run === undefined || !holds(step.if, contexts, failed)) continue;
      writeFileSync(output, "");
      const env = {
        ...this.environment,
        HOME: this.home,
        PATH: [this.at("bin"), this.environment.PATH].join(":"),
        CI: "true",
        GITHUB_ACTIONS: "true",
        GITHUB_OUTPUT: output,
        GITHUB_STEP_SUMMARY: summary,
        ...fillAll(job.env, contexts),
        ...fillAll(step.env, contexts),
      };
      ran.push({ step: step.run, ...(await this.script(step.run, env)) });
      if (step.id !== undefined) steps[step.id] = { outputs: outputsOf(output) };
    }
    return {
      result: ran.every(({ code }) => code === 0) ? "success" : "failure",
      outputs: fillAll(job.outputs, contexts),
      summary: readFileSync(summary, "utf8"),
      ran,
    };
  }

  /** Runs a script by the shell that GitHub runs it by. */
  private script(text: string, env: NodeJS.ProcessEnv): Promise<Omit<Ran, "step">> {
    const file = this.at("step.sh");
    writeFileSync(file, text);
    const child = spawn("bash", ["-e", file], { cwd: this.checkout, env, stdio: "pipe" });
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (data: Buffer) => (said += data.toString()));
    return new Promise((done) => child.once("close", (code) => done({ code, output: said })));
  }
}

const outputsOf = (file: string) =>
  Object.fromEntries(
    readFileSync(file, "utf8")
      .split("\n")
      .filter(Boolean)
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );

/** A stand-in for GitHub's REST API: it answers what `answers` has for a path, else 404. */
export async function githubApi(answers: Map<string, unknown>) {
  const server = createServer((request, response) => {
    const answer = answers.get(request.url ?? "");
    const isKnown = request.headers.authorization === "Bearer run-token";
    response.statusCode = isKnown ? (answer === undefined ? 404 : 200) : 401;
    response.end(JSON.stringify(answer ?? {}));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close: () => server.close() };
}

/** An issue, or a comment, as a script of a workflow writes it. */
export interface Post {
  number?: number;
  id?: number;
  title?: string;
  body: string;
  state?: string;
  labels?: string[];
  user?: { type: string };
  pull_request?: object;
}

/**
 * Runs a step of actions/github-script against a stand-in for its client, which keeps issues and
 * comments in lists.
 */
export async function githubScript(
  step: Step | undefined,
  folder: string,
  { issues = [], comments = [] }: { issues?: Post[]; comments?: Post[] },
  env: Record<string, string> = {},
): Promise<void> {
  const find = (posts: Post[], key: "number" | "id", value: unknown) => {
    const found = posts.find((post) => post[key] === value);
    if (!found) throw new Error(`no post ${String(value)}`);
    return found;
  };
  const github = {
    paginate: async (list: (args: object) => Post[], args: object) => list(args),
    rest: {
      issues: {
        listForRepo: ({ labels, state }: { labels: string; state: string }) =>
          issues.filter((issue) => issue.labels?.includes(labels) && issue.state === state),
        create: async ({ title, body, labels }: Post) =>
          issues.push({
            number: issues.length + 1,
            body,
            state: "open",
            ...(title !== undefined && { title }),
            ...(labels && { labels }),
          }),
        update: async ({
          issue_number: number,
          ...change
        }: Partial<Post> & { issue_number: number }) =>
          Object.assign(find(issues, "number", number), change),
        listComments: () => comments,
        createComment: async ({ body }: Post) =>
          comments.push({ id: comments.length + 1, body, user: { type: "Bot" } }),
        updateComment: async ({ comment_id: id, body }: Post & { comment_id: number }) =>
          Object.assign(find(comments, "id", id), { body }),
      },
    },
  };
  const context = {
    repo: { owner: "bess", repo: "sites" },
    issue: { number: 7 },
    runId: 1,
    serverUrl: "https://github.example",
  };
  const files = {
    existsSync: (file: string) => existsSync(join(folder, file)),
    readFileSync: (file: string, encoding: "utf8") => readFileSync(join(folder, file), encoding),
  };
  const process = { env };
  // oxlint-disable-next-line no-new-func -- the script is the project's own
  const script = new Function(
    "github",
    "context",
    "require",
    "process",
    `return (async () => {${String(step?.with?.script)}})();`,
  );
  await script(github, context, () => files, process);
}
