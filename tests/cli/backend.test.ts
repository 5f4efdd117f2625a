import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { Checkout } from "../support/checkout";

jest.setTimeout(120_000);

const checkout = new Checkout();
afterAll(() => checkout.remove());
beforeAll(() => checkout.pretendPulumi());
beforeAll(() => writeFileSync(checkout.at("day.csv"), "DateAndTime,SOC\n2026-01-01 00:00:00,1\n"));
afterEach(() => rmSync(checkout.at(".pulumi-state"), { recursive: true, force: true }));

const state = () => existsSync(checkout.at(".pulumi-state"));
const ofOneStack = [
  ["preview"],
  ["preview", "--offline"],
  ["refresh", "--yes"],
  ["down", "--yes"],
  ["replay", "day.csv", "--model", "configs/models/m5bat.yaml"],
].map((words) => [...words, "--stack", "kiel-1"]);
const up = ["up", "--yes", "--stack", "kiel-1"];
const ofTheFleet = [
  ["status"],
  ["drift"],
  ["refresh"],
  ["verify", "kiel-1"],
  ["down", "kiel-1", "--yes-destroy", "kiel-1"],
  ["preview", "--since", "HEAD", "--site", "kiel-1"],
  ["up", "--yes"],
].map((words) => ["fleet", ...words]);

/** Runs a command that is refused before it has touched anything. @returns what it said. */
async function refusal(env: NodeJS.ProcessEnv, words: string[]): Promise<string> {
  const { code, stdout, stderr } = await checkout.bessAs(env, ...words);
  expect([words, code, stdout, state()]).toEqual([words, 1, "", false]);
  return stderr.replaceAll(/^(found|installed) .*\n/gm, "");
}

const shared = () => ({ PULUMI_BACKEND_URL: `file://${checkout.at(".cache/backend")}` });
const noBackend =
  /^the backend is refused:\n {2}- PULUMI_BACKEND_URL is (not set|empty), PULUMI_ACCESS_TOKEN is not set, and this machine has no pulumi login: .*\n {2}- docs\/.* tells .*\n$/m;
const noPassphrase =
  /^the backend is refused:\n {2}- PULUMI_CONFIG_PASSPHRASE is (not set|empty): it opens the secrets of (kiel-1|aachen-1 and 5 others)\n/;

describe("in CI, without a backend, is refused by the missing variable's name:", () => {
  test.each([up, ...ofOneStack])("%s %s %s %s", async (...words) => {
    expect(await refusal({ CI: "true", PULUMI_BACKEND_URL: "" }, words)).toMatch(noBackend);
  });
});

describe("with anybody, without a backend, a fleet's command is refused:", () => {
  test.each(ofTheFleet)("%s %s %s", async (...words) => {
    expect(await refusal({}, words)).toMatch(noBackend);
  });
});

describe("without the passphrase of the backend, is refused:", () => {
  test.each([up, ["preview", "--stack", "kiel-1"], ["preview", "--offline", "--stack", "kiel-1"]])(
    "in CI %s %s %s",
    async (...words) => {
      const env = { CI: "true", ...shared(), PULUMI_CONFIG_PASSPHRASE: "" };
      expect(await refusal(env, words)).toMatch(noPassphrase);
    },
  );
  test.each(ofTheFleet)("%s %s %s", async (...words) => {
    expect(await refusal(shared(), words)).toMatch(noPassphrase);
  });
  test("or with a file that is not there", async () => {
    const env = { ...shared(), PULUMI_CONFIG_PASSPHRASE_FILE: "/nowhere" };
    expect(await refusal(env, ["fleet", "status"])).toContain(
      "PULUMI_CONFIG_PASSPHRASE_FILE is /nowhere: there is no such file",
    );
  });
  test("but not where a key of a cloud opens the secrets", async () => {
    const stackFile = checkout.at("Pulumi.kiel-1.yaml");
    writeFileSync(stackFile, "secretsprovider: awskms://alias/bess\n");
    const { code, stderr } = await checkout.bessAs(shared(), "fleet", "status", "--site", "kiel-1");
    rmSync(stackFile);
    expect([code, stderr]).toEqual([0, expect.not.stringContaining("refused")]);
  });
});

test("without the token of Pulumi Cloud, a fleet's command is refused", async () => {
  const env = { PULUMI_BACKEND_URL: "https://user:word@api.pulumi.com" };
  const told = await refusal(env, ["fleet", "status"]);
  expect(told).toContain("PULUMI_ACCESS_TOKEN is not set: it opens https://api.pulumi.com");
  expect(told).not.toContain("word");
});

test("a run of Dependabot is told that it has no secrets", async () => {
  const env = { CI: "true", GITHUB_ACTIONS: "true", GITHUB_ACTOR: "dependabot[bot]" };
  expect(await refusal(env, ["fleet", "status"])).toContain(
    "this run is one of Dependabot, and GitHub gives those none of the repository's secrets",
  );
});

describe("a local state", () => {
  const nowhere =
    /^Stack kiel-1 has no state in .*\.pulumi-state, and .* npx bess up --stack kiel-1 /m;

  test.each(ofOneStack)("is not made by %s %s %s %s", async (...words) => {
    expect(await refusal({}, words)).toMatch(nowhere);
  });
  test("is not made by a name that no site has", async () => {
    expect(await refusal({}, ["up", "--yes", "--stack", "kiel-9"])).toMatch(
      /^Stack kiel-9 has no site/,
    );
  });
  test("is made by the first up, and nothing else makes a stack in it", async () => {
    const { stderr } = await checkout.bess(...up);
    expect(stderr).toMatch(/^installed passphrase: /m);
    const stacks = () => readdirSync(checkout.at(".pulumi-state/.pulumi/stacks/bess-telemetry"));
    expect(stacks()).toContain("kiel-1.json");
    const other = {
      code: 1,
      stderr: expect.stringContaining("Stack kiel-2 has no state in "),
    };
    for (const words of ofOneStack.filter(([word]) => word !== "replay"))
      expect(await checkout.bess(...words.slice(0, -1), "kiel-2")).toMatchObject(other);
    expect(stacks()).not.toContain("kiel-2.json");
  });
});
