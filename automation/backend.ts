import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { parse } from "yaml";
import type { Settings } from "../configs/inventory";
import { withSecretPlaceholders } from "../configs/secret-placeholders";
import { findSite, openedSite, readStackFile, siteKey, type StackSite } from "../configs/sites";
import { hubConfig, placeOf } from "../configs/stacks";
import { InputError } from "../configs/validation";
import { eventLog } from "./events";
import { checkStack } from "./check";
import { environment, setUp } from "./programs";
import { sshTargetOf, withTunnel } from "./tunnel";

export const root = join(__dirname, "..");

/** The state of somebody who has chosen no backend. */
const localState = join(root, ".pulumi-state");

const cloud = "https://api.pulumi.com";

/** What `pulumi login` has left. */
interface Credentials {
  /** The backend that it chose. */
  current?: string;
  accessTokens?: Record<string, string>;
}

function credentials(): Credentials {
  const file = join(process.env.PULUMI_HOME ?? join(homedir(), ".pulumi"), "credentials.json");
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
}

/**
 * The backend that the user has chosen, as Pulumi finds it. CI has an empty variable in place of
 * one that is not set there.
 */
function chosenBackend(): string | undefined {
  const { PULUMI_BACKEND_URL: url, PULUMI_ACCESS_TOKEN: token } = process.env;
  return url || credentials().current || (token ? cloud : undefined);
}

/** A CI runner's disk is new each time: a local state there would forget every site. */
const isCi = () => !["", "0", "false"].includes(process.env.CI ?? "");

const missing = (name: string) =>
  `${name} is ${process.env[name] === undefined ? "not set" : "empty"}`;

/** What is missing to read the secrets of stacks. */
function passphraseFindings(stacks: readonly string[], backend: string): string[] {
  const { PULUMI_CONFIG_PASSPHRASE: passphrase, PULUMI_CONFIG_PASSPHRASE_FILE: file } = process.env;
  const usual = backend.startsWith("http") ? "service" : "passphrase";
  const locked = stacks.filter((stack) => {
    const { secretsprovider = "default" } = readStackFile(stack, root);
    return (secretsprovider === "default" ? usual : secretsprovider) === "passphrase";
  });
  if (passphrase || locked.length === 0) return [];
  if (passphrase === undefined && file)
    return existsSync(file)
      ? []
      : [`PULUMI_CONFIG_PASSPHRASE_FILE is ${file}: there is no such file`];
  const [first, ...others] = locked;
  const whose = others.length > 0 ? `${first} and ${others.length} others` : first;
  return [`${missing("PULUMI_CONFIG_PASSPHRASE")}: it opens the secrets of ${whose}`];
}

/** Where the reader finds how to set what is missing. */
function whereToSet(): string {
  if (process.env.GITHUB_ACTOR === "dependabot[bot]")
    return (
      "this run is one of Dependabot, and GitHub gives those none of the repository's secrets: " +
      "docs/github-actions.md#dependabot"
    );
  if (process.env.GITLAB_CI) return "docs/gitlab-ci.md tells where it is set";
  return process.env.GITHUB_ACTIONS
    ? "docs/github-actions.md tells where it is set"
    : "docs/fleet.md#the-backend tells more";
}

/**
 * Makes sure that a backend was chosen, and can be read: one that is made for want of another would
 * know no site, and show each as new.
 * @param stacks those whose secrets are needed.
 * @throws InputError naming each variable that is missing.
 */
export function requireBackend(stacks: readonly string[]): void {
  const backend = chosenBackend();
  const findings: string[] = [];
  if (backend === undefined)
    findings.push(
      `${missing("PULUMI_BACKEND_URL")}, ${missing("PULUMI_ACCESS_TOKEN")}, and this machine has ` +
        "no pulumi login: name the backend that has the states of the sites",
    );
  else findings.push(...passphraseFindings(stacks, backend));
  if (
    backend?.startsWith("http") &&
    !process.env.PULUMI_ACCESS_TOKEN &&
    !credentials().accessTokens?.[backend]
  )
    findings.push(`${missing("PULUMI_ACCESS_TOKEN")}: it opens ${named(backend)}`);
  if (findings.length > 0) throw new InputError("the backend", [...findings, whereToSet()]);
}

/** A backend as it may be shown: without user, password and query. */
const named = (backend: string) => backend.replace(/\/\/[^/@]*@/, "//").replace(/\?.*/, "");

