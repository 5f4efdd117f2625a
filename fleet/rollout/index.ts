import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import pLimit from "p-limit";
import {
  type DeployedArgs,
  deployedStack,
  isAlive,
  type RehearsedArgs,
  rehearsals,
  rehearsedStack,
  root,
  type SiteStack,
} from "../../automation";
import { withSecretPlaceholders } from "../../configs/secret-placeholders";
import { siteKey } from "../../configs/sites";
import type { Fault } from "../../rehearsal";
import type { Bringing } from "../images";
import type { GateLimits } from "./gate";
import { Records, type RolloutRecord } from "./record";
import type { Revision } from "./revision";
import { type Report, Rollout, type RolloutOptions, type Sharing, type Target } from "./rollout";
import { failureReason, StackSession } from "./session";

export { exitCodeOf, exitCodes, progress, summary } from "./progress";
export {
  type GateFigures,
  type Prefetch,
  Records,
  type Result,
  resultOrder,
  type RolledBack,
  type RolloutRecord,
  type SiteRecord,
} from "./record";
export {
  currentRevision,
  requireCommitted,
  type Revision,
  revisionAt,
  workingTree,
} from "./revision";
export { type DeployedRevision, type Report, type RolloutOptions } from "./rollout";
export { type Drift, failureReason } from "./session";

/** A site, and the name of its stack. */
export interface Member extends Target {
  stack: string;
}

/** Opens a site's stack at a revision. */
export type OpenStack = (site: Member, revision: Revision) => SiteStack;

const configOf = (revision: Revision, settings: unknown) => ({
  [siteKey]: settings,
  "bess-telemetry:commit": revision.commit,
});

/** Opens stacks as they are deployed, in the user's backend. */
export const deployedStacks =
  (args: Pick<DeployedArgs, "offline" | "create" | "workers"> = {}): OpenStack =>
  ({ name, stack }, revision) =>
    deployedStack(stack, {
      ...args,
      workDir: join(root, ".cache/fleet", stack),
      config: configOf(revision, revision.configOf(name)),
      program: revision.program,
    });

/** Opens rehearsed stacks: simulated engines, and a state of their own. */
export const rehearsedStacks =
  (
    faultsOf: (site: string) => Fault[] = () => [],
    { folder = rehearsals, ...args }: Pick<RehearsedArgs, "folder" | "existing" | "workers"> = {},
  ): OpenStack =>
  ({ name, stack }, revision) =>
    rehearsedStack(stack, {
      ...args,
      folder,
      faults: faultsOf(name),
      config: configOf(revision, withSecretPlaceholders(revision.configOf(name))),
      program: revision.program,
    });

/** All that a rollout needs. */
export interface RolloutArgs {
  waves: readonly string[];
  sites: readonly Member[];
  openStack: OpenStack;
  revisionAt(commit: string): Revision;
  records: Records;
  options: RolloutOptions;
  limits: GateLimits;
  report: Report;
  /** Aborted when no further site is to be started. */
  stop: AbortSignal;
  /** What CI calls the rollout; it stands in the record. */
  label?: string | undefined;
  /** How images come to a site. */
  bringing?: Bringing;
}

/** Where the project keeps its rollouts' records. */
export const rolloutRecords = new Records(join(root, ".cache/rollouts"));

/**
 * Holds the records against a second rollout while `work` runs.
 * @throws Error naming the rollout that runs.
 */
async function locked(
  { records, report }: RolloutArgs,
  work: () => Promise<RolloutRecord>,
): Promise<RolloutRecord> {
  const lock = records.lock();
  if (lock.tookOver) report({ wave: "", text: `an earlier rollout was killed (${lock.tookOver})` });
  try {
    return await work();
  } finally {
    lock.release();
  }
}

