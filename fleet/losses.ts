import {
  deployedStack,
  type EngineEvent,
  planFromEvents,
  renderSite,
  StackError,
} from "../automation";
import { type Allowances, type Confirmation, inventoryFile, loadFleet } from "../configs/inventory";
import { withSecretPlaceholders } from "../configs/secret-placeholders";
import type { StackSite } from "../configs/sites";
import { quoted } from "../configs/ssh";
import { InputError } from "../configs/validation";
import {
  confirmationLines,
  type DataChange,
  dataChanges,
  storedBy,
  unconfirmed,
  unusedConfirmations,
  type Violation,
  confirmingNone,
} from "../policy";
import { groupSites, type SiteGroup } from "./report";
import { type StackState, storedInState } from "./state";

/** A change and what it does, for a terminal. */
export const tell = ({ change, effect }: DataChange): string =>
  `${change}: ${effect.replaceAll("**", "")}`;

const nameOf = ({ settings }: StackSite) => String(settings.name);

/** What an update of a stack would do to what its site stores. */
export async function pendingChanges({ stack, settings }: StackSite): Promise<DataChange[]> {
  const [state, { resources }] = await Promise.all([
    deployedStack(stack)
      .exportState()
      .catch((error: Error) => {
        if (error instanceof StackError && error.kind === "not-found") return {};
        throw error;
      }),
    renderSite(stack.split("/").at(-1) ?? stack, withSecretPlaceholders(settings)),
  ]);
  return dataChanges(storedInState(state as StackState), storedBy(resources));
}

/**
 * Changes of a plan that lose data, and that nothing confirms.
 * @param given what the command line confirms. Default: nothing.
 */
function unconfirmedAt(
  found: StackSite,
  changes: readonly DataChange[],
  given: readonly string[] = [],
): DataChange[] {
  const { confirm = [] }: Allowances = found.sources.includes("inventory") ? loadFleet().allow : {};
  const name = nameOf(found);
  const own = given.map((change): Confirmation => ({ sites: [name], change }));
  return unconfirmed(name, changes, { confirm: [...confirm, ...own] });
}

/** The command line that confirms changes. */
const confirmingLine = ({ stack }: StackSite, changes: readonly DataChange[]): string =>
  [
    "npx bess up --stack",
    stack,
    ...changes.map(({ change }) => `--confirm ${quoted(change)}`),
  ].join(" ");

/** What helps where data would be lost: the migration of a table, or a confirmation. */
const remedyFor = (found: StackSite, changes: readonly DataChange[]): string =>
  changes.some(({ refused }) => refused)
    ? `to copy the rows into the new shape: npx bess migrate --stack ${found.stack}`
    : `to lose that data all the same: ${confirmingLine(found, changes)}`;

/**
 * Makes sure that an update loses no data but what is confirmed.
 * @param given what the command line confirms.
 * @returns the confirmed changes.
 * @throws InputError with each change that is not confirmed, or with what confirms none.
 */
export async function requireConfirmed(
  found: StackSite,
  given: readonly string[],
): Promise<DataChange[]> {
  const changes = await pendingChanges(found);
  const lost = unconfirmedAt(found, changes, given);
  if (lost.length > 0)
    throw new InputError("the update", [
      ...lost.map(tell),
      `nothing was touched; ${remedyFor(
        found,
        changes.filter(({ loses }) => loses),
      )}`,
    ]);
  const losing = changes.filter(({ loses }) => loses);
  const idle = confirmingNone(given, losing);
  if (idle.length > 0)
    throw new InputError(
      "the command line",
      idle.map(
        (change) =>
          `--confirm is "${change}": the update loses nothing by that; ` +
          `it loses data by: ${losing.map((one) => one.change).join("; ") || "nothing"}`,
      ),
    );
  return losing;
}

/**
 * What an update of a stack means for its site, in sentences for a terminal.
 * @param events of a preview.
 */
export async function meaningOf(
  found: StackSite,
  events: readonly EngineEvent[],
): Promise<string[]> {
  const stack = found.stack.split("/").at(-1) ?? found.stack;
  const [group] = await groupSites([planFromEvents(events, { site: nameOf(found), stack })]);
  if (!group) return [];
  const { sentences, changes } = group.example;
  const lost = unconfirmedAt(found, changes);
  return [
    ...sentences.map((sentence) => sentence.replaceAll("**", "")),
    ...(lost.length > 0 ? [remedyFor(found, lost).replace(/^t/, "T")] : []),
  ];
}

/** Lines for the inventory that confirm changes, each for all its sites. */
export function linesToConfirm(lost: readonly (readonly [site: string, change: DataChange])[]) {
  const sitesOf = new Map<string, string[]>();
  for (const [site, { change }] of lost)
    sitesOf.set(change, [...(sitesOf.get(change) ?? []), site]);
  const lines = confirmationLines([...sitesOf].map(([change, sites]) => ({ sites, change })));
  return `to lose that data all the same, write under confirm in ${inventoryFile}:\n${lines
    .map((line) => `      ${line}`)
    .join("\n")}`;
}

/**
 * Confirmations that are for no change of the groups' sites. One that names a site that is in none of
 * them, or could not be planned, is not judged.
 */
export const idleConfirmations = (
  groups: readonly SiteGroup[],
  allowances: Allowances,
): Violation[] =>
  unusedConfirmations(
    allowances,
    new Map(
      groups.flatMap(({ example: { plan, changes }, sites }) =>
        plan.failed === undefined ? sites.map((site) => [site, changes] as const) : [],
      ),
    ),
  );
