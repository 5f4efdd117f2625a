import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { LocalWorkspace, PulumiCommand, type PulumiFn, type Stack } from "@pulumi/pulumi/automation";
import { parse } from "yaml";
import program from "../index";
import { Engine, type Fault, rehearse } from "../rehearsal";
import { environment, locate } from "./setup";
import { localBackend, pulumiEnvironment, root } from "./stack";

const project: { name: string; description: string } = parse(readFileSync(join(root, "Pulumi.yaml"), "utf8"));

// The Automation API looks for its command line here alone.
process.env.PATH = environment().PATH;

// A program whose update fails goes on registering with an engine that has ended; that is no failure of this process.
process.on("unhandledRejection", (error) => {
  if (!(error instanceof Error && error.message.includes("Resource monitor is terminating"))) throw error;
});

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

/** @throws Error with what is allowed, where a stack has no configuration. */
function configOf(name: string): Record<string, unknown> {
  const { config } = stackFile(root, name);
  if (!config) throw new Error(`--stack ${name}: there is no config in Pulumi.${name}.yaml; write one as docs/configuration.md tells, or take dev`);
  return config;
}

const engineOf = (config: Record<string, unknown>) => (config["bess-telemetry:site"] as { engine?: string } | undefined)?.engine;

/** What stands for a secret of the config that a rehearsal does not open; it has the shape of the only kind there is. */
const standIn = "-----BEGIN PRIVATE KEY-----\nrehearsed\n-----END PRIVATE KEY-----";

/** A stack's config without its encrypted values. */
function opened(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(opened);
  if (typeof value !== "object" || value === null) return value;
  if ("secure" in value) return standIn;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, opened(inner)]));
}

/** Where rehearsals keep their state, far from that of any real stack. */
export const rehearsals = join(root, ".cache/rehearsal");

/** What a rehearsal may be told. */
export interface RehearsedArgs {
  faults?: readonly Fault[];
  /** Where its state and its simulated engines are kept. Default: {@link rehearsals}. */
  folder?: string;
  /** The stack's config, instead of `Pulumi.NAME.yaml`'s. */
  config?: Record<string, unknown>;
  program?: PulumiFn;
}

/** A stack on a simulated site, with a state of its own: nothing real is read but its config. */
export async function rehearsedStack(name: string, args: RehearsedArgs = {}): Promise<InlineStack> {
  const { folder = rehearsals, faults, config = opened(configOf(name)) as Record<string, unknown> } = args;
  const engine = engineOf(config);
  const providers = await rehearse({ folder: join(folder, "engines"), engine, faults });
  const environment = { ...localBackend(folder), ...providers.environment, PULUMI_HOME: join(folder, "home") };
  const stack = await open({ name, environment, workDir: join(folder, "stacks", name), config, program: args.program });
  return { stack, engine: () => Engine.open(join(folder, "engines"), engine), close: providers.close };
}

/** What may be told of a stack that is, or will be, deployed. */
export interface DeployedArgs {
  /** Whether it is only looked at from its state: providers plan as the real ones do, and contact nothing. Default: false. */
  offline?: boolean;
  /** Where its config lies. Default: the project. */
  workDir?: string;
  /** The stack's config, instead of what lies in `workDir`: it is written there. */
  config?: Record<string, unknown>;
  /** Environment that names the backend. Default: as `npm run up`. */
  environment?: Record<string, string>;
  program?: PulumiFn;
}

/** A real stack. */
export async function deployedStack(name: string, args: DeployedArgs = {}): Promise<Omit<InlineStack, "engine">> {
  const { workDir = root, offline = false, config, environment = pulumiEnvironment() as Record<string, string> } = args;
  const folder = join(root, ".cache/offline");
  const providers = offline ? await rehearse({ folder, engine: engineOf(config ?? configOf(name)) }) : undefined;
  const stack = await open({ name, workDir, config, keys: stackFile(root, name), program: args.program, environment: { ...environment, ...providers?.environment } });
  return { stack, close: () => providers?.close() };
}

/** @param keys a stack's file that tells how its secrets are encrypted, where `workDir` has none yet. */
async function open({ name, workDir, config, environment, keys, program: run = program }: DeployedArgs & { name: string; workDir: string; keys?: StackFile }): Promise<Stack> {
  mkdirSync(workDir, { recursive: true });
  const { secretsprovider, encryptedkey, encryptionsalt } = { ...keys, ...stackFile(workDir, name) };
  const settings = config && { config: config as Record<string, string>, secretsProvider: secretsprovider, encryptedKey: encryptedkey, encryptionSalt: encryptionsalt };
  return LocalWorkspace.createOrSelectStack(
    { stackName: name, projectName: project.name, program: run },
    {
      workDir,
      pulumiCommand: await (commandLine ??= detached()),
      envVars: { PULUMI_SKIP_UPDATE_CHECK: "true", ...environment },
      ...(settings && { projectSettings: { ...project, runtime: "nodejs" as const }, stackSettings: { [name]: settings } }),
    },
  );
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
  writeFileSync(join(bin, "pulumi"), `#!/bin/sh\nexec ${setsid} --wait ${pulumi} "$@"\n`, { mode: 0o755 });
  return PulumiCommand.get({ root: dirname(bin) });
}
