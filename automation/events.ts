import { readFileSync } from "node:fs";
import type { EngineEvent } from "@pulumi/pulumi/automation";

/** What has `pulumi` write its engine's events to a file, one a line. */
export const eventLog = (file: string) => ({
  argument: `--event-log=${file}`,
  // Without it Pulumi does not know the option.
  variables: { PULUMI_DEBUG_COMMANDS: "true" },
});

/** The events of such a file. */
export const readEvents = (file: string): EngineEvent[] =>
  readFileSync(file, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line): EngineEvent => JSON.parse(line));
