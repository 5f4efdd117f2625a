import { spawnSync } from "node:child_process";
import { cpSync } from "node:fs";
import { join } from "node:path";
import type { EngineEvent } from "@pulumi/pulumi/automation";
import type { Fault } from "../../rehearsal";
import { type InlineStack, rehearsedStack } from "../../automation/inline";
import { root } from "../../automation/backend";
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
  up = (site: object = {}) => this.run(site, (stack, onEvent) => stack.up({ onEvent }));
  preview = (site: object = {}) => this.run(site, (stack, onEvent) => stack.preview({ onEvent }));
  refresh = (site: object = {}) => this.run(site, (stack, onEvent) => stack.refresh({ onEvent }));
  destroy = (site: object = {}) => this.run(site, (stack, onEvent) => stack.destroy({ onEvent }));

  /** An update in which something goes wrong. @returns what was printed, once it has failed. */
  failingUp(faults: Fault[], site: object = {}): string {
    const asked = JSON.stringify({ folder: this.folder, config: configOf(site), faults });
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["cli/bess.js", "../tests/support/update", asked],
      { cwd: root, encoding: "utf8" },
    );
    if (status === 0) throw new Error(`the update did not fail: ${stdout}`);
    return stdout + stderr;
  }

  /** Works with the stack and its simulated engine. */
  async within<T>(work: (opened: InlineStack) => Promise<T> | T, site: object = {}): Promise<T> {
    const opened = await rehearsedStack("dev", { folder: this.folder, config: configOf(site) });
    try {
      return await work(opened);
    } finally {
      opened.close();
    }
  }

  /** File of the state, as it lies on the disk. */
  get stateFile(): string {
    return join(this.folder, ".pulumi/stacks/bess-telemetry/dev.json");
  }

  private run(
    site: object,
    operate: (
      stack: InlineStack["stack"],
      onEvent: (event: EngineEvent) => void,
    ) => Promise<unknown>,
  ) {
    return this.within(({ stack }) => stepsOf((onEvent) => operate(stack, onEvent)), site);
  }
}

/** Every step of an operation that changes something. */
export async function stepsOf(
  operate: (onEvent: (event: EngineEvent) => void) => Promise<unknown>,
): Promise<Step[]> {
  const steps: Step[] = [];
  await operate((event) => {
    const { op, urn, type } = event.resourcePreEvent?.metadata ?? {};
    // A replacement comes with the creation and the deletion that it is made of.
    if (
      urn &&
      type &&
      op &&
      !["same", "create-replacement", "delete-replaced", "read", "refresh"].includes(op)
    ) {
      steps.push(
        `${op} ${type.slice(type.lastIndexOf(":") + 1)}:${urn.slice(urn.lastIndexOf("::") + 2)}`,
      );
    }
  });
  return steps.sort();
}
