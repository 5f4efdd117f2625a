// First, for it hears only of what is read after it.
import { filesRead } from "./files-read";
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type {
  EngineEvent,
  LocalWorkspace,
  OutputMap,
  PulumiCommand,
  Stack,
} from "@pulumi/pulumi/automation";
import { bundledSources } from "../components/bundles";
import { InputError } from "../configs/validation";
import { rehearse } from "../rehearsal";
import { forgetCutOff, marked } from "./cut-off";
import { eventLog, readEvents } from "./events";
import { ProgramServer } from "./program-server";
import { renderedPlan } from "./rendered";
import {
  type ChangeCounts,
  type Failure,
  type Message,
  type Operations,
  StackError,
  type StackReference,
  type StackTask,
  type RenderedSite,
  type RenderTask,
  type Task,
} from "./tasks";

/**
 * The main module of a worker process: it runs one program, for one site after the other, and all
 * else that is done with their stacks. workers.ts starts it, and sends it one task at a time.
 */
const [, , programFile = ""] = process.argv;

// A revision of its own may have an SDK of its own: its program and what runs it must share that.
const requireBesideProgram = createRequire(programFile);
const sdk: typeof import("@pulumi/pulumi") = requireBesideProgram("@pulumi/pulumi");
const {
  CommandError,
  LocalWorkspace: Workspace,
  PulumiCommand: Command,
  Stack: SdkStack,
  StackNotFoundError,
} = requireBesideProgram("@pulumi/pulumi/automation") as typeof import("@pulumi/pulumi/automation");
const program: () => Promise<Record<string, unknown>> = requireBesideProgram(programFile);

// Pulumi's SDK takes a stack trace for every promise, which takes much of a preview's time.
if (!process.env.NODE_DEBUG) Error.stackTraceLimit = 0;

/** A stack that is worked on. */
interface Opened {
  reference: StackReference;
  workspace: LocalWorkspace;
  environment: Record<string, string>;
}

/** Who hears of what happens. */
interface Streams {
  onOutput?: (text: string) => void;
  onEvent?: (event: EngineEvent) => void;
}

type Operate<Name extends keyof Operations> = (
  opened: Opened,
  args: Operations[Name]["args"] & Streams,
) => Promise<Operations[Name]["result"]>;

const operations: { [Name in keyof Operations]: Operate<Name> } = {
  up: (opened, args) => runProgram(opened, ["up", "--yes", "--skip-preview"], args),
  preview: async (opened, args) => (await runProgram(opened, ["preview"], args)).changes,
  refresh: async (opened, args) => void (await (await select(opened)).refresh(args)),
  previewRefresh: async (opened, args) => void (await (await select(opened)).previewRefresh(args)),
  destroy: async (opened, args) => void (await (await select(opened)).destroy(args)),
  cancel: async (opened) => {
    await (await select(opened)).cancel();
    forgetCutOff(opened.reference.workDir);
  },
  lastUpdate: async (opened) => (await (await select(opened)).history(1)).at(0),
  history: async (opened) =>
    (await (await select(opened)).history(undefined, undefined, false)).map(
      ({ kind, startTime, endTime, result, message, environment, resourceChanges }) => ({
        kind,
        startTime,
        endTime,
        result,
        message,
        environment,
        ...(resourceChanges && { resourceChanges }),
      }),
    ),
  outputs: async ({ workspace, reference }) =>
    valuesOf(await workspace.stackOutputs(reference.name)),
  exportState: async ({ workspace, reference }) =>
    (await workspace.exportStack(reference.name)).deployment,
  tags: ({ workspace, reference }) => workspace.listTags(reference.name),
  setTag: (opened, { key, value }) =>
    creating(opened, () => opened.workspace.setTag(opened.reference.name, key, value)),
  removeTag: ({ workspace, reference }, { key }) => workspace.removeTag(reference.name, key),
};

const valuesOf = (outputs: OutputMap) =>
  Object.fromEntries(Object.entries(outputs).map(([key, { value }]) => [key, value as unknown]));

/** Does it; first makes the stack, where it is not there and may be made: most are there. */
async function creating<T>({ workspace, reference }: Opened, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!reference.create || kindOf(error) !== "not-found") throw error;
    await workspace.createStack(reference.name);
    return work();
  }
}

const select = (opened: Opened): Promise<Stack> =>
  creating(opened, () => SdkStack.select(opened.reference.name, opened.workspace));

/** Runs `pulumi`. @throws StackError with what it printed. */
function pulumi(
  args: string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
  onOutput: Streams["onOutput"],
): Promise<void> {
  return new Promise((done, failed) => {
    const child = spawn("pulumi", args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    let printed = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => (printed += text));
    child.stdout.on("data", (text: string) => onOutput?.(text));
    child.once("error", failed);
    child.once("close", (code, signal) => {
      const kind = /no stack named .* found/.test(printed) ? "not-found" : "command";
      if (code === 0) done();
      else failed(new StackError(kind, printed.trim() || `pulumi ended with ${signal ?? code}`));
    });
  });
}

