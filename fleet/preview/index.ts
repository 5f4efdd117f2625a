import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import pLimit from "p-limit";
import { root, type SitePlan, WorkerPool } from "../../automation";
import type { Fleet, FleetSite } from "../../configs/inventory";
import { type Allowances, changeViolations, type DataChange } from "../../policy";
import { changeAt, type EditCache, type SiteChange, type SiteGroup } from "../report";
import * as rollout from "../rollout";
import { checkOut, commitOf } from "../since";
import { planFromState } from "./from-state";
import { hasPlanStore, rendersOf, writeRenders } from "./base";
import { digestsOf } from "./code";
import type { Found } from "./look";
import { type Compared, lookAt } from "./states";
import { ownPlan, Pairs, renderedChange } from "./pairs";
import { hash, PlanStore } from "./plans";
import { type Rendering, renderSites } from "./render";

/** Where rendered plans are kept from one preview to the next. */
const plansFolder = join(root, ".cache/plans");

/**
 * Writes what each site's program asks for into a folder: a file a site, or with a store for the
 * plans one file that tells which site has which.
 */
export async function renderInto(
  folder: string,
  sites: readonly FleetSite[],
  storeFolder?: string,
): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const store = new PlanStore(storeFolder ?? plansFolder);
  const workers = new WorkerPool();
  const { code } = digestsOf(root);
  const rendering = { store, code, workers, apart: storeFolder === undefined };
  const renders = await renderSites(sites, rendering).finally(() => workers.close());
  if (storeFolder !== undefined) writeRenders(folder, renders);
  else
    for (const render of renders)
      writeFileSync(join(folder, `${render.name}.json`), JSON.stringify(ownPlan(render, store)));
}

export type PreviewMode = "rendered" | "offline" | "real";

/** What a preview is asked for. */
export interface PreviewArgs {
  fleet: Fleet;
  /** Those of the fleet that were asked for. */
  sites: readonly FleetSite[];
  /** Which sites of the base count. */
  isAsked(name: string): boolean;
  mode: PreviewMode;
  /** The revision to compare with. */
  since: string;
  /** Most sites of a class that the engine previews; all with Infinity. */
  sample: number;
}

/** Sites at which the same is to happen, as far as that is seen without the engine. */
interface Class {
  members: Member[];
}

/** A site of a class. */
interface Member extends Compared {
  site: FleetSite;
  changes: DataChange[];
  differs: string[];
  isChanged: boolean;
  /** Whether its plan breaks the policy. */
  isBroken: boolean;
  key: string;
}

/**
 * Previews a change of a fleet. Every site is rendered at base and at head, and its state is
 * compared with what base would have left; sites whose plan stays and whose state is at base are
 * unchanged. The others fall into classes of the same change, of which Pulumi's engine previews
 * some sites.
 */
