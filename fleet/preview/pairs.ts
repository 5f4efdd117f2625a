import { comparePlans, type SitePlan } from "../../automation";
import type { Allowances } from "../../configs/inventory";
import { changeAt, type EditCache, type SiteChange } from "../report";
import { namedData, type Names, standIns } from "./names";
import { hash, type PlanStore } from "./plans";
import type { SiteRender } from "./render";

/** What the way from one rendered plan to another means, whatever the site is called. */
export interface Pair extends Pick<SiteChange, "digest" | "changes" | "violations"> {
  /** Whether any resource changes. */
  isChanged: boolean;
}

/** The plan of a site, under its own names. */
export function ownPlan({ plan, shared, names }: SiteRender, store: PlanStore) {
  const resources = store.load(plan);
  return shared ? namedData(resources, names) : resources;
}

/** What would happen at one site, by its rendered plans. */
export function renderedChange(
  head: SiteRender,
  base: SiteRender | undefined,
  store: PlanStore,
): SitePlan {
  const { name: site, stack, wave } = head;
  return comparePlans(
    { site, stack, wave, host: head.names.host },
    base ? ownPlan(base, store) : [],
    ownPlan(head, store),
  );
}

const isSameName = (a: Names, b: Names) =>
  a.site === b.site && a.stack === b.stack && a.host === b.host;

/** Compares the rendered plans of sites; of those that have the same two plans, once. */
export class Pairs {
  private readonly edits: EditCache = new Map();
  private readonly known = new Map<string, Pair>();

  /** @param code digest of the code that compares. */
  constructor(
    private readonly store: PlanStore,
    private readonly code: string,
    private readonly allow: Allowances,
  ) {}

  of(head: SiteRender, base: SiteRender | undefined): Pair {
    const isShared = head.shared && (!base || (base.shared && isSameName(head.names, base.names)));
    // What is confirmed for which site is judged later: it is no part of the plan.
    const allow = { ...this.allow, confirm: [], ...this.volumesOf(head, isShared) };
    const key = hash(
      JSON.stringify([this.code, base?.plan, head.plan, allow, isShared ? "" : head.names]),
    );
    const known = this.known.get(key) ?? this.recalled(key);
    if (known) return known;
    const { plan, digest, changes, violations } = changeAt(
      isShared ? this.anonymousChange(head, base) : renderedChange(head, base, this.store),
      allow,
      this.edits,
    );
    const pair: Pair = { digest, changes, violations, isChanged: plan.steps.length > 0 };
    this.known.set(key, pair);
    this.store.remember(key, JSON.stringify(pair));
    return pair;
  }

  private recalled(key: string): Pair | undefined {
    const text = this.store.recall(key);
    if (text === undefined) return undefined;
    const pair = JSON.parse(text) as Pair;
    this.known.set(key, pair);
    return pair;
  }

  private anonymousChange(head: SiteRender, base: SiteRender | undefined): SitePlan {
    const { site, stack, host } = standIns;
    return comparePlans(
      { site, stack, host },
      base ? this.store.load(base.plan) : [],
      this.store.load(head.plan),
    );
  }

  /** The volumes that may be deleted, as the plan calls them; other sites' are left out. */
  private volumesOf({ name }: SiteRender, isShared: boolean): Pick<Allowances, "deletedVolumes"> {
    const { deletedVolumes } = this.allow;
    if (!deletedVolumes) return {};
    const own = deletedVolumes.filter((volume) => volume.startsWith(`${name}-`));
    return {
      deletedVolumes: isShared
        ? own.map((volume) => standIns.site + volume.slice(name.length))
        : own,
    };
  }
}
