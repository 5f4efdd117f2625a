import { writeFileSync } from "node:fs";
import { requireBackend, setUp, showProgress } from "../../automation";
import { hubKey } from "../../configs/hub";
import { loadFleet } from "../../configs/inventory";
import { stackFile } from "../../configs/sites";
import { hubConfig } from "../../configs/stacks";
import {
  hubAccess,
  type Operating,
  removeSite,
  reportDrift,
  requireRemoval,
  type SiteAtHub,
  sitesAtHub,
  type SiteDrift,
  siteStatuses,
  type SiteStatus,
  verifySite,
} from "../../fleet";
import { acting, bessCommand, jsonOption, printJson, refuse, table, writable } from "../command";
import { onStacks, operating, selected, selecting, type Selection, siteNamed } from "./selection";

interface Json {
  json?: boolean;
}

const minutesSince = (time?: string) =>
  time ? `${Math.round((Date.now() - Date.parse(time)) / 60_000)} min` : "-";

const statusRow = (live: boolean | undefined, status: SiteStatus): string[] => [
  status.site,
  status.wave,
  status.revision
    ? `${status.revision.slice(0, 12)}${status.verified ? "" : " (unverified)"}`
    : "-",
  minutesSince(status.updated),
  status.result ?? "-",
  ...(live ? [String(status.drift ?? "-"), status.health ?? "-"] : []),
];

const hubHead = ["SITE", "WAVE", "LAST MINUTE", "ALERTS", "MUTED", "CHARGE", "POWER", "VERSION"];

/** A number as a table shows it; a dash where there is none. */
const shown = (value: number | undefined, unit: string, digits = 0): string =>
  value === undefined ? "-" : `${value.toFixed(digits)} ${unit}`.trim();

const hubRow = ({ site, wave, age, alerts, muted, soc, power, version }: SiteAtHub): string[] => [
  site,
  wave,
  age === undefined ? "none for a day" : shown(age, "s ago"),
  shown(alerts, ""),
  muted ? "yes" : "-",
  shown(soc, "%"),
  shown(power === undefined ? undefined : power / 1000, "kW", 1),
  version ?? "-",
];

/** What the hub knows: no site is asked, and no state but the hub's own is read. */
async function printFromHub(asked: Selection & Operating & Json & { hub: string }) {
  const { hub, json, rehearse } = asked;
  if (rehearse) refuse("--rehearse goes with no --hub: a simulated site sends nothing");
  if (!hubConfig(hub)) refuse(`--hub is ${hub}: ${stackFile(hub)} has no ${hubKey}`);
  const sites = selected(loadFleet(), asked);
  requireBackend([hub]);
  if (!(await setUp("rehearse"))) return 1;
  const asking = hubAccess(hub).then((access) => sitesAtHub(sites, access));
  const found = await showProgress(`asking the hub of ${hub}`, asking);
  if (json) printJson(found);
  else console.log(table([hubHead, ...found.map(hubRow)]));
  return 0;
}

function printStatus(asked: Selection & Operating & Json & { live?: boolean; hub?: string }) {
  const { hub } = asked;
  if (hub !== undefined && asked.live) refuse("--hub and --live are given: write one of the two");
  if (hub !== undefined) return printFromHub({ ...asked, hub });
  const sites = selected(loadFleet(), asked);
  return onStacks(
    asked,
    sites,
    async () => {
      const found = await showProgress(`asking ${sites.length} stacks`, siteStatuses(sites, asked));
      if (asked.json) printJson(found);
      else {
        const head = ["SITE", "WAVE", "REVISION", "AGE", "LAST RESULT"];
        const rows = found.map((status) => statusRow(asked.live, status));
        console.log(table([[...head, ...(asked.live ? ["DRIFT", "HEALTH"] : [])], ...rows]));
      }
      return 0;
    },
    asked.live ?? false,
  );
}

/** Shows what each site has. */
export const fleetStatus = () =>
  operating(selecting(bessCommand("status", "Shows each site's revision, from the stacks' state.")))
    .option("--live", "look at the sites too: drift, and the health of containers")
    .option("--hub <stack>", "ask this hub alone, not the sites: what each sent last")
    .addOption(jsonOption())
    .example("From the state alone", "fleet status")
    .example("What all sites have told the hub", "fleet status --hub hub")
    .example("With a look at the sites of a wave", "fleet status --live --wave canary")
    .action(acting(printStatus));

