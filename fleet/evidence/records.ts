import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { PastUpdate } from "../../automation";
import { InputError } from "../../configs/validation";
import { plural } from "../plural";
import { Records, type Result, resultOrder, type RolloutRecord, type SiteRecord } from "../rollout";

/** A site's part in a rollout, with the record that tells of it. */
export interface SiteEvidence extends SiteRecord {
  site: string;
  /** Id of the record. */
  record: string;
}

/** What a rollout did: of one record, or of all that have its name, such as those of its waves. */
export interface RolloutEvidence {
  /** What CI calls it, else the id of its record. */
  rollout: string;
  records: string[];
  kinds: RolloutRecord["kind"][];
  by: string[];
  revisions: string[];
  started: string;
  /** Undefined while a part of it runs, or was killed. */
  finished?: string;
  /** `killed`: it had no end when it was resumed. */
  outcomes: (RolloutRecord["outcome"] | "killed")[];
  /** Why it halted, or did not mind windows. */
  reasons: string[];
  results: Partial<Record<Result, number>>;
  /** Marked messages of all sites that had some. */
  messages: { sent: number; lost: number };
  /** Longest time in which a site stored nothing, in seconds. */
  longestDowntime?: number;
  sites: SiteEvidence[];
}

/**
 * Every record below some folders, the oldest first: artifacts of CI lie in a folder each. The same
 * record twice counts once.
 * @throws InputError where a folder is not there.
 */
export function gatherRecords(folders: readonly string[]): RolloutRecord[] {
  const found = new Map<string, RolloutRecord>();
  for (const folder of folders) {
    if (!existsSync(folder)) throw new InputError("--records", [`there is no folder ${folder}`]);
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
    const places = new Set(
      files.filter((file) => /\d{14}-\w+\.json$/.test(file)).map((file) => dirname(file)),
    );
    for (const place of places)
      for (const record of new Records(join(folder, place)).all()) {
        const key = record.uuid ?? `${record.id} ${record.by}`;
        // A copy that was taken earlier has no end yet.
        if (!found.get(key)?.finished) found.set(key, record);
      }
  }
  return [...found.values()].sort((a, b) => (a.started < b.started ? -1 : 1));
}

const distinct = <T>(values: readonly (T | undefined)[]): T[] => [
  ...new Set(values.filter((value) => value !== undefined)),
];

/** How much a record knows of what came of a site; a result under `running` is of a killed runner. */
function knowledge({ result, toldBy }: SiteRecord): number {
  if (result === "skipped") return 0;
  if (result === "running" || toldBy !== undefined) return 1;
  if (result === "up-to-date") return 3;
  return result === "verified" || result === "failed" ? 4 : 2;
}

/**
 * What a rollout did.
 * @param name id of a record, or what CI calls the rollout: all of it, or its part before a dot.
 *   Default: the last one.
 * @throws InputError where there is none.
 */
export function rolloutEvidence(records: readonly RolloutRecord[], name?: string): RolloutEvidence {
  const last = records.at(-1);
  const wanted = name ?? last?.label ?? last?.id;
  // The attempts of a run at GitHub are 17.1, 17.2 and so on.
  const own = records.filter(
    ({ id, label }) => id === wanted || label === wanted || label?.startsWith(`${wanted}.`),
  );
  const [first] = own;
  if (!first || wanted === undefined)
    throw new InputError(name === undefined ? "--records" : `--rollout ${name}`, [
      last
        ? `no record has it; the last ones are ${records
            .slice(-3)
            .map(({ id, label }) => (label ? `${id} (${label})` : id))
            .join(", ")}`
        : "there is no record of a rollout: --records names the folder that has them",
    ]);
  const sites = new Map<string, SiteEvidence>();
  for (const record of own)
    for (const [site, part] of Object.entries(record.sites)) {
      // Of several records the last one tells that knows most: of runners that share a rollout, one
      // did it, and the others found it done.
      const former = sites.get(site);
      if (!former || knowledge(part) >= knowledge(former))
        sites.set(site, { site, record: record.id, ...part });
    }
  const all = [...sites.values()];
  const count = (wanted: Result) => all.filter(({ result }) => result === wanted).length;
  const results = Object.fromEntries(
    resultOrder.map((result) => [result, count(result)] as const).filter(([, many]) => many > 0),
  );
  const downtimes = all.flatMap(({ downtime }) => downtime?.seconds ?? []);
  const isKilled = ({ finished, uuid, id }: RolloutRecord) =>
    !finished && own.some(({ resumes }) => resumes === (uuid ?? id));
  const ends = own.filter((record) => !isKilled(record)).map(({ finished }) => finished);
  return {
    rollout: wanted,
    records: own.map(({ id }) => id),
    kinds: distinct(own.map(({ kind }) => kind)),
    by: distinct(own.map(({ by }) => by)),
    revisions: distinct(own.map(({ revision }) => revision)),
    started: first.started,
    ...(ends.every((end) => end !== undefined) && { finished: ends.sort().at(-1) ?? "" }),
    outcomes: distinct(own.map((record) => (isKilled(record) ? "killed" : record.outcome))),
    reasons: distinct(
      own.flatMap(({ reason, urgent }) => [reason, urgent && `windows did not count: ${urgent}`]),
    ),
    results,
    messages: {
      sent: all.reduce((sum, { messages }) => sum + (messages?.sent ?? 0), 0),
      lost: all.reduce((sum, { messages }) => sum + (messages?.lost ?? 0), 0),
    },
    ...(downtimes.length > 0 && { longestDowntime: Math.max(...downtimes) }),
    sites: all,
  };
}

