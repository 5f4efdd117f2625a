import type { Allowances, Confirmation } from "../configs/inventory";
import { type DataChange, purgeTurnedOn } from "./data-change";
import type { Rule, Violation } from "./rules";

/** Confirmations as the inventory takes them, under `confirm`: a line each. */
export const confirmationLines = (confirmations: readonly Confirmation[]): string[] =>
  confirmations.map(
    ({ sites, change }) => `- { sites: [${sites.join(", ")}], change: ${JSON.stringify(change)} }`,
  );

type ChangeRule = Pick<Rule, "name" | "description">;

/** Rule of a change, which the state before and after it decide together. */
export const dataKept: ChangeRule = {
  name: "data-kept",
  description:
    "No change loses data, stored or still to come, unless it is confirmed for its site, with its " +
    "old and new value.",
};

const confirmationsUsed: ChangeRule = {
  name: "confirmations-used",
  description: "No confirmation stays in the inventory once its change is done.",
};

/** Every rule of changes. */
export const changeRules: readonly ChangeRule[] = [dataKept, confirmationsUsed];

/** Whether a confirmation is for a change; spaces count once. */
const isFor = ({ change }: Pick<Confirmation, "change">, { change: other }: DataChange) =>
  change.trim().replace(/\s+/g, " ") === other;

/**
 * Changes that lose data and are not confirmed for the site. Where a fleet lists the volumes that may
 * be deleted, the rule `volumes-kept` judges `purge`.
 */
export function unconfirmed(
  site: string,
  changes: readonly DataChange[],
  { confirm = [], deletedVolumes }: Allowances,
): DataChange[] {
  const confirmed = confirm.filter(({ sites }) => sites.includes(site));
  return changes.filter(
    (change) =>
      change.loses &&
      !(deletedVolumes && change.change === purgeTurnedOn) &&
      !confirmed.some((confirmation) => isFor(confirmation, change)),
  );
}

/** Texts that confirm none of some changes. */
export const confirmingNone = (
  texts: readonly string[],
  changes: readonly DataChange[],
): string[] => texts.filter((text) => !changes.some((change) => isFor({ change: text }, change)));

/** What changes at a site break. */
export const changeViolations = (
  site: string,
  changes: readonly DataChange[],
  { deletedVolumes = [], ...allowances }: Allowances = {},
): Violation[] =>
  unconfirmed(site, changes, { deletedVolumes, ...allowances }).map(({ change }) => ({
    rule: dataKept.name,
    resource: change,
    message: `${change} loses data, and nothing confirms it`,
  }));

/**
 * Confirmations that are for no change at any of their sites.
 * @param changesAt what changes at each site that was looked at; those of others are not judged.
 */
export const unusedConfirmations = (
  { confirm = [] }: Allowances,
  changesAt: ReadonlyMap<string, readonly DataChange[]>,
): Violation[] =>
  confirm.flatMap((confirmation, index) => {
    const isUsed = confirmation.sites.some((site) => {
      const changes = changesAt.get(site);
      return !changes || changes.some((change) => change.loses && isFor(confirmation, change));
    });
    return isUsed
      ? []
      : [
          {
            rule: confirmationsUsed.name,
            resource: `confirm[${index}]`,
            message:
              `confirm[${index}] is for ${confirmation.change}, which none of its sites has ` +
              "before it: remove it",
          },
        ];
  });