export async function previewFleet(args: PreviewArgs): Promise<SiteGroup[]> {
  const { sites, isAsked, since, fleet, mode } = args;
  const store = new PlanStore(plansFolder);
  store.prune();
  const folder = join(root, ".cache/since", `${process.pid}`);
  const rendering = { store, ...digestsOf(root), workers: new WorkerPool() };
  try {
    checkOut(commitOf(since), folder);
    // First: its own processes would find no room beside those of this checkout.
    const here = new Set(fleet.sites.map(({ name }) => name));
    const asked = new Set(sites.map(({ name }) => name));
    const former = await rendersOf(join(folder, "base"), join(folder, "plans"), {
      ...rendering,
      isAsked: (name) => asked.has(name) || (!here.has(name) && isAsked(name)),
    });
    const bases = new Map(former.map((base) => [base.name, base]));
    const heads = await renderSites(sites, {
      ...rendering,
      apart: !hasPlanStore(join(folder, "base")),
    });
    const gone = [...bases.keys()].filter((name) => !here.has(name) && isAsked(name));
    const pairs = new Pairs(store, rendering.code, fleet.allow);
    const compared = heads.map((head) => ({ head, base: bases.get(head.name) }));
    // One is needed again; their memory is needed for the states.
    rendering.workers.close(1);
    const found = mode === "rendered" ? [] : await lookAt(compared, rendering);
    const members = sites.flatMap((site, i): Member[] => {
      const renders = compared[i];
      return renders ? [member(site, renders, found[i], pairs, fleet)] : [];
    });
    const groups = await previewClasses(classesOf(members), args, rendering);
    const inOrder = (waves: readonly string[]) => fleet.waves.filter((one) => waves.includes(one));
    return [
      ...groups.map((group) => ({ ...group, waves: inOrder(group.waves) })),
      ...leaving(gone),
    ];
  } finally {
    rendering.workers.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Whether a stack's file sets something else beside the site. */
const differsBeside = ({ head, base }: Compared) => (base?.others ?? "") !== head.others;

function member(
  site: FleetSite,
  { head, base }: Compared,
  found: Found | undefined,
  pairs: Pairs,
  { allow }: Fleet,
): Member {
  const pair = pairs.of(head, base);
  const changes = found?.changes ?? pair.changes;
  const broken = changeViolations(site.name, changes, allow);
  const beside = differsBeside({ head, base });
  return {
    site,
    head,
    base,
    changes,
    differs: found?.differs ?? [],
    isChanged: pair.isChanged || beside || found?.apart !== undefined || changes.length > 0,
    isBroken: pair.violations.length > 0 || broken.length > 0,
    key: hash(JSON.stringify([pair.digest, found?.apart, beside, changes, broken])),
  };
}

function classesOf(members: readonly Member[]): Class[] {
  const classes = new Map<string, Class>();
  for (const one of members) {
    const found = classes.get(one.key) ?? { members: [] };
    found.members.push(one);
    classes.set(one.key, found);
  }
  return [...classes.values()];
}

/** The most sites of a class that are tried where the engine fails at the first ones. */
const mostFailures = 3;

/** Has the engine preview some sites of each class, or shows what was rendered. */
async function previewClasses(
  classes: readonly Class[],
  { fleet: { allow }, mode, sample }: PreviewArgs,
  { store, workers }: Rendering,
): Promise<SiteGroup[]> {
  const edits: EditCache = new Map();
  const size = Math.max(2, availableParallelism());
  const limit = pLimit(size);
  const current = rollout.workingTree();
  const openStack = rollout.deployedStacks({ offline: mode === "offline", workers });
  const rendered = ({ head, base }: Member) => renderedChange(head, base, store);
  const changeOf = (one: Member, plan: SitePlan) =>
    withChanges(changeAt(plan, allow, edits), one, allow);
  const planned = (one: Member): Promise<Planned> =>
    limit(async () => {
      const plan = await planFromState(one.site, current, openStack, rendered(one));
      return { member: one, change: changeOf(one, plan) };
    });

  const preview = async ({ members }: Class): Promise<SiteGroup[]> => {
    const [first, ...others] = members as [Member, ...Member[]];
    if (!first.isChanged && !first.isBroken)
      return [groupOf(changeAt({ site: first.site.name, steps: [] }, {}, edits), members)];
    if (mode === "rendered" || !first.isChanged)
      return [groupOf(changeOf(first, rendered(first)), members)];
    const done = await Promise.all(members.slice(0, sample).map(planned));
    for (const one of others.slice(Math.max(0, sample - 1), sample - 1 + mostFailures)) {
      if (done.some(({ change }) => change.plan.failed === undefined)) break;
      done.push(await planned(one));
    }
    return groupsOf(done, members.slice(done.length));
  };
  return joined((await Promise.all(classes.map(preview))).flat());
}

/** A site that the engine has previewed. */
interface Planned {
  member: Member;
  change: SiteChange;
}

/**
 * Groups of a class: those that the engine previews alike, and with the first of them those that
 * it has not previewed.
 */
function groupsOf(done: readonly Planned[], left: readonly Member[]): SiteGroup[] {
  const byDigest = new Map<string, Planned[]>();
  for (const one of done)
    byDigest.set(one.change.digest, [...(byDigest.get(one.change.digest) ?? []), one]);
  const groups = [...byDigest.values()].map((alike) => {
    // There is one at least.
    const [{ change }] = alike as [Planned];
    const members = alike.map(({ member: one }) => one);
    return groupOf(change, members, members);
  });
  const [first] = left;
  if (!first) return groups;
  const example = groups.find(({ example: { plan } }) => plan.failed === undefined);
  if (!example) return [...groups, groupOf(notTried(first, done), left)];
  for (const { site } of left) addSite(example, site);
  return groups;
}

/** What is told of a site that would change as others at which the engine failed. */
const notTried = ({ site }: Member, done: readonly Planned[]): SiteChange =>
  failure(
    site.name,
    `it was not tried: the preview of ${done.map(({ member: { site: one } }) => one.name).join(", ")} failed`,
  );

const failure = (site: string, failed: string): SiteChange =>
  changeAt({ site, steps: [], failed }, {}, new Map());

function groupOf(
  example: SiteChange,
  members: readonly Member[],
  previewed?: readonly Member[],
): SiteGroup {
  const differs = members[0]?.differs ?? [];
  const group: SiteGroup = {
    example,
    sites: [],
    waves: [],
    ...(previewed && { previewed: previewed.map(({ site }) => site.name) }),
    ...(differs.length > 0 && { differs }),
  };
  for (const { site } of members) addSite(group, site);
  return group;
}

function addSite(group: SiteGroup, { name, wave }: FleetSite): void {
  group.sites.push(name);
  if (wave && !group.waves.includes(wave)) group.waves.push(wave);
}

/** Groups with one for each change, as far as the states of their sites are as the base left them. */
function joined(groups: readonly SiteGroup[]): SiteGroup[] {
  const found = new Map<string, SiteGroup>();
  for (const [i, group] of groups.entries()) {
    const key = `${group.example.digest} ${group.differs || group.example.plan.failed ? i : ""}`;
    const former = found.get(key);
    if (!former) found.set(key, group);
    else {
      former.sites.push(...group.sites);
      former.waves = [...new Set([...former.waves, ...group.waves])];
      former.previewed = [...(former.previewed ?? []), ...(group.previewed ?? [])];
    }
  }
  return [...found.values()];
}

/** A change with all that the state says of the site's data: the engine may see less of it. */
function withChanges(change: SiteChange, { site, changes }: Member, allow: Allowances): SiteChange {
  if (change.plan.failed !== undefined) return change;
  const missing = changes.filter((one) => !change.changes.some((own) => own.change === one.change));
  if (missing.length === 0) return change;
  const all = [...change.changes, ...missing];
  return {
    ...change,
    changes: [...all.filter(({ loses }) => loses), ...all.filter(({ loses }) => !loses)],
    sentences: [...missing.map(({ effect }) => effect), ...change.sentences],
    violations: [...change.violations, ...changeViolations(site.name, missing, allow)],
  };
}

/** Sites that the base has, and this revision has not. */
const leaving = (names: readonly string[]): SiteGroup[] =>
  names.map((site) => ({
    example: failure(
      site,
      "it leaves the inventory: no rollout touches it any more, " +
        "so take it down before this is merged",
    ),
    sites: [site],
    waves: [],
  }));

export { coverageOf, previewReport } from "./report";
