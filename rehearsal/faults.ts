import * as z from "zod";
import { InputError, validate } from "../configs/validation";

const kinds = {
  fail: "every operation on it fails",
  hang: "an operation never ends",
  slow: "an operation takes `seconds` longer, 5 by default",
  flap: "every other operation fails, the first one too",
  unhealthy: "the container starts, and its service never answers",
} as const;

type Kind = keyof typeof kinds;

const faultSchema = z.strictObject({
  resource: z
    .string()
    .regex(/^[\w*:.-]+$/, "write the name of a resource, such as kiel-1-grafana, or engine")
    .describe(
      "Name of a resource, or its type and name, such as Container:dev-grafana. " +
        "`engine` is the Docker engine; * stands for any characters.",
    ),
  kind: z.enum(Object.keys(kinds) as [Kind, ...Kind[]]),
  seconds: z.number("write a number of seconds").positive("write a number over 0").default(5),
});

/** Something that goes wrong at a rehearsed site, at every resource whose name matches. */
export type Fault = z.output<typeof faultSchema>;

/** The syntax that {@link parseFault} reads, and the kinds of faults, for a command's help. */
export const faultHelp = `RESOURCE=KIND[:SECONDS]; ${Object.entries(kinds)
  .map(([kind, effect]) => `${kind}: ${effect}`)
  .join("; ")}`;

/** Reads a fault of a command line, such as `dev-grafana=slow:10`. @throws InputError */
export function parseFault(text: string): Fault {
  const [, resource, kind, seconds] = /^([^=]*)=([^:]*)(?::(.*))?$/.exec(text) ?? [];
  if (resource === undefined)
    throw new InputError(`--fault ${text}`, [`it is none: write ${faultHelp}`]);
  if (seconds !== undefined && kind !== "slow" && kind !== undefined && kind in kinds)
    throw new InputError(`--fault ${text}`, [`only slow takes seconds: write ${resource}=${kind}`]);
  return validate(
    faultSchema,
    { resource, kind, ...(seconds !== undefined && { seconds: Number(seconds) || seconds }) },
    `--fault ${text}`,
  );
}

/** @param name type and name of a resource; the fault may name it without the type. */
export function matches({ resource }: Pick<Fault, "resource">, name: string): boolean {
  const pattern = resource
    .split("*")
    .map((part) => part.replace(/[^\w-]/g, "\\$&"))
    .join(".*");
  return new RegExp(`^(\\w+:)?${pattern}$`).test(name);
}

/** The faults of one rehearsed site. */
export class Faults {
  private readonly cancelled = new AbortController();

  /**
   * @param countAttempt counts an operation on a flapping resource, by its type and name.
   * Returns the number of earlier ones, those of former rehearsals included.
   */
  constructor(
    private readonly faults: readonly Fault[],
    private readonly countAttempt: (name: string) => number,
  ) {}

  /**
   * Lets the faults of a resource happen before an operation on it.
   * @param name type and name of the resource, such as `Container:dev-grafana`, or `engine`.
   * @throws Error where the operation fails, or was cancelled while it hung.
   */
  async inject(name: string): Promise<void> {
    for (const { kind, seconds } of this.faults.filter((fault) => matches(fault, name))) {
      if (kind === "slow") await this.pause(name, seconds);
      if (kind === "hang") await this.pause(name);
      if (kind === "fail" || (kind === "flap" && this.countAttempt(name) % 2 === 0))
        throw new Error(`rehearsed fault: ${name} fails`);
    }
  }

  /** Whether a container starts unhealthy. */
  isUnhealthy(name: string): boolean {
    return this.faults.some((fault) => fault.kind === "unhealthy" && matches(fault, name));
  }

  /** Ends every pause with an error. */
  cancel(): void {
    this.cancelled.abort();
  }

  /** @param seconds Default: until it is cancelled. */
  private pause(name: string, seconds?: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = seconds === undefined ? undefined : setTimeout(resolve, seconds * 1000);
      this.cancelled.signal.addEventListener(
        "abort",
        () => {
          clearTimeout(timer);
          reject(new Error(`rehearsed fault: ${name} was cancelled while it waited`));
        },
        { once: true },
      );
    });
  }
}
