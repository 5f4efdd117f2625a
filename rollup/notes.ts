import { existsSync, openSync, closeSync, fstatSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";

/** One note of the relay: a block of a table into which rows were written. */
export interface Note {
  /** When it was written, in seconds since 1970. */
  noted: number;
  table: string;
  /** Where the block begins, in seconds since 1970. */
  block: number;
}

const names = /^\d{4}-\d\d-\d\d$/;
const form = /^(\d+) (\S+) (\S+) (-?\d+)$/;

/** Reads the relay's notes, each once: files in one folder, a line for each note, one file a day. */
export class Notes {
  private file = "";
  private offset = 0;
  private rest = "";

  /** @param db database whose notes are read. */
  constructor(
    private readonly folder: string,
    private readonly db: string,
  ) {}

  /** The days that notes are there of, such as `2026-11-27`. */
  days(): string[] {
    if (!existsSync(this.folder)) return [];
    return readdirSync(this.folder)
      .filter((name) => names.test(name))
      .sort();
  }

  /** Goes back to the notes from a moment on. @param since seconds since 1970. */
  rewind(since: number): void {
    this.file = new Date(Math.max(0, since) * 1000).toISOString().slice(0, 10);
    this.offset = 0;
    this.rest = "";
  }

  /** Notes that were written since the last time. A line that a power cut has broken is none. */
  read(): Note[] {
    const notes: Note[] = [];
    for (const day of this.days().filter((name) => name >= this.file)) {
      if (day !== this.file) [this.file, this.offset, this.rest] = [day, 0, ""];
      const lines = (this.rest + this.news()).split("\n");
      this.rest = lines.pop() ?? "";
      for (const text of lines) {
        const [, noted, db, table = "", block] = form.exec(text) ?? [];
        if (db === this.db) notes.push({ noted: Number(noted), table, block: Number(block) });
      }
    }
    return notes;
  }

  private news(): string {
    const handle = openSync(join(this.folder, this.file), "r");
    try {
      const { size } = fstatSync(handle);
      // A power cut may have taken the end of the file.
      if (size < this.offset) [this.offset, this.rest] = [0, ""];
      const buffer = Buffer.alloc(size - this.offset);
      const count = readSync(handle, buffer, 0, buffer.length, this.offset);
      this.offset += count;
      return buffer.toString("latin1", 0, count);
    } finally {
      closeSync(handle);
    }
  }
}
