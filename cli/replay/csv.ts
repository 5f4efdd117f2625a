import { type Options, parse } from "csv-parse/sync";
import type { Line } from "./text";

/** A row of a CSV file: where it begins, all of its text, and its cells unless it is broken. */
export interface CsvRow extends Line {
  cells: string[] | undefined;
}

/** Names of delimiters that a command line cannot hold well. */
const named: Record<string, string> = { tab: "\t", "\\t": "\t" };

/** Reads an option's text; undefined if it is no delimiter. */
export const parseDelimiter = (text: string): string | undefined => {
  const delimiter = named[text] ?? text;
  return /^[^\w\s."]$|^\t$/.test(delimiter) ? delimiter : undefined;
};

/** A delimiter as messages show it. */
export const delimiterName = (delimiter: string): string =>
  delimiter === "\t" ? "a tab" : `"${delimiter}"`;

/** What a delimiter is looked for among. */
const candidates = [",", ";", "\t", "|"];

/** The cells of a text, a list for each row. */
const cellsOf = (text: string, delimiter: string, options: Options = {}): string[][] =>
  parse(text, {
    delimiter,
    trim: true,
    relaxColumnCount: true,
    recordDelimiter: "\n",
    ...options,
  });

/** The cells of one row; undefined if the text is not exactly one. */
function oneRow(text: string, delimiter: string, options?: Options): string[] | undefined {
  try {
    const rows = cellsOf(text, delimiter, options);
    return rows.length === 1 ? rows[0] : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The delimiter of a file: the one by which most columns of its header are known; of several, the
 * one that makes most columns.
 */
export function detectDelimiter(header: string, isKnown: (column: string) => boolean): string {
  const scores = candidates.map((delimiter) => {
    const columns = oneRow(header, delimiter) ?? [];
    return { delimiter, known: columns.filter(isKnown).length, columns: columns.length };
  });
  scores.sort((a, b) => b.known - a.known || b.columns - a.columns);
  return scores[0]?.delimiter ?? ",";
}

/** Most lines of one row: a cell in quotation marks may hold line breaks. */
const mostLines = 50;

/** The same where cells are exact: a stored text has at most so many bytes. */
const mostExactLines = 10_001;

/**
 * Stands for an empty cell in quotation marks where cells are exact: it is an empty text, and an empty cell
 * without them is no value. No text of a file is this one, for it is half of a character.
 */
export const emptyText = "\ud800";

/** Whether a line opens or closes a cell in quotation marks that has line breaks. */
const leavesOpen = ({ text }: Line): boolean =>
  text.includes('"') && text.split('"').length % 2 === 0;

/** Lines that begin so are the replay's own remarks in a file of rows that were not sent. */
export const remark = "# row ";

/**
 * The rows of a CSV file, in blocks. A row that is broken takes no other with it: a quotation mark
 * that is not closed ends with its line.
 */
export class CsvRows {
  /** Lines of a row whose quotation mark is still open. */
  private pending: Line[] = [];

  /**
   * @param exact whether cells keep their line breaks as they are, and an empty text is told from no value
   *   by {@link emptyText}. Default: a line break is a line feed, and both are empty.
   */
  constructor(
    private readonly delimiter: string,
    private readonly exact = false,
  ) {}

  /** The rows that end in a block of lines. */
  read(lines: Line[]): CsvRow[] {
    return this.take(lines, false);
  }

  /** The rows that are left at the file's end. */
  end(): CsvRow[] {
    return this.take([], true);
  }

  private take(lines: Line[], end: boolean): CsvRow[] {
    const left = [...this.pending, ...lines];
    const rows: Line[] = [];
    let next = 0;
    while (next < left.length) {
      const group = this.group(left, next, end);
      if (!group) break;
      next += group.length;
      const [first] = group;
      if (!first || first.text.trim() === "" || first.text.startsWith(remark)) continue;
      rows.push({ line: first.line, text: this.joined(group) });
    }
    this.pending = left.slice(next);
    return this.parsed(rows);
  }

  /** The lines of one row; undefined while its end may be in a later block. */
  private group(lines: Line[], from: number, end: boolean): Line[] | undefined {
    const first = lines.slice(from, from + 1);
    if (!first.some(leavesOpen)) return first;
    const limit = this.exact ? mostExactLines : mostLines;
    const most = lines.slice(from, from + limit);
    const closing = most.findIndex((line, i) => i > 0 && leavesOpen(line));
    if (closing < 0) return end || most.length === limit ? first : undefined;
    const group = most.slice(0, closing + 1);
    return oneRow(this.joined(group), this.delimiter) ? group : first;
  }

  /** The text of a row's lines. */
  private joined(lines: Line[]): string {
    const last = lines.length - 1;
    return lines
      .map(({ text, raw = text }, i) => {
        if (!this.exact) return text;
        // What stands before the row and after it is not of a cell.
        const begin = i === 0 ? raw.indexOf(text) : 0;
        return raw.slice(begin, i === last ? raw.length - Number(raw.endsWith("\r")) : undefined);
      })
      .join("\n");
  }

  private get options(): Options {
    return this.exact
      ? { cast: (value, { quoting }) => (quoting && value === "" ? emptyText : value) }
      : {};
  }

  /** All at once where that goes, for the speed; else one by one, to find the broken ones. */
  private parsed(rows: Line[]): CsvRow[] {
    const made = (cells: (row: Line, i: number) => CsvRow["cells"]) =>
      rows.map((row, i) => ({ ...row, cells: cells(row, i) }));
    if (!rows.some(leavesOpen)) {
      try {
        const all = cellsOf(rows.map(({ text }) => text).join("\n"), this.delimiter, this.options);
        if (all.length === rows.length) return made((_, i) => all[i]);
      } catch {
        // One of them is broken.
      }
    }
    // An inch mark in a remark does no harm.
    return made(({ text }) => oneRow(text, this.delimiter, { relaxQuotes: true, ...this.options }));
  }
}