/**
 * File of a stack's state, where the backend is a folder of this machine that keeps its states by
 * project; undefined for any other, which `pulumi` alone reads. There may be no such file.
 */
export function stateFile(stack: string): string | undefined {
  const backend = chosenBackend() ?? localVariables().PULUMI_BACKEND_URL;
  const [, place] = /^file:\/\/(~?\/[^?]*|~)(?:\?|$)/.exec(backend ?? "") ?? [];
  if (place === undefined) return undefined;
  const { name }: { name: string } = parse(readFileSync(join(root, "Pulumi.yaml"), "utf8"));
  const folder = join(place.replace(/^~/, homedir()), ".pulumi/stacks", name);
  return existsSync(folder) ? join(folder, `${stack.split("/").at(-1)}.json`) : undefined;
}

/** A stack that was never deployed from here. */
export function noState(stack: string): Error {
  const backend = chosenBackend();
  const where =
    backend === undefined
      ? `in ${localState}, and this machine has no pulumi login`
      : `in ${named(backend)}`;
  return new Error(
    `Stack ${stack} has no state ${where}. ` +
      "If its site is deployed, log in to the backend that has its state. " +
      `If not, npx bess up --stack ${stack} deploys it, ` +
      `and npx bess rehearse preview --stack ${stack} shows what that would make.`,
  );
}

/**
 * A backend in a folder, with a passphrase that is generated once.
 * @param onGenerated called with the file of a new passphrase.
 */
export function localBackend(
  folder: string,
  onGenerated?: (passphrase: string) => void,
): Record<string, string> {
  const passphrase = passphraseOf(folder);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (!existsSync(passphrase)) {
    writeFileSync(passphrase, randomBytes(32).toString("base64url"), { mode: 0o600 });
    onGenerated?.(passphrase);
  }
  return { PULUMI_BACKEND_URL: `file://${folder}`, PULUMI_CONFIG_PASSPHRASE_FILE: passphrase };
}

/**
 * A folder for Pulumi's own files, where it keeps no log: it writes all that it does into the folder `logs`
 * there, which takes more than half of its processor time. A file of that name stops it.
 * @param home the folder. @returns the variable that names it.
 */
export function homeWithoutLogs(home: string): { PULUMI_HOME: string } {
  const logs = join(home, "logs");
  if (!statSync(logs, { throwIfNoEntry: false })?.isFile()) {
    rmSync(logs, { recursive: true, force: true });
    mkdirSync(home, { recursive: true });
    writeFileSync(logs, "This file keeps Pulumi from writing a log of each operation.\n");
  }
  return { PULUMI_HOME: home };
}

const passphraseOf = (folder: string) => join(folder, "passphrase");

/** What a command will do in a backend. */
export interface BackendUse {
  /** Stack that it works on. */
  stack: string;
  /** Whether it may make what is not there: the stack, and a local state. Default: false. */
  make?: boolean;
}

/** @throws InputError, or {@link noState}, where a command has no backend to work in. */
function checkBackend({ stack, make = false }: BackendUse): void {
  if (isCi()) requireBackend([stack]);
  if (!make && chosenBackend() === undefined && !existsSync(passphraseOf(localState)))
    throw noState(stack);
}

/** What names the local state, where that is the backend. */
export const localVariables = (): Record<string, string> =>
  chosenBackend() === undefined && existsSync(passphraseOf(localState))
    ? localBackend(localState)
    : {};

/**
 * Environment of a `pulumi` that sees the same backend as `npx bess up`: the user's own, else a
 * local one in the project.
 * @throws InputError or Error where there is none, unless it may be made.
 */
export function pulumiEnvironment(use: BackendUse): NodeJS.ProcessEnv {
  checkBackend(use);
  if (use.make && chosenBackend() === undefined) localBackend(localState, announcePassphrase);
  return { ...environment(), PULUMI_SKIP_UPDATE_CHECK: "true", ...localVariables() };
}

// Standard output may be a report, or JSON.
const announcePassphrase = (passphrase: string) =>
  console.error(
    `installed passphrase: generated into ${passphrase}; ` +
      "without it the state cannot be read, so keep a copy",
  );

function pulumi(env: NodeJS.ProcessEnv, args: string[]): number {
  return spawnSync("pulumi", args, { cwd: root, env, stdio: "inherit" }).status ?? 1;
}

