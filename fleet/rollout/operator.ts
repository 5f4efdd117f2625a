import { hostname } from "node:os";
import {
  CommandError,
  type EngineEvent,
  type Stack,
  StackNotFoundError,
  type UpdateSummary,
} from "@pulumi/pulumi/automation";
import { isAbsolute, join } from "node:path";
import { loadModel } from "../../configs/model";
import { profiles } from "../../configs/profiles";
import { parseSite, type SiteConfig, siteServices } from "../../configs/site";
import { apiTunnel, isSsh } from "../../configs/ssh";
import type { Engine } from "../../rehearsal";
import { update } from "../../automation/inline";
import { shareTunnel } from "../../automation/tunnel";
import { docker, gate, unwell } from "./gate";
import { isAlive } from "./record";
import type { Revision } from "./revision";
import { type Session, SiteError, type Standing, type Target } from "./rollout";

/** A stack that is opened for one site, on real or on rehearsed providers. */
export interface Opened {
  stack: Stack;
  close(): void;
  /** The simulated engine of a rehearsed site. */
  engine?(): Engine;
}

/** What the gate allows. */
export interface GateLimits {
  /** Seconds that a message may take until it can be queried. */
  limitSeconds: number;
  /** Restarts that a container may have had since it was made. */
  restarts: number;
}

const tag = "bess-telemetry:standing";

const unreachable =
  /failed to connect to any docker daemon|Cannot connect to the Docker daemon|ssh: |ssh_exchange|connect to host|[Cc]onnection (refused|timed out|reset|closed)|No route to host|i\/o timeout|Could not resolve|it is not reached|context deadline exceeded/;

/** The lines of an error that say what went wrong, without what Pulumi says around them. */
export function reasonOf(error: Error): string {
  const text = error instanceof CommandError ? error.message : `error: ${error.message}`;
  const lines = [...text.matchAll(/(?:^|\s)error: +(.+:(?:\n\s*- .+)+|.+)|^\s*\* (.+)/gm)].map(
    ([, told, listed]) => withoutWrapping(onOneLine(told ?? listed)),
  );
  // The progress tells the first line of a list alone.
  const telling = [...new Set(lines)].filter(
    (line) =>
      !(line.endsWith(":") && lines.some((whole) => whole !== line && whole.startsWith(line))) &&
      !/^(update failed|preview failed|\d+ errors? occurred:?|urn:.+, interrupted while \w+)$/.test(
        line,
      ),
  );
  const reason = telling.join("; ") || text.trim().split("\n").at(-1)!;
  return reason.length > 500 ? `${reason.slice(0, 497)}...` : reason;
}

/** What is told as a list of findings, or on one line already. */
const onOneLine = (told: string) =>
  told
    .trim()
    .replace(/:\n\s*- /, ": ")
    .replace(/\n\s*- /g, "; ");

/** A provider's line without where in its own code it was written; of a URN the name stays. */
const withoutWrapping = (line: string) =>
  line
    .replace(/^sdk-v2\/\S+ sdk\.helper_schema: (.*): provider=\S+$/, "$1")
    .replace(/^\w+ing urn:\S*::([\w.-]+): \d+ errors? occurred:?$/, "$1");

/** Who holds a stack's lock, where that is why it failed. */
function holderOf(error: Error): { who: string; host: string; pid: number } | undefined {
  const [, who, host, pid] =
    /locked by \d+ lock[^]*?created by (\S+)@(\S+) \(pid (\d+)\)/.exec(error.message) ?? [];
  return who === undefined ? undefined : { who, host, pid: Number(pid) };
}

/** A site's stack, as a rollout works on it. */
export class StackSession implements Session {
  private constructor(
    private readonly site: Target,
    private readonly revision: Revision,
    private readonly opened: Opened,
    private readonly limits: GateLimits,
  ) {}

  /** @throws SiteError where it cannot be opened. */
  static async open(
    site: Target,
    revision: Revision,
    limits: GateLimits,
    open: (site: Target, revision: Revision) => Promise<Opened>,
  ): Promise<StackSession> {
    try {
      return new StackSession(site, revision, await open(site, revision), limits);
    } catch (error) {
      throw new SiteError(
        "failed",
        error instanceof StackNotFoundError ? "never deployed" : reasonOf(error as Error),
      );
    }
  }

  async standing(): Promise<Standing | undefined> {
    const kept = (await this.opened.stack.listTags())[tag];
    if (!kept) return undefined;
    const [revision, before, word] = kept.split(" ");
    return {
      revision,
      ...(before !== "-" && { before }),
      verified: word === "verified",
      proven: word !== "unverified",
    };
  }

  async keep({ revision, before = "-", verified, proven }: Standing): Promise<void> {
    await this.opened.stack.setTag(
      tag,
      `${revision} ${before} ${verified ? "verified" : proven ? "proven" : "unverified"}`,
    );
  }

  async up(): Promise<Record<string, number>> {
    return this.unlocked(async () => {
      if (!this.opened.engine) await this.removeBegun();
      return update(this.opened.stack);
    });
  }

  /** Removes the containers that a killed update had begun to make: the state does not hold them, and their names are taken. */
  private async removeBegun(): Promise<void> {
    const { names, held } = begunContainers((await this.opened.stack.exportStack()).deployment);
    const { name: site, engine, ssh } = parseSite(this.revision.configOf(this.site.name));
    for (const name of names) {
      const ids = await docker({ engine, ssh }, [
        "ps",
        "-aq",
        "--no-trunc",
        "--filter",
        `name=^/?${name}$`,
        "--filter",
        `label=bess-telemetry.site=${site}`,
      ]);
      for (const id of ids.split(/\s+/).filter(Boolean))
        if (!held.has(id)) await docker({ engine, ssh }, ["rm", "-f", id]);
    }
  }

