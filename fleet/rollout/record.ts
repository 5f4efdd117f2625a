import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import { isAlive } from "../../automation";

/**
 * How a site came out of a rollout: `verified` by its gate; `up-to-date` before the rollout came to
 * it; `unreachable`, for a resume to try again; `deferred` where its update lock did not open in
 * time, likewise; `locked` by another run; `failed` in its update or its gate; `running` while it is
 * worked on; `skipped` where the rollout did not touch it.
 */
export type Result = (typeof resultOrder)[number];

/** Results in the order of a summary. */
export const resultOrder = [
  "verified",
  "up-to-date",
  "failed",
  "locked",
  "unreachable",
  "deferred",
  "running",
  "skipped",
] as const;

/** One site's part in a rollout. */
export interface SiteRecord {
  wave: string;
  result: Result;
  /** Revision that the site had before. */
  previous?: string;
  started?: string;
  /** Seconds from its start to its result, soak aside. */
  seconds?: number;
  /** How often it was tried. */
  attempts?: number;
  /** Resources by what was done to them, such as `{ replace: 1 }`. */
  changes?: Record<string, number>;
  /** Why it failed, could not be reached, is locked, or was deferred. */
  reason?: string;
  /** How long it waited for its update lock, in seconds, and for what. */
  waited?: { seconds: number; why: string };
  /** Images that were brought to the site before anything was touched. */
  prefetch?: Prefetch;
  /** Longest time in which nothing was stored, in seconds, while it was updated. */
  downtime?: { seconds: number };
  /** Marked messages that were published while it was updated, and those that were not stored. */
  messages?: { sent: number; lost: number };
  gate?: GateFigures;
  /** Another runner that shares the rollout, and under whose hands it failed: its record has the rest. */
  toldBy?: string;
  /** What became of it after it failed, where the rollout took it back by itself. */
  rolledBack?: RolledBack;
}

/** Images that were brought to a site; `bytes` where that is known. */
export interface Prefetch {
  seconds: number;
  images: number;
  bytes?: number;
}

/** What a gate measured of the battery's own signals, before the update and after it. */
export interface GateFigures {
  /** What is wrong, a sentence each; empty where it was passed. */
  findings: string[];
  /** Rows a minute of each measurement. */
  rates?: Record<string, { before: number; after: number }>;
  /** Messages a minute that Telegraf dropped. */
  drops?: { before: number; after: number };
  /** Alerts that fired after the update, and not before it. */
  alerts?: string[];
}

/** A site that was taken back to the revision that it had before. */
export interface RolledBack {
  revision: string;
  /** Whether its gate passed it there; why not stands in `reason`. */
  result: "verified" | "failed";
  reason?: string;
  seconds: number;
  /** Services whose data were put back as well, from the clone of before the update. */
  data?: string[];
}

/**
 * A rollout, as it is kept: written anew whenever a site's part changes, so that a killed one can
 * be resumed.
 */
export interface RolloutRecord {
  id: string;
  /** Tells records apart that runners begin at the same time. Records of before release 0.2 have none. */
  uuid?: string;
  /** `up`, `resume` or `rollback`. */
  kind: "up" | "resume" | "rollback";
  /** The record that a resume goes on from: its `uuid`, or its id. */
  resumes?: string;
  /** What CI calls it. */
  label?: string;
  by: string;
  /** Revision that the sites are brought to; a rollback brings each to its own. */
  revision: string;
  /** Why windows and conditions did not count; they did where it is not there. */
  urgent?: string;
  started: string;
  finished?: string;
  /** `running` of a process that is gone: it was killed. */
  outcome: "running" | "done" | "halted" | "stopped";
  /** Why it halted. */
  reason?: string;
  sites: Record<string, SiteRecord>;
}

const now = () => new Date().toISOString();

/** The words that a record had before release 0.2; read until 0.3. */
const formerResults: Partial<Record<string, Result>> = { there: "up-to-date", left: "skipped" };
type FormerRecord = Omit<RolloutRecord, "sites"> & {
  sites: Record<string, SiteRecord & { before?: string }>;
};

/** The rollouts' records in their folder. */
export class Records {
  constructor(private readonly folder: string) {}

