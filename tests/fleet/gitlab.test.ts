import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import Ajv from "ajv";
import { parse } from "yaml";
import { gitlabSchema } from "../../automation/programs";
import { images } from "../../configs/images";
import { loadFleet } from "../../configs/inventory";
import { Checkout } from "../support/checkout";
import { temporaryFolder } from "../support/programs";
import { Runner } from "../support/workflow";

jest.setTimeout(300_000);

const root = join(__dirname, "../..");

interface Job {
  extends?: string;
  stage?: string;
  image?: string;
  rules?: { if: string; when?: string; allow_failure?: boolean }[];
  resource_group?: string;
  variables?: Record<string, string>;
  environment?: { name: string };
  before_script?: string[];
  script?: string[];
  after_script?: string[];
}
type Pipeline = Record<string, Job> & { stages: string[]; default: Job };

const pipeline = parse(readFileSync(join(root, ".gitlab-ci.yml"), "utf8")) as Pipeline;
const keywords = ["stages", "workflow", "variables", "default"];
const names = Object.keys(pipeline).filter(
  (name) => !keywords.includes(name) && !name.startsWith("."),
);

/** A job with all that it inherits, as GitLab joins it. */
function job(name: string): Job {
  const own = pipeline[name];
  if (!own) throw new Error(`there is no job ${name}`);
  return { ...(own.extends ? job(own.extends) : pipeline.default), ...own };
}

type Variables = Record<string, string>;
const main: Variables = {
  GITLAB_CI: "true",
  CI_PIPELINE_SOURCE: "push",
  CI_COMMIT_BRANCH: "main",
  CI_DEFAULT_BRANCH: "main",
  CI_COMMIT_REF_PROTECTED: "true",
  CI_PIPELINE_ID: "17",
};
const schedule = { ...main, CI_PIPELINE_SOURCE: "schedule" };
const mergeRequest = {
  GITLAB_CI: "true",
  CI_PIPELINE_SOURCE: "merge_request_event",
  CI_DEFAULT_BRANCH: "main",
  CI_MERGE_REQUEST_IID: "7",
  CI_PROJECT_ID: "4",
  CI_MERGE_REQUEST_PROJECT_ID: "4",
  CI_MERGE_REQUEST_SOURCE_PROJECT_ID: "4",
};

/** Whether a rule holds. GitLab's `==`, `&&` and texts mean the same in JavaScript. */
function holds(rule: string, variables: Variables): boolean {
  const expression = rule.replaceAll(/\$(\w+)/g, (_, name: string) =>
    JSON.stringify(variables[name] ?? null),
  );
  // oxlint-disable-next-line no-new-func -- the rules are the project's own
  return Boolean(new Function(`return (${expression});`)());
}

/** The jobs of a pipeline, each with how it starts. */
const jobsOf = (variables: Variables) =>
  names.flatMap((name) => {
    const rule = job(name).rules?.find((each) => holds(each.if, variables));
    return rule ? [rule.when ? `${name}: ${rule.when}` : name] : [];
  });

(existsSync(gitlabSchema) ? test : test.skip)(
  "is a pipeline of GitLab, by its own schema (which npm test installs)",
  () => {
    const schema = JSON.parse(readFileSync(gitlabSchema, "utf8")) as object;
    const validate = new Ajv({ strict: false, validateFormats: false }).compile(schema);
    expect(validate(pipeline) ? [] : validate.errors).toEqual([]);
    expect(validate({ ...pipeline, check: { stage: 1 } })).toBe(false);
  },
);

test.each<[string, Variables, string[]]>([
  ["a merge request", mergeRequest, ["check", "preview"]],
  [
    "one that is commented",
    { ...mergeRequest, FLEET_COMMENT_TOKEN: "t" },
    ["check", "preview", "comment"],
  ],
  [
    "one of a fork, started here",
    { ...mergeRequest, CI_MERGE_REQUEST_SOURCE_PROJECT_ID: "9", FLEET_COMMENT_TOKEN: "t" },
    ["check", "rendered"],
  ],
  [
    "one of a fork, in the fork",
    { ...mergeRequest, CI_PROJECT_ID: "9", CI_MERGE_REQUEST_SOURCE_PROJECT_ID: "9" },
    ["check", "rendered"],
  ],
  ["a push to main", main, ["check", ...loadFleet().waves.map((wave) => `${wave}: manual`)]],
  ["a schedule", schedule, ["drift"]],
])("%s starts what belongs to it", (_, variables, expected) => {
  expect(jobsOf(variables)).toEqual(expected);
});

