import { code } from "../../configs/text";
import { inventoryFile } from "../../configs/inventory";
import { confirmationLines, dataKept, type Violation } from "../../policy";
import { plural } from "../plural";
import { type SiteGroup, type TextChange, textChanges } from "./changes";

/** Hidden first line of the comment, by which CI finds it again and updates it in place. */
export const commentMarker = "<!-- bess-telemetry: fleet preview -->";

/**
 * Most bytes of a comment. GitHub takes 65,536 characters; a text in UTF-8 has at least as many
 * bytes.
 */
export const commentLimit = 65_536;

export interface CommentOptions {
  /** How the plans were made, in a sentence or two. */
  method: string;
  /** Confirmations of the inventory that confirm nothing. Default: none. */
  idle?: readonly Violation[];
  /** Most bytes of the comment. Default: {@link commentLimit}. */
  limit?: number | undefined;
}

/** A part of the report that is shown whole or not at all. */
interface Part {
  kind: "row" | "sentence" | "list" | "diff";
  text: string;
}

/** The kinds of parts, as the note about what was cut names them. */
const partNames = [
  { kind: "row", one: "row of the table", many: "rows of the table" },
  { kind: "sentence", one: "sentence", many: "sentences" },
  { kind: "list", one: "list of sites", many: "lists of sites" },
  { kind: "diff", one: "diff", many: "diffs" },
] as const satisfies { kind: Part["kind"]; one: string; many: string }[];

const byteLength = (text: string) => Buffer.byteLength(text);

/** Most names of sites in a cell of the table; one more is named too, instead of "1 more". */
const mostNames = 6;

const hasHiddenNames = (sites: readonly string[]) => sites.length > mostNames + 1;

/** Names of sites; of many, the first ones and the number of the others. */
function siteNames(sites: readonly string[]): string {
  if (!hasHiddenNames(sites)) return sites.map(code).join(", ");
  const shown = sites.slice(0, mostNames).map(code).join(", ");
  return `${shown} and ${sites.length - mostNames} more`;
}

/** Whether a group's plan changes its sites, or could not be made. */
const isChanged = ({ example: { plan, changes } }: SiteGroup) =>
  plan.failed !== undefined || plan.steps.length > 0 || changes.length > 0;

/** Whether the report shows a group: a site that does not change can still break the policy. */
const isReported = (group: SiteGroup) => isChanged(group) || group.example.violations.length > 0;

const operations = ["create", "update", "replace", "delete"] as const;

const tableHead = `
| change | sites | wave | ${operations.join(" | ")} |
| --- | --- | --- | ---: | ---: | ---: | ---: |
`;

function tableRow({ example, sites, waves }: SiteGroup, number: number): string {
  const counts = operations.map((operation) =>
    example.plan.failed === undefined ? example.counts[operation] || "" : "?",
  );
  return `| ${[number, siteNames(sites), waves.join(", "), ...counts].join(" | ")} |\n`;
}