  /** Begins a rollout. */
  begin(
    kind: RolloutRecord["kind"],
    revision: string,
    sites: readonly { name: string; wave: string }[],
    label?: string,
  ): RolloutRecord {
    const started = now();
    const record: RolloutRecord = {
      id: `${started.replace(/\D/g, "").slice(0, 14)}-${kind}`,
      uuid: randomUUID(),
      kind,
      ...(label && { label }),
      by: `${process.env.GITHUB_ACTOR ?? process.env.GITLAB_USER_LOGIN ?? userInfo().username}@${hostname()}`,
      revision,
      started,
      outcome: "running",
      sites: Object.fromEntries(sites.map(({ name, wave }) => [name, { wave, result: "skipped" }])),
    };
    this.write(record);
    return record;
  }

  /** Keeps a record as it is now. */
  write(record: RolloutRecord): void {
    const file = this.file(record.id);
    mkdirSync(this.folder, { recursive: true });
    writeFileSync(`${file}.new`, `${JSON.stringify(record, null, 1)}\n`);
    renameSync(`${file}.new`, file);
  }

  finish(record: RolloutRecord, outcome: "done" | "halted" | "stopped", reason?: string): void {
    Object.assign(record, { outcome, finished: now(), ...(reason && { reason }) });
    this.write(record);
  }

  /** Every record, the oldest first. @throws Error naming one that cannot be read. */
  all = (): RolloutRecord[] => this.files().map((file) => this.read(file));

  /** The last rollout, whatever became of it. */
  last(): RolloutRecord | undefined {
    const file = this.files().at(-1);
    return file === undefined ? undefined : this.read(file);
  }

  /** The revision that each site had before the last rollout, which its resumes went on with. */
  previousRevisions(): Map<string, string> {
    const all = this.all();
    const begun = all.map(({ kind }) => kind).lastIndexOf("up");
    // The first record of a site tells; a resume finds it where the rollout had brought it.
    const entries = all
      .slice(begun < 0 ? all.length : begun)
      .reverse()
      .filter(({ kind }) => kind !== "rollback")
      .flatMap(({ sites }) => Object.entries(sites));
    return new Map(
      entries.flatMap(([name, { previous, result }]) =>
        previous && result !== "up-to-date" ? [[name, previous]] : [],
      ),
    );
  }

  file = (id: string) => join(this.folder, `${id}.json`);

  private read(file: string): RolloutRecord {
    const record: FormerRecord = JSON.parse(readFileSync(join(this.folder, file), "utf8"));
    const sites = Object.entries(record.sites).map(([name, site]): [string, SiteRecord] => {
      const { before, result, ...rest } = site;
      const previous = rest.previous ?? before;
      return [
        name,
        { ...rest, result: formerResults[result] ?? result, ...(previous && { previous }) },
      ];
    });
    return { ...record, sites: Object.fromEntries(sites) };
  }

  private files(): string[] {
    try {
      return readdirSync(this.folder)
        .filter((file) => file.endsWith(".json"))
        .sort();
    } catch {
      return [];
    }
  }

  /**
   * Holds the folder against a second rollout, until it is released. One whose process is gone is
   * taken over.
   * @throws Error naming who holds it.
   */
  lock(): { release(): void; tookOver?: string } {
    const file = join(this.folder, "lock");
    const mine = { pid: process.pid, host: hostname(), since: now() };
    mkdirSync(this.folder, { recursive: true });
    try {
      writeFileSync(file, JSON.stringify(mine), { flag: "wx" });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      const holder: typeof mine = JSON.parse(readFileSync(file, "utf8"));
      if (holder.host !== mine.host || isAlive(holder.pid)) {
        throw new Error(
          `a rollout is running: process ${holder.pid} on ${holder.host}, since ${holder.since}. ` +
            `If it is not, remove ${file}`,
        );
      }
      writeFileSync(file, JSON.stringify(mine));
      return {
        release: () => rmSync(file, { force: true }),
        tookOver: `process ${holder.pid}, since ${holder.since}`,
      };
    }
    return { release: () => rmSync(file, { force: true }) };
  }
}
