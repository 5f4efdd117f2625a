import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type EngineOptions,
  isAlive,
  RehearsedStack,
  shareTunnel,
  type SiteStack,
  StackError,
  type StackUpdate,
} from "../../automation";
import { modelFile } from "../../configs/checks";
import { labels } from "../../configs/containers";
import { loadModel } from "../../configs/model";
import { retentionOf } from "../../configs/retention";
import { databases } from "../../configs/databases";
import { compareVersions, imageVersion } from "../../configs/images";
import { parseSite, type SiteConfig, siteImages, siteServices } from "../../configs/site";
import { apiTunnel, isSsh } from "../../configs/ssh";
import {
  type Condition,
  flowQuery,
  flowsOf,
  type FlowRow,
  unmet,
} from "../../configs/update-locks";
import type { Engine } from "../../rehearsal";
import { requestClone, clonesAt } from "../clones";
import { Database } from "../database";
import { docker } from "../engine";
import { call, tellDeployment } from "../grafana";
import { bringImages, type Bringing } from "../images";
import { endMute, muteSite } from "../mute";
import { toRepeat } from "../services";
import { begunContainers, type StackState } from "../state";
import { gate, type GateLimits, markedSeries, publish, unhealthyContainers } from "./gate";
import type { GateFigures, Prefetch, SiteRecord } from "./record";
import type { Revision } from "./revision";
import { type DeployedRevision, type Session, SiteError, type Target } from "./rollout";
import {
  compareSignals,
  dropsQuery,
  lookBack,
  perMinute,
  rowsQuery,
  settleSeconds,
  type Signals,
} from "./signals";
import { StoringWatch } from "./storing";

const revisionTag = "bess-telemetry:deployed-revision";
/** Name of the tag before release 0.2; read until 0.3. */
const formerRevisionTag = "bess-telemetry:standing";

/** Stands in the tag for the revision of a new site; Pulumi takes a value that begins with `-` for an option. */
const noRevision = "none";

/** Stands in the tag before a revision at which the site has failed. */
const failedMark = "failed:";

/** What the end of the tag says: who works at the site, or has failed there. */
function attemptOf({
  to,
  since,
  by,
}: {
  to: string;
  since: string;
  by: string | undefined;
}): Pick<DeployedRevision, "updating" | "failed"> {
  if (!to.startsWith(failedMark))
    return { updating: { revision: to, since, ...(by !== undefined && { by }) } };
  return by === undefined ? {} : { failed: { revision: to.slice(failedMark.length), since, by } };
}

/** What a command prints where the site, or its Docker engine, is not reached. */
const unreachable = new RegExp(
  [
    "failed to connect to any docker daemon",
    "Cannot connect to the Docker daemon",
    "ssh: ",
    "ssh_exchange",
    "connect to host",
    "[Cc]onnection (refused|timed out|reset|closed)",
    "No route to host",
    "i/o timeout",
    "Could not resolve",
    "it is not reached",
    "context deadline exceeded",
  ].join("|"),
);

/**
 * Why something failed: the lines of an error that say so, without what Pulumi prints around them.
 */
export function failureReason(error: Error): string {
  const text =
    error instanceof StackError && error.kind === "command"
      ? error.message
      : `error: ${error.message}`;
  const reports = scriptReports(text);
  if (reports.length > 0) return reports.join("\n");
  const lines = [...text.matchAll(/(?:^|\s)error: +(.+:(?:\n\s*- .+)+|.+)|^\s*\* (.+)/gm)].map(
    ([, reason, listed = ""]) => withoutWrapping(onOneLine(reason ?? listed)),
  );
  // Pulumi's progress shows only the first line of a list.
  const reasons = [...new Set(lines)].filter(
    (line) =>
      !(line.endsWith(":") && lines.some((whole) => whole !== line && whole.startsWith(line))) &&
      !/^(update failed|preview failed|\d+ errors? occurred:?|urn:.+, interrupted while \w+)$/.test(
        line,
      ),
  );
  const reason = reasons.join("; ") || (text.trim().split("\n").at(-1) ?? "");
  return reason.length > 500 ? `${reason.slice(0, 497)}...` : reason;
}

