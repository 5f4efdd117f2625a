import { cpSync } from "node:fs";
import { join } from "node:path";
import type { Fault } from "../../rehearsal";
import { type EngineOptions, type RehearsedStack, rehearsedStack } from "../../automation";
import { temporaryFolder } from "./programs";

/** What an operation did to a resource, such as `replace Container:dev-telegraf`. */
export type Step = string;

const configOf = (site: object) => ({
  "bess-telemetry:site": { name: "dev", simulator: { enabled: true }, ...site },
});

/** A site that is deployed on a simulated engine, by Pulumi's real one. */
export class RehearsedSite {
  private static readonly folders: ReturnType<typeof temporaryFolder>[] = [];

  private constructor(readonly folder: string) {}

  /** A site with nothing on it yet. */
  static empty(): RehearsedSite {
    const folder = temporaryFolder();
    RehearsedSite.folders.push(folder);
    return new RehearsedSite(folder.path);
  }

  /** Removes what every site has left on this machine. */
  static removeAll = () => RehearsedSite.folders.splice(0).forEach((folder) => folder.remove());

  /** The same site again, to be changed without touching this one. */
  copy(): RehearsedSite {
    const copied = RehearsedSite.empty();
    cpSync(this.folder, copied.folder, { recursive: true });
    return copied;
  }

  /** @returns what was done, in words; nothing for a resource that stayed as it was. */
  up = (site: object = {}) => this.run(site, (stack, options) => stack.up(options));
  /** An update that replaces what matches, though nothing of it changes. */
  upReplacing = (...replace: string[]) =>
    this.run({}, (stack, options) => stack.up({ ...options, replace }));
  preview = (site: object = {}) => this.run(site, (stack, options) => stack.preview(options));
  refresh = (site: object = {}) => this.run(site, (stack, options) => stack.refresh(options));
  destroy = (site: object = {}) => this.run(site, (stack, options) => stack.destroy(options));

  /** An update in which something goes wrong. @returns what was printed, once it has failed. */
  async failingUp(faults: Fault[], site: object = {}): Promise<string> {
    const stack = this.stack(site, faults);
    return stack.up().then(
      () => Promise.reject(new Error("the update did not fail")),
      (error: Error) => error.message,
    );
  }

  /** Its simulated engine, as it is now. */
  engine = (site: object = {}) => this.stack(site).simulatedEngine();

  private stack = (site: object, faults: Fault[] = []): RehearsedStack =>
    rehearsedStack("dev", { folder: this.folder, config: configOf(site), faults });

  /** File of the state, as it lies on the disk. */
  get stateFile(): string {
    return join(this.folder, ".pulumi/stacks/bess-telemetry/dev.json");
  }

  private run(
    site: object,
    operate: (stack: RehearsedStack, options: EngineOptions) => Promise<unknown>,
  ): Promise<Step[]> {
    return stepsOf((options) => operate(this.stack(site), options));
  }
}

/** Every step of an operation that changes something. */
export async function stepsOf(
  operate: (options: EngineOptions) => Promise<unknown>,
): Promise<Step[]> {
  const steps: Step[] = [];
  const onEvent: EngineOptions["onEvent"] = (event) => {
    const { op, urn, type } = event.resourcePreEvent?.metadata ?? {};
    // A replacement comes with the creation and the deletion that it is made of.
    const parts = ["same", "create-replacement", "delete-replaced", "read", "refresh"];
    if (urn && type && op && !parts.includes(op))
      steps.push(
        `${op} ${type.slice(type.lastIndexOf(":") + 1)}:${urn.slice(urn.lastIndexOf("::") + 2)}`,
      );
  };
  await operate({ onEvent });
  return steps.sort();
}
