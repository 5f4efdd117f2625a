import { createHash } from "node:crypto";
import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import pLimit from "p-limit";
import { closedAt, type Condition, type UpdateLock, waitSeconds } from "../../configs/update-locks";
import { plural } from "../plural";
import type {
  GateFigures,
  Prefetch,
  Records,
  Result,
  RolledBack,
  RolloutRecord,
  SiteRecord,
} from "./record";
import type { Signals } from "./signals";

/** What a rollout needs to know of a site. */
export interface Target {
  name: string;
  wave: string;
}

/** The revision that a site was brought to last, as its stack's tag says. */
export interface DeployedRevision {
  /** Undefined at a new site, at which a rollout has begun. */
  revision?: string;
  /** Revision that it had before that one. */
  previous?: string;
  /** Whether its gate found the revision working, and nothing has been done to the site since. */
  verified: boolean;
  /**
   * Whether its gate has ever found the revision working, so that it can be gone back to. Default:
   * as `verified`.
   */
  proven?: boolean;
  /** A rollout that has begun at the site and not come to its end there; `by`: its runner. */
  updating?: { revision: string; since: string; by?: Runner };
  /** A revision at which the site has failed, and the runner under whose hands it did. */
  failed?: { revision: string; since: string; by: Runner };
}

/** One of several processes that share a rollout, as `NAME/HOST:PID`. */
type Runner = string;

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
  /**
   * Why what the battery does keeps an update away; undefined where it does not. A session without it
   * knows of no battery, and so of no reason. @throws SiteError
   */
  unmet?(condition: Condition): Promise<string | undefined>;
  /**
   * Brings the revision's images to the site; touches nothing that runs.
   * @param sends whether images that the site does not pull itself are brought too.
   * @returns undefined where nothing was brought. @throws SiteError
   */
  prefetch?(sends: boolean): Promise<Prefetch | undefined>;
  /** What the battery sends; undefined where that cannot be known, as at a new site. */
  signals?(): Promise<Signals | undefined>;
  /**
   * What the battery sends now, beside what it sent before.
   * @param seconds since the update's end.
   */
  compare?(before: Signals, seconds: number): Promise<GateFigures>;
  /** What the site stored while it was updated; undefined where that was not watched. */
  stored?(): Promise<Pick<SiteRecord, "downtime" | "messages"> | undefined>;
  /**
   * Has services whose image the next update lowers get the data that they had before. @returns those
   * services. @throws SiteError
   */
  returnData?(): Promise<string[]>;
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
  /** When a site may be touched. Default: always. */
  lockOf?: (site: Target) => UpdateLock | undefined;
  /** Why windows and conditions do not count this time; a hold still does. Default: they count. */
  urgent?: string | undefined;
  /** What follows a failure at a site. Default: what its lock says. */
  onFailure?: UpdateLock["onFailure"] | undefined;
  /** Seconds after which a battery that keeps an update away is asked again. Default: 60. */
  pollSeconds?: number;
  /** Default: this machine's. */
  clock?: Clock;
  /** Others who do the same rollout at the same time. Default: nobody. */
  sharing?: Sharing | undefined;
}

/** How several runners share a rollout: each site is done by the one that claims it, in its stack's tag. */
export interface Sharing {
  by: Runner;
  /** Whether a runner is known to have ended. */
  isGone(by: Runner): boolean;
  /** Seconds after which a claim is read again: whoever wrote last has it. */
  settleSeconds: number;
  /** Seconds for which a claim holds. */
  claimSeconds: number;
}

/** What a rollout takes for the time. */
export interface Clock {
  /** Ms since 1970. */
  now(): number;
  /** Ends early, and without an error, once `stop` is aborted. */
  sleep(seconds: number, stop: AbortSignal): Promise<void>;
}

const machineClock: Clock = {
  now: () => Date.now(),
  sleep: (seconds, signal) => sleep(seconds * 1000, undefined, { signal }).catch(() => undefined),
};

/** What happens, as it happens. */
export type Report = (event: {
  wave: string;
  site?: string;
  text: string;
  result?: Result;
}) => void;

/** What came of the work at a site. */
type Outcome = Partial<SiteRecord> & { result: Result };

/** That a site must not be touched yet: why, and when it is worth another look, in ms since 1970. */
interface Waiting {
  why: string;
  until: number;
  /** Where it stands when that time has come. */
  place: Exclude<Place, "new">;
}

