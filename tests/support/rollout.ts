import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { UpdateLock } from "../../configs/update-locks";
import { root, WorkerPool } from "../../automation";
import type { Fault } from "../../rehearsal";
import { stopOnInterrupt } from "../../fleet/operate";
import {
  forEachSite,
  Records,
  rehearsedStacks,
  resume,
  type Revision,
  rollback,
  rollOut,
  sharing,
  withSession,
} from "../../fleet/rollout";

export { Records, type RolloutRecord } from "../../fleet/rollout";

/** A rollout of rehearsed sites; as JSON, the argument of this file, or `@` and a file that has it. */
export interface RolloutCase {
  folder: string;
  kind: "up" | "resume" | "rollback" | "refresh" | "drift" | "down";
  commit: string;
  /** Wave of each site. */
  waves: Record<string, string[]>;
  /** Image of Telegraf at each revision. */
  images: Record<string, string>;
  faults?: Record<string, Fault[]>;
  budget?: number;
  parallel?: number;
  /** When sites may be touched. */
  locks?: Record<string, UpdateLock>;
  onFailure?: UpdateLock["onFailure"];
  soakSeconds?: number;
  /** Folder of the records, below `folder`. Default: `rollouts`. */
  records?: string;
  /** Name of the rollout that other processes do too, and for how many seconds a claim holds. */
  share?: { name: string; claimSeconds: number };
  /** Whether the sites have alert rules. Default: true. */
  alerts?: boolean;
}

/** A site's settings at a revision. */
export const settingsOf = (name: string, telegraf: string | undefined, alerts = true) => ({
  name,
  engine: `ssh://bess@${name}`,
  profile: "pi",
  explorer: { enabled: false },
  ...(!alerts && { alerts: { enabled: false } }),
  ...(telegraf !== undefined && { images: { telegraf } }),
});

/**
 * Runs one, as `node cli/bess.js ../tests/support/rollout JSON`; a process of its own can be
 * killed.
 */
async function main({
  folder,
  kind,
  commit,
  waves,
  images,
  faults = {},
  budget = 0,
  parallel = 2,
  locks = {},
  onFailure,
  soakSeconds = 0,
  records = "rollouts",
  share,
  alerts,
}: RolloutCase): Promise<void> {
  const sites = Object.entries(waves).flatMap(([wave, names]) =>
    names.map((name) => ({ name, wave, stack: name })),
  );
  const args = {
    waves: Object.keys(waves),
    sites,
    openStack: rehearsedStacks((site) => faults[site] ?? [], {
      folder,
      workers: new WorkerPool({ size: parallel }),
    }),
    revisionAt: (at: string): Revision => ({
      commit: at,
      program: join(root, "index.ts"),
      configOf: (name) => settingsOf(name, images[at], alerts),
    }),
    records: new Records(join(folder, records)),
    options: {
      parallel,
      budget,
      soakSeconds,
      attempts: 2,
      backoffSeconds: 0.1,
      onFailure,
      lockOf: ({ name }: { name: string }) => locks[name],
      sharing: share && { ...sharing(share.name), claimSeconds: share.claimSeconds },
    },
    limits: { limitSeconds: 1, restarts: 0 },
    report: ({ site, text, wave }: { site?: string; text: string; wave: string }) =>
      console.log(`${wave} ${site ?? ""} ${text}`),
    stop: stopOnInterrupt(),
    label: share?.name,
  };
  const refresh = () =>
    forEachSite(sites, parallel, (site) =>
      withSession(site, args.revisionAt(commit), args.openStack, (session) => session.refresh()),
    );
  const drift = async () =>
    console.log(
      JSON.stringify([
        ...(await forEachSite(sites, parallel, (site) =>
          withSession(site, args.revisionAt(commit), args.openStack, (session) => session.drift()),
        )),
      ]),
    );
  const down = () =>
    forEachSite(sites, parallel, (site) =>
      withSession(site, args.revisionAt(commit), args.openStack, (session) => session.destroy()),
    );
  await {
    up: () => rollOut(args, commit),
    resume: () => resume(args, commit),
    rollback: () => rollback(args),
    refresh,
    drift,
    down,
  }[kind]();
}

if (process.argv[1] === __filename.replace(/\.ts$/, "")) {
  const [, , told = "{}"] = process.argv;
  main(JSON.parse(told.startsWith("@") ? readFileSync(told.slice(1), "utf8") : told)).then(
    () => process.exit(0),
    (error: Error) => (console.error(error.message), process.exit(1)),
  );
}
