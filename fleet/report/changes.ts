import { createHash } from "node:crypto";
import { structuredPatch } from "diff";
import { stringify } from "yaml";
import { isHidden, type SitePlan, type Step, type Values } from "../../automation";
import type { Allowances, DataChange, Violation } from "../../policy";
import { dataChangesOf, planViolations } from "../violations";
import { byGravity, kindOf, describePlan, withoutDerivedInputs } from "./sentences";

/** A rendered text of a resource that changes, such as a config file. */
export interface TextChange {
  /** Such as `/etc/telegraf/telegraf.conf of dev-telegraf`. */
  title: string;
  /** Lines of a unified diff without its file header, with three lines of context. */
  lines: string[];
}

/** What changes at one site. */
export interface SiteChange {
  /** The site's plan, without the resources that stay as they are; the gravest step first. */
  plan: SitePlan;
  /** Number of resources, by operation. */
  counts: Record<"create" | "update" | "replace" | "delete", number>;
  /** What the plan does to what the site stores, the losses first. */
  changes: DataChange[];
  /** What happens at the site and what it means, in Markdown sentences; the gravest first. */
  sentences: string[];
  /** What the plan breaks of the fleet's policy. */
  violations: Violation[];
  /** Equal for two sites at which the same happens, apart from the sites' names. */
  digest: string;
}

/** Sites at which the same happens. */
export interface SiteGroup {
  /** The first of them; the report shows its change for all. */
  example: SiteChange;
  sites: SitePlan["site"][];
  waves: string[];
  /** Those of them that Pulumi's engine has previewed. Default: not told. */
  previewed?: string[];
  /** How their states differ from what the base would have left there. Default: in nothing. */
  differs?: string[];
}

const hash = (text: string) => createHash("sha256").update(text).digest("hex");

/** Longest line that a diff shows, in characters. Longer ones, such as bundles, are unreadable. */
const longestLine = 500;

const shortenLine = (line: string) =>
  line.length <= longestLine
    ? line
    : `(${line.length} characters, sha256 ${hash(line).slice(0, 12)})`;

/** A text as a diff shows it: JSON is indented, and the hash of a line stands for one too long. */
function readable(text: string): string {
  return indentJson(text).split("\n").map(shortenLine).join("\n");
}

function indentJson(text: string): string {
  try {
    return `${JSON.stringify(JSON.parse(text), null, 2)}\n`;
  } catch {
    return text;
  }
}