const isWaiting = (outcome: Outcome | Waiting): outcome is Waiting => "until" in outcome;

/** Which turn a site gets: one that is `new`, that `asks` again, or whose window has opened. */
type Place = "new" | "asks" | "opened";

/**
 * Does work when its turn comes. @param place default: `new`.
 * @returns undefined where nothing further is to be started.
 */
type Turn = <T>(work: () => Promise<T>, place?: Place) => Promise<T | undefined>;

/** The revision that a site is brought to; undefined where none is known to go back to. */
type RevisionOf = (site: Target) => string | undefined;

const isWorking = (result: Result) => result === "verified" || result === "up-to-date";

/**
 * Brings sites to a revision, wave by wave, and keeps a record of each. It halts when more sites of
 * a wave failed than the budget allows, or when none of a wave could be brought there: what runs is
 * finished, nothing further is touched.
 */
export class Rollout {
  private readonly clock: Clock;
  /** Since when the lock of a site's stack is another's, in ms since 1970. */
  private readonly lockedSince = new Map<string, number>();
  /** Sites that have their images. */
  private readonly supplied = new Set<string>();
  /** What the batteries of updated sites sent before, and when their update had ended. */
  private readonly before = new Map<string, { signals: Signals; ended: number }>();

  constructor(
    private readonly open: OpenSession,
    private readonly records: Records,
    private readonly record: RolloutRecord,
    private readonly options: RolloutOptions,
    private readonly report: Report,
    /** Aborted when no further site is to be started. */
    private readonly stop: AbortSignal,
  ) {
    this.clock = options.clock ?? machineClock;
    // Every site that waits listens to it.
    setMaxListeners(0, stop);
  }

