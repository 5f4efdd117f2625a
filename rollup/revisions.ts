import { blockSeconds } from "../configs/databases";

/** How often blocks were sent again: from and to a block's number, both included, and how often. */
export type RevisedBlocks = readonly (readonly [from: number, to: number, times: number])[];

/** Ranges that are kept: the newest. */
const mostRanges = 500;

/** Counts how often each block was sent again. */
export class Revisions {
  private readonly times = new Map<number, number>();

  constructor(blocks: RevisedBlocks = []) {
    for (const [from, to, times] of blocks)
      for (let block = from; block <= to; block += 1) this.times.set(block, times);
  }

  /** How often the block of a moment was sent again. @param at seconds since 1970. */
  of(at: number): number {
    return this.times.get(Math.floor(at / blockSeconds)) ?? 0;
  }

  /** Counts one more for the block of each moment. */
  bump(moments: Iterable<number>): void {
    const blocks = new Set([...moments].map((at) => Math.floor(at / blockSeconds)));
    for (const block of blocks) this.times.set(block, (this.times.get(block) ?? 0) + 1);
  }

  get blocks(): RevisedBlocks {
    const ranges: [number, number, number][] = [];
    for (const [block, times] of [...this.times].sort(([a], [b]) => a - b)) {
      const last = ranges.at(-1);
      if (last && last[1] === block - 1 && last[2] === times) last[1] = block;
      else ranges.push([block, block, times]);
    }
    return ranges.slice(-mostRanges);
  }
}