/** Makes sure that a stack is there, or makes it. @returns the exit code. @throws noState */
function select(env: NodeJS.ProcessEnv, { stack, make }: Required<BackendUse>): number {
  const args = ["stack", "select", "--stack", stack, "--non-interactive"];
  const { status, stderr } = spawnSync("pulumi", make ? [...args, "--create"] : args, {
    cwd: root,
    env,
    stdio: ["ignore", "inherit", "pipe"],
    encoding: "utf8",
  });
  if (status !== 0 && stderr.includes("no stack named")) throw noState(stack);
  process.stderr.write(stderr);
  return status ?? 1;
}

/**
 * Checks a site again with its secrets opened: a key must fit its certificate.
 * @throws InputError with every finding.
 */
function checkSecrets(env: NodeJS.ProcessEnv, site: StackSite): void {
  const settings = openedSettings(env, site);
  // What keeps Pulumi from opening them, it tells itself when it runs the program.
  if (settings) checkStack({ ...site, settings });
}

/** A site's settings with its secrets opened; undefined where Pulumi cannot open them. */
function openedSettings(env: NodeJS.ProcessEnv, site: StackSite): Settings | undefined {
  if (isDeepStrictEqual(withSecretPlaceholders(site.settings), site.settings)) return site.settings;
  const args = ["config", "--show-secrets", "--json", "--stack", site.stack];
  const { status, stdout } = spawnSync("pulumi", args, { cwd: root, env, encoding: "utf8" });
  if (status !== 0) return undefined;
  const config = JSON.parse(stdout) as Partial<Record<string, { objectValue?: Settings }>>;
  const stack = site.stack.split("/").at(-1) ?? site.stack;
  return openedSite(stack, config[siteKey]?.objectValue);
}

/** What a stack's site and its state hold, secrets in plain. */
export interface OpenedStack {
  /** The site's settings; undefined where its secrets cannot be opened here. */
  settings: Settings | undefined;
  /** The stack's outputs; none where it has no state here. */
  outputs: Partial<Record<string, unknown>>;
}

/** Opens a stack as far as that can be done from here: it may have no state any more. */
export function openStack(site: StackSite): OpenedStack {
  const env = {
    ...environment(),
    PULUMI_SKIP_UPDATE_CHECK: "true",
    ...localVariables(),
  };
  const args = ["stack", "output", "--json", "--show-secrets", "--stack", site.stack];
  const { status, stdout } = spawnSync("pulumi", args, { cwd: root, env, encoding: "utf8" });
  return {
    settings: openedSettings(env, site),
    outputs: status === 0 ? (JSON.parse(stdout) as OpenedStack["outputs"]) : {},
  };
}

/**
 * Runs the Pulumi CLI on a stack with all that it needs. A user who is logged in to a backend keeps
 * it; anybody else has a local one in the project, which `make` lets be made.
 * @param args what it is told, asked for once the stack is there.
 * @param options `runs`: whether it runs the program, and does not work from the state alone;
 * `events`: file that the engine's events are written to.
 * @returns the exit code.
 * @throws InputError or Error before anything is touched, where the stack has no state.
 */
export async function runPulumi(
  args: () => Promise<string[]>,
  name: string,
  {
    make = false,
    runs = false,
    events,
  }: Pick<BackendUse, "make"> & { runs?: boolean; events?: string | undefined } = {},
): Promise<number> {
  const place = placeOf(name);
  const use = { stack: place.stack, make };
  const overSsh = sshTargetOf(place) !== undefined;
  checkBackend(use);
  const purpose = runs ? "deploy" : "operate";
  if (!(await setUp(overSsh ? `${purpose}OverSsh` : purpose, place.engine))) return 1;
  const log = events === undefined ? undefined : eventLog(events);
  const env = { ...pulumiEnvironment(use), ...log?.variables };
  const selected = select(env, use);
  if (selected !== 0) return selected;
  if (runs && !hubConfig(name)) checkSecrets(env, findSite(name));
  // An SSH server lets one connection run ten commands at once; more would each open a connection
  // of their own.
  const pace = overSsh ? ["--parallel", "4"] : [];
  const told = [...(await args()), "--stack", place.stack, ...pace, ...(log ? [log.argument] : [])];
  return withTunnel(place.stack, () => pulumi(env, told));
}