/** What scripts have said that failed, without their command lines. */
function scriptReports(text: string): string[] {
  const blocks = text.matchAll(/^( *)error: +exit status \d+: running ".*":\n((?:\1.*\S.*\n?)+)/gm);
  const said = [...blocks].map(([, indent = "", block = ""]) =>
    block.replaceAll(new RegExp(`^${indent}`, "gm"), "").trimEnd(),
  );
  return [...new Set(said)];
}

/** A list of findings on one line. */
const onOneLine = (text: string) =>
  text
    .trim()
    .replace(/:\n\s*- /, ": ")
    .replace(/\n\s*- /g, "; ");

/** A provider's line without where in its own code it was written; of a URN the name stays. */
const withoutWrapping = (line: string) =>
  line
    .replace(/^sdk-v2\/\S+ sdk\.helper_schema: (.*): provider=\S+$/, "$1")
    .replace(/^\w+ing urn:\S*::([\w.-]+): \d+ errors? occurred:?$/, "$1");

/** Who holds a stack's lock, where that is why it failed. */
function lockHolder(error: Error): { user: string; host: string; pid: number } | undefined {
  const { user, host, pid } =
    /locked by \d+ lock[^]*?created by (?<user>\S+)@(?<host>\S+) \(pid (?<pid>\d+)\)/.exec(
      error.message,
    )?.groups ?? {};
  return user !== undefined && host !== undefined ? { user, host, pid: Number(pid) } : undefined;
}

/** What differs at a site from its state. */
export interface Drift {
  /** Such as `delete Container:kiel-1-telegraf`. */
  differences: string[];
  /** What works at the site: what differs then is no drift, and not among the differences. */
  rollout?: string;
}

/** A site's stack, as a rollout works on it. */
export class StackSession implements Session {
  /** The stack's outputs, once they are known. */
  private outputs: Record<string, unknown> | undefined;
  private isMuted = false;
  private watch: StoringWatch | undefined;
  private database: Database | undefined;

  constructor(
    private readonly site: Target,
    private readonly revision: Revision,
    private readonly stack: SiteStack,
    private readonly limits: GateLimits,
    private readonly bringing: Bringing = {},
  ) {}

  async deployedRevision(): Promise<DeployedRevision | undefined> {
    const tags = await this.unlocked(() =>
      this.stack.tags().catch(unlessNotFound<Record<string, string>>({})),
    );
    const [revision, previous, word, to, since, by] = (
      tags[revisionTag] ??
      tags[formerRevisionTag] ??
      ""
    ).split(" ");
    if (!revision) return undefined;
    return {
      ...(revision !== noRevision && { revision }),
      ...(previous !== undefined && previous !== "-" && { previous }),
      verified: word === "verified",
      proven: word !== "unverified",
      ...(to !== undefined && since !== undefined && attemptOf({ to, since, by })),
    };
  }

  recordRevision({
    revision = noRevision,
    previous = "-",
    verified,
    proven,
    updating,
    failed,
  }: DeployedRevision): Promise<void> {
    const word = verified ? "verified" : proven ? "proven" : "unverified";
    const words = [revision, previous, word];
    if (updating)
      words.push(updating.revision, updating.since, ...(updating.by ? [updating.by] : []));
    else if (failed) words.push(`${failedMark}${failed.revision}`, failed.since, failed.by);
    return this.unlocked(() => this.stack.setTag(revisionTag, words.join(" ")));
  }

  async up(): Promise<Record<string, number>> {
    await this.mute();
    this.watch = await this.startWatch().catch(() => undefined);
    const from = new Date();
    return this.unlocked(async () => {
      if (!this.simulatedEngine || this.stack.wasCutOff()) await this.removeBegun();
      const repeated = this.simulatedEngine ? undefined : await toRepeat(this.config);
      const { changes, outputs } = await this.stack.up({ replace: repeated?.urns ?? [] });
      await repeated?.done();
      this.outputs = outputs;
      const { commit } = this.revision;
      if (!this.simulatedEngine) await tellDeployment(this.config, { from, commit, changes });
      return changes;
    }).catch(async (error: Error) => {
      await this.endMute();
      await this.stored();
      throw error;
    });
  }

