import { writeFileSync } from "node:fs";
import { Option } from "commander";
import { requireBackend, setUp, showProgress } from "../../automation";
import { loadFleet } from "../../configs/inventory";
import {
  coverageOf,
  formatComment,
  idleConfirmations,
  previewFleet,
  type PreviewMode,
  previewReport,
} from "../../fleet";
import { acting, bessCommand, number, writable } from "../command";
import { checkedSites, isSelected, selecting, type Selection } from "./selection";

interface Preview extends Selection {
  rendered?: boolean;
  real?: boolean;
  since: string;
  sample: number;
  all?: boolean;
  markdown?: string;
  report?: string;
  json?: string;
}

const methods: Record<PreviewMode, (ref: string) => string> = {
  rendered: (ref) =>
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
  const sites = checkedSites(fleet, selection);
  if (mode !== "rendered") requireBackend(sites.map(({ stack }) => stack));
  if (mode !== "rendered" && !(await setUp(mode === "real" ? "fleet" : "rehearse"))) return 1;
  const { since, all, markdown, report, json } = selection;
  const isNamed = isSelected(selection);
  const found = await showProgress(
    `previewing ${sites.length} sites`,
    previewFleet({
      fleet,
      sites,
      isAsked: (name) => isNamed({ name, labels: {} }),
      mode,
      since,
      sample: all ? Infinity : selection.sample,
    }),
  );
  // What is rendered may be done at one site, and still to be done at another.
  const idle = mode === "rendered" ? [] : idleConfirmations(found, fleet.allow);
  const method = [methods[mode](since), coverageOf(found)].filter(Boolean).join("\n\n");
  const whole = formatComment(found, { method, idle, limit: Infinity });
  if (markdown) writeFileSync(markdown, formatComment(found, { method, idle }));
  if (report) writeFileSync(report, whole);
  if (json) writeFileSync(json, `${JSON.stringify(previewReport(found, idle), null, 2)}\n`);
  if (!markdown && !report && !json) process.stdout.write(whole);
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
    .option("--sample <n>", "most sites of each kind of change that Pulumi plans for", number(1), 1)
    .addOption(
      new Option("--all", "have Pulumi plan for every site that changes").conflicts("sample"),
    )
    .option(
      "--markdown <file>",
      "write the comment of a pull request there, cut to what GitHub takes",
      writable,
    )
    .option("--report <file>", "write the same there, whole", writable)
    .option("--json <file>", "write it there for a program: a row for each site", writable)
    .addHelpText(
      "after",
      `
Sites with the same change are one kind: Pulumi plans for one of them against its state, and the
others are told to change likewise. A site whose state is not what --since would have left there is
a kind of its own. Lost data is told for every site. Exit code 1: a change is against the policy.`,
    )
    .example("What this branch would change where", "fleet preview --since origin/main")
    .example(
      "The comment of a pull request, without any state",
      "fleet preview --rendered --since v1.4 --label hardware=pi --markdown comment.md",
    )
    .example("For a CI that is not GitHub's", "fleet preview --report report.md --json report.json")
    .action(acting(preview));
