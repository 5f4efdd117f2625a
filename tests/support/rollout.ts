import { join } from "node:path";
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
  withSession,
} from "../../fleet/rollout";

/** A rollout of rehearsed sites; as JSON, the argument of this file. */
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
}

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
      configOf: (name) => ({
        name,
        engine: `ssh://bess@${name}`,
        profile: "pi",
        explorer: { enabled: false },
        images: { telegraf: images[at] },
      }),
    }),
    records: new Records(join(folder, "rollouts")),
    options: { parallel, budget, soakSeconds: 0, attempts: 2, backoffSeconds: 0.1 },
    limits: { limitSeconds: 1, restarts: 0 },
    report: ({ site, text, wave }: { site?: string; text: string; wave: string }) =>
      console.log(`${wave} ${site ?? ""} ${text}`),
    stop: stopOnInterrupt(),
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

main(JSON.parse(process.argv[2] ?? "{}")).then(
  () => process.exit(0),
  (error: Error) => (console.error(error.message), process.exit(1)),
);