/** Lines in a fenced block. The fence is longer than any in the lines, so that none ends it. */
function fencedDiff(lines: readonly string[]): string {
  const fences = lines.flatMap((line) => line.match(/`{3,}/g) ?? []);
  const fence = "`".repeat(Math.max(2, ...fences.map(({ length }) => length)) + 1);
  return `${fence}diff\n${lines.join("\n")}\n${fence}`;
}

/** A folded block of GitHub's Markdown. */
const folded = (summary: string, content: string) =>
  `<details><summary>${summary}</summary>\n\n${content}\n\n</details>\n`;

/** Most lines that are shown of one diff. */
const mostLines = 300;

function diffBlock({ title, lines }: TextChange): string {
  const hidden = lines.length - mostLines;
  const note = hidden > 0 ? `\n… and ${plural(hidden, "more line")} of this diff.\n` : "";
  return folded(escapeHtml(title), `${fencedDiff(lines.slice(0, mostLines))}\n${note}`.trimEnd());
}

const escapeHtml = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** One group of sites in the report. */
interface Section {
  heading: string;
  /** What the plan breaks, and what it does. */
  sentences: Part[];
  /** The list of sites, where the table does not name all, and the diffs. */
  details: Part[];
}

function brokenRule({ rule, resource, message }: Violation): string {
  const subject = message.includes(resource) ? "" : `${code(resource)}: `;
  return `**Breaks the policy rule ${code(rule)}**: ${subject}${message}.`;
}

/** At which sites Pulumi's engine has previewed the change, and which ones have it too. */
function previewedAt({ sites, previewed }: SiteGroup): string {
  const others = sites.filter((site) => !previewed?.includes(site));
  if (!previewed || others.length === 0) return "";
  const change = others.length === 1 ? "1 site changes" : `${others.length} sites change`;
  return previewed.length === 0
    ? `Rendered, and not previewed: ${siteNames(others)}.\n\n`
    : `Previewed at ${siteNames(previewed)}; ${change} likewise: ${siteNames(others)}.\n\n`;
}

/** How the states of a group's sites differ from what the base would have left there. */
const notAtBase = ({ differs = [] }: SiteGroup): string[] =>
  differs.length === 0
    ? []
    : [`**Not as the base left it**: in the state ${differs.map(code).join(", ")}.`];

function sectionOf(group: SiteGroup, number: number): Section {
  const { example, sites } = group;
  const { plan, sentences, violations } = example;
  const subject =
    sites.length === 1
      ? code(plan.site)
      : `${plural(sites.length, "site")}, shown for ${code(plan.site)}`;
  const heading = `\n### Change ${number}: ${subject}\n\n${previewedAt(group)}`;
  if (plan.failed !== undefined)
    return {
      heading,
      sentences: [{ kind: "sentence", text: `**Not planned**: ${code(plan.failed)}\n` }],
      details: [],
    };
  const broken = violations.map(brokenRule);
  const unconfirmed = violations.filter(({ rule }) => rule === dataKept.name);
  const confirmations = confirmationLines(
    unconfirmed.map(({ resource: change }) => ({ sites, change })),
  );
  const remedy =
    `- To lose that data all the same, write under \`confirm\` in \`${inventoryFile}\`:\n` +
    `  \`\`\`yaml\n${confirmations.map((line) => `  ${line}\n`).join("")}  \`\`\`\n`;
  const list = folded(`All ${sites.length} sites`, sites.map(code).join(", "));
  return {
    heading,
    sentences: [
      ...[...broken, ...notAtBase(group), ...sentences].map((text) => `- ${text}\n`),
      ...(unconfirmed.length > 0 ? [remedy] : []),
    ].map((text) => ({ kind: "sentence", text })),
    details: [
      ...(hasHiddenNames(sites) ? [{ kind: "list" as const, text: `\n${list}` }] : []),
      ...plan.steps
        .flatMap(textChanges)
        .map((change): Part => ({ kind: "diff", text: `\n${diffBlock(change)}` })),
    ],
  };
}

const siteCount = (groups: readonly SiteGroup[]) =>
  groups.reduce((sum, { sites }) => sum + sites.length, 0);

/** The first lines of the report: what changes in a title, and how the plans were made. */
function headOf(groups: readonly SiteGroup[], method: string, idle: readonly Violation[]): string {
  const total = siteCount(groups);
  const changed = siteCount(groups.filter(isChanged));
  const broken = groups.reduce(
    (sum, { example, sites }) => sum + example.violations.length * sites.length,
    idle.length,
  );
  const title =
    changed === 0
      ? `No change at ${plural(total, "site")}`
      : `${changed} of ${plural(total, "site")} change${changed === 1 ? "s" : ""}`;
  const violations = broken > 0 ? `; ${plural(broken, "policy violation")}` : "";
  const left = idle.map((violation) => `- ${brokenRule(violation)}\n`).join("");
  return `${commentMarker}\n## ${title}${violations}\n\n${method}\n${left && `\n${left}`}`;
}

/**
 * Renders the comment of a pull request in GitHub's Markdown: a table of the sites, then for each
 * group of sites what changes in sentences, and the diffs of the rendered texts.
 * The comment is never longer than the limit. Diffs are cut first, then sentences, then rows, each
 * as a whole; the last line names what was cut.
 */
export function formatComment(
  groups: readonly SiteGroup[],
  { method, idle = [], limit = commentLimit }: CommentOptions,
): string {
  const head = headOf(groups, method, idle);
  const reported = groups.filter(isReported);
  if (reported.length === 0) return head;
  const budget = new Budget(limit - byteLength(head) - byteLength(tableHead));
  const rows = budget.take(
    reported.map((group, i) => ({ kind: "row", text: tableRow(group, i + 1) })),
  );
  // All sentences come before the first diff gets what is left of the budget.
  const sections = reported
    .map((group, i) => sectionOf(group, i + 1))
    .map(({ heading, sentences, details }) => ({
      text: budget.take(sentences, heading),
      details,
    }));
  const texts = sections.map(({ text, details }) =>
    text === "" ? budget.cut(details) : text + budget.take(details),
  );
  return head + tableHead + rows + texts.join("") + budget.note();
}

/** Bytes that are kept free for the note about what was cut, whatever it says. */
const noteBytes = 300;

/** The bytes that are left of a comment, and the parts that did not fit. */
class Budget {
  private readonly cutParts: Part[] = [];
  private left: number;

  constructor(limit: number) {
    this.left = limit - noteBytes;
  }

  /**
   * Takes the parts that fit, up to the first that does not, so that no part is missing in between.
   * @param heading text before the first part. Default: none.
   */
  take(parts: readonly Part[], heading = ""): string {
    let taken = "";
    for (const [i, { text }] of parts.entries()) {
      const added = (taken === "" ? heading : "") + text;
      if (byteLength(added) > this.left) {
        this.cut(parts.slice(i));
        break;
      }
      taken += added;
      this.left -= byteLength(added);
    }
    return taken;
  }

  /** Leaves parts out. */
  cut(parts: readonly Part[]): string {
    this.cutParts.push(...parts);
    return "";
  }

  /** Names what was cut; empty where nothing was. */
  note(): string {
    const counts = partNames.flatMap(({ kind, one, many }) => {
      const count = this.cutParts.filter((part) => part.kind === kind).length;
      return count === 0 ? [] : [`${count} ${count === 1 ? one : many}`];
    });
    return counts.length === 0
      ? ""
      : `\n**Cut to GitHub's limit:** ${counts.join(", ")} did not fit here. ` +
          "The whole report is in the run's artifact.\n";
  }
}