/** Something that was done at a site. */
export interface SiteEvent {
  time: string;
  from: "rollout" | "pulumi";
  /** Such as `up`, `rollback`, `update` or `destroy`. */
  what: string;
  by: string;
  /** Revision that it was to bring. */
  revision: string;
  result: string;
  details: string;
}

/** Whether a person should look at what came of a site. */
export const needsPerson = ({ result, rolledBack, messages, gate }: SiteRecord): boolean =>
  ["failed", "locked", "unreachable", "deferred", "running"].includes(result) ||
  rolledBack !== undefined ||
  (messages?.lost ?? 0) > 0 ||
  (gate?.findings.length ?? 0) > 0;

/** Sentences on a site's part in a rollout: what failed first, then what was measured. */
export function partDetails({
  previous,
  waited,
  prefetch,
  downtime,
  messages,
  gate,
  rolledBack,
  reason,
}: SiteRecord): string[] {
  return [
    ...(reason ? [reason] : []),
    ...(gate?.findings ?? []).filter((finding) => !reason?.includes(finding)),
    ...(gate?.alerts?.length ? [`alerts that began: ${gate.alerts.join(", ")}`] : []),
    ...(rolledBack
      ? [
          `taken back to ${rolledBack.revision.slice(0, 12)} in ${rolledBack.seconds} s: ` +
            [rolledBack.result, rolledBack.reason].filter(Boolean).join(", ") +
            (rolledBack.data?.length ? `; data of ${rolledBack.data.join(", ")} put back` : ""),
        ]
      : []),
    ...(waited ? [`waited ${waited.seconds} s: ${waited.why}`] : []),
    ...(downtime ? [`nothing stored for ${downtime.seconds} s at most`] : []),
    ...(messages ? [`${messages.lost} of ${messages.sent} marked messages lost`] : []),
    ...(prefetch ? [`${plural(prefetch.images, "image")} brought in ${prefetch.seconds} s`] : []),
    ...(previous ? [`before: ${previous.slice(0, 12)}`] : []),
  ];
}

const changesText = (changes: Record<string, number | undefined> = {}) =>
  Object.entries(changes)
    .filter(([operation]) => operation !== "same")
    .map(([operation, count]) => `${operation} ${count}`)
    .join(", ");

/** All that was ever done at a site, the oldest first. @param updates of its stack's history. */
export function siteAudit(
  site: string,
  records: readonly RolloutRecord[],
  updates: readonly PastUpdate[],
): SiteEvent[] {
  const rollouts = records.flatMap((record): SiteEvent[] => {
    const part = record.sites[site];
    if (!part || part.result === "skipped") return [];
    const { id, label, kind, by, revision, started } = record;
    const changes = changesText(part.changes);
    const details = [`rollout ${label ?? id}`, ...(changes ? [changes] : []), ...partDetails(part)];
    const what = { what: kind, by, revision, result: part.result, details: details.join("; ") };
    return [{ time: part.started ?? started, from: "rollout", ...what }];
  });
  const pulumi = updates.map((update): SiteEvent => {
    const { environment: told, startTime, kind, result, message, resourceChanges } = update;
    return {
      time: new Date(startTime).toISOString(),
      from: "pulumi",
      what: kind,
      by: told["git.author"] ?? told["git.committer"] ?? "",
      revision: told["git.head"] ?? "",
      result,
      details: [changesText(resourceChanges), message.trim()].filter(Boolean).join("; "),
    };
  });
  return [...rollouts, ...pulumi].sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
}
