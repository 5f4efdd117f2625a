import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  checkStack,
  describePart,
  type EngineEvent,
  keepingStackFile,
  readEvents,
  runPulumi,
} from "../automation";
import { hubKey, requireSites } from "../configs/hub";
import { hubSites } from "../configs/hub-sites";
import { inventoryFile } from "../configs/inventory";
import { findSite, type StackSite } from "../configs/sites";
import { hubConfig, placeOf } from "../configs/stacks";
import { meaningOf } from "../fleet";

/** Options of the commands that run Pulumi on one stack. */
export interface PulumiOptions {
  stack: string;
  diff?: boolean;
  yes?: boolean;
  refresh?: boolean;
  /** Patterns of the URNs that are worked on. Default: all. */
  only?: string[];
}

/** Whether output is to have no colours: https://no-color.org. */
const noColor = () => Boolean(process.env.NO_COLOR);

/** The same options, as Pulumi's command line takes them. */
const pulumiFlags = ({ yes, refresh, diff, only = [] }: PulumiOptions): string[] => [
  ...(yes ? ["--yes"] : []),
  ...(refresh ? ["--refresh"] : []),
  ...(diff ? ["--diff"] : []),
  ...only.map((urn) => `--target=${urn}`),
  ...(noColor() ? ["--color", "never"] : []),
];

/** The same options, as the Automation API takes them. */
export const operationOptions = ({ diff }: { diff?: boolean }) => ({
  ...(diff && { diff }),
  ...(noColor() && { color: "never" as const }),
});

/**
 * Runs Pulumi's command line on a stack. Only `up` makes one that is not there.
 * @param replaced asks for patterns of the URNs that are replaced though nothing of them changes.
 * @param succeeded is told the engine's events of an update.
 * @returns the exit code, as docs/cli.md has it.
 */
export async function runOnStack(
  operation: string,
  asked: PulumiOptions,
  replaced: () => Promise<readonly string[]> = async () => [],
  succeeded?: (events: readonly EngineEvent[]) => Promise<void>,
): Promise<0 | 1> {
  const args = async () => {
    const urns = await replaced();
    return [operation, ...pulumiFlags(asked), ...urns.map((urn) => `--replace=${urn}`)];
  };
  // The others run no program: a site that is refused can still be looked at, and removed.
  const isPlanned = operation === "up" || operation === "preview";
  const { stack } = isPlanned ? checkedStack(asked.stack) : placeOf(asked.stack);
  const run = (events?: string) =>
    keepingStackFile(stack, operation !== "preview", () =>
      runPulumi(args, asked.stack, { make: operation === "up", runs: isPlanned, events }),
    );
  const then =
    operation === "preview" && !hubConfig(asked.stack)
      ? (events: readonly EngineEvent[]) => printMeaning(findSite(asked.stack), events)
      : succeeded;
  const code = await (then ? observed(run, then) : run());
  return code === 0 ? 0 : 1;
}

/** Tells the engine's events once it has run. @param run keeps its events in a file. */
async function observed(
  run: (events: string) => Promise<number>,
  then: (events: readonly EngineEvent[]) => Promise<void>,
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "bess-events-"));
  const events = join(folder, "events.ndjson");
  try {
    const code = await run(events);
    if (code === 0) await then(readEvents(events));
    return code;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Prints what an update that was previewed means for its site. */
export async function printMeaning(
  found: StackSite,
  events: readonly EngineEvent[],
): Promise<void> {
  const sentences = await meaningOf(found, events);
  if (sentences.length > 0) console.log(["What it means:", ...sentences].join("\n  - "));
}

/**
 * A stack whose site, or hub, the program will take; says whom the broker's certificate is for.
 * @throws InputError where it has no site, or that is refused.
 */
export function checkedStack(name: string): Pick<StackSite, "stack"> {
  const hub = hubConfig(name);
  if (hub) {
    const sites = hubSites();
    requireSites(hub, sites, `${hubKey} of ${name}`);
    if (sites.length === 0)
      console.error(`no site is in ${inventoryFile}: this hub takes values of none`);
    return { stack: name };
  }
  const found = findSite(name);
  const { certificate } = checkStack(found);
  if (certificate)
    console.error(
      describePart({ name: "certificate", state: "found", note: certificate.description }),
    );
  return found;
}
