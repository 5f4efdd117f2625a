import { copyFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { Checkout } from "../support/checkout";

jest.setTimeout(120_000);

const checkout = new Checkout();
afterAll(() => checkout.remove());
afterEach(() => {
  checkout.git("reset", "-q", "--hard", "base");
  checkout.git("clean", "-q", "-f", "-d");
});
beforeAll(() => {
  checkout.git("tag", "base");
  const folder = checkout.at(".cache/rehearsal/rollouts");
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/lock`, JSON.stringify({ pid: 1, host: "another", since: "now" }));
});

const model = "configs/telemetry.yaml";
const [stackFile, schema] = ["Pulumi.kiel-1.yaml", "# yaml-language-server: $schema=x\n"];
const image = "config:\n  bess-telemetry:site:\n    images: { telegraf: telegraf:1.38.0-alpine }\n";
const encryption = "encryptionsalt: v1:abc=:v1:def:ghi==\nsecretsprovider: passphrase\n";

/** Begins a rollout, which finds another one at work once nothing else is against it. */
async function refusal(...sites: string[]): Promise<string> {
  const args = ["fleet", "up", "--yes", "--rehearse", "--site", sites.join() || "kiel-1"];
  const { code, stderr } = await checkout.bess(...args);
  expect(code).toBe(1);
  return stderr.slice(stderr.indexOf(" is refused:") + 1);
}
const passed = expect.stringContaining("a rollout is running: process 1 on another");
const lacks = (file: string) =>
  `  - ${file}: a site is made from it, and the commit does not have it`;

/** Commits an inventory that names another model for kiel-1. */
function commitModel(path: string): void {
  checkout.change("fleet/fleet.yaml", "  kiel-1:\n", `  kiel-1:\n    model: ${path}\n`);
  checkout.git("commit", "-q", "-a", "-m", "another model");
}

test("a model that the committed inventory names must be committed too", async () => {
  commitModel("configs/models/new.yaml");
  copyFileSync(checkout.at(model), checkout.at("configs/models/new.yaml"));
  expect(await refusal()).toContain(lacks("configs/models/new.yaml"));
  expect(await refusal("kiel-2")).toEqual(passed);
  checkout.git("add", ".");
  expect(await refusal()).toContain("  - configs/models/new.yaml differs from the commit");
  checkout.git("commit", "-q", "-m", "its model");
  expect(await refusal()).toEqual(passed);
});

test("a model that git ignores, or that a link leads to, is no part of the commit", async () => {
  commitModel(".cache/model.yaml");
  copyFileSync(checkout.at(model), checkout.at(".cache/model.yaml"));
  expect(await refusal()).toContain(lacks(".cache/model.yaml"));
  symlinkSync("../../.cache/model.yaml", checkout.at("configs/models/link.yaml"));
  commitModel("configs/models/link.yaml");
  checkout.change("fleet/fleet.yaml", "    model: .cache/model.yaml\n", "");
  checkout.git("add", ".");
  checkout.git("commit", "-q", "-m", "a link");
  expect(await refusal()).toContain(
    lacks("configs/models/link.yaml, which leads to .cache/model.yaml"),
  );
});

test("whatever a program reads must be committed: a module, or any other file", async () => {
  writeFileSync(checkout.at("mine.ts"), "export const mine = {};\n");
  writeFileSync(checkout.at("mine.txt"), "");
  checkout.change(
    "transform.ts",
    /$/,
    'import { readFileSync } from "node:fs";\nimport { mine } from "./mine";\n' +
      'console.error(mine, readFileSync(`${__dirname}/mine.txt`, "utf8"));\n',
  );
  checkout.git("commit", "-q", "-a", "-m", "a transform");
  expect(await refusal()).toContain(`${lacks("mine.ts")}\n${lacks("mine.txt")}\n`);
});

test("what no site is made from may lie about", async () => {
  writeFileSync(checkout.at("notes.md"), "mine");
  writeFileSync(checkout.at("configs/models/draft.yaml"), "mine");
  expect(await refusal()).toEqual(passed);
});

describe("a stack's file", () => {
  test("that sets an image is refused until it is committed", async () => {
    writeFileSync(checkout.at(stackFile), image + encryption);
    expect(await refusal()).toContain(lacks(stackFile));
    checkout.git("add", ".");
    checkout.git("commit", "-q", "-m", "an image");
    expect(await refusal()).toEqual(passed);
    checkout.change(stackFile, "1.38.0", "1.37.0");
    expect(await refusal()).toContain(`  - ${stackFile} differs from the commit`);
  });
  test("may differ by what Pulumi writes into it, however that is laid out", async () => {
    writeFileSync(checkout.at(stackFile), encryption);
    expect(await refusal()).toEqual(passed);
    writeFileSync(checkout.at(stackFile), schema + image);
    checkout.git("add", ".");
    checkout.git("commit", "-q", "-m", "an image");
    writeFileSync(checkout.at(stackFile), encryption + image.replaceAll("{ ", "{"));
    expect(await refusal()).toEqual(passed);
  });
  test("that is gone is refused", async () => {
    writeFileSync(checkout.at(stackFile), image);
    checkout.git("add", ".");
    checkout.git("commit", "-q", "-m", "an image");
    rmSync(checkout.at(stackFile));
    expect(await refusal()).toContain(`  - ${stackFile} differs from the commit`);
  });
});
