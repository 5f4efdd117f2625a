import type {
  EngineEvent,
  ProjectSettings,
  StackSettings,
  UpdateSummary,
} from "@pulumi/pulumi/automation";
import type { RehearsalArgs } from "../rehearsal";
import { InputError } from "../configs/validation";
import type { RenderedResource } from "./plan";

/** A stack as a worker process opens it: plain data alone, for it crosses to another process. */
export interface StackReference {
  name: string;
  /**
   * Path of the module that exports the program. Each worker process knows one program, with that
   * one's own SDK.
   */
  program: string;
  /** Folder of its `Pulumi.yaml` and `Pulumi.<name>.yaml`. */
  workDir: string;
  /** What is written into those first. Default: they stay as they are. */
  settings?: { project: ProjectSettings; stack: StackSettings };
  /** Environment that names the backend, beside that of this process. */
  environment: Record<string, string>;
  /** Whether it is made where it is not there. */
  create: boolean;
  /** Simulated providers, instead of the installed ones. */
  rehearsal?: RehearsalArgs;
}

export type { EngineEvent };
/** An update of a stack, as its history has it. */
export type StackUpdate = UpdateSummary;

/** What a stack's history tells of an update, but for its config, which has secrets. */
export type PastUpdate = Pick<
  UpdateSummary,
  "kind" | "startTime" | "endTime" | "result" | "message" | "environment" | "resourceChanges"
>;

/** What an operation of Pulumi's engine may be told. */
export interface EngineArgs {
  /** Whether its output shows every property that changes. Default: false. */
  diff?: boolean;
  /** Whether its output is coloured. Default: as `pulumi` finds fit. */
  color?: "always" | "never" | "raw" | "auto";
  /** Patterns of the URNs that an update replaces though nothing of them changes. Default: none. */
  replace?: string[];
}

/** Resources by what was, or would be, done to them, such as `{ same: 56, replace: 1 }`. */
export type ChangeCounts = Record<string, number>;

/** What an update has done. */
export interface UpResult {
  changes: ChangeCounts;
  /** The stack's outputs, secrets in plain. */
  outputs: Record<string, unknown>;
}

/** Everything that a worker process can be asked to do: what it is told, and what it answers. */
export interface Operations {
  up: { args: EngineArgs; result: UpResult };
  preview: { args: EngineArgs; result: ChangeCounts };
  refresh: { args: EngineArgs; result: void };
  /** What a refresh would find; nothing is changed. */
  previewRefresh: { args: EngineArgs; result: void };
  destroy: { args: EngineArgs; result: void };
  /** Takes away a lock that another run has left. */
  cancel: { args: object; result: void };
  /** The stack's outputs, secrets in plain. */
  outputs: { args: object; result: Record<string, unknown> };
  /** Undefined where it was never updated. */
  lastUpdate: { args: object; result: StackUpdate | undefined };
  /** Every update, refresh and removal, the last one first; nothing of its config. */
  history: { args: object; result: PastUpdate[] };
  /** The stack's state. */
  exportState: { args: object; result: unknown };
  tags: { args: object; result: Record<string, string> };
  setTag: { args: { key: string; value: string }; result: void };
  removeTag: { args: { key: string }; result: void };
}

/** One operation on one stack. */
export interface StackTask<Name extends keyof Operations = keyof Operations> {
  operation: Name;
  stack: StackReference;
  args: Operations[Name]["args"];
  /** Whether its output, and the engine's events, are wanted as they come. */
  wants: { output: boolean; events: boolean };
}

/** The resources that a site's program asks for, from its configuration alone. */
export interface RenderTask {
  operation: "render";
  stack: Pick<StackReference, "name" | "program">;
  /** The site's `bess-telemetry:site`. */
  site: unknown;
  /** Whether transform.ts changes nothing there, whatever it does for the stack's name. */
  untransformed?: boolean;
}

/** What a site's program asks for, and what it was made from. */
export interface RenderedSite {
  resources: RenderedResource[];
  /** Files of the project that this took, relative to it. */
  files: string[];
}

export type Task = StackTask | RenderTask;

/** What a task answers. */
export type ResultOf<T extends Task> =
  T extends StackTask<infer Name> ? Operations[Name]["result"] : RenderedSite;

/** What a worker process sends. */
export type Message =
  | { kind: "output"; text: string }
  | { kind: "event"; event: EngineEvent }
  | {
      kind: "end";
      outcome: { result: unknown } | { failure: Failure };
      /** Memory that the process takes, in MiB. */
      residentMiB: number;
    };

/** An error as plain data. */
export interface Failure {
  kind: "input" | StackError["kind"] | "other";
  message: string;
  /** Of bad input: whose it is, and what is wrong with it. */
  input?: { source: string; problems: string[] };
}

/** Why an operation on a stack failed. */
export class StackError extends Error {
  constructor(
    /**
     * `not-found`: there is no such stack; `command`: `pulumi` failed, and has printed why;
     * `worker`: its process died.
     */
    readonly kind: "not-found" | "command" | "worker",
    message: string,
  ) {
    super(message);
    this.name = "StackError";
  }
}

/** The error that a failure was. */
export function errorOf({ kind, message, input }: Failure): Error {
  if (input) return new InputError(input.source, input.problems);
  return kind === "input" || kind === "other" ? new Error(message) : new StackError(kind, message);
}
