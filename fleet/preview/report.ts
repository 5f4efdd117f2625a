import type { Violation } from "../../policy";
import { plural } from "../plural";
import type { SiteGroup } from "../report";

const isUnchanged = ({ example: { plan, changes } }: SiteGroup) =>
  plan.failed === undefined && plan.steps.length === 0 && changes.length === 0;

const count = (groups: readonly SiteGroup[]) =>
  groups.reduce((sum, { sites }) => sum + sites.length, 0);

/** At how many sites Pulumi's engine has previewed, in a sentence; empty where it was not asked. */
export function coverageOf(groups: readonly SiteGroup[]): string {
  const previewed = groups.reduce((sum, group) => sum + (group.previewed?.length ?? 0), 0);
  if (previewed === 0) return "";
  const unchanged = count(groups.filter(isUnchanged));
  const likewise = groups
    .filter((group) => !isUnchanged(group))
    .reduce((sum, { sites, previewed: own }) => sum + (own ? sites.length - own.length : 0), 0);
  const kinds = likewise > 0 ? ", one for each kind of change" : "";
  return [
    `**Previewed at ${previewed} of ${plural(count(groups), "site")}**${kinds}`,
    ...(likewise > 0 ? [`${likewise} change likewise`] : []),
    ...(unchanged > 0 ? [`${unchanged} stay as they are`] : []),
  ]
    .join("; ")
    .concat(".");
}

/** What a preview found, for a program: a row for each kind of change, and one for each site. */
export function previewReport(groups: readonly SiteGroup[], idle: readonly Violation[]) {
  const kinds = [...groups.filter((group) => !isUnchanged(group)), ...groups.filter(isUnchanged)];
  return {
    sites: count(groups),
    changed: count(groups.filter((group) => !isUnchanged(group))),
    idle,
    kinds: kinds.map(({ example, sites, waves, previewed = [], differs = [] }, i) => ({
      kind: i + 1,
      sites: sites.length,
      waves,
      previewed,
      ...example.counts,
      sentences: example.sentences,
      violations: example.violations,
      differs,
      ...(example.plan.failed !== undefined && { failed: example.plan.failed }),
    })),
    table: kinds.flatMap((group, i) =>
      group.sites.map((site) => ({
        site,
        kind: i + 1,
        changes: !isUnchanged(group),
        previewed: group.previewed?.includes(site) ?? false,
      })),
    ),
  };
}
