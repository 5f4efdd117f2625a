import { z } from "zod";
import { validate } from "../configs/validation";

const kinds = {
  fail: "every operation on it fails",
  hang: "an operation never ends",
  slow: "an operation takes `seconds` longer, 5 by default",
  flap: "every other operation fails, the first one too",
  unhealthy: "the container starts, and its service never answers",
} as const;

const faultSchema = z.strictObject({
  resource: z
    .string()
    .min(1)
    .describe(
      "Name of a resource, or its type and name, such as Container:dev-grafana; `engine` is the Docker engine; * stands for any letters.",
    ),
  kind: z.enum(Object.keys(kinds) as [keyof typeof kinds, ...(keyof typeof kinds)[]]),
  seconds: z.number().positive().default(5),
});

/** Something that goes wrong at a rehearsed site, at every resource of that name. */
export type Fault = z.output<typeof faultSchema>;

/** What {@link parseFault} takes, for a command's help. */
export const faultHelp = `RESOURCE=KIND[:SECONDS]; ${Object.entries(kinds)
  .map(([kind, does]) => `${kind}: ${does}`)
  .join("; ")}`;

/** Reads a fault as a command line gives it, such as `dev-grafana=slow:10`. @throws InputError */
export function parseFault(text: string): Fault {
  const [, resource, kind, seconds] = /^([^=]*)=([^:]*)(?::(.*))?$/.exec(text) ?? [];
  return validate(
    faultSchema,
    { resource, kind, ...(seconds !== undefined && { seconds: Number(seconds) }) },
    `--fault ${text}`,
  );
}

/** `name` is a resource's type and name; a fault may tell the name alone. */
const matches = ({ resource }: Fault, name: string) =>
  new RegExp(
    `^(\\w+:)?${resource
      .split("*")
      .map((part) => part.replace(/[^\w-]/g, "\\$&"))
      .join(".*")}$`,
  ).test(name);

/** The faults of one rehearsed site. */
export class Faults {
  private readonly ending = new AbortController();

  /** @param count how often a name was asked for before, in this rehearsal and in former ones; counts it. */
  constructor(
    private readonly faults: readonly Fault[],
    private readonly count: (name: string) => number,
  ) {}

  /** Lets an operation on a resource go wrong, or go on. @throws Error where it fails, or was cancelled while it hung. */
  async meet(name: string): Promise<void> {
    for (const { kind, seconds } of this.faults.filter((fault) => matches(fault, name))) {
      if (kind === "slow") await this.pause(seconds);
      if (kind === "hang") await this.pause();
      if (kind === "fail" || (kind === "flap" && this.count(name) % 2 === 0))
        throw new Error(`rehearsed fault: ${name} fails`);
    }
  }

  /** Whether a container's service never answers. */
  unhealthy(name: string): boolean {
    return this.faults.some((fault) => fault.kind === "unhealthy" && matches(fault, name));
  }

  /** Ends whatever hangs. */
  cancel(): void {
    this.ending.abort();
  }

  private pause(seconds?: number): Promise<void> {
    return new Promise((done, failed) => {
      const timer = seconds === undefined ? undefined : setTimeout(done, seconds * 1000);
      this.ending.signal.addEventListener(
        "abort",
        () => (clearTimeout(timer), failed(new Error("cancelled"))),
        { once: true },
      );
    });
  }
}
