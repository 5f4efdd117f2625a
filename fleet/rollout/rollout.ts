import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import pLimit from "p-limit";
import { plural } from "../plural";
import type { Records, Result, RolloutRecord, SiteRecord } from "./record";

/** What a rollout needs to know of a site. */
export interface Target {
  name: string;
  wave: string;
}

/** The revision that a site was brought to last, as its stack's tag says. */
export interface DeployedRevision {
  revision: string;
  /** Revision that it had before that one. */
  previous?: string;
  /** Whether its gate found the revision working, and nothing has been done to the site since. */
  verified: boolean;
  /**
   * Whether its gate has ever found the revision working, so that it can be gone back to. Default:
   * as `verified`.
   */
  proven?: boolean;
  /** A rollout that has begun at the site and not come to its end there. */
  updating?: { revision: string; since: string };
}

/** Work at one site, for one revision: the real thing, or a rehearsal of it. */
export interface Session {
  /** What the site was brought to last; undefined where it was never deployed. @throws SiteError */
  deployedRevision(): Promise<DeployedRevision | undefined>;
  /** Writes down what the site was brought to, with its stack. @throws SiteError */
  recordRevision(deployed: DeployedRevision): Promise<void>;
  /**
   * Brings the site to the revision.
   * @returns resources by what was done to them.
   * @throws SiteError
   */
  up(): Promise<Record<string, number>>;
  /** The gate. @returns what is wrong; nothing where the site works. @throws SiteError */
  verify(): Promise<string[]>;
}

/** Begins the work at a site. */
export type OpenSession = (site: Target, revision: string) => Session;

/** Why a site could not be brought to a revision. */
export class SiteError extends Error {
  constructor(
    readonly kind: Extract<Result, "unreachable" | "deferred" | "locked" | "failed">,
    message: string,
  ) {
    super(message);
  }
}

/** How a rollout goes about it. */
export interface RolloutOptions {
  /** Most sites at once. */
  parallel: number;
  /** Sites of a wave that may fail before the rollout halts. */
  budget: number;
  /** Seconds between two waves, in which the sites of the first may still fail. */
  soakSeconds: number;
  /** How often an unreachable site is tried. */
  attempts: number;
  /** Seconds before it is tried again; doubled each time. */
  backoffSeconds: number;
}

/** What happens, as it happens. */
export type Report = (event: {
  wave: string;
  site?: string;
  text: string;
  result?: Result;
}) => void;

/** What came of the work at a site. */
type Outcome = Partial<SiteRecord> & { result: Result };

/** Does work when its turn comes. @returns undefined where nothing further is to be started. */
type Turn = <T>(work: () => Promise<T>) => Promise<T | undefined>;

/** The revision that a site is brought to; undefined where none is known to go back to. */
type RevisionOf = (site: Target) => string | undefined;

const isWorking = (result: Result) => result === "verified" || result === "up-to-date";

/**
 * Brings sites to a revision, wave by wave, and keeps a record of each. It halts when more sites of
 * a wave failed than the budget allows, or when none of a wave could be brought there: what runs is
 * finished, nothing further is touched.
 */
export class Rollout {
  constructor(
    private readonly open: OpenSession,
    private readonly records: Records,
    private readonly record: RolloutRecord,
    private readonly options: RolloutOptions,
    private readonly report: Report,
    /** Aborted when no further site is to be started. */
    private readonly stop: AbortSignal,
  ) {
    // Every site that waits listens to it.
    setMaxListeners(0, stop);
  }

  async run(
    waves: readonly string[],
    sites: readonly Target[],
    revisionOf: RevisionOf,
  ): Promise<RolloutRecord> {
    for (const [i, wave] of waves.entries()) {
      const targets = sites.filter((site) => site.wave === wave);
      if (targets.length === 0) continue;
      await this.runWave(wave, targets, revisionOf);
      if (this.stop.aborted)
        return this.end(
          "stopped",
          "interrupted: the sites in progress were finished, and no other was touched",
        );
      if (
        this.haltReason(wave, targets) === undefined &&
        waves.slice(i + 1).some((later) => sites.some((site) => site.wave === later))
      )
        await this.soak(wave, targets, revisionOf);
      const reason = this.haltReason(wave, targets);
      if (reason) return this.end("halted", reason);
      if (this.stop.aborted) return this.end("stopped", "interrupted between two waves");
    }
    return this.end("done");
  }

