import { createReadStream, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Row } from "./messages";
import { linesOf } from "./text";

/** Rows that are sorted in memory at a time. */
const runLength = 50_000;

/** A file of this process alone: it has no name, and goes with the process. */
function namelessFile(): number {
  const folder = mkdtempSync(join(tmpdir(), "bess-replay-"));
  const descriptor = openSync(join(folder, "rows"), "wx+", 0o600);
  rmSync(folder, { recursive: true });
  return descriptor;
}

/** Sorted runs of rows, on the disk. */
class Runs {
  private readonly descriptor = namelessFile();
  private readonly ends: number[] = [];

  write(rows: Row[]): void {
    let end = this.ends.at(-1) ?? 0;
    // In parts: a text of all rows would be as large as they are.
    for (let i = 0; i < rows.length; i += 1000) {
      const part = rows.slice(i, i + 1000).map((row) => `${JSON.stringify(row)}\n`);
      end += writeSync(this.descriptor, part.join(""), end);
    }
    this.ends.push(end);
  }

  /** The rows of all runs in their order; of equal times those of the earlier run first. */
  async *merged(): AsyncGenerator<Row[], void, undefined> {
    const heads = await Promise.all(this.ends.map((end, i) => Head.of(this.read(i, end))));
    let open = heads.filter((head) => head.row !== undefined);
    let rows: Row[] = [];
    while (open.length > 0) {
      const next = open.reduce((least, head) => (head.time < least.time ? head : least));
      if (next.row) rows.push(next.row);
      if (!next.step()) await next.load();
      if (next.row === undefined) open = open.filter((head) => head !== next);
      if (rows.length === 1000) {
        yield rows;
        rows = [];
      }
    }
    yield rows;
  }

  private read(run: number, end: number) {
    const start = this.ends[run - 1] ?? 0;
    const options = { fd: this.descriptor, autoClose: false, encoding: "utf8" as const };
    return linesOf("", createReadStream("", { ...options, start, end: end - 1 }));
  }
}

/** The first row of a run that has not been taken. */
class Head {
  private block: Row[] = [];
  private at = 0;

  private constructor(private readonly blocks: ReturnType<typeof linesOf>) {}

  static async of(blocks: ReturnType<typeof linesOf>): Promise<Head> {
    const head = new Head(blocks);
    await head.load();
    return head;
  }

  get row(): Row | undefined {
    return this.block[this.at];
  }

  get time(): number {
    return this.row?.message.time ?? Infinity;
  }

  /** Goes on to the next row. @returns false if it must be loaded first. */
  step(): boolean {
    this.at += 1;
    return this.at < this.block.length;
  }

  async load(): Promise<void> {
    const next = await this.blocks.next();
    this.block = next.done ? [] : next.value.map(({ text }) => JSON.parse(text) as Row);
    this.at = 0;
  }
}

const byTime = (a: Row, b: Row) => a.message.time - b.message.time;

/**
 * The rows in the order of their times, and numbered in it, however many there are. All are read
 * before the first is given out.
 * @param note is told if they were in another order.
 */
export async function* inOrder(
  batches: AsyncIterable<Row[]>,
  note: (text: string) => void,
): AsyncGenerator<Row[], void, undefined> {
  let runs: Runs | undefined;
  let run: Row[] = [];
  let last = -Infinity;
  let disordered: number | undefined;
  for await (const batch of batches) {
    for (const row of batch) {
      if (row.message.time < last) disordered ??= row.number;
      last = row.message.time;
      run.push(row);
    }
    if (run.length < runLength) continue;
    runs ??= new Runs();
    runs.write(run.sort(byTime));
    run = [];
  }
  if (disordered !== undefined)
    note(`row ${disordered} is earlier than the one before it: the rows are sorted by time`);
  run.sort(byTime);
  let number = 0;
  const numbered = (rows: Row[]) => rows.map((row) => ({ ...row, number: (number += 1) }));
  if (!runs) {
    yield numbered(run);
    return;
  }
  if (run.length > 0) runs.write(run);
  for await (const rows of runs.merged()) yield numbered(rows);
}
