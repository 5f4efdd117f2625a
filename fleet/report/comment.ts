import { plural } from "../plural";
import { type Group, type TextChange, textChanges } from "./changes";
import { code } from "./reasons";

/** Hidden first line by which the comment is found again, to be updated in place. */
export const marker = "<!-- bess-telemetry: fleet preview -->";

/** GitHub takes 65,536 characters in a comment. Counted here as bytes of UTF-8, of which there are never fewer. */
export const sizeLimit = 65_536;

/** What a report says of itself. */
export interface CommentOptions {
  /** How the plans were made, in a sentence or two. */
  how: string;
  /** Most bytes. Default: {@link sizeLimit}. */
  limit?: number;
}

/** A part of the report that is shown as a whole or not at all. */
interface Part {
  kind: "row" | "reason" | "list" | "diff";
  text: string;
}

/** The kinds of parts as they are called where they are cut. */
const kinds = [
  { kind: "row", one: "row of the table", many: "rows of the table" },
  { kind: "reason", one: "sentence", many: "sentences" },
  { kind: "list", one: "list of sites", many: "lists of sites" },
  { kind: "diff", one: "diff", many: "diffs" },
] as const satisfies { kind: Part["kind"]; one: string; many: string }[];

const size = (text: string) => Buffer.byteLength(text);

/** Most names of sites in a cell of the table. */
const mostNames = 6;

/** Names of sites: few in full, of many the first ones and their number. */
function names(sites: readonly string[]): string {
  const more = sites.length > mostNames + 1 ? sites.length - mostNames : 0;
  const shown = sites
    .slice(0, sites.length - more)
    .map(code)
    .join(", ");
  return more > 0 ? `${shown} and ${more} more` : shown;
}

/** Whether there is anything to tell of a group. */
const changes = ({ example: { counts, plan, violations } }: Group) =>
  plan.failed !== undefined ||
  violations.length > 0 ||
  Object.values(counts).some((count) => count > 0);

const columns = ["create", "update", "replace", "delete"] as const;

function row(group: Group, number: number): string {
  const { counts, plan } = group.example;
  const cells =
    plan.failed !== undefined
      ? columns.map(() => "?")
      : columns.map((column) => (counts[column] || "") as string | number);
  return `| ${[number, names(group.sites), group.waves.join(", "), ...cells].join(" | ")} |`;
}