const isText = (value: unknown): value is string =>
  typeof value === "string" && !isHidden(value) && (value.includes("\n") || /^[[{]/.test(value));

/**
 * The texts of a resource by their names: each uploaded file, script and dashboard, and under the
 * empty name its other inputs as YAML.
 */
function textsOf(step: Step, inputs: Values = {}): Map<string, string> {
  const texts = new Map<string, string>();
  const extract = (name: string, text: string) => {
    texts.set(name, readable(text));
    return `(${name})`;
  };
  const extractUpload = (upload: { file?: string; content?: unknown }) =>
    typeof upload.content === "string" && !isHidden(upload.content)
      ? { ...upload, content: extract(upload.file ?? "file", upload.content) }
      : upload;
  const others = Object.entries(withoutDerivedInputs(step, inputs)).map(([key, value]) => {
    if (key === "uploads" && Array.isArray(value)) return [key, value.map(extractUpload)];
    return [key, isText(value) ? extract(key, value) : value];
  });
  return texts.set("", stringify(Object.fromEntries(others), { lineWidth: 0 }));
}

/** Kinds of resources whose sentence says everything, so that the report shows no diff of them. */
const kindsWithoutDiff = new Set(["RemoteImage", "RandomPassword", "RandomBytes", "RandomId"]);

/** Every text that an update or a replacement changes, each with a diff of its own. */
export function textChanges(step: Step): TextChange[] {
  const kind = kindOf(step.type);
  if ((step.op !== "update" && step.op !== "replace") || kindsWithoutDiff.has(kind)) return [];
  const [before, after] = [textsOf(step, step.old), textsOf(step, step.new)] as const;
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((name) => {
    const [old, now] = [before.get(name) ?? "", after.get(name) ?? ""] as const;
    const title = name ? `${name} of ${step.name}` : `${kind} ${step.name}`;
    return old === now ? [] : [{ title, lines: diffLines(old, now) }];
  });
}

/** Most added and removed lines that a diff searches for; searching for more takes too long. */
const mostEdits = 4000;

function diffLines(old: string, now: string): string[] {
  const patch = structuredPatch("", "", old, now, "", "", { context: 3, maxEditLength: mostEdits });
  if (!patch)
    return [
      `-${old.split("\n").length} lines`,
      `+${now.split("\n").length} lines, too different to compare`,
    ];
  return patch.hunks.flatMap((hunk) => [
    `@@ -${hunk.oldStart},${hunk.oldLines} +${hunk.newStart},${hunk.newLines} @@`,
    ...hunk.lines.filter((line) => !line.startsWith("\\")),
  ]);
}

/** A text without the site's own names, so that the same change reads the same at two sites. */
function anonymous(text: string, { site, stack = site, host = site }: SitePlan): string {
  const names = [...new Set([site, stack, host])]
    .map((name) => name.replace(/[^a-z0-9]/gi, "\\$&"))
    .join("|");
  return text.replace(new RegExp(`(?<![A-Za-z0-9])(?:${names})(?![A-Za-z0-9])`, "g"), "<site>");
}

/** Edits by a hash of their step: most sites of a fleet share them, and diffs are slow. */
export type EditCache = Map<string, string>;

/** The lines that a step adds and removes, equal for all sites at which it does the same. */
function editsOf(step: Step, plan: SitePlan, cache: EditCache): string {
  const { type, name, op, old = {}, new: now = {} } = step;
  const inputs = [withoutDerivedInputs(step, old), withoutDerivedInputs(step, now)];
  const key = hash(anonymous(JSON.stringify([type, name, op, ...inputs]), plan));
  const cached = cache.get(key);
  if (cached !== undefined) return cached;
  const edits = textChanges(step).map(({ title, lines }) => [
    title,
    lines.filter((line) => /^[+-]/.test(line)),
  ]);
  const text = anonymous(JSON.stringify(edits), plan);
  cache.set(key, text);
  return text;
}

const keyOf = ({ type, name }: Step) => `${type}::${name}`;

/** Whether a step only looks whether a container has come up. */
const isCheck = ({ type, name }: Step) => kindOf(type) === "Command" && name.endsWith("-ready");

/** What a plan changes at its site. */
export function changeAt(plan: SitePlan, allowances: Allowances, cache: EditCache): SiteChange {
  const steps = plan.steps
    .filter((step) => step.op !== "same" && !isCheck(step))
    // The engine has resources that do not need each other in any order.
    .sort((a, b) => byGravity(a, b) || (keyOf(a) < keyOf(b) ? -1 : 1));
  const count = (op: Step["op"]) => steps.filter((step) => step.op === op).length;
  const changes = dataChangesOf(plan);
  const sentences = describePlan({ ...plan, steps }, changes);
  const violations = planViolations(plan, allowances);
  const content = [
    plan.failed,
    steps.map((step) => [
      step.op,
      anonymous(step.urn, plan),
      step.changed,
      editsOf(step, plan, cache),
    ]),
    anonymous(JSON.stringify([sentences, violations]), plan),
  ];
  return {
    plan: { ...plan, steps },
    counts: {
      create: count("create"),
      update: count("update"),
      replace: count("replace"),
      delete: count("delete"),
    },
    changes,
    sentences,
    violations,
    digest: hash(JSON.stringify(content)),
  };
}

/**
 * Groups the sites at which the same happens, in the order of the plans. It keeps one plan of each
 * group, so that a large fleet fits in memory.
 * @param allowances what the fleet allows beyond the policy. Default: nothing.
 */
export async function groupSites(
  plans: Iterable<SitePlan> | AsyncIterable<SitePlan>,
  allowances: Allowances = {},
): Promise<SiteGroup[]> {
  const groups = new Map<string, SiteGroup>();
  const cache: EditCache = new Map();
  for await (const plan of plans) {
    const change = changeAt(plan, allowances, cache);
    const group = groups.get(change.digest) ?? { example: change, sites: [], waves: [] };
    group.sites.push(plan.site);
    if (plan.wave && !group.waves.includes(plan.wave)) group.waves.push(plan.wave);
    groups.set(change.digest, group);
  }
  return [...groups.values()];
}
