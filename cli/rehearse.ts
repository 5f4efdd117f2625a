import { CommandError } from "@pulumi/pulumi/automation";
import type { Engine, Fault } from "../rehearsal";
import { deployedStack, rehearsedStack } from "../automation/inline";

/** What can be rehearsed. */
export type Operation = "up" | "preview" | "refresh" | "destroy";

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
export async function rehearseOperation(
  operation: Operation,
  stackName: string,
  options: { faults?: readonly Fault[]; diff?: boolean } = {},
): Promise<number> {
  console.log(rehearsed);
  const code = await within(rehearsedStack(stackName, options), async ({ stack, engine }) => {
    const shared = { onOutput: print, diff: options.diff };
    if (operation === "up") await stack.up(shared);
    else if (operation === "preview") await stack.preview(shared);
    else await stack[operation]({ onOutput: print });
    if (operation !== "preview") console.log(listening(engine()));
  });
  console.log(`${rehearsed} npm run up -- --stack ${stackName} deploys it, where Docker is.`);
  return code;
}

const rehearsed = "REHEARSAL: nothing is deployed; Pulumi's engine works on a simulated site.";

/**
 * Previews a deployed stack from its state alone, without any contact to its site.
 * @returns the exit code.
 */
export async function previewOffline(
  stackName: string,
  options: { diff?: boolean } = {},
): Promise<number> {
  console.log(
    "OFFLINE: planned from the stack's state; the site is not contacted, so what changed there behind Pulumi's back is not seen.",
  );
  return within(
    deployedStack(stackName, { offline: true }),
    async ({ stack }) => void (await stack.preview({ onOutput: print, diff: options.diff })),
  );
}

/** Works on a stack, and closes it. @returns the exit code; Pulumi has told its own errors by then. */
async function within<T extends { close(): void }>(
  opening: Promise<T>,
  work: (inline: T) => Promise<void>,
): Promise<number> {
  let inline: T | undefined;
  try {
    inline = await opening;
    await work(inline);
    return 0;
  } catch (error) {
    if (!inline || !(error instanceof CommandError)) console.error((error as Error).message);
    return 1;
  } finally {
    inline?.close();
  }
}
