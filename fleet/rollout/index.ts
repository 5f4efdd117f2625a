import { join } from "node:path";
import pLimit from "p-limit";
import { withSecretPlaceholders } from "../../configs/secret-placeholders";
import { type Fault } from "../../rehearsal";
import {
  type DeployedArgs,
  deployedStack,
  rehearsals,
  rehearsedStack,
} from "../../automation/inline";
import { root } from "../../automation/backend";
import { type GateLimits, type Opened, reasonOf, StackSession } from "./operator";
import { Records, type RolloutRecord } from "./record";
import type { Revision } from "./revision";
import { type Report, Rollout, type RolloutOptions, type Target } from "./rollout";

export { reasonOf } from "./operator";
export { Records, type Result, type RolloutRecord } from "./record";
export { currentRevision, type Revision, revisionAt, workingTree } from "./revision";
export { type Report, type RolloutOptions } from "./rollout";

/** A site as its stack is found. */
export interface Member extends Target {
  stack: string;
}

/** Opens a site's stack at a revision. */
export type OpenStack = (site: Target, revision: Revision) => Promise<Opened>;

const configOf = (
  revision: Revision,
  site: string,
  close: (config: unknown) => unknown = (config) => config,
) => ({
  "bess-telemetry:site": close(revision.configOf(site)),
  "bess-telemetry:commit": revision.commit,
});

/** Opens stacks as they are deployed, in the user's backend. */
export const real =
  (members: readonly Member[], how: Pick<DeployedArgs, "offline" | "existing"> = {}): OpenStack =>
  ({ name }, revision) => {
    const { stack } = members.find((member) => member.name === name)!;
    return deployedStack(stack, {
      ...how,
      workDir: join(root, ".cache/fleet", stack),
      config: configOf(revision, name),
      program: revision.program,
    });
  };

/** Opens rehearsed stacks: simulated engines, and a state of their own. */
export const rehearsed =
  (
    members: readonly Member[],
    faultsOf: (site: string) => Fault[] = () => [],
    folder = rehearsals,
  ): OpenStack =>
  ({ name }, revision) => {
    const { stack } = members.find((member) => member.name === name)!;
    return rehearsedStack(stack, {
      folder,
      faults: faultsOf(name),
      config: configOf(revision, name, withSecretPlaceholders),
      program: revision.program,
    });
  };

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
  label?: string;
}

/** Where the project keeps its rollouts' records. */
export const rolloutRecords = new Records(join(root, ".cache/rollouts"));

const session =
  ({ openStack, revisionAt, limits }: RolloutArgs) =>
  (site: Target, commit: string) =>
    StackSession.open(site, revisionAt(commit), limits, openStack);

/** Holds the records against a second rollout while `work` runs. @throws Error naming the rollout that runs. */
async function alone(
  args: RolloutArgs,
  work: () => Promise<RolloutRecord>,
): Promise<RolloutRecord> {
  const lock = args.records.lock();
  if (lock.tookOver)
    args.report({ wave: "", text: `an earlier rollout was killed (${lock.tookOver})` });
  try {
    return await work();
  } finally {
    lock.release();
  }
}

const run = (
  args: RolloutArgs,
  record: RolloutRecord,
  revisionOf: (site: Target) => string | undefined,
  waves = args.waves,
) =>
  new Rollout(session(args), args.records, record, args.options, args.report, args.stop).run(
    waves,
    args.sites,
    revisionOf,
  );

/** Brings the sites to a revision, wave by wave. */
export const rollOut = (args: RolloutArgs, commit: string): Promise<RolloutRecord> =>
  alone(args, () =>
    run(args, args.records.begin("up", commit, args.sites, args.label), () => commit),
  );

/**
 * Goes on with the last rollout, or with a fixed revision of it: sites that stand at the revision and work are not
 * done twice, whatever the record says, for it is asked of their stacks.
 * @throws Error where there is none.
 */
export const resume = (args: RolloutArgs, commit?: string): Promise<RolloutRecord> =>
  alone(args, () => {
    const last = args.records.last();
    if (!last) throw new Error("there is no rollout to go on with: npx bess fleet up begins one");
    const sites = args.sites.filter(({ name }) => name in last.sites);
    const target = commit ?? last.revision;
    return run(
      { ...args, sites },
      args.records.begin("resume", target, sites, args.label),
      () => target,
    );
  });

/**
 * Brings each site that the last rollout, and its resumes, touched back to the revision that it had before.
 * @throws Error where there is none.
 */
export const rollback = (args: RolloutArgs): Promise<RolloutRecord> =>
  alone(args, () => {
    const before = args.records.touched();
    if (before.size === 0)
      throw new Error(
        "the last rollout touched no site that had a revision before: there is nothing to go back to",
      );
    const sites = args.sites.filter(({ name }) => before.has(name));
    return run(
      { ...args, sites },
      args.records.begin("rollback", "each site's own", sites, args.label),
      ({ name }) => before.get(name),
    );
  });

/** Works with one site's stack, and closes it. Gate limits: a minute, and no restart. */
export async function within<T>(
  site: Member,
  revision: Revision,
  openStack: OpenStack,
  work: (session: StackSession) => Promise<T>,
  limits = { limitSeconds: 60, restarts: 0 },
): Promise<T> {
  const opened = await StackSession.open(site, revision, limits, openStack);
  return work(opened).finally(() => opened.close());
}

/** Does something at each site, a few at once; an error is what is wrong there. */
export async function each<M extends Member, T>(
  sites: readonly M[],
  parallel: number,
  work: (site: M) => Promise<T>,
): Promise<Map<string, T | string[]>> {
  const limit = pLimit(parallel);
  const found = await Promise.all(
    sites.map((site) =>
      limit(async (): Promise<[string, T | string[]]> => [
        site.name,
        await work(site).catch((error: Error) => [reasonOf(error)]),
      ]),
    ),
  );
  return new Map(found);
}
