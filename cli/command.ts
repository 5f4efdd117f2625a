import { existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { InputError } from "../configs/validation";
import type { Fault } from "../rehearsal";
import { renderSite } from "../automation";
import { withSecretPlaceholders } from "../configs/secret-placeholders";
import { nearestNames, type StackSite } from "../configs/sites";
import { exitCodeHelp } from "./exit-codes";

// Loaded where it is asked for: it brings Pulumi's SDK along.
const rehearsal = () => require("../rehearsal") as typeof import("../rehearsal");

/** A line that a person can run, and what it does. */
export interface Example {
  does: string;
  line: string;
}

/** A command of `bess`: its help ends with examples. */
export class BessCommand extends Command {
  readonly examples: Example[] = [];

  override createCommand(name?: string): BessCommand {
    return new BessCommand(name);
  }

  /** As a person calls it, such as `bess fleet verify`. */
  get path(): string {
    return this.parent instanceof BessCommand ? `${this.parent.path} ${this.name()}` : this.name();
  }

  override error(...args: Parameters<Command["error"]>): never {
    this.showHelpAfterError(`(npx ${this.path} --help tells more)`);
    return super.error(...args);
  }

  /** @param line what follows `npx bess`. */
  example(does: string, line: string): this {
    this.examples.push({ does, line: `npx bess ${line}` });
    return this;
  }

  /** Sub-commands are of this class too: {@link createCommand} makes them. */
  get bessCommands(): BessCommand[] {
    return this.commands.filter((command) => command instanceof BessCommand);
  }
}

const examplesHelp = ({ examples }: BessCommand) =>
  examples.map(({ does, line }) => `  ${does}:\n    ${line}`).join("\n");

/** A command of its own. Its help lists its sub-commands with an example each. */
export function bessCommand(name: string, description: string): BessCommand {
  const command = new BessCommand(name).description(description);
  return command
    .configureHelp({
      subcommandTerm: (sub) => sub.name(),
      subcommandDescription: (sub) => {
        const example = sub instanceof BessCommand ? sub.examples[0]?.line : undefined;
        return [sub.summary() || sub.description(), ...(example ? [`  ${example}`] : [])].join(
          "\n",
        );
      },
    })
    .addHelpText("after", () => {
      const examples = examplesHelp(command);
      const codes = command.commands.length > 0 ? `\n\n${exitCodeHelp}` : "";
      return (examples ? `\nExamples:\n${examples}` : "") + codes;
    });
}

/** What went wrong, for a person: a stack trace for a bug of this program, else the message. */
export const problem = (error: Error): string =>
  error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError
    ? (error.stack ?? error.message)
    : error.message;

/** Runs a command's work, and keeps its exit code; a refusal is printed without a stack trace. */
export const acting =
  <Args extends unknown[]>(work: (...args: Args) => number | void | Promise<number | void>) =>
  async (...args: Args): Promise<void> => {
    try {
      process.exitCode = (await work(...args)) ?? 0;
    } catch (error) {
      console.error(problem(error as Error));
      process.exitCode = 1;
    }
  };

/** Refuses the command line. */
export const refuse = (finding: string): never => {
  throw new InputError("the command line", [finding]);
};

/** The same for every command that takes it. */
export const stackOption = () =>
  new Option(
    "--stack <name>",
    "stack of the site, in Pulumi.<name>.yaml or fleet/fleet.yaml; the site's name will do",
  );
export const yesOption = () =>
  new Option("--yes", "do it without asking").default(!process.stdin.isTTY, "without a terminal");
export const refreshOption = () => new Option("--refresh", "look at what is really there first");
export const diffOption = () => new Option("--diff", "show every property that changes");
export const jsonOption = () => new Option("--json", "print the report as JSON");

/** A number in a range, as an option takes it. */
export const number =
  (least: number, most = Infinity, whole = true) =>
  (text: string): number => {
    const value = Number(text);
    const range = most === Infinity ? `of at least ${least}` : `from ${least} to ${most}`;
    if (!(value >= least && value <= most) || (whole && !Number.isInteger(value)))
      throw new InvalidArgumentError(`Write a ${whole ? "whole " : ""}number ${range}.`);
    return value;
  };

const isFolder = (path: string) => statSync(path, { throwIfNoEntry: false })?.isDirectory();

/** A file that can be written: what it is to hold may take minutes to find out. */
export function writable(file: string): string {
  const folder = dirname(file);
  if (!isFolder(folder)) throw new InvalidArgumentError(`There is no folder ${folder}.`);
  if (isFolder(file)) throw new InvalidArgumentError("It is a folder: write the path of a file.");
  return file;
}

/** A folder that is there, or can be made. */
export function writableFolder(folder: string): string {
  if (existsSync(folder) && !isFolder(folder))
    throw new InvalidArgumentError("It is a file: write the path of a folder.");
  return folder;
}

/**
 * Collects NAME=VALUE pairs of a repeatable option.
 * @param example of such a pair.
 * @param form of one; the value may not be empty by default.
 */
export const pairs =
  (example: string, form = /^([^=]+)=(.+)$/) =>
  (text: string, previous: Record<string, string>): Record<string, string> => {
    const [, name, value] = form.exec(text) ?? [];
    if (name === undefined || value === undefined)
      throw new InvalidArgumentError(`Write NAME=VALUE, such as ${example}.`);
    return { ...previous, [name]: value };
  };

/** A fault of a rehearsed site. */
export function parseFault(text: string): Fault {
  try {
    return rehearsal().parseFault(text);
  } catch (error) {
    // Commander prints what is wrong with an option for this class alone.
    if (error instanceof InputError) throw new InvalidArgumentError(error.problems.join("; "));
    throw error;
  }
}

/** Refuses faults of a rehearsed site that would never happen. */
export async function requireEffect(
  faults: readonly Fault[],
  { stack, settings }: Pick<StackSite, "stack" | "settings">,
): Promise<void> {
  if (faults.length === 0) return;
  const { kindOf, matches } = rehearsal();
  const { resources } = await renderSite(stack, withSecretPlaceholders(settings));
  // A provider is no resource of the site.
  const names = resources
    .filter(({ type }) => !type.startsWith("pulumi:"))
    .map(({ type, name }) => `${kindOf(type)}:${name}`);
  for (const fault of faults) {
    const { resource, kind } = fault;
    const possible =
      kind === "unhealthy" ? names.filter((it) => it.startsWith("Container:")) : names;
    if (
      (kind !== "unhealthy" && matches(fault, "engine")) ||
      possible.some((it) => matches(fault, it))
    )
      continue;
    const wanted = kind === "unhealthy" ? "container" : "resource";
    refuse(
      `--fault is ${resource}=${kind}: it fits no ${wanted} of the site; ` +
        `the nearest: ${nearestNames(resource, possible).join(", ")}`,
    );
  }
}

/** Help text that lists the kinds of faults. */
export const faultHelp = () => `\nFaults: ${rehearsal().faultHelp}`;

/** Rows in columns, the first row its head. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows
    .map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  "))
    .map((line) => line.trimEnd())
    .join("\n");
}

/** Prints a report for a program to read. */
export const printJson = (report: unknown) => console.log(JSON.stringify(report, null, 2));
