import { runPulumi } from "../automation";

/** Options of the commands that run Pulumi on one stack. */
export interface PulumiOptions {
  stack: string;
  diff?: boolean;
  yes?: boolean;
  refresh?: boolean;
}

/** Whether output is to have no colours: https://no-color.org. */
export const noColor = () => Boolean(process.env.NO_COLOR);

/** The same options, as Pulumi's command line takes them. */
const pulumiFlags = ({ yes, refresh, diff }: PulumiOptions): string[] => [
  ...(yes ? ["--yes"] : []),
  ...(refresh ? ["--refresh"] : []),
  ...(diff ? ["--diff"] : []),
  ...(noColor() ? ["--color", "never"] : []),
];

/** The same options, as the Automation API takes them. */
export const operationOptions = ({ diff }: { diff?: boolean }) => ({
  ...(diff && { diff }),
  ...(noColor() && { color: "never" as const }),
});

/**
 * Runs Pulumi's command line on a stack.
 * @param replaced patterns of the URNs that are replaced though nothing of them changes.
 * @returns the exit code, as docs/cli.md has it.
 */
export async function runOnStack(
  operation: string,
  asked: PulumiOptions,
  replaced: readonly string[] = [],
): Promise<0 | 1> {
  const flags = [...pulumiFlags(asked), ...replaced.map((urn) => `--replace=${urn}`)];
  return (await runPulumi([operation, ...flags], asked.stack)) === 0 ? 0 : 1;
}
