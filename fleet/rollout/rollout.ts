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

/** What a site was brought to last, as its stack keeps it. */
export interface Standing {
  revision: string;
  /** Revision that it had before that one. */
  before?: string;
  /** Whether its gate found that revision working, and nothing has been done to the site since. */
  verified: boolean;
  /** Whether its gate has ever found that revision working, so that it can be gone back to. Default: as `verified`. */
  proven?: boolean;
}

/** Work at one site, for one revision: the real thing, or a rehearsal of it. */
export interface Session {
  /** What the site was brought to last. @throws SiteError */
  standing(): Promise<Standing | undefined>;
  /** Brings the site to the revision. @returns resources by what was done to them. @throws SiteError */
  up(): Promise<Record<string, number>>;
  /** The gate. @returns what is wrong; nothing where the site works. */
  verify(): Promise<string[]>;
  /** Keeps what the site was brought to, with its stack. */
  keep(standing: Standing): Promise<void>;
  close(): void;
}

/** Begins the work at a site. @throws SiteError */
export type Open = (site: Target, revision: string) => Promise<Session>;

/** Why a site could not be brought to a revision. */
export class SiteError extends Error {
  constructor(
    readonly kind: Extract<Result, "unreachable" | "locked" | "failed">,
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

const isWorking = (result: Result) => result === "verified" || result === "there";

/**
 * Brings sites to a revision, wave by wave, and keeps a record of each. It halts when more sites of a wave failed than
 * the budget allows, or when none of a wave could be brought there: what runs is finished, nothing further is touched.
 */
export class Rollout {
  constructor(
    private readonly open: Open,
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

  /** @param revisionOf the revision that a site is brought to; none where nothing is known to go back to. */
  async run(
    waves: readonly string[],
    sites: readonly Target[],
    revisionOf: (site: Target) => string | undefined,
  ): Promise<RolloutRecord> {
    for (const [i, wave] of waves.entries()) {
      const targets = sites.filter((site) => site.wave === wave);
      if (targets.length === 0) continue;
      await this.wave(wave, targets, revisionOf);
      if (this.stop.aborted)
        return this.end(
          "stopped",
          "interrupted: what ran was finished, and nothing further was touched",
        );
      if (
        this.haltOf(wave, targets) === undefined &&
        waves.slice(i + 1).some((later) => sites.some((site) => site.wave === later))
      )
        await this.soak(wave, targets, revisionOf);
      const reason = this.haltOf(wave, targets);
      if (reason) return this.end("halted", reason);
      if (this.stop.aborted) return this.end("stopped", "interrupted between two waves");
    }
    return this.end("done");
  }

  private async wave(
    wave: string,
    targets: readonly Target[],
    revisionOf: (site: Target) => string | undefined,
  ): Promise<void> {
    this.report({
      wave,
      text: `${plural(targets.length, "site")}, ${this.options.parallel} at once`,
    });
    const turn = this.turns(() => this.stop.aborted || this.failed(targets) > this.options.budget);
    await Promise.all(targets.map((site) => this.site(site, revisionOf(site), turn)));
  }

  /** Gives each piece of work its turn; none any more once it `isOver`. */
  private turns(isOver: () => boolean): Turn {
    const limit = pLimit(this.options.parallel);
    return (work) => limit(async () => (isOver() ? undefined : work()));
  }

  private async site(site: Target, revision: string | undefined, turn: Turn): Promise<void> {
    if (revision === undefined)
      return this.note(site, { result: "left", reason: "no revision is known that it had before" });
    let start = 0;
    const work = async (attempt: number) => {
      if (attempt === 1) {
        start = performance.now();
        this.note(site, { result: "running", started: new Date().toISOString() });
      }
      return { ...(await this.attempt(site, revision)), attempts: attempt };
    };
    await this.reached(site, turn, work, (outcome) =>
      this.note(site, { ...outcome, seconds: Math.round((performance.now() - start) / 100) / 10 }),
    );
  }

  /** Works at a site, again where it cannot be reached; until then others have its turn. @param done takes what came of it. */
  private async reached(
    site: Target,
    turn: Turn,
    work: (attempt: number) => Promise<Outcome>,
    done: (outcome: Outcome) => void,
  ): Promise<void> {
    let last: Outcome | undefined;
    for (let attempt = 1; ; attempt++) {
      const outcome = await turn(async () => {
        last = await work(attempt);
        // The next turn goes by what is noted of this one.
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

  private async attempt(site: Target, revision: string): Promise<Outcome> {
    return this.within(site, revision, async (session) => {
      const standing = await session.standing();
      // A site that stands at the revision, and works, is not done twice.
      if (standing?.revision === revision && standing.verified)
        return { result: "there", before: standing.before };
      const before =
        standing && (standing.revision === revision || (!standing.proven && standing.before))
          ? standing.before
          : standing?.revision;
      this.note(site, { before });
      // An update that fails, or is killed, leaves the site between two revisions: it stands verified at neither.
      if (standing) await session.keep({ ...standing, verified: false });
      const changes = await session.up().catch(async (error) => {
        if (error instanceof SiteError && error.kind === "failed")
          await session.keep({ revision, before, verified: false });
        throw error;
      });
      const findings = await session.verify();
      await session.keep({ revision, before, verified: findings.length === 0 });
      return findings.length === 0
        ? { result: "verified", changes }
        : { result: "failed", changes, reason: `its gate: ${findings.join("; ")}` };
    });
  }

  private async within(
    site: Target,
    revision: string,
    work: (session: Session) => Promise<Outcome>,
  ): Promise<Outcome> {
    let session: Session | undefined;
    try {
      session = await this.open(site, revision);
      return await work(session);
    } catch (error) {
      if (error instanceof SiteError) return { result: error.kind, reason: error.message };
      return { result: "failed" as const, reason: (error as Error).message };
    } finally {
      session?.close();
    }
  }

  private note(site: Target, change: Partial<SiteRecord>): void {
    const entry = Object.assign(this.record.sites[site.name], change);
    this.records.write(this.record);
    if (change.result)
      this.report({ wave: site.wave, site: site.name, result: change.result, text: told(entry) });
  }

  private failed(targets: readonly Target[]): number {
    return targets.filter(({ name }) =>
      ["failed", "locked"].includes(this.record.sites[name].result),
    ).length;
  }

  private haltOf(wave: string, targets: readonly Target[]): string | undefined {
    const failed = this.failed(targets);
    if (failed > this.options.budget)
      return `${failed} of ${plural(targets.length, "site")} of wave ${wave} failed, and its budget is ${this.options.budget}`;
    if (!targets.some(({ name }) => isWorking(this.record.sites[name].result)))
      return `no site of wave ${wave} could be brought to the revision`;
    return undefined;
  }

  /** Waits, and passes the wave's working sites through their gate once more: what fails late is still seen. */
  private async soak(
    wave: string,
    targets: readonly Target[],
    revisionOf: (site: Target) => string | undefined,
  ): Promise<void> {
    if (this.options.soakSeconds === 0) return;
    this.report({ wave, text: `soaks for ${this.options.soakSeconds} s` });
    await this.pause(this.options.soakSeconds);
    const turn = this.turns(() => this.stop.aborted);
    const working = targets.filter(({ name }) => isWorking(this.record.sites[name].result));
    await Promise.all(
      working.map((site) =>
        this.reached(
          site,
          turn,
          () => this.again(site, revisionOf(site)!),
          (outcome) => isWorking(outcome.result) || this.note(site, outcome),
        ),
      ),
    );
  }

  private again(site: Target, revision: string): Promise<Outcome> {
    const { result, before } = this.record.sites[site.name];
    return this.within(site, revision, async (session) => {
      const findings = await session.verify();
      if (findings.length === 0) return { result };
      await session.keep({ revision, before, verified: false });
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

function told({ result, reason, changes = {}, seconds }: SiteRecord): string {
  const counted = Object.entries(changes)
    .filter(([what]) => what !== "same")
    .map(([what, count]) => `${count} ${what}`);
  return [
    result,
    ...(seconds === undefined ? [] : [`after ${seconds} s`]),
    ...(result === "verified"
      ? [counted.length ? `(${counted.join(", ")})` : "(nothing changed)"]
      : []),
    ...(reason ? [`- ${reason}`] : []),
  ].join(" ");
}
