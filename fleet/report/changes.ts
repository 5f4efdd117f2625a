import { createHash } from "node:crypto";
import { structuredPatch } from "diff";
import { stringify } from "yaml";
import type { Allowances, Violation } from "../../policy";
import {
  isHidden,
  planViolations,
  type SitePlan,
  type Step,
  type Values,
} from "../../automation/plan";
import { kindOf, rank, reasonsOf, tellingInputs } from "./reasons";

/** A text that is rendered for a resource, before and after. */
export interface TextChange {
  /** Such as `telegraf.conf of dev-telegraf`. */
  title: string;
  /** Lines of a unified diff without its head, with three lines around each change. */
  lines: string[];
}

/** What changes at one site, ready to be told and to be compared with another site's. */
export interface SiteChange {
  plan: SitePlan;
  counts: Record<"create" | "update" | "replace" | "delete", number>;
  /** What happens and what it means, in sentences; the gravest first. */
  reasons: string[];
  /** What it breaks of the fleet's policy. */
  violations: Violation[];
  /** Equal for two sites if the same happens at both, but for their names. */
  digest: string;
}

/** Longest line that is shown as it is. */
const longestLine = 500;

/** Text that can be read line by line: a script that a config holds in one line is broken at its own line ends, a bundle is told by its digest. */
const readable = (text: string) => text.split("\n").flatMap(brokenLine).join("\n");

function brokenLine(line: string): string[] {
  if (line.length <= longestLine) return [line];
  const parts = line.split(/(?<=\\n)/);
  return parts.map((part) =>
    part.length <= longestLine
      ? part
      : `(${part.length} characters, sha256 ${createHash("sha256").update(part).digest("hex").slice(0, 12)})`,
  );
}

function pretty(text: string): string {
  try {
    return `${JSON.stringify(JSON.parse(text), null, 2)}\n`;
  } catch {
    return text;
  }
}

const isText = (value: unknown): value is string =>
  typeof value === "string" && !isHidden(value) && (value.includes("\n") || /^[[{]/.test(value));

/** The rendered texts of a resource, by what they are called: its files, scripts and dashboards, and the rest of its inputs as YAML. */
function texts(step: Step, inputs: Values = {}): Record<string, string> {
  const found: Record<string, string> = {};
  const taken = (key: string, text: string) => {
    found[key] = readable(pretty(text));
    return `(${key})`;
  };
  const rest = Object.fromEntries(
    Object.entries(tellingInputs(step, inputs)).map(([key, value]) => {
      if (key === "uploads" && Array.isArray(value))
        return [key, value.map((upload) => ({ ...upload, content: fileContent(upload, taken) }))];
      return [key, isText(value) ? taken(key, value) : value];
    }),
  );
  return { ...found, "": stringify(rest, { lineWidth: 0 }) };
}

function fileContent(
  { file, content }: { file?: string; content?: unknown },
  taken: (key: string, text: string) => string,
): unknown {
  return typeof content === "string" && !isHidden(content)
    ? taken(file ?? "file", content)
    : content;
}

/** Kinds of which the reason says all there is. */
const toldInFull = new Set(["RemoteImage", "RandomPassword", "RandomBytes", "RandomId"]);

/** Every rendered text that a step changes. */
export function textChanges(step: Step): TextChange[] {
  if ((step.op !== "update" && step.op !== "replace") || toldInFull.has(kindOf(step.type)))
    return [];
  const [before, after] = [texts(step, step.old), texts(step, step.new)];
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((key) => {
    const [old, now] = [before[key] ?? "", after[key] ?? ""];
    return old === now
      ? []
      : [
          {
            title: key ? `${key} of ${step.name}` : `${kindOf(step.type)} ${step.name}`,
            lines: diffLines(old, now),
          },
        ];
  });
}

/** Most lines added and removed that a diff looks for: far more than a person reads. */
const mostEdits = 4000;

function diffLines(old: string, now: string): string[] {
  const patch = structuredPatch("", "", old, now, "", "", { context: 3, maxEditLength: mostEdits });
  if (!patch)
    return [
      `-${old.split("\n").length} lines`,
      `+${now.split("\n").length} lines, which have too little in common`,
    ];
  return patch.hunks.flatMap((hunk) => [
    `@@ -${hunk.oldStart},${hunk.oldLines} +${hunk.newStart},${hunk.newLines} @@`,
    ...hunk.lines.filter((line) => !line.startsWith("\\")),
  ]);
}

/** Text with a site's own names taken out, so that the same change at two sites reads the same. */
function anonymous(text: string, { site, stack = site }: SitePlan): string {
  const names = [...new Set([site, stack])]
    .map((name) => name.replace(/[^a-z0-9]/gi, "\\$&"))
    .join("|");
  return text.replace(new RegExp(`(?<![A-Za-z0-9])(?:${names})(?![A-Za-z0-9])`, "g"), "<site>");
}

/** Diffs that were made already: most sites of a fleet ask for the same. */
type Seen = Map<string, string>;

/** Lines that a step adds and removes, the same for every site at which it does the same. */
function editsOf(step: Step, plan: SitePlan, seen: Seen): string {
  const key = anonymous(
    JSON.stringify([
      step.type,
      step.name,
      step.op,
      tellingInputs(step, step.old ?? {}),
      tellingInputs(step, step.new ?? {}),
    ]),
    plan,
  );
  const hash = createHash("sha256").update(key).digest("base64");
  const edits =
    seen.get(hash) ??
    JSON.stringify(
      textChanges(step).map(({ title, lines }) => [
        title,
        lines.filter((line) => /^[+-]/.test(line)),
      ]),
    );
  const shown = anonymous(edits, plan);
  seen.set(hash, shown);
  return shown;
}

/** What changes at a site. @param seen shared by the sites of one report. */
export function changeOf(plan: SitePlan, allowances: Allowances, seen: Seen): SiteChange {
  const steps = plan.steps.filter(({ op }) => op !== "same").sort((a, b) => rank(a) - rank(b));
  const count = (op: string) => steps.filter((step) => step.op === op).length;
  const reasons = reasonsOf({ ...plan, steps });
  const broken = planViolations(plan, allowances);
  const told = [
    ...steps.map((step) => [
      step.op,
      anonymous(step.urn, plan),
      step.changed,
      editsOf(step, plan, seen),
    ]),
    anonymous(JSON.stringify([reasons, broken]), plan),
  ];
  return {
    plan: { ...plan, steps },
    counts: {
      create: count("create"),
      update: count("update"),
      replace: count("replace"),
      delete: count("delete"),
    },
    reasons,
    violations: broken,
    digest: createHash("sha256")
      .update(JSON.stringify([plan.failed, told]))
      .digest("hex"),
  };
}

/** Sites at which the same happens. */
export interface Group {
  /** One of them, which stands for all. */
  example: SiteChange;
  sites: SitePlan["site"][];
  waves: string[];
}

/** Folds the sites at which the same happens into one, in the order of the plans; only one plan of each group is kept. */
export async function groups(
  plans: Iterable<SitePlan> | AsyncIterable<SitePlan>,
  allowances: Allowances = {},
): Promise<Group[]> {
  const found = new Map<string, Group>();
  const seen: Seen = new Map();
  for await (const plan of plans) {
    const change = changeOf(plan, allowances, seen);
    const group = found.get(change.digest) ?? { example: change, sites: [], waves: [] };
    group.sites.push(plan.site);
    if (plan.wave && !group.waves.includes(plan.wave)) group.waves.push(plan.wave);
    found.set(change.digest, group);
  }
  return [...found.values()];
}
