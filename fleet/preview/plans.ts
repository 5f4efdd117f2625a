import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import type { RenderedResource } from "../../automation";

export const hash = (text: string | Buffer): string =>
  createHash("sha256").update(text).digest("hex");

/** Days that an entry is kept which no preview has used. */
const keptDays = 30;

let written = 0;

/** Writes a file whole or not at all. */
function writeWhole(file: string, content: string | Buffer): void {
  const draft = `${file}.${process.pid}-${written++}`;
  writeFileSync(draft, content);
  renameSync(draft, file);
}

/**
 * Rendered plans on disk, each under the digest of its own text, and what they were made from
 * under a digest of that. An entry that a power cut has left half written does not fit its digest:
 * it counts as not there.
 */
export class PlanStore {
  private readonly loaded = new Map<string, RenderedResource[]>();

  constructor(readonly folder: string) {
    for (const name of ["keys", "plans"]) mkdirSync(join(folder, name), { recursive: true });
  }

  file = (plan: string): string => join(this.folder, "plans", `${plan}.gz`);
  private key = (key: string): string => join(this.folder, "keys", key);

  /** Text that stands under a key; undefined where there is none. */
  recall(key: string): string | undefined {
    const file = this.key(key);
    if (!existsSync(file)) return undefined;
    const [digest, ...text] = readFileSync(file, "utf8").split("\n");
    const body = text.join("\n");
    if (hash(body) !== digest) return undefined;
    touch(file);
    return body;
  }

  remember(key: string, text: string): void {
    writeWhole(this.key(key), `${hash(text)}\n${text}`);
  }

  /** Digest of the plan that stands under a key; undefined where there is none, or a broken one. */
  find(key: string): string | undefined {
    const plan = this.recall(key);
    if (plan === undefined || readPlan(this.file(plan), plan) === undefined) return undefined;
    touch(this.file(plan));
    return plan;
  }

  /** Keeps a plan under a key. @returns its digest. */
  keep(key: string, resources: readonly RenderedResource[]): string {
    const plan = this.add(resources);
    this.remember(key, plan);
    return plan;
  }

  add(resources: readonly RenderedResource[]): string {
    const text = JSON.stringify(resources);
    const plan = hash(text);
    const file = this.file(plan);
    if (readPlan(file, plan) === undefined) writeWhole(file, gzipSync(text, { level: 1 }));
    return plan;
  }

  /** A plan by its digest; the last ones that were asked for stay in memory. */
  load(plan: string): RenderedResource[] {
    const known = this.loaded.get(plan);
    if (known) {
      this.loaded.delete(plan);
      this.loaded.set(plan, known);
      return known;
    }
    const text = readPlan(this.file(plan), plan);
    if (text === undefined)
      throw new Error(`${this.file(plan)} is gone or broken: remove it, and run this again`);
    const resources = JSON.parse(text) as RenderedResource[];
    this.loaded.set(plan, resources);
    for (const oldest of this.loaded.keys()) {
      if (this.loaded.size <= mostLoaded) break;
      this.loaded.delete(oldest);
    }
    return resources;
  }

  /** Removes what no preview has used for long. */
  prune(): void {
    const limit = Date.now() - keptDays * 86_400_000;
    for (const name of ["keys", "plans"])
      for (const file of readdirSync(join(this.folder, name))) {
        const path = join(this.folder, name, file);
        const stat = statSync(path, { throwIfNoEntry: false });
        if (stat && stat.mtimeMs < limit) rmSync(path, { force: true });
      }
  }
}

/** Plans in memory at once, at some MB each. */
const mostLoaded = 4;

function touch(file: string): void {
  const now = new Date();
  try {
    utimesSync(file, now, now);
  } catch {
    // Another preview may have pruned it, or it is another user's.
  }
}

/** A plan's text, if the file holds all of it. */
function readPlan(file: string, plan: string): string | undefined {
  if (!existsSync(file)) return undefined;
  try {
    const text = gunzipSync(readFileSync(file)).toString();
    return hash(text) === plan ? text : undefined;
  } catch {
    return undefined;
  }
}
