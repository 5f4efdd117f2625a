import { createInterface } from "node:readline/promises";
import { join } from "node:path";
import { type EngineEvent, StackNotFoundError } from "@pulumi/pulumi/automation";
import { InputError } from "../configs/validation";
import { withSecretPlaceholders } from "../configs/secret-placeholders";
import type { Fault } from "../rehearsal";
import { rehearsals } from "../automation/inline";
import type { Fleet, FleetSite } from "../configs/inventory";
import { planFromEvents, type SitePlan, withRenderedFiles } from "../automation/plan";
import { plural } from "./plural";
import { planViolations } from "./violations";
import { comparePlans, renderedPlan } from "../automation/rendered";
import * as rollout from "./rollout";
import { exitCodeOf, progress, summary } from "./rollout/progress";
import type { Standing } from "./rollout/rollout";

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
  /** What CI calls it. */
  rollout?: string;
  /** Standard output is a report for a program: progress goes to standard error. */
  json?: boolean;
}

const records = (rehearse?: boolean) =>
  rehearse ? new rollout.Records(join(rehearsals, "rollouts")) : rollout.rolloutRecords;

/** @param makes whether a site's stack is made where it is not there. */
const opener = (
  sites: readonly FleetSite[],
  { rehearse, fault = [] }: Operating,
  makes = false,
): rollout.OpenStack =>
  rehearse
    ? rollout.rehearsed(sites, (name) =>
        fault.filter(({ site }) => site === name || site === "*").map(({ fault: one }) => one),
      )
    : rollout.real(sites, { existing: makes ? undefined : "asked" });

/** The revision that is checked out; asked for by its commit, that commit's own. */
function revisions(): { current: rollout.Revision; at: (commit: string) => rollout.Revision } {
  const current = rollout.currentRevision();
  const known = new Map([[current.commit, current]]);
  const at = (commit: string) =>
    known.get(commit) ?? known.set(commit, rollout.revisionAt(commit)).get(commit)!;
  return { current, at };
}

/** @throws Error where a person said no. */
async function agree(question: string, yes?: boolean): Promise<void> {
  if (yes) return;
  if (!process.stdin.isTTY)
    throw new InputError("the command line", [
      "--yes is missing: without a terminal nobody can be asked",
    ]);
  const asking = createInterface(process.stdin, process.stdout);
  const answer = await asking.question(`${question} [y/N] `).finally(() => asking.close());
  if (!/^y(es)?$/i.test(answer.trim()))
    throw new InputError("your answer", ["it was not yes, and so nothing was touched"]);
}

