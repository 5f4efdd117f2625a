import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { Option } from "commander";
import { InputError } from "../configs/validation";
import { acting, bessCommand } from "./command";

/** The page of whatever runs this. */
const guidePage = () => `docs/${given("GITLAB_CI") ? "gitlab-ci" : "github-actions"}.md`;
const guide = () => `${guidePage()} tells how to set it up`;

/** A variable of the workflow; GitHub gives an empty one for what is not set there. */
const given = (name: string) => process.env[name] || undefined;

/** @throws InputError where GitHub does not tell it. */
function needed(name: string): string {
  const value = given(name);
  if (value === undefined)
    throw new InputError("this run", [
      `${name} is ${process.env[name] === undefined ? "not set" : "empty"}: ` +
        "this is a step of a workflow of GitHub Actions",
    ]);
  return value;
}

/**
 * Asks GitHub about this repository.
 * @returns undefined where there is no such thing, or this run may not see it.
 * @throws Error where GitHub answers otherwise.
 */
async function github<T>(path: string): Promise<T | undefined> {
  const api = given("GITHUB_API_URL") ?? "https://api.github.com";
  const url = `${api}/repos/${needed("GITHUB_REPOSITORY")}${path}`;
  const answer = await fetch(url, {
    headers: {
      accept: "application/vnd.github+json",
      authorization: `Bearer ${needed("GITHUB_TOKEN")}`,
      "x-github-api-version": "2022-11-28",
    },
    signal: AbortSignal.timeout(30_000),
  });
  if (answer.status === 404) return undefined;
  if (!answer.ok) throw new Error(`${url} answers ${answer.status} ${answer.statusText}`);
  return (await answer.json()) as T;
}

/** The part of an environment that tells who may deploy to it. */
interface Environment {
  protection_rules?: { type: string; reviewers?: object[] }[];
  /** Without one every branch may deploy. */
  deployment_branch_policy: { custom_branch_policies: boolean } | null;
}

/** What is wrong with the branches that may deploy to an environment; nothing where only `main` may. */
async function branchFindings(
  path: string,
  policy: Environment["deployment_branch_policy"],
  main: string,
): Promise<string[]> {
  if (!policy) return ["takes every branch"];
  if (policy.custom_branch_policies) {
    const found = await github<{ branch_policies: { name: string }[] }>(
      `${path}/deployment-branch-policies`,
    );
    const others = (found?.branch_policies ?? []).filter(({ name }) => name !== main);
    return others.length > 0 ? [`takes ${others.map(({ name }) => name).join(", ")}`] : [];
  }
  // Where no branch is protected, this policy lets each one in.
  const branch = await github<{ protected: boolean }>(`/branches/${main}`);
  return branch?.protected ? [] : [`takes protected branches, and ${main} is not protected`];
}

/**
 * What is wrong with an environment; nothing where it keeps its secrets to the default branch.
 * @param isApproved whether it must have somebody who approves.
 */
async function environmentFindings(
  name: string,
  main: string,
  isApproved: boolean,
): Promise<string[]> {
  const path = `/environments/${encodeURIComponent(name)}`;
  const found = await github<Environment>(path);
  if (!found) return ["is not there: GitHub would make it, without any protection"];
  const reviewers = (found.protection_rules ?? [])
    .filter(({ type }) => type === "required_reviewers")
    .flatMap((rule) => rule.reviewers ?? []);
  return [
    ...(isApproved && reviewers.length === 0
      ? ["has no required reviewers: nobody would have to approve the wave"]
      : []),
    ...(await branchFindings(path, found.deployment_branch_policy, main)).map(
      (finding) => `${finding}: let it take ${main} alone`,
    ),
  ];
}

/** At GitLab a job may not ask how an environment is protected; the branch it is told. */
function admitAtGitLab(): void {
  const [branch, main] = [given("CI_COMMIT_BRANCH"), given("CI_DEFAULT_BRANCH")];
  const findings = [
    ...(branch === undefined || branch !== main
      ? [`${branch ?? "this"} is not the default branch: start it from ${main}`]
      : []),
    ...(given("CI_COMMIT_REF_PROTECTED") === "true"
      ? []
      : [
          `${branch ?? "its branch"} is not protected: everybody who may push could change the sites`,
        ]),
  ];
  if (findings.length > 0) throw new InputError("this run", [...findings, guide()]);
}

async function admit({ wave, environment }: { wave?: string; environment?: string }) {
  if (given("GITLAB_CI")) return admitAtGitLab();
  const repository = await github<{ default_branch: string }>("");
  const main = repository?.default_branch ?? "";
  const ref = needed("GITHUB_REF");
  const findings =
    ref === `refs/heads/${main}` ? [] : [`${ref} is not the default branch: start it from ${main}`];
  const name = wave === undefined ? environment : `rollout-${wave}`;
  if (name !== undefined)
    for (const finding of await environmentFindings(name, main, wave !== undefined))
      findings.push(`environment ${name} ${finding}`);
  if (findings.length > 0) throw new InputError("this run", [...findings, guide()]);
}

