import { createInterface } from "node:readline/promises";
import { existsSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { InputError } from "../configs/validation";
import { withSecretPlaceholders } from "../configs/secret-placeholders";
import type { Fault } from "../rehearsal";
import { type Fleet, type FleetSite, inventoryFile } from "../configs/inventory";
import { parseSite } from "../configs/site";
import { stackFile } from "../configs/sites";
import { comparePlans, rehearsals, renderSite, root, WorkerPool } from "../automation";
import { plural } from "./plural";
import {
  type DataChange,
  dataChanges,
  storedBy,
  unconfirmed,
  unusedConfirmations,
} from "../policy";
import { linesToConfirm, tell } from "./losses";
import { commitInState, storedInState } from "./state";
import { planViolations } from "./violations";
import * as rollout from "./rollout";

/** What every command that works on stacks may be told. */
export interface Operating {
  /** Work on simulated sites instead. */
  rehearse?: boolean;
  fault?: { site: string; fault: Fault }[];
  parallel: number;
  limit: number;
  restarts: number;
}

/** What a rollout may be told beside that. */
export interface RollingOut extends Operating {
  yes?: boolean;
  budget: number;
  soak: number;
  attempts: number;
  backoff: number;
  /** Why windows and conditions do not count. */
  urgent?: string;
  /** What follows a failure at a site. Default: what the inventory says. */
  onFailure?: "halt" | "rollback";
  /** Kilobytes a second over each link, by which images are brought to sites. */
  rate?: number;
  /** What CI calls it. */
  rollout?: string;
  /** Others do the same rollout at the same time, under the same name. */
  share?: boolean;
  /** Standard output is a report for a program: progress goes to standard error. */
  json?: boolean;
}

const recordsOf = ({ rehearse }: Operating) =>
  rehearse ? new rollout.Records(join(rehearsals, "rollouts")) : rollout.rolloutRecords;

/** @param create whether a site's stack is made where it is not there. */
function stackOpener(
  { rehearse, fault = [], parallel }: Operating,
  create = false,
): rollout.OpenStack {
  const workers = new WorkerPool({ size: parallel });
  const faultsOf = (name: string) =>
    fault.filter(({ site }) => site === name || site === "*").map(({ fault: one }) => one);
  return rehearse
    ? rollout.rehearsedStacks(faultsOf, { workers })
    : rollout.deployedStacks({ create, workers });
}

/** The revision that is checked out; asked for by its commit, that commit's own. */
function revisions(): { current: rollout.Revision; at: (commit: string) => rollout.Revision } {
  const current = rollout.currentRevision();
  const known = new Map([[current.commit, current]]);
  const at = (commit: string) => {
    const revision = known.get(commit) ?? rollout.revisionAt(commit);
    known.set(commit, revision);
    return revision;
  };
  return { current, at };
}

/** Asks on the terminal. @returns the answer. */
function ask(question: string): Promise<string> {
  const terminal = createInterface(process.stdin, process.stdout);
  return terminal.question(question).finally(() => terminal.close());
}

/** @throws InputError where nobody can be asked. */
export function requireTerminal(option: string): void {
  if (!process.stdin.isTTY)
    throw new InputError("the command line", [
      `${option} is missing: without a terminal nobody can be asked`,
    ]);
}

/** @throws InputError where a person said no. */
export async function confirm(question: string, yes?: boolean): Promise<void> {
  if (yes) return;
  const answer = await ask(`${question} [y/N] `);
  if (!/^y(es)?$/i.test(answer.trim()))
    throw new InputError("your answer", ["it was not yes: nothing was touched"]);
}

const rolloutKinds = {
  up: rollout.rollOut,
  resume: rollout.resume,
  rollback: (args: rollout.RolloutArgs) => rollout.rollback(args),
};

/** What a rollout did. */
export interface RolloutResult {
  record: rollout.RolloutRecord;
  /** The record's file. */
  file: string;
  /** What it did, and what to do now, for a person. */
  summary: string;
  exitCode: number;
}

/**
 * Rolls out to sites, goes on, or goes back.
 * @param wave the wave that was asked for; it needs the earlier ones verified.
 */
export async function runRollout(
  kind: keyof typeof rolloutKinds,
  fleet: Fleet,
  sites: readonly FleetSite[],
  asked: RollingOut,
  wave?: string,
): Promise<RolloutResult> {
  const { current, at } = revisions();
  const openStack = stackOpener(asked, true);
  if (kind !== "rollback") {
    const rendered = await requireFitForRollout(fleet, sites, current);
    const states = await readStates(sites, current, openStack, asked);
    const pending = requireDataKept(fleet, rendered, current, states);
    if (kind === "up") requireUsed(fleet, pending, current);
  }
  if (kind === "up" && wave !== undefined)
    await requireEarlierWaves(fleet, wave, current, openStack, asked);
  const waves = plural(new Set(sites.map((site) => site.wave)).size, "wave");
  const target = kind === "rollback" ? "" : ` to ${current.commit.slice(0, 12)}`;
  await confirm(`${kind} ${plural(sites.length, "site")} of ${waves}${target}?`, asked.yes);
  const shown = rollout.progress(
    new Map(fleet.waves.map((name) => [name, sites.filter((site) => site.wave === name).length])),
    asked.json ? process.stderr : process.stdout,
  );
  // Whatever a rollback goes back to: what is checked out says when a site may be touched.
  const locks = new Map(
    sites.map(({ name }) => {
      const { update, timeZone } = parseSite(withSecretPlaceholders(current.configOf(name)));
      return [name, { ...update, timeZone }] as const;
    }),
  );
  const records = recordsOf(asked);
  const { parallel, budget, attempts, limit: limitSeconds, restarts } = asked;
  const { soak: soakSeconds, backoff: backoffSeconds } = asked;
  const record = await rolloutKinds[kind](
    {
      waves: fleet.waves,
      sites,
      openStack,
      revisionAt: at,
      records,
      options: {
        parallel,
        budget,
        soakSeconds,
        attempts,
        backoffSeconds,
        lockOf: ({ name }) => locks.get(name),
        urgent: asked.urgent,
        onFailure: asked.onFailure,
        sharing: asked.share && asked.rollout ? rollout.sharing(asked.rollout) : undefined,
      },
      bringing: { rate: asked.rate && asked.rate * 1000 },
      limits: { limitSeconds, restarts },
      report: shown.report,
      stop: stopOnInterrupt(),
      label: asked.rollout,
    },
    current.commit,
  ).finally(() => shown.end());
  const file = records.file(record.id);
  return {
    record,
    file,
    summary: rollout.summary(record, file),
    exitCode: rollout.exitCodeOf(record),
  };
}

/** Aborted at Ctrl-C, or when this process is to end; a second time ends it at once. */
export function stopOnInterrupt(): AbortSignal {
  const stop = new AbortController();
  const interrupt = () => {
    if (stop.signal.aborted) process.exit(rollout.exitCodes.stopped);
    console.error(
      "interrupted: the sites in progress are finished, and no other is begun; " +
        "Ctrl-C again ends at once",
    );
    stop.abort();
  };
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
  return stop.signal;
}

/** A site's resources as a rollout would make them; of another site with the same settings. */
type Rendered = Awaited<ReturnType<typeof renderSite>>["resources"];

/**
 * Renders the sites as they would be rolled out. What a rollback goes back to was judged when it
 * was rolled out.
 * @throws InputError naming each file that they are made from and that the commit lacks, or each
 * rule that a site breaks.
 */
async function requireFitForRollout(
  { allow }: Fleet,
  sites: readonly FleetSite[],
  current: rollout.Revision,
): Promise<Map<string, Rendered>> {
  const rendered = new Map<string, ReturnType<typeof renderSite>>();
  const resourcesOf = new Map<string, Rendered>();
  const files = new Set([inventoryFile]);
  const findings: string[] = [];
  for (const { name, stack } of sites) {
    const settings = current.configOf(name);
    const config = withSecretPlaceholders(settings);
    files.add(relative(root, resolve(root, parseSite(config).model)));
    if (existsSync(join(root, stackFile(stack)))) files.add(stackFile(stack));
    // Sites that differ in their name and host alone ask for the same.
    const alike = JSON.stringify({ ...(config as object), name: "", engine: "" });
    const plan = rendered.get(alike) ?? renderSite(stack, config);
    rendered.set(alike, plan);
    const { resources, files: read } = await plan;
    resourcesOf.set(name, resources);
    for (const file of read) files.add(file);
    const broken = planViolations(comparePlans({ site: name }, [], resources), allow);
    findings.push(...broken.map(({ message }) => `${name}: ${message}`));
  }
  rollout.requireCommitted(files);
  if (findings.length > 0) throw new InputError("the policy", findings);
  return resourcesOf;
}

/** What a rollout would do to what a site stores, and the commit that the site is at. */
interface Pending {
  changes: DataChange[];
  commit: string | undefined;
}

/**
 * Compares what the sites' stacks have stored with what a rollout would make of it.
 * @throws InputError where data would be lost that nothing confirms.
 */
function requireDataKept(
  { allow }: Fleet,
  rendered: ReadonlyMap<string, Rendered>,
  current: rollout.Revision,
  states: Awaited<ReturnType<typeof readStates>>,
): Map<string, Pending> {
  const pending = new Map<string, Pending>();
  const lost: [site: string, change: DataChange][] = [];
  const findings: string[] = [];
  for (const [name, { stack, read }] of states) {
    if ("failure" in read) {
      findings.push(
        `${name}: what it stores is not known, for its state is not read: ${read.failure}`,
      );
      continue;
    }
    const { engine } = current.configOf(name);
    const after = storedBy(rendered.get(name) ?? []);
    const changes = dataChanges(storedInState(read.value), {
      ...after,
      stack,
      site: name,
      ...(typeof engine === "string" && { engine }),
    });
    pending.set(name, { changes, commit: commitInState(read.value) });
    for (const change of unconfirmed(name, changes, allow)) lost.push([name, change]);
  }
  findings.push(...lost.map(([name, change]) => `${name}: ${tell(change)}`));
  if (lost.length > 0) findings.push(linesToConfirm(lost));
  if (findings.length > 0) throw new InputError("the policy", findings);
  return pending;
}

/** The states of sites' stacks, by the sites' names. */
async function readStates(
  sites: readonly FleetSite[],
  current: rollout.Revision,
  openStack: rollout.OpenStack,
  { parallel }: Operating,
) {
  const found = await rollout.forEachSite(sites, parallel, (site) =>
    rollout.withSession(site, current, openStack, (session) => session.state()),
  );
  return new Map(
    sites.flatMap(({ name, stack }) => {
      const read = found.get(name);
      return read ? [[name, { stack, read }] as const] : [];
    }),
  );
}

/**
 * @throws InputError for a confirmation whose change is done: it would let the same change pass a
 * second time. One that this very commit has used may stay until the next.
 */
function requireUsed(
  { allow }: Fleet,
  pending: ReadonlyMap<string, Pending>,
  current: rollout.Revision,
): void {
  const judged = [...pending].filter(([, { commit }]) => commit !== current.commit);
  const changesAt = new Map(judged.map(([name, { changes }]) => [name, changes]));
  const idle = unusedConfirmations(allow, changesAt);
  if (idle.length > 0)
    throw new InputError(
      inventoryFile,
      idle.map(({ message }) => message),
    );
}

/**
 * Joins the waves of a rollout that runs on several machines: the revision of each site of the
 * earlier waves is kept with its stack, in the backend.
 * @throws InputError where more of them than the budget are not verified at the revision;
 * unreachable ones do not count.
 */
async function requireEarlierWaves(
  fleet: Fleet,
  wave: string,
  current: rollout.Revision,
  openStack: rollout.OpenStack,
  asked: RollingOut,
): Promise<void> {
  const earlierWaves = fleet.waves.slice(0, fleet.waves.indexOf(wave));
  const earlier = fleet.sites.filter((site) => earlierWaves.includes(site.wave));
  const found = await rollout.forEachSite(earlier, asked.parallel, (site) =>
    rollout.withSession(site, current, openStack, (session) => session.deployedRevision()),
  );
  const findings = earlierWaves.flatMap((name) => {
    const members = earlier.filter((site) => site.wave === name);
    const reached = members.flatMap((site) => {
      const result = found.get(site.name);
      const deployed = result && "value" in result ? result.value : undefined;
      return deployed?.revision === current.commit ? [{ site: site.name, ...deployed }] : [];
    });
    const failed = reached.filter(({ verified }) => !verified).map(({ site }) => site);
    if (members.length > 0 && reached.length === failed.length)
      return [
        `no site of wave ${name} is verified at ${current.commit.slice(0, 12)}: it goes first`,
      ];
    return failed.length > asked.budget
      ? [`wave ${name} has failed at ${failed.join(", ")}, and its budget is ${asked.budget}`]
      : [];
  });
  if (findings.length > 0) throw new InputError(`--wave ${wave}`, findings);
}

/** One site's line in `status`. */
export interface SiteStatus {
  site: string;
  wave: string;
  /** The revision that is deployed. */
  revision?: string;
  /** Revision that the site had before. */
  previous?: string;
  /** Whether its gate found the revision working, and nothing has been done to the site since. */
  verified?: boolean;
  /** Whether its gate has ever found the revision working. */
  proven?: boolean;
  /** When the stack was last updated, in ISO 8601. */
  updated?: string;
  /** How that came out, or why the site could not be looked at. */
  result?: string;
  /** Number of resources that differ from the state, or why that is not known; with `live`. */
  drift?: number | string;
  /** What the gate's look at the containers found; with `live`. */
  health?: string;
}

/** What is deployed at each site; with `live` the sites are looked at too. */
export async function siteStatuses(
  sites: readonly FleetSite[],
  asked: Operating & { live?: boolean },
): Promise<SiteStatus[]> {
  const current = rollout.workingTree();
  const openStack = stackOpener(asked);
  const found = await rollout.forEachSite(sites, asked.parallel, (site) =>
    rollout.withSession(site, current, openStack, async (session) => {
      const [deployed, last] = [await session.deployedRevision(), await session.lastUpdate()];
      const live = asked.live
        ? {
            drift: await session
              .drift()
              .then(
                ({ differences, rollout: running }) => running ?? differences.length,
                rollout.failureReason,
              ),
            health: await session
              .health()
              .then((unhealthy) => unhealthy.join("; ") || "healthy", rollout.failureReason),
          }
        : {};
      return {
        ...deployed,
        ...(last && { updated: last.endTime.toISOString() }),
        result: last?.result ?? "never deployed",
        ...live,
      };
    }),
  );
  return sites.map(({ name, wave }) => {
    const result = found.get(name);
    if (result && "value" in result) return { site: name, wave, ...result.value };
    return { site: name, wave, ...(result && { result: result.failure }) };
  });
}

/** What differs at one site from its state, or why it could not be looked at. */
export interface SiteDrift extends rollout.Drift {
  site: string;
}

/** What differs at sites from their state. @param refresh whether that is taken into the state. */
export async function reportDrift(
  sites: readonly FleetSite[],
  asked: Operating,
  refresh = false,
): Promise<SiteDrift[]> {
  const current = rollout.workingTree();
  const openStack = stackOpener(asked);
  const found = await rollout.forEachSite(sites, asked.parallel, (site) =>
    rollout.withSession(site, current, openStack, (session) =>
      refresh ? session.refresh().then((differences) => ({ differences })) : session.drift(),
    ),
  );
  return [...found].map(([site, result]) => ({
    site,
    ...("value" in result ? result.value : { differences: [result.failure] }),
  }));
}

/** Passes a site through its gate. @returns why it does not pass; nothing where it does. */
export async function verifySite(site: FleetSite, asked: Operating): Promise<string[]> {
  const current = rollout.workingTree();
  const { limit: limitSeconds, restarts } = asked;
  return rollout
    .withSession(site, current, stackOpener(asked), (session) => session.verify(), {
      limitSeconds,
      restarts,
    })
    .catch((error: Error) => {
      if (error instanceof InputError) throw error;
      return [rollout.failureReason(error)];
    });
}

/**
 * Removes a site; its data volumes stay unless it says purge.
 * @throws InputError where a person said no.
 */
export async function removeSite(
  site: FleetSite,
  asked: Operating & { yesDestroy?: string },
): Promise<void> {
  if (asked.yesDestroy === undefined) await confirmRemoval(site.name);
  const current = rollout.workingTree();
  await rollout.withSession(site, current, stackOpener(asked), (session) => session.destroy());
}

/** @throws InputError unless the site's name is given, or can be asked for at the terminal. */
export function requireRemoval(site: string, given: string | undefined): void {
  if (given === undefined) requireTerminal(`--yes-destroy ${site}`);
  else if (given !== site)
    throw new InputError("--yes-destroy", [`it is ${given}: to remove ${site}, write ${site}`]);
}

/** @throws InputError unless a person types the site's name. */
async function confirmRemoval(site: string): Promise<void> {
  const typed = (await ask(`This removes the containers of ${site}. Type its name: `)).trim();
  if (typed !== site)
    throw new InputError("the name", [
      `it is ${typed || "nothing"}, and not ${site}: nothing was touched`,
    ]);
}