  async prefetch(sends = true): Promise<Prefetch | undefined> {
    const { config, simulatedEngine } = this;
    const images = [...new Set(siteServices(config).map((service) => siteImages(config)[service]))];
    const start = performance.now();
    const brought = await this.unlocked(async () =>
      simulatedEngine
        ? { images: images.filter((image) => !simulatedEngine.hasImage(image)).length }
        : bringImages(placeOf(config), images, {
            ...this.bringing,
            sends,
            isOffline: config.images.pull === "never",
          }),
    );
    if (!brought || brought.images === 0) return undefined;
    return { seconds: Math.round((performance.now() - start) / 100) / 10, ...brought };
  }

  async unmet(condition: Condition): Promise<string | undefined> {
    const { simulatedEngine } = this;
    if (simulatedEngine) return simulatedEngine.state.busy;
    const flows = flowsOf(loadModel(modelFile(this.config)));
    return this.asking(async (ask) => {
      const read: [(typeof flows)[number], FlowRow][] = [];
      for (const flow of flows) {
        // A table of the new revision may not be there yet.
        const [row = {}] = await ask<FlowRow>(flowQuery(flow)).catch(unlessAbsentTable<FlowRow>);
        read.push([flow, row]);
      }
      return unmet(condition, read);
    });
  }

  async signals(): Promise<Signals | undefined> {
    if (this.simulatedEngine) return undefined;
    // Of a site whose database does not answer nothing is known, and nothing is compared.
    return this.signalsOver().catch(() => undefined);
  }

  async compare(before: Signals, seconds: number): Promise<GateFigures> {
    const span = Math.min(seconds, 3600);
    const deadline = performance.now() + this.limits.limitSeconds * 1000;
    const start = performance.now();
    for (;;) {
      const over = span + (performance.now() - start) / 1000;
      const figures = await this.signalsOver(over).then(
        (after) => compareSignals(before, after, over),
        (error: Error): GateFigures => ({ findings: [failureReason(error)] }),
      );
      if (figures.findings.length === 0 || performance.now() >= deadline) return figures;
      await sleep(5000);
    }
  }

  /** @param since seconds over which all is counted. Default: as long as each measurement needs. */
  private signalsOver(since?: number): Promise<Signals> {
    const { config } = this;
    const model = loadModel(modelFile(config));
    return this.asking(async (ask) => {
      const count = async (sql: string, db?: string) => {
        type Row = { count: number | null; age?: number | null };
        const [row] = await ask<Row>(sql, db).catch(unlessAbsentTable<Row>);
        return { count: row?.count ?? 0, age: row?.age ?? 0 };
      };
      const rates: Signals["rates"] = {};
      const rows: Signals["rows"] = {};
      for (const measurement of model.measurements) {
        const { name } = measurement;
        const seconds = since ?? lookBack(measurement);
        const found = await count(rowsQuery(measurement, seconds));
        rows[name] = found.count;
        // A site that is younger than the look back has sent no longer than its oldest row is old.
        rates[name] = perMinute(found.count, since ?? Math.max(60, found.age));
      }
      const seconds = since ?? 300;
      const drops = await count(dropsQuery(seconds), databases.pipeline);
      return {
        rates,
        rows,
        drops: perMinute(drops.count, seconds),
        alerts: config.alerts.enabled ? await firingAlerts(config, since) : [],
        settleSeconds: settleSeconds(model),
      };
    });
  }