/** A run of a workflow. */
interface Run {
  status: string;
  html_url: string;
  created_at: string;
}

/** Prints whether no rollout runs, or waits for its approval. */
async function idle(): Promise<void> {
  const found = await github<{ workflow_runs: Run[] }>(
    "/actions/workflows/rollout.yml/runs?per_page=100",
  );
  if (!found) throw new InputError("this run", ["it may not see the runs of rollout.yml"]);
  const running = found.workflow_runs.filter(({ status }) => status !== "completed");
  for (const { html_url: url, status, created_at: since } of running)
    console.error(`a rollout is ${status.replace("_", " ")} since ${since}: ${url}`);
  console.log(running.length === 0);
}

/** Where ssh looks for what a step gives it. */
function sshFiles() {
  const folder = join(homedir(), ".ssh");
  return { folder, key: join(folder, "id_ed25519"), knownHosts: join(folder, "known_hosts") };
}

const linesOf = (text: string) => text.split(/\r?\n/).filter((line) => line.trim());

/** Text as ssh reads it: whole lines, whatever a form made of them. */
const asFile = (text: string) => `${linesOf(text).join("\n")}\n`;

const textOf = (file: string) => (existsSync(file) ? readFileSync(file, "utf8") : "");

/** Whether this machine has a key of its own. */
const hasOwnKey = (folder: string) =>
  given("SSH_AUTH_SOCK") !== undefined ||
  (existsSync(folder) && readdirSync(folder).some((file) => /^id_\w+$/.test(file)));

/** A key or known hosts: as a text, or as GitLab's variables of the type File give them, by a path. */
function content(name: string): string | undefined {
  const value = given(name);
  return value?.startsWith("/") && existsSync(value) ? textOf(value) : value;
}

/** Lets ssh reach the sites. @throws InputError naming what is missing, or is no key. */
function letIn(): void {
  const { folder, key, knownHosts } = sshFiles();
  const [secret, hosts] = [content("FLEET_SSH_KEY"), content("FLEET_KNOWN_HOSTS")];
  const findings = [
    ...(secret === undefined && !hasOwnKey(folder)
      ? ["FLEET_SSH_KEY is empty, and this runner has no key of its own"]
      : []),
    ...(hosts === undefined && !textOf(knownHosts)
      ? ["FLEET_KNOWN_HOSTS is empty, and this runner knows no host"]
      : []),
    ...(secret !== undefined && existsSync(key) && textOf(key) !== asFile(secret)
      ? [`${key} is there: a runner with a key of its own needs no FLEET_SSH_KEY`]
      : []),
  ];
  if (findings.length > 0) throw new InputError("this run", [...findings, guide()]);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (secret !== undefined) {
    writeFileSync(key, asFile(secret), { mode: 0o600 });
    const { status } = spawnSync("ssh-keygen", ["-y", "-P", "", "-f", key], { stdio: "ignore" });
    if (status !== 0) {
      rmSync(key);
      throw new InputError("this run", [
        "FLEET_SSH_KEY is no private key that ssh reads without a passphrase",
        guide(),
      ]);
    }
  }
  const known = new Set(linesOf(textOf(knownHosts)));
  const added = linesOf(hosts ?? "").filter((line) => !known.has(line));
  if (added.length > 0) appendFileSync(knownHosts, `${added.join("\n")}\n`);
}

/** Takes the key away again; a runner's own stays. */
function letOut(): void {
  const { key } = sshFiles();
  const secret = content("FLEET_SSH_KEY");
  if (secret !== undefined && textOf(key) === asFile(secret)) rmSync(key);
}

/** The steps of the workflows. */
export function ci() {
  const command = bessCommand(
    "ci",
    "Does the steps of the workflows in .github/workflows/ and of .gitlab-ci.yml.",
  );
  command.addCommand(
    bessCommand(
      "admit",
      "Refuses a run of another branch than the default one, a wave that nobody must approve, and at " +
        "GitLab a branch that is not protected.",
    )
      .addOption(
        new Option(
          "--wave <name>",
          "wave whose environment, rollout-<wave>, must have reviewers, and take no other branch",
        ).conflicts("environment"),
      )
      .option("--environment <name>", "environment that must take no other branch")
      .example("Before a wave", "ci admit --wave canary")
      .action(acting(admit)),
  );
  command.addCommand(
    bessCommand("idle", "Prints true where no rollout runs, or waits for its approval.")
      .example("Before a look for drift", "ci idle")
      .action(acting(idle)),
  );
  command.addCommand(
    bessCommand("ssh", "Lets ssh in by FLEET_SSH_KEY and FLEET_KNOWN_HOSTS.")
      .option("--remove", "take the key away again")
      .example("Before a rollout", "ci ssh")
      .action(acting(({ remove }: { remove?: boolean }) => (remove ? letOut() : letIn()))),
  );
  return command.example("What a step does", "ci admit --help");
}