test("a rollout goes through the waves of the inventory, one at a time, each by its environment", () => {
  const { waves } = loadFleet();
  expect(pipeline.stages).toEqual(["check", "preview", ...waves, "drift"]);
  for (const wave of waves)
    expect(job(wave)).toMatchObject({
      stage: wave,
      variables: { WAVE: wave },
      environment: { name: `rollout-${wave}` },
      resource_group: "fleet",
      rules: [{ when: "manual", allow_failure: false }],
    });
  expect(job("drift").resource_group).toBe("fleet");
  expect(pipeline.default.image?.split("-")[0]).toBe(images.rollup.split("-")[0]);
});

test("the set-up page has every variable and environment of the pipelines, and no other", () => {
  const page = readFileSync(join(root, "docs/gitlab-ci.md"), "utf8");
  const rows = [...page.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, name]) => name);
  expect(rows.sort()).toEqual([
    "FLEET_COMMENT_TOKEN",
    "FLEET_KNOWN_HOSTS",
    "FLEET_SSH_KEY",
    "PULUMI_ACCESS_TOKEN",
    "PULUMI_BACKEND_URL",
    "PULUMI_CONFIG_PASSPHRASE",
  ]);
  for (const name of ["drift", "rollout-<wave>"]) expect(page).toContain(`\`${name}\``);
});