  async run(
    waves: readonly string[],
    sites: readonly Target[],
    revisionOf: RevisionOf,
  ): Promise<RolloutRecord> {
    for (const [i, wave] of waves.entries()) {
      const targets = this.ordered(sites.filter((site) => site.wave === wave));
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

  /**
   * The sites in the order in which they are begun. Runners that share a wave go through it together,
   * so that each soon hears of what failed at another's; of the next few sites each has an order of
   * its own, so that they seldom claim the same one.
   */
  private ordered(targets: readonly Target[]): readonly Target[] {
    const group = 4 * this.options.parallel;
    const count = Math.ceil(targets.length / group);
    return Array.from({ length: count }, (_, i) =>
      targets.slice(i * group, (i + 1) * group),
    ).flatMap((some) => this.scattered(some));
  }

  /** The sites in an order of this runner's own, where others do the same. */
  private scattered(targets: readonly Target[]): readonly Target[] {
    const { sharing } = this.options;
    if (!sharing) return targets;
    const place = ({ name }: Target) =>
      createHash("sha256").update(`${sharing.by} ${name}`).digest("hex");
    return [...targets].sort((a, b) => (place(a) < place(b) ? -1 : 1));
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
    // Scattered: whoever comes to a site later finds its images there.
    await Promise.all(
      this.scattered(targets).map((site) => this.fetchImages(site, revisionOf(site), turn)),
    );
    await Promise.all(targets.map((site) => this.bring(site, revisionOf(site), turn)));
  }

  /**
   * Gives each piece of work its turn; none any more once it `isOver`. What waits for its first turn
   * must not cost a site its window, and those that ask again and again get every other turn.
   */
  private turns(isOver: () => boolean): Turn {
    const limit = pLimit(this.options.parallel);
    const queues: Record<Place, (() => Promise<void>)[]> = { opened: [], asks: [], new: [] };
    let turns = 0;
    const next = () => {
      const { opened, asks, new: begins } = queues;
      const [first, second] = turns++ % 2 === 0 ? [asks, begins] : [begins, asks];
      return (opened.shift() ?? first.shift() ?? second.shift())?.();
    };
    return <T>(work: () => Promise<T>, place: Place = "new") =>
      new Promise<T | undefined>((done, failed) => {
        const started = async () => (isOver() ? undefined : work());
        queues[place].push(() => started().then(done, failed));
        void limit(next);
      });
  }

  /**
   * Brings a site its images before the first site of the wave is touched. One that is held gets none;
   * one that is not reached is asked again when its turn comes. What this machine sends is sent by the
   * runner that has claimed the site: two would write into one file.
   */
  private async fetchImages(site: Target, revision: string | undefined, turn: Turn): Promise<void> {
    if (revision === undefined || this.closed(site, true)) return;
    await turn(async () => {
      const outcome = await this.withSession<Outcome>(site, revision, async (session) => {
        await this.fetch(site, session, !this.options.sharing);
        return { result: "skipped" };
      });
      if (outcome.result === "failed" || outcome.result === "locked") this.update(site, outcome);
    });
  }

  private async fetch(site: Target, session: Session, sends = true): Promise<void> {
    if (this.supplied.has(site.name)) return;
    const fetched = await session.prefetch?.(sends);
    if (sends) this.supplied.add(site.name);
    if (!fetched) return;
    this.entry(site).prefetch = fetched;
    this.records.write(this.record);
    this.tell(site, `has ${plural(fetched.images, "image")} more after ${fetched.seconds} s`);
  }

  private async bring(site: Target, revision: string | undefined, turn: Turn): Promise<void> {
    if (revision === undefined)
      return this.update(site, {
        result: "skipped",
        reason: "no revision is known that it had before",
      });
    // Its images could not be brought there.
    if (this.entry(site).result !== "skipped") return;
    let start = 0;
    const lock = this.lockOf(site);
    const deadline = this.clock.now() + (lock ? waitSeconds(lock) * 1000 : 0);
    const work = async (attempt: number) => {
      start = performance.now();
      return this.attempt(site, revision, attempt, deadline);
    };
    await this.untilReached(site, turn, work, (outcome) =>
      this.update(site, {
        ...outcome,
        seconds: Math.round((performance.now() - start) / 100) / 10,
      }),
    );
  }

  /**
   * Works at a site, again where it cannot be reached or must not be touched yet; until then others
   * have its turn.
   * @param done takes what came of it.
   */
  private async untilReached(
    site: Target,
    turn: Turn,
    work: (attempt: number) => Promise<Outcome | Waiting>,
    done: (outcome: Outcome) => void,
  ): Promise<void> {
    let last: Outcome | undefined;
    let place: Place | undefined;
    for (let attempt = 1; ;) {
      const outcome: Outcome | Waiting | undefined = await turn(async () => {
        const found = await work(attempt);
        // The next turn goes by what is recorded of this one.
        if (isWaiting(found)) return found;
        last = { ...found, attempts: attempt };
        if (last.result !== "unreachable") done(last);
        return last;
      }, place);
      if (outcome === undefined || this.stop.aborted) break;
      if (isWaiting(outcome)) {
        place = outcome.place;
        await this.wait(site, outcome);
        continue;
      }
      if (outcome.result !== "unreachable" || attempt === this.options.attempts) break;
      const wait = this.options.backoffSeconds * 2 ** (attempt - 1);
      this.tell(site, `cannot be reached, next try in ${wait} s: ${outcome.reason}`);
      await this.pause(wait);
      attempt++;
    }
    if (last?.result === "unreachable") done(last);
  }

  /** Waits until a site is worth another look, and keeps in the record for how long, and for what. */
  private async wait(site: Target, { why, until }: Waiting): Promise<void> {
    const entry = this.entry(site);
    const { seconds = 0, why: before } = entry.waited ?? {};
    if (why !== before) this.tell(site, `waits: ${why}`);
    const from = this.clock.now();
    // A record of a killed rollout says what it waited for.
    Object.assign(entry, { result: "deferred", reason: why, waited: { seconds, why } });
    this.records.write(this.record);
    await this.pause((until - from) / 1000);
    const waited = Math.round(seconds + (this.clock.now() - from) / 1000);
    entry.waited = { seconds: waited, why };
    this.records.write(this.record);
  }

  /** Why the clock keeps a site from being touched now. @param isHeld whether by a hold alone. */
  private closed(site: Target, isHeld = false) {
    const lock = this.lockOf(site);
    const isUrgent = isHeld || this.options.urgent !== undefined;
    return lock && closedAt(lock, this.clock.now() / 1000, isUrgent);
  }

  private lockOf = (site: Target) => this.options.lockOf?.(site);

  /**
   * Why a site must not be touched now: what the clock says, or what its battery does.
   * @param deadline when it is waited for no longer, in ms since 1970.
   * @param isNew whether nothing is there yet that could know what its battery does.
   * @returns undefined where it may be touched.
   */
  private async lockedOut(
    site: Target,
    session: Session,
    deadline: number,
    isNew: boolean,
  ): Promise<Outcome | Waiting | undefined> {
    const now = this.clock.now();
    const { condition } = this.lockOf(site) ?? {};
    let closed = this.closed(site);
    let place: Waiting["place"] = "opened";
    if (!closed && condition && !isNew && this.options.urgent === undefined) {
      const why = await session.unmet?.(condition).catch((error: Error) => {
        if (error instanceof SiteError && error.kind !== "failed") throw error;
        return `what the battery does is not known: ${error.message}`;
      });
      // The answer took its time.
      if (why === undefined) closed = this.closed(site);
      else {
        closed = { why, opens: now / 1000 + (this.options.pollSeconds ?? 60) };
        place = "asks";
      }
    }
    if (!closed) return undefined;
    const until = (closed.opens ?? Infinity) * 1000;
    return until > deadline
      ? { result: "deferred", reason: `${closed.why}; that is beyond its wait` }
      : { why: closed.why, until, place };
  }

  private attempt(
    site: Target,
    revision: string,
    attempt: number,
    deadline: number,
  ): Promise<Outcome | Waiting> {
    // What it waited for is over, or is told anew.
    delete this.entry(site).reason;
    return this.withSession<Outcome | Waiting>(site, revision, async (session) => {
      const deployed = await session.deployedRevision();
      // A site that is at the revision, and works, is not done twice.
      if (deployed?.revision === revision && deployed.verified)
        return { result: "up-to-date", ...previousOf(deployed) };
      const { sharing } = this.options;
      if (!sharing && !this.closed(site, true)) await this.fetch(site, session);
      const kept =
        (await this.lockedOut(site, session, deadline, deployed?.revision === undefined)) ??
        (await this.claimedByAnother(session, deployed, revision));
      if (kept) return kept;
      const claim = this.heldClaim(session, deployed, revision);
      try {
        if (sharing) await this.fetch(site, session);
        this.update(site, {
          result: "running",
          ...(attempt === 1 && { started: new Date(this.clock.now()).toISOString() }),
        });
        const previous = previousRevision(deployed, revision);
        this.update(site, previous);
        const record = async (it: DeployedRevision) => {
          await claim.end();
          await session.recordRevision(it);
        };
        const work = { deployed, previous, revision, record };
        const outcome = await this.updateSite(site, session, work);
        return !isWaiting(outcome) && outcome.result === "failed"
          ? await this.afterFailure(site, outcome)
          : outcome;
      } catch (error) {
        // The others need not wait for one that does not reach it.
        if (error instanceof SiteError && error.kind === "unreachable") await claim.giveBack();
        throw error;
      } finally {
        await claim.end();
      }
    });
  }

  /**
   * Renews a claim until it is ended: images over a slow link take longer than it holds. Whoever has
   * taken the site over in the meantime keeps it.
   */
  private heldClaim(
    session: Session,
    deployed: DeployedRevision | undefined,
    revision: string,
  ): { end(): Promise<void>; giveBack(): Promise<void> } {
    const { sharing } = this.options;
    const ended = new AbortController();
    /** Writes whose the site is now, where it is still this runner's. */
    const write = async (mine: Runner, by: Runner | undefined) => {
      const found = await session.deployedRevision();
      if (found?.updating?.by !== mine) ended.abort();
      else await session.recordRevision(this.claimed(deployed, revision, by));
    };
    // A backend that does not answer now may do so next time.
    const tryWrite: typeof write = (...args) => write(...args).catch(() => undefined);
    const hold = async ({ by, claimSeconds }: Sharing) => {
      for (;;) {
        await this.clock.sleep(claimSeconds / 3, ended.signal);
        if (ended.signal.aborted) return;
        await tryWrite(by, by);
      }
    };
    const held = sharing && hold(sharing);
    const end = async () => {
      ended.abort();
      await held;
    };
    return {
      end,
      giveBack: async () => {
        await end();
        if (sharing) await tryWrite(sharing.by, undefined);
      },
    };
  }

  /** What a site's tag says while it is updated. @param by the runner that has claimed it, if any. */
  private claimed(
    deployed: DeployedRevision | undefined,
    revision: string,
    by: Runner | undefined,
  ): DeployedRevision {
    const since = new Date(this.clock.now()).toISOString();
    return { ...deployed, verified: false, updating: { revision, since, ...(by && { by }) } };
  }

  /**
   * Claims a site for this runner, where others do the same rollout.
   * @returns what to do where another has it; undefined where it is this one's.
   */
  private async claimedByAnother(
    session: Session,
    deployed: DeployedRevision | undefined,
    revision: string,
  ): Promise<Outcome | Waiting | undefined> {
    const { sharing } = this.options;
    if (!sharing) return undefined;
    const { updating, failed } = deployed ?? {};
    const nameOf = (by: Runner) => by.slice(0, by.lastIndexOf("/"));
    if (
      failed?.revision === revision &&
      failed.by !== sharing.by &&
      nameOf(failed.by) === nameOf(sharing.by)
    )
      return {
        result: "failed",
        toldBy: failed.by,
        reason: `${failed.by} failed there; its record tells why`,
      };
    const isAnothers = ({ by, since }: NonNullable<typeof updating>) =>
      by !== undefined &&
      by !== sharing.by &&
      !sharing.isGone(by) &&
      this.clock.now() - Date.parse(since) < sharing.claimSeconds * 1000;
    if (updating && isAnothers(updating)) return this.waitFor(`${updating.by} works there`);
    await session.recordRevision(this.claimed(deployed, revision, sharing.by));
    await this.pause(sharing.settleSeconds);
    const by = (await session.deployedRevision())?.updating?.by;
    return by === sharing.by ? undefined : this.waitFor(`${by ?? "another runner"} works there`);
  }

  private waitFor = (why: string): Waiting => ({
    why,
    place: "asks",
    until: this.clock.now() + (this.options.pollSeconds ?? 60) * 500,
  });

  /** Brings a site that may be touched to a revision, and passes it through its gate. */
  private async updateSite(
    site: Target,
    session: Session,
    {
      deployed,
      previous,
      revision,
      record,
    }: {
      deployed: DeployedRevision | undefined;
      previous: Previous;
      revision: string;
      record(it: DeployedRevision): Promise<void>;
    },
  ): Promise<Outcome | Waiting> {
    const { sharing } = this.options;
    const since = new Date(this.clock.now()).toISOString();
    const by = sharing && { by: sharing.by };
    const failed = by && { failed: { revision, since, ...by } };
    const signals = await session.signals?.();
    // An update that fails, or is killed, leaves the site between two revisions: it is verified
    // at neither.
    const updating = { revision, since, ...by };
    // A claim says so already.
    if (deployed && !sharing) await record({ ...deployed, verified: false, updating });
    let changes: Record<string, number>;
    try {
      changes = await session.up();
    } catch (error) {
      if (error instanceof SiteError && error.kind === "locked" && sharing) {
        const now = this.clock.now();
        const first = this.lockedSince.get(site.name) ?? now;
        this.lockedSince.set(site.name, first);
        if (now - first < sharing.claimSeconds * 1000) return this.waitFor(error.message);
        // The others need not wait for the same lock.
        const { updating: _, ...standing } = deployed ?? {};
        await record({ ...standing, verified: false, ...failed });
        throw error;
      }
      if (!(error instanceof SiteError) || error.kind !== "failed") throw error;
      // The state of a killed update may not be readable yet; its failure is what counts, and the
      // tag says already that the site is verified at neither.
      await record({ revision, ...previous, verified: false, ...failed }).catch(() => undefined);
      return { result: "failed", reason: error.message };
    }
    const ended = this.clock.now();
    if (signals) this.before.set(site.name, { signals, ended });
    const gate = await this.gate(site, session);
    const stored = await session.stored?.();
    const lost = stored?.messages?.lost ?? 0;
    const findings = [
      ...gate.findings,
      ...(lost > 0 ? [`${lost} of ${stored?.messages?.sent} marked messages were lost`] : []),
    ];
    const verified = findings.length === 0;
    await record({ revision, ...previous, verified, ...(!verified && failed) });
    const found = { changes, ...stored, ...(signals && { gate: { ...gate, findings } }) };
    return verified
      ? { result: "verified", ...found }
      : { result: "failed", ...found, reason: `its gate: ${findings.join("; ")}` };
  }

  /** The gate, with what the battery sends beside what it sent before the update. */
  private async gate(site: Target, session: Session): Promise<GateFigures> {
    const findings = await session.verify();
    const before = this.before.get(site.name);
    if (findings.length > 0 || !before || !session.compare) return { findings };
    const since = () => (this.clock.now() - before.ended) / 1000;
    await this.pause(before.signals.settleSeconds - since());
    return session.compare(before.signals, since());
  }

  /** Takes a site back to the revision that it had, where it is to be. */
  private async afterFailure(site: Target, outcome: Outcome): Promise<Outcome> {
    const { previous } = this.entry(site);
    const onFailure = this.options.onFailure ?? this.lockOf(site)?.onFailure ?? "halt";
    if (onFailure !== "rollback" || previous === undefined || this.record.kind === "rollback")
      return outcome;
    this.tell(site, `failed, and goes back to ${previous.slice(0, 12)}: ${outcome.reason}`);
    return { ...outcome, rolledBack: await this.takeBack(site, previous) };
  }

  private async takeBack(site: Target, revision: string): Promise<RolledBack> {
    const start = performance.now();
    const back = await this.withSession<Partial<RolledBack> & Pick<RolledBack, "result">>(
      site,
      revision,
      async (session) => {
        const data = await session.returnData?.();
        await session.up();
        const findings = await session.verify();
        const verified = findings.length === 0;
        const { failed } = (await session.deployedRevision()) ?? {};
        await session.recordRevision({ revision, verified, ...(failed && { failed }) });
        return {
          result: verified ? "verified" : "failed",
          ...(data?.length && { data }),
          ...(!verified && { reason: `its gate: ${findings.join("; ")}` }),
        };
      },
      (error) => ({ result: "failed", reason: error.message }),
    );
    this.before.delete(site.name);
    return { revision, ...back, seconds: Math.round((performance.now() - start) / 100) / 10 };
  }

  private async withSession<Result extends Outcome | Waiting | Pick<RolledBack, "result">>(
    site: Target,
    revision: string,
    work: (session: Session) => Promise<Result>,
    failed: (error: Error) => Result = (error) =>
      ({
        result: error instanceof SiteError ? error.kind : "failed",
        reason: error.message,
      }) as Result,
  ): Promise<Result> {
    try {
      return await work(this.open(site, revision));
    } catch (error) {
      return failed(error as Error);
    }
  }

  /** Reports what happens at a site before it has a result. */
  private tell({ wave, name }: Target, text: string): void {
    this.report({ wave, site: name, text });
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
    const { sharing } = this.options;
    return this.withSession<Outcome>(site, revision, async (session) => {
      if (sharing && entry.result === "up-to-date") {
        // Whoever has updated it passes it through its gate again.
        const deployed = await session.deployedRevision();
        return deployed?.verified
          ? { result: entry.result }
          : { result: "failed", reason: "another runner found that it no longer works" };
      }
      const gate = await this.gate(site, session);
      if (entry.gate && gate.rates) entry.gate = gate;
      const { findings } = gate;
      if (findings.length === 0) return { result: entry.result };
      await session.recordRevision({ revision, ...previousOf(entry), verified: false });
      const reason = `its gate, after the soak: ${findings.join("; ")}`;
      return this.afterFailure(site, { result: "failed", reason });
    });
  }

  /** Waits, no longer than the rollout goes on. */
  private async pause(seconds: number): Promise<void> {
    if (seconds > 0) await this.clock.sleep(seconds, this.stop);
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
  if (deployed?.revision === undefined) return {};
  const goesFurtherBack =
    deployed.revision === revision || (!deployed.proven && deployed.previous !== undefined);
  return goesFurtherBack ? previousOf(deployed) : { previous: deployed.revision };
}

function describeEntry(entry: SiteRecord): string {
  const { result, reason, changes = {}, seconds, rolledBack, downtime, messages } = entry;
  const counted = Object.entries(changes)
    .filter(([operation]) => operation !== "same")
    .map(([operation, count]) => `${count} ${operation}`);
  return [
    result,
    ...(seconds === undefined ? [] : [`after ${seconds} s`]),
    ...(result === "verified"
      ? [counted.length > 0 ? `(${counted.join(", ")})` : "(nothing changed)"]
      : []),
    ...(downtime ? [`${downtime.seconds} s without storing`] : []),
    ...(messages ? [`${messages.lost} of ${messages.sent} messages lost`] : []),
    ...(reason ? [`- ${reason}`] : []),
    ...(rolledBack
      ? [`; back at ${rolledBack.revision.slice(0, 12)}: ${rolledBack.reason ?? rolledBack.result}`]
      : []),
  ].join(" ");
}