function run(
  { openStack, revisionAt, limits, waves, sites, bringing, ...args }: RolloutArgs,
  record: RolloutRecord,
  revisionOf: (site: Target) => string | undefined,
): Promise<RolloutRecord> {
  const members = new Map(sites.map((site) => [site.name, site]));
  const openSession = (site: Target, commit: string) => {
    const member = members.get(site.name);
    if (!member) throw new Error(`site ${site.name} has no stack`);
    const revision = revisionAt(commit);
    return new StackSession(site, revision, openStack(member, revision), limits, bringing);
  };
  const { urgent } = args.options;
  if (urgent !== undefined) record.urgent = urgent;
  return new Rollout(openSession, args.records, record, args.options, args.report, args.stop).run(
    waves,
    sites,
    revisionOf,
  );
}

/** Brings the sites to a revision, wave by wave. */
export const rollOut = (args: RolloutArgs, commit: string): Promise<RolloutRecord> =>
  locked(args, () =>
    run(args, args.records.begin("up", commit, args.sites, args.label), () => commit),
  );

/**
 * Goes on with the last rollout, or with a fixed revision of it. Sites that are at the revision and
 * work are not done twice, whatever the record says: their stacks are asked.
 * @throws Error where there is none.
 */
export const resume = (args: RolloutArgs, commit?: string): Promise<RolloutRecord> =>
  locked(args, () => {
    const last = args.records.last();
    if (!last) throw new Error("there is no rollout to go on with: npx bess fleet up begins one");
    const sites = args.sites.filter(({ name }) => name in last.sites);
    const target = commit ?? last.revision;
    const record = args.records.begin("resume", target, sites, args.label);
    record.resumes = last.uuid ?? last.id;
    return run({ ...args, sites }, record, () => target);
  });

/**
 * Brings each site that the last rollout, and its resumes, touched back to the revision that it had
 * before.
 * @throws Error where there is none.
 */
export const rollback = (args: RolloutArgs): Promise<RolloutRecord> =>
  locked(args, () => {
    const previous = args.records.previousRevisions();
    if (previous.size === 0)
      throw new Error(
        "the last rollout touched no site that had a revision before: " +
          "there is nothing to go back to",
      );
    const sites = args.sites.filter(({ name }) => previous.has(name));
    return run(
      { ...args, sites },
      args.records.begin("rollback", "each site's own", sites, args.label),
      ({ name }) => previous.get(name),
    );
  });

/**
 * That this process shares a rollout with others.
 * @param name what all of them call the rollout.
 */
export function sharing(name: string): Sharing {
  const [host, label] = [`${hostname().slice(0, 30)}-${bootId()}`, name].map((text) =>
    text.replace(/[^\w.-]+/g, "-").slice(0, 40),
  );
  const by = `${label}/${host}:${process.pid}`;
  const isGone = (other: string) => {
    const [, of, pid] = /([^/]*):(\d+)$/.exec(other) ?? [];
    return of === host && !isAlive(Number(pid));
  };
  return { by, isGone, settleSeconds: 3, claimSeconds: 1800 };
}

/** What tells this machine from others of its name, as those of CI; empty where no kernel tells. */
function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").slice(0, 8);
  } catch {
    return "";
  }
}

/** Works with one site's stack. Gate limits: a minute, and no restart. */
export const withSession = async <T>(
  site: Member,
  revision: Revision,
  openStack: OpenStack,
  work: (session: StackSession) => Promise<T>,
  limits: GateLimits = { limitSeconds: 60, restarts: 0 },
): Promise<T> => work(new StackSession(site, revision, openStack(site, revision), limits));

/**
 * Does something at each site, `parallel` at once.
 * @returns by site: what came of it, or why it failed.
 */
export async function forEachSite<T>(
  sites: readonly Member[],
  parallel: number,
  work: (site: Member) => Promise<T>,
): Promise<Map<string, { value: T } | { failure: string }>> {
  const limit = pLimit(parallel);
  const entries = sites.map((site) =>
    limit(async (): Promise<[string, { value: T } | { failure: string }]> => {
      try {
        return [site.name, { value: await work(site) }];
      } catch (error) {
        return [site.name, { failure: failureReason(error as Error) }];
      }
    }),
  );
  return new Map(await Promise.all(entries));
}