/** How many sites have no rollout at work. */
const compared = (found: readonly SiteDrift[]) =>
  found.filter(({ rollout }) => rollout === undefined).length;

/** Drift as a table in Markdown; empty where nothing differs. */
function driftTable(found: readonly SiteDrift[]): string {
  const rows = found
    .filter(({ differences }) => differences.length > 0)
    .map(({ site, differences }) => {
      return `| ${site} | ${differences.join("<br>").replaceAll("|", "\\|")} |`;
    });
  const head = "| site | differs from its state, or why it could not be looked at |\n| --- | --- |";
  return rows.length ? `${head}\n${rows.join("\n")}\n` : "";
}

function lookForDrift(asked: Selection & Operating & Json & { markdown?: string }, take: boolean) {
  const sites = selected(loadFleet(), asked);
  return onStacks(asked, sites, async () => {
    const text = `looking at ${sites.length} sites`;
    const found = await showProgress(text, reportDrift(sites, asked, take));
    const report = driftTable(found);
    if (asked.markdown && report) writeFileSync(asked.markdown, report);
    if (asked.json) printJson(found);
    else console.log(report || `Nothing differs at ${compared(found)} sites.`);
    const busy = found.flatMap(({ site, rollout }) => (rollout ? [`${site}: ${rollout}`] : []));
    if (busy.length > 0) console.error(`Not compared:\n${busy.join("\n")}`);
    return 0;
  });
}

/** Shows what differs at the sites. */
export const fleetDrift = () =>
  operating(
    selecting(
      bessCommand("drift", "Shows what differs at the sites from their state; changes nothing."),
    ),
  )
    .option("--markdown <file>", "write it there, if anything differs", writable)
    .addOption(jsonOption())
    .example("At every site", "fleet drift")
    .action(acting((asked: Parameters<typeof lookForDrift>[0]) => lookForDrift(asked, false)));

/** Takes what differs into the state. */
export const fleetRefresh = () =>
  operating(
    selecting(
      bessCommand("refresh", "Takes what differs at the sites into their state; up then mends it."),
    ),
  )
    .addOption(jsonOption())
    .example("At the sites in the north", "fleet refresh --label region=north")
    .action(acting((asked: Parameters<typeof lookForDrift>[0]) => lookForDrift(asked, true)));

function verify(name: string, asked: Operating & Json) {
  const site = siteNamed(name);
  return onStacks(asked, [site], async () => {
    const findings = await showProgress(`waiting for ${name}'s gate`, verifySite(site, asked));
    const passed = asked.rehearse
      ? "every simulated container is there and healthy; no message can flow there"
      : "a marked message arrived in InfluxDB and Grafana, and every container is healthy";
    if (asked.json) printJson({ site: name, passed: findings.length === 0, findings });
    else console.log(`${name}: ${findings.length === 0 ? passed : findings.join("; ")}`);
    return findings.length === 0 ? 0 : 2;
  });
}

/** Passes a site through its gate. */
export const fleetVerify = () =>
  operating(bessCommand("verify", "Passes a site through its gate."))
    .argument("<site>", "name of the site")
    .addOption(jsonOption())
    .addHelpText("after", "\nA marked message must arrive in InfluxDB and Grafana.")
    .example("One site", "fleet verify kiel-1")
    .action(acting(verify));

/** Removes a site of the fleet. */
export const fleetDown = () =>
  operating(bessCommand("down", "Removes a site; its data volumes stay unless it says purge."))
    .argument("<site>", "name of the site")
    .option("--yes-destroy <site>", "its name once more, instead of being asked")
    .example("One site, without being asked", "fleet down kiel-1 --yes-destroy kiel-1")
    .action(
      acting((name: string, asked: Operating & { yesDestroy?: string }) => {
        const site = siteNamed(name);
        requireRemoval(name, asked.yesDestroy);
        return onStacks(asked, [site], async () => {
          await removeSite(site, asked);
          console.log(`${name}: removed; what its data volumes hold stays unless it said purge`);
          return 0;
        });
      }),
    );
