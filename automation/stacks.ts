import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { StackSettings } from "@pulumi/pulumi/automation";
import { parse } from "yaml";
import { hubKey } from "../configs/hub";
import { withSecretPlaceholders } from "../configs/secret-placeholders";
import { findSite, readStackFile, siteKey, type StackFile } from "../configs/sites";
import { Engine, type Fault, type RehearsalArgs } from "../rehearsal";
import { homeWithoutLogs, localBackend, pulumiEnvironment, root } from "./backend";
import { cutOff } from "./cut-off";
import type {
  ChangeCounts,
  EngineArgs,
  Operations,
  RenderedSite,
  StackReference,
  StackTask,
  PastUpdate,
  StackUpdate,
  UpResult,
} from "./tasks";
import { type Listeners, WorkerPool } from "./workers";

/** Worker processes for whoever brings none of their own. */
const sharedWorkers = new WorkerPool();

/** The program of this checkout. */
const ownProgram = join(root, "index.ts");

/** What an operation may be told, and who hears of it as it runs. */
export type EngineOptions = EngineArgs & Listeners;

/**
 * A site's stack. Everything is done by a worker process: nothing of Pulumi's SDK is loaded here,
 * and Ctrl-C in a terminal does not reach it. Every method throws InputError, or StackError with
 * what `pulumi` printed.
 */
export class SiteStack {
  constructor(
    private readonly reference: Omit<StackReference, "settings">,
    /** What is written to its file before each operation. Default: that stays as it is. */
    private readonly written: { config: Record<string, unknown>; keysFrom: string[] } | undefined,
    private readonly workers: WorkerPool,
  ) {}

  up = (options: EngineOptions = {}): Promise<UpResult> => this.engine("up", options);
  preview = (options: EngineOptions = {}): Promise<ChangeCounts> => this.engine("preview", options);
  refresh = (options: EngineOptions = {}): Promise<void> => this.engine("refresh", options);
  /** What a refresh would find; nothing is changed. */
  previewRefresh = (options: EngineOptions = {}): Promise<void> =>
    this.engine("previewRefresh", options);
  destroy = (options: EngineOptions = {}): Promise<void> => this.engine("destroy", options);
  /** Whether work on it that this checkout began was killed, so that a lock may be left of it. */
  wasCutOff = (): boolean => cutOff(this.reference.workDir).length > 0;
  /** Takes away a lock that another run has left. */
  cancel = (): Promise<void> => this.run("cancel", {});
  /** The stack's outputs, secrets in plain. */
  outputs = (): Promise<Record<string, unknown>> => this.run("outputs", {});
  history = (): Promise<PastUpdate[]> => this.run("history", {});
  /** Undefined where it was never updated. */
  lastUpdate = (): Promise<StackUpdate | undefined> => this.run("lastUpdate", {});
  /** The stack's state. */
  exportState = (): Promise<unknown> => this.run("exportState", {});
  tags = (): Promise<Record<string, string>> => this.run("tags", {});
  setTag = (key: string, value: string): Promise<void> => this.run("setTag", { key, value });
  removeTag = (key: string): Promise<void> => this.run("removeTag", { key });

  private engine<Name extends "up" | "preview" | "refresh" | "previewRefresh" | "destroy">(
    operation: Name,
    { onOutput, onEvent, ...args }: EngineOptions,
  ): Promise<Operations[Name]["result"]> {
    return this.run(operation, args, {
      ...(onOutput && { onOutput }),
      ...(onEvent && { onEvent }),
    });
  }

  private run<Name extends keyof Operations>(
    operation: Name,
    args: Operations[Name]["args"],
    listeners: Listeners = {},
  ): Promise<Operations[Name]["result"]> {
    const wants = { output: Boolean(listeners.onOutput), events: Boolean(listeners.onEvent) };
    const settings = this.written && settingsOf(this.reference.name, this.written);
    const stack = { ...this.reference, ...(settings && { settings }) };
    const task: StackTask<Name> = { operation, stack, args, wants };
    return this.workers.run(task, listeners);
  }
}

/** A stack whose site is simulated. */
export class RehearsedStack extends SiteStack {
  constructor(
    private readonly rehearsal: RehearsalArgs,
    ...[reference, written, workers]: ConstructorParameters<typeof SiteStack>
  ) {
    super({ ...reference, rehearsal }, written, workers);
  }

  /** The simulated engine that the stack's config names, as it is now. */
  simulatedEngine(): Engine {
    return Engine.open(this.rehearsal.folder, this.rehearsal.engine);
  }
}

/** What may be told of any stack. */
interface StackArgs {
  /** Its config, instead of what its files say: it is written to where it is worked on. */
  config?: Record<string, unknown>;
  /** Path of the module that exports its program. Default: that of this checkout. */
  program?: string;
  /** Processes that work on it. Default: a pool that is shared. */
  workers?: WorkerPool;
}

/** What a rehearsal may be told. */
export interface RehearsedArgs extends StackArgs {
  faults?: readonly Fault[];
  /** Whether it must be there already. Default: false; one that is not there is made. */
  existing?: boolean;
  /** Where its state and its simulated engines are kept. Default: {@link rehearsals}. */
  folder?: string;
}

