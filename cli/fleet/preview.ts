import { writeFileSync } from "node:fs";
import { Option } from "commander";
import { requireBackend, setUp, showProgress } from "../../automation";
import { loadFleet } from "../../configs/inventory";
import {
  formatComment,
  groupSites,
  idleConfirmations,
  plansFromState,
  plansSince,
} from "../../fleet";
import { acting, bessCommand, writable } from "../command";
import { checkedSites, isSelected, selecting, type Selection } from "./selection";

interface Preview extends Selection {
  rendered?: boolean;
  real?: boolean;
  since: string;
  markdown?: string;
  report?: string;
}

const methods = {
  rendered: (ref: string) =>
    `Rendered from ${ref} and from this revision, and compared: no site was contacted, ` +
    "no state was read, and what was changed at a site by hand is not seen.",
  offline: () =>
    "Planned from the state of each site's stack: no site was contacted, " +
    "and what was changed at a site by hand is not seen.",
  real: () => "Planned by the real providers; what was changed at a site by hand is not seen.",
};

async function preview(selection: Preview): Promise<number> {
  const fleet = loadFleet();
  const mode = selection.rendered ? "rendered" : selection.real ? "real" : "offline";
  const isAsked = (name: string) => isSelected(selection)({ name, labels: {} });
  const sites = checkedSites(fleet, selection);
  if (mode !== "rendered") requireBackend(sites.map(({ stack }) => stack));
  if (mode !== "rendered" && !(await setUp(mode === "real" ? "fleet" : "rehearse"))) return 1;
  const rendered = plansSince(selection.since, sites, isAsked);
  const plans =
    mode === "rendered" ? rendered : plansFromState(sites, mode === "offline", rendered);
  const found = await showProgress(
    `previewing ${sites.length} sites`,
    groupSites(plans, fleet.allow),
  );
  const method = methods[mode](selection.since);
  // What is rendered may be done at one site, and still to be done at another.
  const idle = mode === "rendered" ? [] : idleConfirmations(found, fleet.allow);
  const whole = formatComment(found, { method, idle, limit: Infinity });
  if (selection.markdown) writeFileSync(selection.markdown, formatComment(found, { method, idle }));
  if (selection.report) writeFileSync(selection.report, whole);
  if (!selection.markdown && !selection.report) process.stdout.write(whole);
  const isBroken = found.some(({ example }) => example.violations.length > 0);
  return isBroken || idle.length > 0 ? 1 : 0;
}

export const fleetPreview = () =>
  selecting(bessCommand("preview", "Shows what a change would do at which sites."))
    .addOption(
      new Option(
        "--offline",
        "plan from the stacks' state, without contact to a site; this is the default",
      ).conflicts(["rendered", "real"]),
    )
    .addOption(
      new Option(
        "--rendered",
        "compare what two revisions render, without state, secrets or contact to a site",
      ).conflicts("real"),
    )
    .option("--real", "plan by the real providers, which contact the sites")
    .option("--since <ref>", "the revision to compare with", "origin/main")
    .option(
      "--markdown <file>",
      "write the comment of a pull request there, cut to what GitHub takes",
      writable,
    )
    .option("--report <file>", "write the same there, whole", writable)
    .addHelpText(
      "after",
      "\nSites with the same change are shown once. Exit code 1: a change is against the policy.",
    )
    .example("What this branch would change where", "fleet preview --since origin/main")
    .example(
      "The comment of a pull request, without any state",
      "fleet preview --rendered --since v1.4 --label hardware=pi --markdown comment.md",
    )
    .action(acting(preview));