  /** Asks the site's database. */
  private async asking<T>(
    work: (ask: <Row>(sql: string, db?: string) => Promise<Row[]>) => Promise<T>,
  ): Promise<T> {
    const opened = new Map<string, Database>();
    const ask = <Row>(sql: string, db: string = databases.telemetry) => {
      const database = opened.get(db) ?? Database.at(this.config, db);
      opened.set(db, database);
      return database.query<Row>(sql);
    };
    return this.unlocked(() => work(ask)).finally(() => opened.forEach((each) => each.close()));
  }

  /** Begins to watch whether the site stores what is published; undefined where it cannot be. */
  private async startWatch(): Promise<StoringWatch | undefined> {
    const { config } = this;
    if (this.simulatedEngine) return undefined;
    const { gatewayPassword } = await this.stack.outputs();
    const series = markedSeries(loadModel(modelFile(config)), retentionOf(config).raw, Date.now());
    if (typeof gatewayPassword !== "string" || !series) return undefined;
    return new StoringWatch({
      publish: (n) => publish({ ...placeOf(config), gatewayPassword }, series.message(n)),
      stored: async () => {
        this.database ??= Database.at(config);
        try {
          const [row] = await this.database.query<{ count: number }>(series.sql);
          return row?.count ?? 0;
        } catch (error) {
          // Its container may be another one now.
          this.database.close();
          this.database = undefined;
          throw error;
        }
      },
    });
  }

  async stored(): Promise<Pick<SiteRecord, "downtime" | "messages"> | undefined> {
    const { watch } = this;
    this.watch = undefined;
    return watch?.end(this.limits.limitSeconds).finally(() => {
      this.database?.close();
      this.database = undefined;
    });
  }

  /** Older images open data of newer ones only if they get the clone that was taken before those. */
  async returnData(): Promise<string[]> {
    const { config, simulatedEngine } = this;
    if (simulatedEngine) return [];
    const place = { ...placeOf(config), name: config.name };
    const images = siteImages(config);
    return this.unlocked(async () => {
      const returned: string[] = [];
      for (const { service, version, clones } of await clonesAt(place)) {
        const wanted = imageVersion(images[service]);
        const clone = clones.find((one) => one.version === wanted);
        if (!clone || (compareVersions(wanted, version) ?? 0) >= 0) continue;
        await requestClone(place, service, clone.version);
        returned.push(service);
      }
      return returned;
    });
  }

  /** Why the site is muted while a rollout works there. */
  private get reason(): string {
    return `rollout to ${this.revision.commit.slice(0, 12)}`;
  }

  /** A site that cannot be muted, as one that was never deployed, is worked on all the same. */
  private async mute(): Promise<void> {
    if (this.simulatedEngine || !this.config.alerts.enabled) return;
    // It ends by itself where the rollout is killed.
    const mute = { seconds: 3600, why: this.reason };
    this.isMuted = await muteSite(this.config, mute).then(
      () => true,
      () => false,
    );
  }

  private async endMute(): Promise<void> {
    if (!this.isMuted) return;
    this.isMuted = false;
    await endMute(this.config, this.reason).catch(() => undefined);
  }

  /**
   * Removes the containers that a killed update had begun to make: the state does not hold them,
   * and their names are taken.
   */
  private async removeBegun(): Promise<void> {
    const { names, held } = begunContainers(await this.readState());
    const { simulatedEngine } = this;
    if (simulatedEngine) {
      const { containers } = simulatedEngine.state;
      for (const name of names)
        if (!held.has(containers[name]?.id ?? ""))
          simulatedEngine.save(() => delete containers[name]);
      return;
    }
    const { site, ...place } = placeOf(this.config);
    for (const name of names) {
      const filters = [`name=^/?${name}$`, `label=${labels.site}=${site}`];
      const ids = await docker(
        place,
        ["ps", "-aq", "--no-trunc"].concat(filters.flatMap((filter) => ["--filter", filter])),
      );
      for (const id of ids.split(/\s+/).filter(Boolean))
        if (!held.has(id)) await docker(place, ["rm", "-f", id]);
    }
  }

