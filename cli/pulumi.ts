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
 * Runs Pulumi's command line on a stack. Only `up` makes one that is not there.
 * @param replaced asks for patterns of the URNs that are replaced though nothing of them changes.
 * @returns the exit code, as docs/cli.md has it.
 */
export async function runOnStack(
  operation: string,
  asked: PulumiOptions,
  replaced: () => Promise<readonly string[]> = async () => [],
): Promise<0 | 1> {
  const args = async () => [
    operation,
    ...pulumiFlags(asked),
    ...(await replaced()).map((urn) => `--replace=${urn}`),
  ];
  return (await runPulumi(args, asked.stack, { make: operation === "up" })) === 0 ? 0 : 1;
}
