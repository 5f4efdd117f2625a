import { InvalidArgumentError, Option } from "commander";
import picomatch from "picomatch";
import { requireBackend, setUp, stackChecker } from "../../automation";
import type { Operating } from "../../fleet";
import {
  type Fleet,
  type FleetSite,
  inventoryFile,
  type Labels,
  loadFleet,
} from "../../configs/inventory";
import { findSite, nearestNames, siteKey } from "../../configs/sites";
import { InputError } from "../../configs/validation";
import {
  type BessCommand,
  faultHelp,
  number,
  pairs,
  parseFault,
  refuse,
  requireEffect,
} from "../command";

/** Which sites a command is about. */
export interface Selection {
  site?: string[];
  label: Labels;
  wave?: string;
}

const collect = (text: string, previous: string[] = []) => [
  ...previous,
  ...text.split(",").filter(Boolean),
];

export const labelOption = (what: string) =>
  new Option("--label <name=value>", what).argParser(pairs("region=north")).default({}, "none");

/** Gives a command the options by which its sites are chosen. */
export const selecting = (command: BessCommand): BessCommand =>
  command
    .addOption(
      new Option(
        "--site <glob>",
        "only sites whose name matches; repeatable, or with commas",
      ).argParser(collect),
    )
    .addOption(labelOption("only sites with this label; repeatable, all must fit"))
    .option("--wave <name>", "only sites of this wave");

/** Whether a site was asked for by its name and labels. */
export const isSelected = ({ site, label: wanted }: Selection) => {
  const isNamed = site ? picomatch(site) : () => true;
  return ({ name, labels }: Pick<FleetSite, "name" | "labels">) =>
    isNamed(name) && Object.entries(wanted).every(([key, value]) => labels[key] === value);
};

/** A selection as the command line has it. */
const textOf = ({ site = [], label, wave }: Selection): string =>
  [
    ...site.map((glob) => `--site ${glob}`),
    ...Object.entries(label).map(([name, value]) => `--label ${name}=${value}`),
    ...(wave === undefined ? [] : [`--wave ${wave}`]),
  ].join(" ");

/**
 * The sites that were asked for.
 * @throws InputError if there are none: a slip in a glob must not look like success.
 */
export function selected({ waves, sites }: Fleet, selection: Selection): FleetSite[] {
  const { wave } = selection;
  if (wave !== undefined && !waves.includes(wave))
    refuse(`--wave is ${wave}: allowed here: ${waves.join(", ")}`);
  const found = sites.filter(
    (site) => isSelected(selection)(site) && (wave === undefined || site.wave === wave),
  );
  if (sites.length === 0)
    refuse(`${inventoryFile} has no site: npx bess fleet add --help tells how to add one`);
  if (found.length === 0)
    refuse(`no site of ${inventoryFile} fits ${textOf(selection)}: npx bess fleet list shows them`);
  return found;
}

/** What is wrong with each of some sites of a fleet, by its name; sites that are well are left out. */
export function refusedSites(fleet: Fleet, sites: readonly FleetSite[]): Map<string, string[]> {
  const refused = new Map<string, string[]>();
  const check = stackChecker();
  for (const { name, stack } of sites)
    try {
      check(findSite(stack, undefined, fleet));
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      const { source, problems } = error;
      // The name of another file than the site's own is part of the finding: its model's, for instance.
      const file = source.startsWith(siteKey) ? "" : `${source}: `;
      refused.set(
        name,
        problems.map((problem) => file + problem),
      );
    }
  return refused;
}

/**
 * The sites that were asked for, each of which its program will take.
 * @throws InputError with what is wrong, and the sites where it is.
 */
export function checkedSites(fleet: Fleet, selection: Selection): FleetSite[] {
  const sites = selected(fleet, selection);
  const where = new Map<string, string[]>();
  for (const [name, problems] of refusedSites(fleet, sites))
    for (const problem of problems) where.set(problem, [...(where.get(problem) ?? []), name]);
  const findings = [...where].map(([problem, names]) => `${names.join(", ")}: ${problem}`);
  if (findings.length > 0) throw new InputError("the fleet", findings);
  return sites;
}

/** The site of that name. @throws InputError with the nearest names where there is none. */
export function siteNamed(name: string): FleetSite {
  const { sites } = loadFleet();
  const nearest = nearestNames(
    name,
    sites.map((site) => site.name),
  );
  return (
    sites.find((site) => site.name === name) ??
    refuse(`site is ${name}: ${inventoryFile} has no such site; the nearest: ${nearest.join(", ")}`)
  );
}

function siteFault(text: string, previous: Operating["fault"] = []): Operating["fault"] {
  const [, site, fault] = /^([^:]+):(.+)$/.exec(text) ?? [];
  if (!site || !fault)
    throw new InvalidArgumentError(
      "Write SITE:RESOURCE=KIND[:SECONDS], such as kiel-1:engine=fail.",
    );
  return [...previous, { site, fault: parseFault(fault) }];
}

/** Gives a command the options of those that work on stacks. */
export const operating = (command: BessCommand): BessCommand =>
  command
    .option("--parallel <n>", "most sites at once", number(1), 4)
    .option("--limit <seconds>", "how long the gate waits for its message", number(1), 60)
    .option("--restarts <n>", "restarts that the gate forgives a container", number(0), 0)
    .option("--rehearse", "on simulated sites: nothing is deployed")
    .addOption(
      new Option(
        "--fault <fault>",
        "with --rehearse: SITE:RESOURCE=KIND[:SECONDS]; repeatable",
      ).argParser(siteFault),
    )
    .addHelpText("after", faultHelp);

const rehearsalNotice = "REHEARSAL: nothing is deployed; Pulumi's engine works on simulated sites.";

/** @throws InputError for faults that would not happen. */
async function checkFaults(
  { rehearse, fault = [] }: Operating,
  sites: readonly FleetSite[],
): Promise<void> {
  if (fault.length > 0 && !rehearse)
    refuse("--fault is given without --rehearse: only a simulated site has faults");
  const names = sites.map(({ name }) => name);
  for (const { site } of fault)
    if (site !== "*" && !names.includes(site))
      refuse(
        `--fault is of site ${site}: it is none of those chosen; ` +
          `the nearest: ${nearestNames(site, names).join(", ")}`,
      );
  for (const { name, stack, settings } of sites) {
    const own = fault.filter(({ site }) => site === name || site === "*");
    await requireEffect(
      own.map((one) => one.fault),
      { stack, settings },
    );
  }
}

/**
 * Runs work on stacks once this machine has what it needs; says so where it is a rehearsal.
 * @param sites those that it works on.
 * @param contact whether the sites themselves are contacted.
 * @returns the exit code.
 */
export async function onStacks(
  asked: Operating & { json?: boolean },
  sites: readonly FleetSite[],
  work: () => Promise<number>,
  contact = true,
): Promise<number> {
  const { rehearse, json } = asked;
  await checkFaults(asked, sites);
  if (!rehearse) requireBackend(sites.map(({ stack }) => stack));
  if (!(await setUp(rehearse || !contact ? "rehearse" : "fleet"))) return 1;
  const notice = () => rehearse && !json && console.log(rehearsalNotice);
  notice();
  const code = await work();
  notice();
  return code;
}