  private async runWave(
    wave: string,
    targets: readonly Target[],
    revisionOf: RevisionOf,
  ): Promise<void> {
    this.report({
      wave,
      text: `${plural(targets.length, "site")}, ${this.options.parallel} at once`,
    });
    const turn = this.turns(
      () => this.stop.aborted || this.failures(targets) > this.options.budget,
    );
    await Promise.all(targets.map((site) => this.bring(site, revisionOf(site), turn)));
  }

  /** Gives each piece of work its turn; none any more once it `isOver`. */
  private turns(isOver: () => boolean): Turn {
    const limit = pLimit(this.options.parallel);
    return (work) => limit(async () => (isOver() ? undefined : work()));
  }

  private async bring(site: Target, revision: string | undefined, turn: Turn): Promise<void> {
    if (revision === undefined)
      return this.update(site, {
        result: "skipped",
        reason: "no revision is known that it had before",
      });
    let start = 0;
    const work = async (attempt: number) => {
      if (attempt === 1) {
        start = performance.now();
        this.update(site, { result: "running", started: new Date().toISOString() });
      }
      return { ...(await this.attempt(site, revision)), attempts: attempt };
    };
    await this.untilReached(site, turn, work, (outcome) =>
      this.update(site, {
        ...outcome,
        seconds: Math.round((performance.now() - start) / 100) / 10,
      }),
    );
  }

  /**
   * Works at a site, again where it cannot be reached; until then others have its turn.
   * @param done takes what came of it.
   */
  private async untilReached(
    site: Target,
    turn: Turn,
    work: (attempt: number) => Promise<Outcome>,
    done: (outcome: Outcome) => void,
  ): Promise<void> {
    let last: Outcome | undefined;
    for (let attempt = 1; ; attempt++) {
      const outcome = await turn(async () => {
        last = await work(attempt);
        // The next turn goes by what is recorded of this one.
        if (last.result !== "unreachable") done(last);
        return last;
      });
      if (
        outcome?.result !== "unreachable" ||
        attempt === this.options.attempts ||
        this.stop.aborted
      )
        break;
      const wait = this.options.backoffSeconds * 2 ** (attempt - 1);
      this.report({
        wave: site.wave,
        site: site.name,
        text: `cannot be reached, next try in ${wait} s: ${outcome.reason}`,
      });
      await this.pause(wait);
    }
    if (last?.result === "unreachable") done(last);
  }

  private attempt(site: Target, revision: string): Promise<Outcome> {
    return this.withSession(site, revision, async (session) => {
      const deployed = await session.deployedRevision();
      // A site that is at the revision, and works, is not done twice.
      if (deployed?.revision === revision && deployed.verified)
        return { result: "up-to-date", ...previousOf(deployed) };
      const previous = previousRevision(deployed, revision);
      this.update(site, previous);
      // An update that fails, or is killed, leaves the site between two revisions: it is verified
      // at neither.
      const updating = { revision, since: new Date().toISOString() };
      if (deployed) await session.recordRevision({ ...deployed, verified: false, updating });
      const changes = await session.up().catch(async (error) => {
        if (error instanceof SiteError && error.kind === "failed")
          // The state of a killed update may not be readable yet; its failure is what counts, and the
          // tag says already that the site is verified at neither.
          await session
            .recordRevision({ revision, ...previous, verified: false })
            .catch(() => undefined);
        throw error;
      });
      const findings = await session.verify();
      await session.recordRevision({ revision, ...previous, verified: findings.length === 0 });
      return findings.length === 0
        ? { result: "verified", changes }
        : { result: "failed", changes, reason: `its gate: ${findings.join("; ")}` };
    });
  }

