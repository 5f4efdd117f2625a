import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { LocalWorkspace, PulumiCommand, type PulumiFn, Stack } from "@pulumi/pulumi/automation";
import { parse } from "yaml";
import { withSecretPlaceholders } from "../configs/secret-placeholders";
import program from "..";
import { findSite, siteKey } from "../configs/sites";
import { Engine, type Fault, rehearse } from "../rehearsal";
import { environment, locate } from "./programs";
import { localBackend, pulumiEnvironment, root } from "./backend";

const project: { name: string; description: string } = parse(
  readFileSync(join(root, "Pulumi.yaml"), "utf8"),
);

// The Automation API looks for its command line here alone.
process.env.PATH = environment().PATH;

/** What Pulumi's SDK keeps of the program that runs, or of none; its types do not tell. */
const { getStore } = require("@pulumi/pulumi/runtime/state") as { getStore(): object };

/**
 * Pulumi's SDK counts what one program leaves unhandled as a failure of every program that runs in this process. Each
 * hears of its own alone here, and of what is nobody's. A program whose update fails goes on calling an engine that has
 * ended: that engine has told its failure by then, so of such a call nobody hears.
 */
function hearOwnFailures(): void {
  type Listener = (error: unknown) => void;
  const nobody = getStore();
  const hearing = new Map(
    ["unhandledRejection", "uncaughtException"].map((event) => [
      event,
      new Map<Listener, Listener>(),
    ]),
  );
  const isLate = (error: unknown) =>
    error instanceof Error && error.message === "Resource monitor is terminating";
  const [on, off] = [process.on.bind(process), process.off.bind(process)] as ((
    event: string,
    listener: Listener,
  ) => NodeJS.Process)[];
  process.on = ((event: string, listener: Listener) => {
    const program = getStore();
    if (program === nobody || !hearing.has(event)) return on(event, listener);
    const heard = (error: unknown) =>
      void ([program, nobody].includes(getStore()) && !isLate(error) && listener(error));
    hearing.get(event)!.set(listener, heard);
    return on(event, heard);
  }) as typeof process.on;
  process.off = ((event: string, listener: Listener) => {
    const heard = hearing.get(event)?.get(listener);
    hearing.get(event)?.delete(listener);
    return off(event, heard ?? listener);
  }) as typeof process.off;
  // Without this, what no program hears any more would end the process.
  on("unhandledRejection", (error) => {
    if (getStore() === nobody && !isLate(error)) throw error;
  });
}
hearOwnFailures();

/** A stack whose program runs in this process, on rehearsed providers. */
export interface InlineStack {
  stack: Stack;
  /** The simulated engine that the stack's config names, as it is now. */
  engine(): Engine;
  close(): void;
}

interface StackFile {
  config?: Record<string, unknown>;
  secretsprovider?: string;
  encryptedkey?: string;
  encryptionsalt?: string;
}

const stackFile = (folder: string, name: string): StackFile => {
  const path = join(folder, `Pulumi.${name}.yaml`);
  return existsSync(path) ? (parse(readFileSync(path, "utf8")) ?? {}) : {};
};

/** A stack's configuration, secrets still encrypted. @throws InputError where it has no site. */
function configOf(name: string): Record<string, unknown> {
  const { stack, settings } = findSite(name);
  return { ...stackFile(root, stack).config, [siteKey]: settings };
}

const engineOf = (config: Record<string, unknown>) =>
  (config["bess-telemetry:site"] as { engine?: string } | undefined)?.engine;

/** Where rehearsals keep their state, far from that of any real stack. */
export const rehearsals = join(root, ".cache/rehearsal");

/** What a rehearsal may be told. */
export interface RehearsedArgs {
  faults?: readonly Fault[];
  /** Where its state and its simulated engines are kept. Default: {@link rehearsals}. */
  folder?: string;
  /** The stack's config, instead of `Pulumi.NAME.yaml`'s. */
  config?: Record<string, unknown>;
  existing?: DeployedArgs["existing"];
  program?: PulumiFn;
}

/** A stack on a simulated site, with a state of its own: nothing real is read but its config. */
export async function rehearsedStack(name: string, args: RehearsedArgs = {}): Promise<InlineStack> {
  const {
    folder = rehearsals,
    faults,
    config = withSecretPlaceholders(configOf(name)) as Record<string, unknown>,
  } = args;
  const engine = engineOf(config);
  const providers = await rehearse({ folder: join(folder, "engines"), engine, faults });
  const environment = {
    ...localBackend(folder),
    ...providers.environment,
    PULUMI_HOME: join(folder, "home"),
  };
  const { stack, forget } = await open({
    name,
    environment,
    workDir: join(folder, "stacks", name),
    config,
    existing: args.existing,
    program: args.program,
  });
  return {
    stack,
    engine: () => Engine.open(join(folder, "engines"), engine),
    close: () => (providers.close(), forget()),
  };
}