  /** The stack's state; empty where it was never deployed. */
  private readState = async (): Promise<StackState> =>
    (await this.stack.exportState().catch(unlessNotFound<unknown>({}))) as StackState;

  /** The same. @throws SiteError */
  state = (): Promise<StackState> => this.unlocked(this.readState);

  /** The stack's last update; undefined where there was none. */
  lastUpdate = (): Promise<StackUpdate | undefined> => this.unlocked(() => this.stack.lastUpdate());

  /** What differs at the site from its state; nothing is changed. @throws SiteError */
  async drift(): Promise<Drift> {
    const began = Date.now();
    try {
      const differences = await this.tunnelled(() =>
        this.differences((options) => this.stack.previewRefresh(options)),
      );
      const rollout = differences.length > 0 ? await this.rolloutSince(began) : undefined;
      return rollout === undefined ? { differences } : { differences: [], rollout };
    } catch (error) {
      if (error instanceof SiteError && error.kind === "locked")
        return { differences: [], rollout: error.message };
      throw error;
    }
  }

  /** What has worked at the site after a moment, or still does. */
  private async rolloutSince(began: number): Promise<string | undefined> {
    const { updating } = (await this.deployedRevision()) ?? {};
    if (updating)
      return (
        `a rollout to ${updating.revision.slice(0, 12)} has begun at ${updating.since}, and not ` +
        "ended there; if none runs, npx bess fleet resume goes on"
      );
    const last = await this.lastUpdate();
    // Pulumi's history knows whole seconds.
    return last && last.endTime.getTime() >= began - 1000
      ? "it was updated while it was looked at"
      : undefined;
  }

  /**
   * Takes what differs at the site into its state. The site is no longer verified then: the next
   * rollout mends it.
   * @returns what differed.
   */
  async refresh(): Promise<string[]> {
    const found = await this.tunnelled(() =>
      this.differences((options) => this.stack.refresh(options)),
    );
    const deployed = found.length > 0 ? await this.deployedRevision() : undefined;
    if (deployed) await this.recordRevision({ ...deployed, verified: false });
    return found;
  }

  /** Removes all that the stack has made; no revision is deployed then. */
  async destroy(): Promise<void> {
    await this.tunnelled(() => this.unlocked(() => this.stack.destroy()));
    const tags = await this.stack.tags();
    for (const tag of [revisionTag, formerRevisionTag])
      if (tags[tag] !== undefined) await this.stack.removeTag(tag);
  }

  /**
   * Does it while Grafana's API is reached: Pulumi runs no program for it, which would open the
   * tunnel itself.
   */
  private async tunnelled<T>(work: () => Promise<T>): Promise<T> {
    const { config } = this;
    const forward = this.simulatedEngine ? undefined : apiTunnel(config);
    if (!forward || !isSsh(config.engine)) return work();
    const tunnel = await shareTunnel({ engine: config.engine, ssh: config.ssh }, forward).catch(
      (error: Error) => {
        throw new SiteError("unreachable", error.message);
      },
    );
    return work().finally(() => tunnel.close());
  }

  /** What is wrong with the containers alone, a line for each. */
  async health(): Promise<string[]> {
    const { config, simulatedEngine } = this;
    if (simulatedEngine) return simulatedGate(simulatedEngine, config);
    const place = { ...placeOf(config), containers: containersOf(config), ...this.limits };
    const found = await unhealthyContainers(place);
    return found.map((report) => report.replace(/\n[^]*/, ""));
  }

  private async differences(
    operate: (options: EngineOptions) => Promise<unknown>,
  ): Promise<string[]> {
    const found: string[] = [];
    const onEvent: EngineOptions["onEvent"] = ({ resOutputsEvent }) => {
      const { op, urn, type } = resOutputsEvent?.metadata ?? {};
      if (urn && type && op && ["update", "delete"].includes(op))
        found.push(
          `${op} ${type.slice(type.lastIndexOf(":") + 1)}:${urn.slice(urn.lastIndexOf("::") + 2)}`,
        );
    };
    await this.unlocked(() => operate({ onEvent }));
    return found.sort();
  }

