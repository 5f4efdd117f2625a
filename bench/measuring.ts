import { setTimeout as sleep } from "node:timers/promises";
import { memoryOf, processTree } from "./processes";

/** How long work takes, in seconds. */
export async function secondsOf(work: () => Promise<unknown> | void): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** The upper one of the middle. */
export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/**
 * Memory in MiB, each page counted once: of this process and its workers, and of all that they run
 * beside.
 */
export interface Memory {
  node: number;
  all: number;
}

/**
 * The most memory that this process, and all that it starts, take together while work runs; looked
 * at each half second.
 */
export async function peakMemory(work: () => Promise<unknown>): Promise<Memory> {
  const peak: Memory = { node: 0, all: 0 };
  const done = new AbortController();
  const watching = (async () => {
    while (!done.signal.aborted) {
      const now = currentMemory();
      peak.node = Math.max(peak.node, now.node);
      peak.all = Math.max(peak.all, now.all);
      await sleep(500, undefined, { signal: done.signal }).catch(() => undefined);
    }
  })();
  await work().finally(() => done.abort());
  await watching;
  return peak;
}

function currentMemory(): Memory {
  const memory: Memory = { node: 0, all: 0 };
  for (const { pid, name } of processTree(process.pid)) {
    const size = memoryOf(pid);
    memory.all += size;
    if (isNode(name)) memory.node += size;
  }
  return memory;
}

/** Node.js names its main thread. */
export const isNode = (name: string): boolean => name === "node" || name === "MainThread";