  private async withSession(
    site: Target,
    revision: string,
    work: (session: Session) => Promise<Outcome>,
  ): Promise<Outcome> {
    try {
      return await work(this.open(site, revision));
    } catch (error) {
      return error instanceof SiteError
        ? { result: error.kind, reason: error.message }
        : { result: "failed", reason: (error as Error).message };
    }
  }

  private entry({ name, wave }: Target): SiteRecord {
    return (this.record.sites[name] ??= { wave, result: "skipped" });
  }

  private update(site: Target, change: Partial<SiteRecord>): void {
    const entry = Object.assign(this.entry(site), change);
    this.records.write(this.record);
    if (change.result)
      this.report({
        wave: site.wave,
        site: site.name,
        result: change.result,
        text: describeEntry(entry),
      });
  }

  private failures(targets: readonly Target[]): number {
    return targets.filter((site) => ["failed", "locked"].includes(this.entry(site).result)).length;
  }

  private haltReason(wave: string, targets: readonly Target[]): string | undefined {
    const failed = this.failures(targets);
    const { budget } = this.options;
    if (failed > budget)
      return (
        `${failed} of ${plural(targets.length, "site")} of wave ${wave} failed, ` +
        `and its budget is ${budget}`
      );
    if (!targets.some((site) => isWorking(this.entry(site).result)))
      return `no site of wave ${wave} could be brought to the revision`;
    return undefined;
  }

  /**
   * Waits, and passes the wave's working sites through their gate once more: what fails late is
   * still seen.
   */
  private async soak(
    wave: string,
    targets: readonly Target[],
    revisionOf: RevisionOf,
  ): Promise<void> {
    if (this.options.soakSeconds === 0) return;
    this.report({ wave, text: `soaks for ${this.options.soakSeconds} s` });
    await this.pause(this.options.soakSeconds);
    const turn = this.turns(() => this.stop.aborted);
    await Promise.all(
      targets.map(async (site) => {
        const revision = revisionOf(site);
        if (revision === undefined || !isWorking(this.entry(site).result)) return;
        await this.untilReached(
          site,
          turn,
          () => this.verifyAgain(site, revision),
          (outcome) => isWorking(outcome.result) || this.update(site, outcome),
        );
      }),
    );
  }

  private verifyAgain(site: Target, revision: string): Promise<Outcome> {
    const entry = this.entry(site);
    return this.withSession(site, revision, async (session) => {
      const findings = await session.verify();
      if (findings.length === 0) return { result: entry.result };
      await session.recordRevision({ revision, ...previousOf(entry), verified: false });
      return { result: "failed", reason: `its gate, after the soak: ${findings.join("; ")}` };
    });
  }

  /** Waits, no longer than the rollout goes on. */
  private pause(seconds: number): Promise<void> {
    return sleep(seconds * 1000, undefined, { signal: this.stop }).catch(() => undefined);
  }

  private end(outcome: "done" | "halted" | "stopped", reason?: string): RolloutRecord {
    this.records.finish(this.record, outcome, reason);
    return this.record;
  }
}

type Previous = Pick<DeployedRevision, "previous">;

const previousOf = ({ previous }: { previous?: string }): Previous =>
  previous === undefined ? {} : { previous };

/**
 * What a site can be gone back to: the revision that is deployed, or the one before it, where that
 * never worked.
 */
function previousRevision(deployed: DeployedRevision | undefined, revision: string): Previous {
  if (!deployed) return {};
  const goesFurtherBack =
    deployed.revision === revision || (!deployed.proven && deployed.previous !== undefined);
  return goesFurtherBack ? previousOf(deployed) : { previous: deployed.revision };
}

function describeEntry({ result, reason, changes = {}, seconds }: SiteRecord): string {
  const counted = Object.entries(changes)
    .filter(([operation]) => operation !== "same")
    .map(([operation, count]) => `${count} ${operation}`);
  return [
    result,
    ...(seconds === undefined ? [] : [`after ${seconds} s`]),
    ...(result === "verified"
      ? [counted.length > 0 ? `(${counted.join(", ")})` : "(nothing changed)"]
      : []),
    ...(reason ? [`- ${reason}`] : []),
  ].join(" ");
}