let programServer: ProgramServer | undefined;

/** Runs the program by Pulumi's engine. @returns what that did. */
async function runProgram(
  opened: Opened,
  subcommand: string[],
  { diff, color, replace = [], onOutput, onEvent }: Operations["up"]["args"] & Streams,
): Promise<Operations["up"]["result"]> {
  const { environment, reference } = opened;
  const folder = mkdtempSync(join(tmpdir(), "bess-events-"));
  const events = join(folder, "events.ndjson");
  const log = eventLog(events);
  const server = new ProgramServer(sdk, program);
  programServer = server;
  try {
    const port = await server.listen();
    const options = {
      stack: reference.name,
      client: `127.0.0.1:${port}`,
      "exec-kind": "auto.inline",
      ...(color && { color }),
    };
    const args = subcommand.concat(
      Object.entries(options).map(([name, value]) => `--${name}=${value}`),
      log.argument,
      "--non-interactive",
      diff ? "--diff" : [],
      replace.map((urn) => `--replace=${urn}`),
    );
    const env = { ...process.env, ...log.variables, ...environment };
    await creating(opened, () => pulumi(args, reference.workDir, env, onOutput));
    let changes: ChangeCounts = {};
    for (const event of readEvents(events)) {
      changes = event.summaryEvent?.resourceChanges ?? changes;
      onEvent?.(event);
    }
    return { changes, outputs: server.outputs };
  } finally {
    programServer = undefined;
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

let pulumiCommand: Promise<PulumiCommand> | undefined;

async function operate<Name extends keyof Operations>(task: StackTask<Name>): Promise<unknown> {
  const { operation, stack: reference, args, wants } = task;
  const { name, workDir, settings } = reference;
  mkdirSync(workDir, { recursive: true });
  const providers = asksProviders(operation)
    ? reference.rehearsal && (await rehearse(reference.rehearsal))
    : undefined;
  try {
    const environment = {
      PULUMI_SKIP_UPDATE_CHECK: "true",
      ...reference.environment,
      ...providers?.environment,
    };
    const workspace = await Workspace.create({
      workDir,
      program,
      pulumiCommand: await (pulumiCommand ??= Command.get()),
      envVars: environment,
      ...(settings && {
        projectSettings: settings.project,
        stackSettings: { [name]: settings.stack },
      }),
    });
    const operated = () =>
      operations[operation](
        { reference, workspace, environment },
        {
          ...args,
          ...(wants.output && { onOutput: (text) => send({ kind: "output", text }) }),
          ...(wants.events && { onEvent: (event) => send({ kind: "event", event }) }),
        },
      );
    // A folder whose settings are written is the stack's own.
    return await (settings && asksProviders(operation) ? marked(workDir, operated) : operated());
  } finally {
    providers?.close();
  }
}

/** Operations that ask providers; the others only read or write the backend. */
const asksProviders = (operation: keyof Operations) =>
  ["up", "preview", "refresh", "previewRefresh", "destroy"].includes(operation);

/** Nothing can be sent once the parent is gone; this process ends by itself then. */
function send(message: Message): void {
  if (process.connected) process.send?.(message);
}

function failureOf(error: unknown): Failure {
  if (error instanceof InputError) {
    const { message, source, problems } = error;
    return { kind: "input", message, input: { source, problems } };
  }
  const { message } = error instanceof Error ? error : new Error(String(error));
  return { kind: kindOf(error), message };
}

function kindOf(error: unknown): Failure["kind"] {
  if (error instanceof StackError) return error.kind;
  if (error instanceof StackNotFoundError) return "not-found";
  return error instanceof CommandError ? "command" : "other";
}

async function render({ stack, site, untransformed }: RenderTask): Promise<RenderedSite> {
  const resources = await renderedPlan(stack.name, site, untransformed ? {} : undefined);
  return { resources, files: filesRead(bundledSources()) };
}

let isBusy = false;

async function work(task: Task): Promise<void> {
  isBusy = true;
  const outcome = await (task.operation === "render" ? render(task) : operate(task)).then(
    (result) => ({ result }),
    (error: unknown) => ({ failure: failureOf(error) }),
  );
  isBusy = false;
  const residentMiB = Math.round(process.memoryUsage.rss() / 2 ** 20);
  send({ kind: "end", outcome, residentMiB });
}

process.on("message", (task: Task) => void work(task));
// With an error: after a success, Pulumi lists on standard error what a program that was cut off left undone.
process.on("disconnect", () => process.exit(1));
// A program that has failed goes on calling an engine that has ended. Nobody needs to hear of that:
// the engine has told its failure, and another process takes the place of this one.
process.on("unhandledRejection", (error) => void programServer?.report(error));
process.on("uncaughtException", (error) => {
  if (programServer?.report(error) || isBusy) return;
  console.error(error);
  process.exit(1);
});