/** What may be told of a stack that is, or will be, deployed. */
export interface DeployedArgs extends StackArgs {
  /** Whether it is made where it is not there. Default: false. */
  create?: boolean;
  /**
   * Whether it is only looked at from its state: providers plan as the real ones do, and contact
   * nothing. Default: false.
   */
  offline?: boolean;
  /** Where its config lies. Default: the project. */
  workDir?: string;
  /** Environment that names the backend. Default: as `npx bess up`. */
  environment?: Record<string, string>;
}

/** Where rehearsals keep their state, far from that of any real stack. */
export const rehearsals = join(root, ".cache/rehearsal");

/**
 * A stack on a simulated site, with a state of its own: nothing real is read but its config.
 * @throws InputError where the stack has no site.
 */
export function rehearsedStack(name: string, args: RehearsedArgs = {}): RehearsedStack {
  const { folder = rehearsals, faults = [], config: given } = args;
  const { stack, config } = given
    ? { stack: name, config: given }
    : withPlaceholders(configuredStack(name));
  const workDir = join(folder, "stacks", stack);
  const engine = engineOf(config);
  return new RehearsedStack(
    { folder: join(folder, "engines"), faults, engine },
    {
      name: stack,
      program: args.program ?? ownProgram,
      workDir,
      environment: { ...localBackend(folder), ...homeWithoutLogs(join(folder, "home")) },
      create: !args.existing,
    },
    { config, keysFrom: [workDir] },
    args.workers ?? sharedWorkers,
  );
}

/**
 * A real stack.
 * @throws InputError where it has no site. Whether it is there, its first operation tells.
 */
export function deployedStack(name: string, args: DeployedArgs = {}): SiteStack {
  const { workDir = root, offline = false, create = false } = args;
  const { stack, config } = args.config
    ? { stack: name, config: args.config }
    : configuredStack(name);
  const { environment = definedOnly(pulumiEnvironment({ stack })) } = args;
  const engine = engineOf(config);
  return new SiteStack(
    {
      name: stack,
      program: args.program ?? ownProgram,
      workDir,
      environment,
      create,
      ...(offline && {
        rehearsal: {
          folder: join(root, ".cache/offline"),
          engine,
        },
      }),
    },
    args.config && { config, keysFrom: [root, workDir] },
    args.workers ?? sharedWorkers,
  );
}

/**
 * All that a site's program asks for, with every rendered config, from its configuration alone:
 * without an engine, a state, a secret or a site.
 * @param site the site's `bess-telemetry:site`.
 * @param untransformed whether transform.ts changes nothing there, whatever it does for the name.
 * @throws InputError as the deployment would.
 */
export const renderSite = (
  stack: string,
  site: unknown,
  workers = sharedWorkers,
  untransformed = false,
): Promise<RenderedSite> =>
  workers.run({
    operation: "render",
    stack: { name: stack, program: ownProgram },
    site,
    untransformed,
  });

/**
 * A stack and its configuration, secrets still encrypted.
 * @throws InputError where it has no site, and is no hub.
 */
function configuredStack(name: string): { stack: string; config: Record<string, unknown> } {
  const own = readStackFile(name, root).config ?? {};
  if (own[hubKey]) return { stack: name, config: own };
  const { stack, settings } = findSite(name);
  return { stack, config: { ...readStackFile(stack, root).config, [siteKey]: settings } };
}

const withPlaceholders = ({ stack, config }: ReturnType<typeof configuredStack>) => ({
  stack,
  config: withSecretPlaceholders(config) as Record<string, unknown>,
});

/** The Docker engine of a stack's site: without one of its own, the provider takes DOCKER_HOST. */
const engineOf = (config: Record<string, unknown>) =>
  ((config[siteKey] ?? config[hubKey]) as { engine?: string } | undefined)?.engine ??
  process.env.DOCKER_HOST;

/**
 * What is written to `Pulumi.yaml` and to the stack's file, which tells how the stack's secrets are
 * encrypted.
 */
function settingsOf(
  stack: string,
  { config, keysFrom }: { config: Record<string, unknown>; keysFrom: string[] },
): NonNullable<StackReference["settings"]> {
  const { name, description }: { name: string; description: string } = parse(
    readFileSync(join(root, "Pulumi.yaml"), "utf8"),
  );
  const { secretsprovider, encryptedkey, encryptionsalt }: StackFile = Object.assign(
    {},
    ...keysFrom.map((folder) => readStackFile(stack, folder)),
  );
  return {
    project: { name, description, runtime: "nodejs" },
    stack: {
      config: config as NonNullable<StackSettings["config"]>,
      ...(secretsprovider && { secretsProvider: secretsprovider }),
      ...(encryptedkey && { encryptedKey: encryptedkey }),
      ...(encryptionsalt && { encryptionSalt: encryptionsalt }),
    },
  };
}

const definedOnly = (environment: NodeJS.ProcessEnv): Record<string, string> =>
  Object.fromEntries(
    Object.entries(environment).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, value]],
    ),
  );
