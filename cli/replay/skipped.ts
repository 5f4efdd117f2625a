import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { InputError } from "../../configs/validation";
import { remark } from "./csv";

/** Most reasons that are told apart. */
const mostReasons = 10;

/** The rows that are passed over: counted by reason, and kept in a file if one is asked for. */
export class Skipped {
  /** How many there are. */
  count = 0;
  private readonly reasons = new Map<string, { count: number; first: number }>();
  private readonly descriptor: number | undefined;

  /**
   * @param file a new file, which can be replayed itself once its rows are mended. Default: none.
   * @throws InputError if the file exists already, or cannot be written.
   */
  constructor(private readonly file?: string) {
    if (file === undefined) return;
    try {
      this.descriptor = openSync(file, "wx");
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const finding = code === "EEXIST" ? "it exists already: name a new file" : message;
      throw new InputError("the command line", [`--skip-bad is ${file}: ${finding}`]);
    }
  }

  /** Writes what the file begins with: a CSV file's header. */
  head(text: string): void {
    if (this.descriptor !== undefined) writeSync(this.descriptor, `${text}\n`);
  }

  /** Passes a row over. */
  add(row: number, text: string, reason: string): void {
    this.count += 1;
    const known = this.reasons.get(reason);
    if (known) known.count += 1;
    else if (this.reasons.size < mostReasons) this.reasons.set(reason, { count: 1, first: row });
    if (this.descriptor === undefined) return;
    writeSync(this.descriptor, `${remark}${row}: ${reason.replaceAll("\n", " ")}\n${text}\n`);
  }

  /** What a person is told in the end, in lines; none if there is nothing to tell. */
  summary(): string[] {
    if (this.count === 0) return [];
    const told = [...this.reasons].map(
      ([reason, { count, first }]) =>
        `  ${count}: ${reason} (row ${first}${count > 1 ? " first" : ""})`,
    );
    const counted = [...this.reasons.values()].reduce((sum, { count }) => sum + count, 0);
    return [
      `Skipped rows${this.file === undefined ? "" : `, kept in ${this.file}`}:`,
      ...told,
      ...(counted < this.count ? [`  ${this.count - counted}: other reasons`] : []),
    ];
  }

  /** Closes the file; one without rows is removed. */
  close(): void {
    if (this.descriptor === undefined || this.file === undefined) return;
    closeSync(this.descriptor);
    if (this.count === 0) rmSync(this.file);
  }
}