const moves = {
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

/** Rolls out to sites, goes on, or goes back. */
export async function roll(
  kind: keyof typeof moves,
  fleet: Fleet,
  sites: readonly FleetSite[],
  asked: RollingOut,
  wave?: string,
): Promise<RolloutResult> {
  const { current, at } = revisions();
  const openStack = opener(fleet.sites, asked, true);
  if (kind !== "rollback") await requirePolicy(fleet, sites, current);
  if (kind === "up" && wave !== undefined)
    await requireEarlier(fleet, wave, current, openStack, asked);
  await agree(
    `${kind} ${plural(sites.length, "site")} of ${plural(new Set(sites.map((site) => site.wave)).size, "wave")}${kind === "rollback" ? "" : ` to ${current.commit.slice(0, 12)}`}?`,
    asked.yes,
  );
  const stop = new AbortController();
  const interrupt = () => {
    if (stop.signal.aborted)
      process.exit(exitCodeOf({ outcome: "stopped" } as rollout.RolloutRecord));
    console.error(
      "interrupted: what runs is finished, and nothing further is started; once more ends at once",
    );
    stop.abort();
  };
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
  const shown = progress(
    new Map(fleet.waves.map((name) => [name, sites.filter((site) => site.wave === name).length])),
    asked.json ? process.stderr : process.stdout,
  );
  const kept = records(asked.rehearse);
  const {
    parallel,
    budget,
    soak: soakSeconds,
    attempts,
    backoff: backoffSeconds,
    limit: limitSeconds,
    restarts,
  } = asked;
  const record = await moves[kind](
    {
      waves: fleet.waves,
      sites,
      openStack,
      revisionAt: at,
      records: kept,
      options: { parallel, budget, soakSeconds, attempts, backoffSeconds },
      limits: { limitSeconds, restarts },
      report: shown.report,
      stop: stop.signal,
      label: asked.rollout,
    },
    current.commit,
  ).finally(() => shown.end());
  const file = kept.file(record.id);
  return { record, file, summary: summary(record, file), exitCode: exitCodeOf(record) };
}

/** @throws InputError naming each rule that a site breaks; what a rollback goes back to was judged when it was rolled out. */
async function requirePolicy(
  fleet: Fleet,
  sites: readonly FleetSite[],
  current: rollout.Revision,
): Promise<void> {
  const judged = new Map<string, Promise<string[]>>();
  const findings: string[] = [];
  for (const { name, stack } of sites) {
    const config = withSecretPlaceholders(current.configOf(name));
    // Sites that differ in their name and host alone ask for the same.
    const alike = JSON.stringify({ ...(config as object), name: "", engine: "" });
    if (!judged.has(alike))
      judged.set(
        alike,
        renderedPlan(stack, config).then((made) =>
          planViolations(comparePlans({ site: name }, [], made), fleet.allow).map(
            ({ message }) => message,
          ),
        ),
      );
    findings.push(...(await judged.get(alike)!).map((message) => `${name}: ${message}`));
  }
  if (findings.length > 0) throw new InputError("the policy", findings);
}

/**
 * Joins the waves of a rollout that runs on several machines: what the sites of earlier waves stand at is kept with
 * their stacks, in the backend.
 * @throws InputError where more of them than the budget are not verified at the revision; unreachable ones have said nothing.
 */
async function requireEarlier(
  fleet: Fleet,
  wave: string,
  current: rollout.Revision,
  openStack: rollout.OpenStack,
  asked: RollingOut,
): Promise<void> {
  const earlier = fleet.sites.filter(
    (site) => fleet.waves.indexOf(site.wave) < fleet.waves.indexOf(wave),
  );
  const found = await rollout.each(earlier, asked.parallel, (site) =>
    standingOf(site, current, openStack),
  );
  const findings = fleet.waves.slice(0, fleet.waves.indexOf(wave)).flatMap((name) => {
    const standings = earlier
      .filter((site) => site.wave === name)
      .map((site) => ({ site: site.name, standing: found.get(site.name) as Standing | undefined }));
    const failed = standings.filter(
      ({ standing }) => standing?.revision === current.commit && !standing.verified,
    );
    const verified = standings.filter(
      ({ standing }) => standing?.revision === current.commit && standing.verified,
    );
    if (standings.length > 0 && verified.length === 0)
      return [
        `no site of wave ${name} is verified at ${current.commit.slice(0, 12)}: it goes first`,
      ];
    return failed.length > asked.budget
      ? [
          `wave ${name} has failed at ${failed.map(({ site }) => site).join(", ")}, and its budget is ${asked.budget}`,
        ]
      : [];
  });
  if (findings.length > 0) throw new InputError(`--wave ${wave}`, findings);
}

const standingOf = (site: FleetSite, revision: rollout.Revision, openStack: rollout.OpenStack) =>
  rollout.within(site, revision, openStack, (session) => session.standing());

/** One site's line in `status`. */
export interface Status {
  site: string;
  wave: string;
  revision?: string;
  verified?: boolean;
  /** When the stack was last updated. */
  updated?: string;
  result?: string;
  /** Resources that differ from the state; with `live`. */
  drift?: number | string;
  /** What the gate's look at the containers found; with `live`. */
  health?: string;
}

/** What each site stands at; with `live` the sites are looked at too. */
export async function status(
  sites: readonly FleetSite[],
  asked: Operating & { live?: boolean; json?: boolean },
): Promise<Status[]> {
  const current = rollout.workingTree();
  const openStack = opener(sites, asked);
  const found = await rollout.each(sites, asked.parallel, (site) =>
    rollout.within(site, current, openStack, async (session): Promise<Partial<Status>> => {
      const [standing, last] = [await session.standing(), await session.last()];
      const live = asked.live
        ? {
            drift: await session.drift().then((steps) => steps.length, told),
            health: await session.health().then((unwell) => unwell.join("; ") || "healthy", told),
          }
        : {};
      return {
        ...standing,
        updated: last?.endTime.toISOString(),
        result: last?.result ?? "never deployed",
        ...live,
      };
    }),
  );
  return sites.map(({ name, wave }) => {
    const one = found.get(name)!;
    return { site: name, wave, ...(Array.isArray(one) ? { result: one.join("; ") } : one) };
  });
}

const told = (error: Error) => rollout.reasonOf(error);

/** What differs at one site from its state, or why it could not be looked at. */
export interface SiteDrift {
  site: string;
  differences: string[];
}

/** What differs at sites from their state; `refresh` takes it into the state. */
export async function drift(
  sites: readonly FleetSite[],
  asked: Operating,
  refresh = false,
): Promise<SiteDrift[]> {
  const current = rollout.workingTree();
  const found = await rollout.each(sites, asked.parallel, (site) =>
    rollout.within(site, current, opener(sites, asked), (session) =>
      refresh ? session.refresh() : session.drift(),
    ),
  );
  return [...found].map(([site, differences]) => ({ site, differences }));
}

/** Passes a site through its gate. @returns why it does not pass; nothing where it does. */
export async function verify(site: FleetSite, asked: Operating): Promise<string[]> {
  const current = rollout.workingTree();
  return rollout
    .within(site, current, opener([site], asked), (session) => session.verify())
    .catch((error: Error) => {
      if (error instanceof InputError) throw error;
      return [rollout.reasonOf(error)];
    });
}

/** Removes a site; its data volumes stay unless it says purge. @throws InputError where a person said no. */
export async function down(
  site: FleetSite,
  asked: Operating & { yesDestroy?: string },
): Promise<void> {
  if (asked.yesDestroy !== undefined && asked.yesDestroy !== site.name)
    throw new InputError("--yes-destroy", [
      `it is ${asked.yesDestroy}: to remove ${site.name}, write ${site.name}`,
    ]);
  if (asked.yesDestroy === undefined) {
    if (!process.stdin.isTTY)
      throw new InputError("the command line", [
        `--yes-destroy ${site.name} is missing: without a terminal nobody can be asked`,
      ]);
    const asking = createInterface(process.stdin, process.stdout);
    const typed = await asking
      .question(`This removes the containers of ${site.name}. Type its name: `)
      .finally(() => asking.close());
    if (typed.trim() !== site.name)
      throw new InputError("the name", [
        `it is ${typed.trim() || "nothing"}, and not ${site.name}: nothing was touched`,
      ]);
  }
  const current = rollout.workingTree();
  await rollout.within(site, current, opener([site], asked), (session) => session.destroy());
}

/** Plans of sites against their stacks' state: `offline` contacts no site. */
export async function* plans(
  sites: readonly FleetSite[],
  offline: boolean,
  rendered: AsyncIterable<SitePlan>,
): AsyncGenerator<SitePlan> {
  const current = rollout.workingTree();
  const openStack = rollout.real(sites, { offline, existing: "assumed" });
  for await (const drawn of rendered) {
    const site = sites.find(({ name }) => name === drawn.site);
    if (!site || drawn.failed) yield drawn;
    else yield await planOf(site, current, openStack, drawn);
  }
}

async function planOf(
  site: FleetSite,
  current: rollout.Revision,
  openStack: rollout.OpenStack,
  rendered: SitePlan,
): Promise<SitePlan> {
  const about = { site: site.name, stack: site.stack, wave: site.wave };
  try {
    const { stack, close } = await openStack(site, current);
    const events: EngineEvent[] = [];
    await stack.preview({ onEvent: (event) => void events.push(event) }).finally(close);
    return withRenderedFiles(planFromEvents(events, about), rendered);
  } catch (error) {
    // A stack that is not there yet has no state to plan from: everything is new.
    if (error instanceof StackNotFoundError)
      return {
        ...rendered,
        steps: rendered.steps
          .filter(({ op }) => op !== "delete")
          .map((step) => ({ ...step, op: "create", old: undefined })),
      };
    return { ...about, steps: [], failed: rollout.reasonOf(error as Error) };
  }
}