describe("each job's script", () => {
  const checkout = new Checkout();
  const home = temporaryFolder();
  let key: string;
  beforeAll(() => {
    const inventory = `labels: { ring: [canary] }
defaults: { profile: pi, explorer: { enabled: false } }
waves:
  - { name: canary, when: { ring: canary } }
  - { name: early, when: { ring: canary } }
  - { name: rest }
sites:
  kiel-1: { engine: "ssh://bess@kiel-1.example", labels: { ring: canary } }
`;
    writeFileSync(checkout.at("fleet/fleet.yaml"), inventory);
    checkout.git("commit", "-q", "-a", "-m", "one site");
    mkdirSync(join(home.path, "states"));
    key = join(home.path, "key");
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
  });
  afterAll(() => {
    checkout.remove();
    home.remove();
  });

  /** Runs a job as GitLab does: its scripts in one shell, then what comes after in another. */
  async function run(name: string, variables: Variables) {
    rmSync(join(home.path, "runner"), { recursive: true, force: true });
    const simulated = { "fleet up": "--rehearse", "fleet drift": "--rehearse" };
    const env = {
      ...checkout.person,
      PULUMI_BACKEND_URL: `file://${home.path}/states`,
      PULUMI_CONFIG_PASSPHRASE: "word",
      ...variables,
    };
    const runner = new Runner(checkout.at("."), env, join(home.path, "runner"), simulated);
    const { before_script = [], script = [], after_script = [], variables: own } = job(name);
    // Nothing is installed on this machine.
    const all = [...before_script, ...script].map((line) => line.replace(/^apt-get .*/, "true"));
    const ran = await runner.run(
      {
        env: own ?? {},
        steps: [{ run: all.join("\n") }, { if: "always()", run: after_script.join("\n") }],
      },
      {},
    );
    const keys = existsSync(runner.at(".ssh")) ? readdirSync(runner.at(".ssh")) : [];
    return { ...ran, said: ran.ran.map(({ output }) => output).join(""), keys };
  }
  const deploying = () => ({
    FLEET_SSH_KEY: key,
    FLEET_KNOWN_HOSTS: "kiel-1.example ssh-ed25519 AAAA",
  });

  test("a wave brings its sites to the commit, by a key in a file, and takes the key away", async () => {
    const { result, said, keys } = await run("canary", { ...main, ...deploying() });
    expect([result, said]).toEqual(["success", expect.stringContaining("kiel-1")]);
    expect(keys).toEqual(["known_hosts"]);
    // A rehearsal's records lie beside it.
    const folder = checkout.at(".cache/rehearsal/rollouts");
    const [record = ""] = readdirSync(folder);
    expect(JSON.parse(readFileSync(join(folder, record), "utf8"))).toMatchObject({ label: "17" });
  });
  test("a wave without a site is passed over", async () => {
    const { result, said } = await run("early", { ...main, ...deploying() });
    expect([result, said]).toEqual(["success", expect.stringContaining("wave early has no site")]);
  });
  test.each<[string, Variables, string]>([
    ["of another branch", { CI_COMMIT_BRANCH: "own" }, "own is not the default branch"],
    [
      "of a branch that nobody protects",
      { CI_COMMIT_REF_PROTECTED: "false" },
      "main is not protected",
    ],
    ["without a key", { FLEET_SSH_KEY: "" }, "FLEET_SSH_KEY is empty"],
  ])("a run %s touches no site, and says what helps", async (_, change, message) => {
    const { result, said, keys } = await run("canary", { ...main, ...deploying(), ...change });
    expect(result).toBe("failure");
    expect(said).toContain(message);
    expect(said).toContain("docs/gitlab-ci.md tells how to set it up");
    expect(keys).not.toContain("id_ed25519");
  });
  test("a look for drift is green where nothing drifted", async () => {
    expect(await run("drift", { ...schedule, ...deploying() })).toMatchObject({
      result: "success",
    });
    expect(existsSync(checkout.at("drift.md"))).toBe(false);
  });
  test("a fork's merge request is rendered, without a secret", async () => {
    const base = checkout.git("rev-parse", "HEAD").trim();
    checkout.change("fleet/fleet.yaml", "profile: pi,", "profile: pi, retention: 200d,");
    checkout.git("commit", "-q", "-a", "-m", "a retention");
    const { result, said } = await run("rendered", {
      ...mergeRequest,
      CI_MERGE_REQUEST_DIFF_BASE_SHA: base,
      PULUMI_BACKEND_URL: "",
      PULUMI_CONFIG_PASSPHRASE: "",
    });
    expect([said, result]).toEqual([expect.anything(), "success"]);
    expect(readFileSync(checkout.at("comment.md"), "utf8")).toMatch(/^<!-- .* -->\n## 1 of 1 site/);
  });
  test("the comment is written once, and then kept, by whoever has the token", async () => {
    const notes = Array.from({ length: 101 }, (_, id) => ({
      id,
      author: { id: 2 },
      body: "a word",
    }));
    const seen: string[] = [];
    // A stand-in for GitLab's API, which gives a hundred notes at once.
    const server = createServer((request, response) => {
      let text = "";
      request.on("data", (data: Buffer) => (text += data.toString()));
      request.on("end", () => {
        const { method, url = "", headers } = request;
        if (headers["private-token"] !== "t") return response.writeHead(401).end();
        if (url === "/user") return response.end(JSON.stringify({ id: 1 }));
        seen.push(`${method} ${url}`);
        const { body } = text ? (JSON.parse(text) as { body: string }) : { body: "" };
        if (method === "POST") notes.push({ id: 900, author: { id: 1 }, body });
        if (method !== "GET") return response.end("{}");
        const page = Number(/&page=(\d+)/.exec(url)?.[1]);
        response.setHeader("x-next-page", notes.length > page * 100 ? String(page + 1) : "");
        return response.end(JSON.stringify(notes.slice((page - 1) * 100, page * 100)));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    writeFileSync(checkout.at("comment.md"), "<!-- bess -->\n## 1 of 1 site");
    const variables = {
      ...mergeRequest,
      CI_API_V4_URL: `http://127.0.0.1:${port}`,
      FLEET_COMMENT_TOKEN: "t",
    };
    for (let again = 0; again < 2; again++)
      expect(await run("comment", variables)).toMatchObject({ result: "success" });
    const at = "/projects/4/merge_requests/7/notes";
    const read = [`GET ${at}?per_page=100&page=1`, `GET ${at}?per_page=100&page=2`];
    expect(seen).toEqual([...read, `POST ${at}`, ...read, `PUT ${at}/900`]);
    expect(await run("comment", { ...variables, FLEET_COMMENT_TOKEN: "x" })).toMatchObject({
      result: "failure",
    });
    server.close();
  });
});