  verify = (): Promise<string[]> => this.unlocked(() => this.gate()).finally(() => this.endMute());

  private async gate(): Promise<string[]> {
    const { config, simulatedEngine } = this;
    if (simulatedEngine) return simulatedGate(simulatedEngine, config);
    const { gatewayPassword, grafanaPassword } = (this.outputs ??= await this.stack.outputs());
    if (typeof gatewayPassword !== "string" || typeof grafanaPassword !== "string")
      return ["it was never deployed to its end"];
    return gate({
      ...placeOf(config),
      containers: containersOf(config),
      model: loadModel(modelFile(config)),
      retention: retentionOf(config).raw,
      gatewayPassword,
      grafanaPassword,
      ...this.limits,
    });
  }

  private get config(): SiteConfig {
    return parseSite(this.revision.configOf(this.site.name));
  }

  /** The simulated engine of a rehearsed site, as it is now. */
  private get simulatedEngine(): Engine | undefined {
    return this.stack instanceof RehearsedStack ? this.stack.simulatedEngine() : undefined;
  }

  /** Does it, and once more where a run that is gone had left its lock. @throws SiteError */
  private async unlocked<T>(work: () => Promise<T>, again = true): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof SiteError) throw error;
      const cause = error as Error;
      if (cause instanceof StackError && cause.kind === "not-found")
        throw new SiteError("failed", "never deployed");
      const holder = lockHolder(cause);
      const isGone = holder?.host === hostname() && !isAlive(holder.pid);
      if (isGone && again && this.stack.wasCutOff()) {
        await this.stack.cancel();
        return this.unlocked(work, false);
      }
      if (holder)
        throw new SiteError(
          "locked",
          `its stack is locked by ${holder.user}@${holder.host}, process ${holder.pid}`,
        );
      throw new SiteError(
        unreachable.test(cause.message) ? "unreachable" : "failed",
        failureReason(cause),
      );
    }
  }
}

/** Takes `value` for what a stack would answer that is not there. */
const unlessNotFound =
  <T>(value: T) =>
  (error: unknown): T => {
    if (error instanceof StackError && error.kind === "not-found") return value;
    throw error;
  };

/** Nothing, where a table is not there. */
const unlessAbsentTable = <Row>(error: Error): Row[] => {
  if (/table .*not found/i.test(error.message)) return [];
  throw error;
};

/**
 * Names of the alerts of a site that fire now, but its sign of life.
 * @param since seconds since an update; shortly after it those alone that began later: what the update
 *   itself has silenced for a minute ends by itself.
 */
async function firingAlerts(site: SiteConfig, since = Infinity): Promise<string[]> {
  const answer = (await call(site, "GET", "/api/prometheus/grafana/api/v1/alerts")) as {
    data?: { alerts?: { state: string; activeAt?: string; labels: Record<string, string> }[] };
  };
  const from = since < 180 ? Date.now() - since * 1000 : 0;
  const firing = (answer.data?.alerts ?? []).filter(
    ({ state, activeAt = "", labels: of }) =>
      /^(firing|alerting)/i.test(state) &&
      of.kind !== "BessWatchdog" &&
      !(Date.parse(activeAt) < from),
  );
  return [...new Set(firing.map(({ labels: of }) => of.alertname ?? "an alert"))];
}

/** Which site, and where its containers are. */
const placeOf = ({ name, engine, ssh }: SiteConfig) => ({ site: name, engine, ssh });

/** Names of the containers that a site must have. */
const containersOf = (config: SiteConfig): string[] =>
  siteServices(config).map((service) => `${config.name}-${service}`);

/**
 * What stands for the gate at a simulated site, where no message can flow: every container there,
 * and healthy.
 */
const simulatedGate = ({ state }: Engine, config: SiteConfig): string[] =>
  containersOf(config).flatMap((name) => {
    const container = state.containers[name];
    return container?.healthy ? [] : [`${name} is ${container ? "unhealthy" : "missing"}`];
  });