/** What may be told of a stack that is, or will be, deployed. */
export interface DeployedArgs {
  /** Whether it is only looked at from its state: providers plan as the real ones do, and contact nothing. Default: false. */
  offline?: boolean;
  /** Where its config lies. Default: the project. */
  workDir?: string;
  /** The stack's config, instead of what lies in `workDir`: it is written there. */
  config?: Record<string, unknown>;
  /**
   * Whether the stack must be there already: `asked` of Pulumi at once, or `assumed`, which spares starting it once
   * more, for the first command tells too. Default: a stack that is not there is made.
   */
  existing?: "asked" | "assumed";
  /** Environment that names the backend. Default: as `npm run up`. */
  environment?: Record<string, string>;
  program?: PulumiFn;
}

/** A real stack. @throws StackNotFoundError where it must be there, and is not; if that is assumed, its first command does. */
export async function deployedStack(
  name: string,
  args: DeployedArgs = {},
): Promise<Omit<InlineStack, "engine">> {
  const {
    workDir = root,
    offline = false,
    config,
    environment = pulumiEnvironment() as Record<string, string>,
  } = args;
  const folder = join(root, ".cache/offline");
  const providers = offline
    ? await rehearse({ folder, engine: engineOf(config ?? configOf(name)) })
    : undefined;
  const { stack, forget } = await open({
    name,
    workDir,
    config,
    keys: stackFile(root, name),
    existing: args.existing,
    program: args.program,
    environment: { ...environment, ...providers?.environment },
  });
  return { stack, close: () => (providers?.close(), forget()) };
}

/** @param keys a stack's file that tells how its secrets are encrypted, where `workDir` has none yet. */
async function open(
  args: DeployedArgs & { name: string; workDir: string; keys?: StackFile },
): Promise<{ stack: Stack; forget(): void }> {
  const { name, workDir, config, environment, keys, existing, program: run = program } = args;
  mkdirSync(workDir, { recursive: true });
  const { secretsprovider, encryptedkey, encryptionsalt } = {
    ...keys,
    ...stackFile(workDir, name),
  };
  const settings = config && {
    config: config as Record<string, string>,
    secretsProvider: secretsprovider,
    encryptedKey: encryptedkey,
    encryptionSalt: encryptionsalt,
  };
  const ran = new Set<object>();
  const remembered: PulumiFn = async () => {
    ran.add(getStore());
    return run();
  };
  const workspace = await LocalWorkspace.create({
    workDir,
    program: remembered,
    pulumiCommand: await (commandLine ??= detached()),
    envVars: { PULUMI_SKIP_UPDATE_CHECK: "true", ...environment },
    ...(settings && {
      projectSettings: { ...project, runtime: "nodejs" as const },
      stackSettings: { [name]: settings },
    }),
  });
  if (existing === "assumed") workspace.selectStack = async () => undefined;
  const stack = await Stack[existing ? "select" : "createOrSelect"](name, workspace);
  // gRPC's resolvers keep what a program ran in for as long as the process lives, and with it each resource it has made.
  // It is emptied once the program's late calls are over too.
  const empty = () =>
    ran.forEach((store) => Object.keys(store).forEach((key) => Reflect.deleteProperty(store, key)));
  const forget = () => void setTimeout(empty, 10_000).unref();
  return { stack, forget };
}

/**
 * Updates a stack. The Automation API's own `up` starts Pulumi three times more, to ask for outputs and history.
 * @returns resources by what was done to them, as the update's events tell.
 */
export async function update(stack: Stack): Promise<Record<string, number>> {
  const unasked: Stack = Object.assign(Object.create(stack), {
    outputs: async () => ({}),
    info: async () => undefined,
  });
  let changes: Record<string, number> = {};
  await unasked.up({
    onEvent: ({ summaryEvent }) => void (changes = summaryEvent?.resourceChanges ?? changes),
  });
  return changes;
}

let commandLine: Promise<PulumiCommand> | undefined;

/**
 * Pulumi's command line in a session of its own, where there are such: a terminal's Ctrl-C then reaches this process
 * alone, which decides what is finished first.
 */
function detached(): Promise<PulumiCommand> {
  const [setsid, pulumi] = [locate("setsid"), locate("pulumi")];
  if (!setsid || !pulumi || process.platform !== "linux") return PulumiCommand.get();
  const bin = join(root, ".cache/detached/bin");
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, "pulumi"), `#!/bin/sh\nexec ${setsid} --wait ${pulumi} "$@"\n`, {
    mode: 0o755,
  });
  return PulumiCommand.get({ root: dirname(bin) });
}