  /** The stack's last update. */
  async last(): Promise<UpdateSummary | undefined> {
    return (await this.opened.stack.history(1)).at(0);
  }

  /** What differs at the site from its state, such as `delete Container:kiel-1-telegraf`; nothing is changed. */
  drift = (): Promise<string[]> =>
    this.tunnelled(() => this.changed((onEvent) => this.opened.stack.previewRefresh({ onEvent })));

  /** Takes what differs at the site into its state, and so the site for unverified: the next rollout mends it. @returns what that was. */
  async refresh(): Promise<string[]> {
    const found = await this.tunnelled(() =>
      this.changed((onEvent) => this.opened.stack.refresh({ onEvent })),
    );
    const standing = found.length > 0 ? await this.standing() : undefined;
    if (standing) await this.keep({ ...standing, verified: false });
    return found;
  }

  /** Removes all that the stack has made; it stands at no revision then. */
  async destroy(): Promise<void> {
    await this.tunnelled(() => this.unlocked(() => this.opened.stack.destroy()));
    if (await this.standing()) await this.opened.stack.removeTag(tag);
  }

  /** Does it while Grafana's API is reached: Pulumi runs no program for it, which would open the tunnel itself. */
  private async tunnelled<T>(work: () => Promise<T>): Promise<T> {
    const config = parseSite(this.revision.configOf(this.site.name));
    const forward = this.opened.engine ? undefined : apiTunnel(config);
    if (!forward || !isSsh(config.engine)) return work();
    const tunnel = await shareTunnel({ engine: config.engine, ssh: config.ssh }, forward).catch(
      (error: Error) => {
        throw new SiteError("unreachable", error.message);
      },
    );
    return work().finally(() => tunnel.close());
  }

  /** What is wrong with the containers alone. */
  async health(): Promise<string[]> {
    const config = parseSite(this.revision.configOf(this.site.name));
    return this.opened.engine
      ? rehearsedGate(this.opened.engine(), config)
      : unwell({ ...placeOf(config), ...this.limits });
  }

  private async changed(
    operate: (onEvent: (event: EngineEvent) => void) => Promise<unknown>,
  ): Promise<string[]> {
    const found: string[] = [];
    await this.unlocked(() =>
      operate(({ resOutputsEvent }) => {
        const { op, urn, type } = resOutputsEvent?.metadata ?? {};
        if (urn && type && op && ["update", "delete"].includes(op))
          found.push(
            `${op} ${type.slice(type.lastIndexOf(":") + 1)}:${urn.slice(urn.lastIndexOf("::") + 2)}`,
          );
      }),
    );
    return found.sort();
  }

  verify = (): Promise<string[]> => this.unlocked(() => this.gate());

  private async gate(): Promise<string[]> {
    const config = parseSite(this.revision.configOf(this.site.name));
    if (this.opened.engine) return rehearsedGate(this.opened.engine(), config);
    const outputs = await this.opened.stack.outputs();
    if (!outputs.gatewayPassword || !outputs.grafanaPassword)
      return ["it was never deployed to its end"];
    return gate({
      ...placeOf(config),
      model: loadModel(
        isAbsolute(config.model) ? config.model : join(__dirname, "../..", config.model),
      ),
      retention: config.retention ?? profiles[config.profile].retention,
      gatewayPassword: outputs.gatewayPassword.value,
      grafanaPassword: outputs.grafanaPassword.value,
      ...this.limits,
    });
  }

  close(): void {
    this.opened.close();
  }

  /** Does it, and once more where a run that is gone had left its lock. @throws SiteError */
  private async unlocked<T>(work: () => Promise<T>, again = true): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const holder = holderOf(error as Error);
      if (holder && again && holder.host === hostname() && !isAlive(holder.pid)) {
        await this.opened.stack.cancel();
        return this.unlocked(work, false);
      }
      const kind = holder
        ? "locked"
        : unreachable.test((error as Error).message)
          ? "unreachable"
          : "failed";
      throw new SiteError(
        kind,
        holder
          ? `its stack is locked by ${holder.who}@${holder.host}, process ${holder.pid}`
          : reasonOf(error as Error),
      );
    }
  }
}

/** A resource as a stack's state tells it. */
interface Kept {
  type: string;
  id?: string;
  inputs?: { name?: string };
}

/** Names of the containers that an update had begun to make when it was cut off, and the ids of those that the state holds. */
export function begunContainers({
  resources = [],
  pending_operations: pending = [],
}: {
  resources?: Kept[];
  pending_operations?: { type: string; resource: Kept }[];
}) {
  const isContainer = ({ type }: Kept) => type === "docker:index/container:Container";
  const begun = pending.filter(
    ({ type, resource }) => type === "creating" && isContainer(resource),
  );
  return {
    names: begun.flatMap(({ resource }) => resource.inputs?.name ?? []),
    held: new Set(resources.filter(isContainer).flatMap(({ id }) => id ?? [])),
  };
}

/** Where a site's containers are, and which it must have. */
const placeOf = (config: SiteConfig) => ({
  site: config.name,
  engine: config.engine,
  ssh: config.ssh,
  containers: siteServices(config).map((service) => `${config.name}-${service}`),
});

/** What stands for the gate at a simulated site, where no message can flow: every container there, and healthy. */
const rehearsedGate = ({ state }: Engine, config: SiteConfig): string[] =>
  placeOf(config).containers.flatMap((name) =>
    state.containers[name]?.healthy
      ? []
      : [`${name} is ${state.containers[name] ? "unhealthy" : "missing"}`],
  );
