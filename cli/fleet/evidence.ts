import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deployedStack, type PastUpdate, requireBackend, root } from "../../automation";
import { loadFleet } from "../../configs/inventory";
import {
  evidencePage,
  gatherRecords,
  needsPerson,
  partDetails,
  type RolloutEvidence,
  rolloutEvidence,
  siteAudit,
} from "../../fleet";
import { acting, bessCommand, jsonOption, printJson, refuse, table, writable } from "../command";
import { list } from "../options";

interface Recorded {
  records: string[];
  json?: boolean;
}

const own = join(root, ".cache/rollouts");

const withRecords = (command: ReturnType<typeof bessCommand>) =>
  command
    .option(
      "--records <folder>",
      "where records lie, in folders below it too, such as artifacts of CI; repeatable " +
        "(default: .cache/rollouts)",
      list,
      [],
    )
    .addOption(jsonOption());

/** This machine may have rolled nothing out yet. */
const recordsOf = ({ records }: Recorded) =>
  gatherRecords(records.length > 0 ? records : [own].filter(existsSync));

/** A rollout on a terminal. */
function shown(evidence: RolloutEvidence): string {
  const { rollout, outcomes, by, revisions, started, finished, messages, sites } = evidence;
  const seconds = (value: { seconds: number } | undefined) => (value ? `${value.seconds} s` : "");
  const inOrder = [...sites].sort((a, b) => Number(needsPerson(b)) - Number(needsPerson(a)));
  const rows = inOrder.map((site) => [
    site.site,
    site.wave,
    site.result,
    site.started ?? "",
    site.seconds === undefined ? "" : `${site.seconds} s`,
    seconds(site.waited),
    seconds(site.downtime),
    site.messages ? `${site.messages.lost} of ${site.messages.sent}` : "",
    partDetails(site).join("; "),
  ]);
  return [
    `Rollout ${rollout}: ${outcomes.join(", ")}; ${started} to ${finished ?? "now"}; ` +
      `${revisions.map((revision) => revision.slice(0, 12)).join(", ")} by ${by.join(", ")}`,
    ...evidence.reasons,
    ...(messages.sent > 0 ? [`${messages.lost} of ${messages.sent} marked messages lost`] : []),
    table([
      ["SITE", "WAVE", "RESULT", "STARTED", "TOOK", "WAITED", "DOWN", "LOST", "MORE"],
      ...rows,
    ]),
  ].join("\n");
}

/** Tells what a rollout did. */
export const fleetReport = () =>
  withRecords(
    bessCommand(
      "report",
      "Tells what a rollout did: who, which commit, and of each site times, waits, gate, downtime " +
        "and lost messages.",
    ).summary("Tells what a rollout did."),
  )
    .option("--rollout <name>", "id of its record, or what CI called it (default: the last one)")
    .option("--html <file>", "write it there as a page that needs nothing else", writable)
    .example("The last rollout", "fleet report")
    .example(
      "One of GitHub Actions, from all its artifacts (gh run download -D artifacts)",
      "fleet report --rollout 17 --records artifacts --html rollout.html",
    )
    .action(
      acting((asked: Recorded & { rollout?: string; html?: string }) => {
        const evidence = rolloutEvidence(recordsOf(asked), asked.rollout);
        if (asked.html) writeFileSync(asked.html, evidencePage(evidence));
        if (asked.json) printJson(evidence);
        else if (!asked.html) console.log(shown(evidence));
      }),
    );

/** A stack's history; why there is none goes to standard error. */
async function historyOf(stack: string): Promise<PastUpdate[]> {
  try {
    requireBackend([stack]);
    return await deployedStack(stack).history();
  } catch (error) {
    console.error(`without Pulumi's history of ${stack}: ${(error as Error).message}`);
    return [];
  }
}

async function audit(name: string, asked: Recorded & { history: boolean }): Promise<void> {
  const site = loadFleet().sites.find((known) => known.name === name);
  const records = recordsOf(asked);
  // A site that left the inventory still has its records.
  if (!site && !records.some(({ sites }) => sites[name]))
    refuse(`${name} is no site of the inventory, and no record names it`);
  const updates = site && asked.history ? await historyOf(site.stack) : [];
  const events = siteAudit(name, records, updates);
  if (asked.json) printJson({ site: name, events });
  else
    console.log(
      table([
        ["TIME", "FROM", "WHAT", "RESULT", "COMMIT", "BY", "DETAILS"],
        ...events.map(({ time, from, what, result, revision, by, details }) => [
          time,
          from,
          what,
          result,
          revision.slice(0, 12),
          by,
          details,
        ]),
      ]),
    );
}

/** Tells all that was ever done at a site. */
export const fleetAudit = () =>
  withRecords(
    bessCommand(
      "audit",
      "Tells all that was ever done at a site: of the records of rollouts, and of Pulumi's history.",
    ),
  )
    .argument("<site>", "name of the site, also of one that left the inventory")
    .option("--no-history", "leave Pulumi's history out, which needs the backend")
    .example("What is known on this machine", "fleet audit kiel-1")
    .example(
      "Of records that were kept elsewhere too",
      "fleet audit kiel-1 --records /srv/rollouts",
    )
    .action(acting(audit));
