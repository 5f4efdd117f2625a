import { Argument, Option } from "commander";
import {
  deployedStack,
  type EngineEvent,
  keepingStackFile,
  noState,
  rehearsedStack,
  setUp,
  StackError,
} from "../automation";
import { findSite } from "../configs/sites";
import { hubConfig } from "../configs/stacks";
import type { Engine, Fault } from "../rehearsal";
import {
  acting,
  bessCommand,
  diffOption,
  faultHelp,
  parseFault,
  refuse,
  requireEffect,
  stackOption,
} from "./command";
import { checkedStack, operationOptions, printMeaning } from "./pulumi";

const operations = ["up", "preview", "refresh", "destroy"] as const;

/** What can be rehearsed. */
export type Operation = (typeof operations)[number];

interface Rehearsal {
  stack: string;
  diff?: boolean;
  fault?: Fault[];
}

const notice = "REHEARSAL: nothing is deployed; Pulumi's engine works on a simulated site.";

const print = (text: string) => void process.stdout.write(text);

/** What would be reached where, as a table. */
function listening({ state }: Engine): string {
  const rows = Object.entries(state.containers).flatMap(([name, { ports, healthy }]) =>
    (ports.length ? ports : ["no port of the host"]).map(
      (port) => `  ${name.padEnd(24)} ${port.padEnd(22)} ${healthy ? "healthy" : "unhealthy"}`,
    ),
  );
  return rows.length
    ? `On ${state.host} there would be:\n${rows.join("\n")}`
    : `Nothing would be on ${state.host}.`;
}

/**
 * Rehearses an operation: Pulumi's real engine, state and diffs on a simulated site.
 * @returns the exit code.
 */
export async function rehearse(
  operation: Operation,
  { stack: name, diff, fault = [] }: Rehearsal,
): Promise<number> {
  const found = checkedStack(name);
  // A rehearsal has a backend of its own, which knows no organizations.
  const stackName = found.stack.split("/").at(-1) ?? found.stack;
  if (operation === "preview" && fault.some(({ resource }) => resource !== "engine"))
    refuse("--fault has no effect on a preview, which makes nothing; only that of engine has");
  const site = hubConfig(name) ? undefined : findSite(name);
  if (site) await requireEffect(fault, site);
  if (!(await setUp("rehearse"))) return 1;
  console.log(notice);
  const stack = rehearsedStack(stackName, { faults: fault });
  const code = await exitCodeOf(stackName, async () => {
    const events: EngineEvent[] = [];
    await stack[operation]({
      onOutput: print,
      onEvent: (event) => void events.push(event),
      ...operationOptions({ ...(diff && { diff }) }),
    });
    if (operation === "preview") await (site && printMeaning(site, events));
    else console.log(listening(stack.simulatedEngine()));
  });
  console.log(`${notice} npx bess up --stack ${name} deploys it, where Docker is.`);
  return code;
}

/**
 * Previews a deployed stack from its state alone, without any contact to its site.
 * @returns the exit code.
 */
export async function previewOffline(
  name: string,
  options: { diff?: boolean } = {},
): Promise<number> {
  const found = checkedStack(name);
  const stack = deployedStack(found.stack, { offline: true });
  if (!(await setUp("rehearse"))) return 1;
  console.log(
    "OFFLINE: planned from the stack's state. The site is not contacted, " +
      "so what changed there behind Pulumi's back is not seen.",
  );
  const events: EngineEvent[] = [];
  const onEvent = (event: EngineEvent) => void events.push(event);
  return keepingStackFile(found.stack, false, () =>
    exitCodeOf(found.stack, async () => {
      await stack.preview({ onOutput: print, onEvent, ...operationOptions(options) });
      if (!hubConfig(name)) await printMeaning(findSite(name), events);
    }),
  );
}

/** Works on a stack. @returns the exit code; Pulumi has shown its own errors. */
async function exitCodeOf(stack: string, work: () => Promise<unknown>): Promise<number> {
  try {
    await work();
    return 0;
  } catch (error) {
    const kind = error instanceof StackError ? error.kind : undefined;
    if (kind === "not-found") throw noState(stack);
    if (kind !== "command") console.error((error as Error).message);
    return 1;
  }
}

const faults = (text: string, previous: Fault[] = []) => [...previous, parseFault(text)];

/** Works on a simulated site. */
export const rehearseCommand = () =>
  bessCommand(
    "rehearse",
    "Works on a simulated site, through Pulumi's real engine: nothing is deployed.",
  )
    .addArgument(new Argument("<operation>", "what to rehearse").choices(operations))
    .addOption(stackOption().default("dev"))
    .addOption(diffOption())
    .addOption(
      new Option("--fault <fault...>", "what goes wrong: RESOURCE=KIND[:SECONDS]").argParser(
        faults,
      ),
    )
    .addHelpText("after", faultHelp)
    .example("The first deployment of a site", "rehearse up --stack kiel-1")
    .example("With a slow Grafana", "rehearse up --stack kiel-1 --fault kiel-1-grafana=slow:10")
    .action(acting((operation: Operation, asked: Rehearsal) => rehearse(operation, asked)));