/** A fence that nothing in the text can close. */
function fenced(lines: readonly string[]): string {
  const longest = Math.max(
    2,
    ...lines.flatMap((line) => (line.match(/`{3,}/g) ?? []).map((ticks) => ticks.length)),
  );
  const fence = "`".repeat(longest + 1);
  return `${fence}diff\n${lines.join("\n")}\n${fence}`;
}

/** Most lines of one diff; more is said, not shown. */
const mostLines = 300;

function diffBlock({ title, lines }: TextChange): string {
  const shown = lines.slice(0, mostLines);
  const rest = lines.length - shown.length;
  const more = rest > 0 ? `\n… and ${plural(rest, "more line")} of this diff.\n` : "";
  return `<details><summary>${escaped(title)}</summary>\n\n${fenced(shown)}\n${more}\n</details>\n`;
}

const escaped = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** What is told of a group, in the order in which it may be cut. */
function section(group: Group, number: number): { title: string; parts: Part[] } {
  const { plan, reasons, violations } = group.example;
  const broken = violations.map(
    ({ rule, resource, message }) =>
      `**Against the policy ${code(rule)}**: ${message.includes(resource) ? "" : `${code(resource)}: `}${message}.`,
  );
  const title = `### Change ${number}: ${group.sites.length === 1 ? code(group.sites[0]) : `${plural(group.sites.length, "site")}, shown for ${code(plan.site)}`}\n`;
  if (plan.failed !== undefined)
    return { title, parts: [{ kind: "reason", text: `**Not planned**: ${code(plan.failed)}\n` }] };
  return {
    title,
    parts: [
      ...[...broken, ...reasons].map((text): Part => ({ kind: "reason", text: `- ${text}\n` })),
      ...(group.sites.length > mostNames + 1
        ? [
            {
              kind: "list" as const,
              text: `\n<details><summary>All ${group.sites.length} sites</summary>\n\n${group.sites.map(code).join(", ")}\n\n</details>\n`,
            },
          ]
        : []),
      ...plan.steps
        .flatMap(textChanges)
        .map((change): Part => ({ kind: "diff", text: `\n${diffBlock(change)}` })),
    ],
  };
}

/** The report's first lines. */
function head(all: readonly Group[], changing: readonly Group[], how: string): string {
  const count = (found: readonly Group[]) =>
    found.reduce((sum, { sites }) => sum + sites.length, 0);
  const [total, touched] = [
    count(all),
    count(
      changing.filter(
        ({ example }) => example.plan.failed !== undefined || example.plan.steps.length > 0,
      ),
    ),
  ];
  const broken = changing.reduce(
    (sum, { example, sites }) => sum + example.violations.length * sites.length,
    0,
  );
  const title =
    touched === 0
      ? `No change at ${plural(total, "site")}`
      : `${touched} of ${plural(total, "site")} change${touched === 1 ? "s" : ""}`;
  return `${marker}\n## ${title}${broken > 0 ? `; ${plural(broken, "violation")} of the policy` : ""}\n\n${how}\n`;
}

/**
 * The comment of a pull request, from the groups of its plans: a table of the sites, each change in words, and the diffs of what is rendered.
 * Sites at which the same happens are shown once. It is never longer than the limit: diffs are left out first, then
 * reasons, then rows, each as a whole, and the last line says what was left out.
 */
export function comment(all: readonly Group[], { how, limit = sizeLimit }: CommentOptions): string {
  const changing = all.filter(changes);
  const top = head(all, changing, how);
  if (changing.length === 0) return top;
  const table =
    "\n| change | sites | wave | create | update | replace | delete |\n| --- | --- | --- | ---: | ---: | ---: | ---: |\n";
  const rows = changing.map((group, i): Part => ({ kind: "row", text: `${row(group, i + 1)}\n` }));
  const sections = changing.map((group, i) => section(group, i + 1));
  const budget = new Budget(limit - size(top) - size(table));
  const shownRows = budget.fit(rows);
  const reasons = sections.map(({ title, parts }) =>
    budget.fit(
      parts.filter(({ kind }) => kind === "reason"),
      `\n${title}\n`,
    ),
  );
  const diffs = sections.map(({ parts }, i) =>
    budget.fit(reasons[i] === "" ? [] : parts.filter(isDetail)),
  );
  const left = reasons.flatMap((text, i) =>
    text === "" ? sections[i].parts.filter(isDetail) : [],
  );
  return (
    top + table + shownRows + reasons.map((text, i) => text + diffs[i]).join("") + budget.note(left)
  );
}

const isDetail = ({ kind }: Part) => kind === "list" || kind === "diff";

/** What is left of the comment's size, and what did not fit. */
class Budget {
  private readonly cut: Part[] = [];

  constructor(private left: number) {
    // Room for the note, whatever it will say.
    this.left -= 300;
  }

  /** The parts that fit, up to the first that does not: nothing is shown out of order. @param title stands before the first. */
  fit(parts: readonly Part[], title = ""): string {
    let shown = "";
    for (const [i, { text }] of parts.entries()) {
      const added = (shown === "" ? title : "") + text;
      if (size(added) > this.left) {
        this.cut.push(...parts.slice(i));
        break;
      }
      shown += added;
      this.left -= size(added);
    }
    return shown;
  }

  /** Says what was cut. @param more parts that were not even tried. */
  note(more: readonly Part[]): string {
    const count = (kind: Part["kind"]) =>
      [...this.cut, ...more].filter((part) => part.kind === kind).length;
    const parts = kinds.flatMap(({ kind, one, many }) =>
      count(kind) === 0 ? [] : [count(kind) === 1 ? `1 ${one}` : `${count(kind)} ${many}`],
    );
    return parts.length === 0
      ? ""
      : `\n**Cut to GitHub's limit:** ${parts.join(", ")} did not fit here. The whole report is in the run's artifact.\n`;
  }
}
