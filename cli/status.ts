import pLimit from "p-limit";
import { showProgress } from "../automation";
import type { SiteConfig } from "../configs/site";
import { findSite, listSites, siteConfig } from "../configs/sites";
import { servicesAt, type ServiceStatus } from "../fleet";
import { acting, bessCommand, jsonOption, printJson, stackOption, table } from "./command";

/** How the services of a stack's site are; `problem` is what keeps that from being known. */
interface StackStatus {
  stack: string;
  site: string;
  services: ServiceStatus[];
  problem?: string;
}

/** Sites that are asked at once: over SSH each takes a process and a connection. */
const mostAtOnce = 16;

async function statusOf(stack: string, site: SiteConfig): Promise<StackStatus> {
  const about = { stack, site: site.name };
  try {
    const services = await servicesAt(site);
    const isDeployed = services.some(({ state }) => state !== "missing");
    return { ...about, services, ...(!isDeployed && { problem: "no container is there: run up" }) };
  } catch (error) {
    return { ...about, services: [], problem: `it is not reached: ${(error as Error).message}` };
  }
}

const isWell = ({ problem, services }: StackStatus) =>
  problem === undefined && services.every(({ report }) => report === "");

const head = ["SITE", "SERVICE", "STATE", "HEALTH", "RESTARTS", "EXIT", "SINCE", "REVISION"];

const rowOf = (site: string, status: ServiceStatus): string[] => [
  site,
  status.service,
  status.state,
  status.health || "-",
  String(status.restarts),
  String(status.exitCode ?? "-"),
  status.since || "-",
  status.revision || "-",
];

/** A table of all services, and after it what is wrong with those that are not well. */
function textOf(found: readonly StackStatus[]): string {
  const rows = found.flatMap(({ site, services }) => services.map((status) => rowOf(site, status)));
  const reports = found.flatMap(({ site, services, problem }) => {
    const said = problem === undefined ? services.map(({ report }) => report) : [problem];
    return said.filter(Boolean).map((text) => `${site}: ${text}`);
  });
  return [...(rows.length > 0 ? [table([head, ...rows])] : []), ...reports].join("\n\n");
}

async function show({ stack, json }: { stack?: string[]; json?: boolean }): Promise<number> {
  const stacks = stack?.map((name) => findSite(name)) ?? listSites();
  // All are valid before one is asked.
  const sites = stacks.map((found): [string, SiteConfig] => [found.stack, siteConfig(found)]);
  const limit = pLimit(mostAtOnce);
  const asking = Promise.all(sites.map(([name, site]) => limit(() => statusOf(name, site))));
  const found = await showProgress(`asking ${sites.length} sites`, asking);
  if (json) printJson(found);
  else console.log(textOf(found));
  return found.every(isWell) ? 0 : 2;
}

/** Shows how the services of sites are. */
export const status = () =>
  bessCommand("status", "Shows how each service of a site is, and the log of one that is not well.")
    .addOption(stackOption().argParser((name, former: string[] = []) => [...former, name]))
    .addOption(jsonOption())
    .addHelpText("after", "\n--stack may be given several times. Without it: every site.")
    .example("One site", "status --stack kiel-1")
    .example("Every site, for a script", "status --json")
    .action(acting(show));
