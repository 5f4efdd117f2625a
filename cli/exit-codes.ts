/** What an exit code of `bess` means; the help and docs/cli.md show this table. */
export const exitCodes: readonly (readonly [code: number, meaning: string])[] = [
  [0, "Done."],
  [1, "Refused before anything was touched, or failed; the message says why."],
  [2, "A rollout was halted, or a site did not pass its gate or is not well."],
  [
    3,
    "A rollout is done, but for sites that failed within the budget, could not be reached, or were deferred.",
  ],
  [130, "Interrupted by Ctrl-C; a rollout finishes what runs first."],
];

/** The table as a terminal shows it. */
export const exitCodeHelp = [
  "Exit codes:",
  ...exitCodes.map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`),
].join("\n");
