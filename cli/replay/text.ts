import { isAscii, isUtf8 } from "node:buffer";
import { closeSync, createReadStream, openSync, readSync, type Stats, statSync } from "node:fs";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { InputError } from "../../configs/validation";

/** A line of the file, with its number counted from 1. */
export interface Line {
  line: number;
  text: string;
  /** What stands in the file, where that is more: a byte order mark before it, a carriage return after. */
  raw?: string;
}

/** The lines of a file that is being read, in blocks. */
export interface Lines {
  blocks: AsyncGenerator<Line[], void, undefined>;
  /** Share of the file that has been read, 0 to 1. */
  share(): number;
}

const refuse = (file: string, finding: string): never => {
  throw new InputError(file, [finding]);
};

/** Most characters of a line: the broker takes no message of more than 2,000,000 bytes. */
const longestLine = 4_000_000;

/** What a file that is no text begins with, and what it then is. */
const others: [magic: string, what: string][] = [
  ["504b0304", "a ZIP archive, which an .xlsx is too: save the table as CSV"],
  ["28b52ffd", "packed by zstd: unpack it"],
  ["fd377a585a", "packed by xz: unpack it"],
  ["425a68", "packed by bzip2: unpack it"],
  ["fffe0000", "UTF-32: save it as UTF-8"],
];

/** Bytes that Windows-1252 leaves free: a text in it has none. */
const noWindows1252 = new Set([0x81, 0x8d, 0x8f, 0x90, 0x9d]);

/** An encoding that the first bytes show: by their mark, or by the zeros between ASCII letters. */
function markedEncoding(file: string, bytes: Buffer): string | undefined {
  const hex = bytes.toString("hex", 0, 8);
  const other = others.find(([magic]) => hex.startsWith(magic));
  if (other) refuse(file, `it is ${other[1]}`);
  if (hex.startsWith("efbbbf")) return "utf-8";
  if (hex.startsWith("fffe")) return "utf-16le";
  if (hex.startsWith("feff")) return "utf-16be";
  if (!bytes.includes(0)) return undefined;
  const zeros = (parity: number) =>
    bytes.filter((byte, i) => i % 2 === parity && byte === 0).length / (bytes.length / 2);
  if (zeros(1) > 0.7 && zeros(0) < 0.1) return "utf-16le";
  if (zeros(0) > 0.7 && zeros(1) < 0.1) return "utf-16be";
  return refuse(file, "it is no text: it has zero bytes");
}

/** UTF-8 where the bytes, which are no ASCII, are that; else the Latin-1 of Windows. */
function guessedEncoding(file: string, bytes: Buffer): string {
  if (isUtf8(bytes)) return "utf-8";
  if (!bytes.some((byte) => noWindows1252.has(byte))) return "windows-1252";
  return refuse(
    file,
    "its encoding is neither UTF-8 nor UTF-16 nor Latin-1: name it with --encoding",
  );
}

/**
 * The text of bytes. Plain ASCII is every encoding's; the first line that has more decides, and is
 * told of where it is no UTF-8.
 */
async function* decoded(
  file: string,
  input: AsyncIterable<Buffer>,
  encoding: string | undefined,
  note: (text: string) => void,
): AsyncGenerator<string, void, undefined> {
  let decoder = encoding === undefined ? undefined : new TextDecoder(encoding);
  let held: Buffer = Buffer.alloc(0);
  const decide = (known: string) => {
    if (known !== "utf-8")
      note(`${file} is read as ${known === "windows-1252" ? "Latin-1 (windows-1252)" : known}`);
    decoder = new TextDecoder(known);
    return decoder.decode(held, { stream: true });
  };
  let begun = false;
  for await (const chunk of input) {
    if (decoder) {
      yield decoder.decode(chunk, { stream: true });
      continue;
    }
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    if (!begun && held.length < 8) continue;
    const marked = begun ? undefined : markedEncoding(file, held);
    begun = true;
    if (marked) {
      yield decide(marked);
      continue;
    }
    // A character may be cut at the chunk's end, but not at a line's.
    const whole = held.subarray(0, held.lastIndexOf(10) + 1);
    if (!isAscii(whole)) yield decide(guessedEncoding(file, whole));
    else if (whole.length > 0) {
      yield whole.toString("latin1");
      held = held.subarray(whole.length);
    }
    if (held.length > longestLine) refuse(file, `a line has more than ${longestLine} characters`);
  }
  if (decoder) yield decoder.decode();
  else if (held.length > 0) {
    const marked = begun ? undefined : markedEncoding(file, held);
    yield (
      decide(marked ?? guessedEncoding(file, held)) + (decoder as TextDecoder | undefined)?.decode()
    );
  }
}

/** The lines of a text. @param file its name, for a refusal. */
export async function* linesOf(
  file: string,
  chunks: AsyncIterable<string>,
): AsyncGenerator<Line[], void, undefined> {
  let rest = "";
  let number = 0;
  const line = (raw: string): Line => {
    // Files that were joined have a byte order mark in their middle.
    const text = raw.slice(raw.startsWith("\ufeff") ? 1 : 0, raw.endsWith("\r") ? -1 : undefined);
    return { line: (number += 1), text, ...(text.length < raw.length && { raw }) };
  };
  for await (const chunk of chunks) {
    const texts = (rest + chunk).split("\n");
    rest = texts.pop() ?? "";
    if (rest.length > longestLine)
      refuse(file, `line ${number + texts.length + 1} has more than ${longestLine} characters`);
    if (texts.length > 0) yield texts.map(line);
  }
  if (rest !== "") yield [line(rest)];
}

/** What the file system and zlib say, as a refusal of the file. */
async function* refusing<T>(file: string, read: AsyncIterable<T>): AsyncGenerator<T, void> {
  try {
    yield* read;
  } catch (error) {
    throw error instanceof InputError ? error : new InputError(file, [(error as Error).message]);
  }
}

const isGzip = (file: string): boolean => {
  const descriptor = openSync(file, "r");
  try {
    const start = Buffer.alloc(2);
    return readSync(descriptor, start) === 2 && start.readUInt16BE() === 0x1f8b;
  } finally {
    closeSync(descriptor);
  }
};

/** What is known of a file. @throws InputError if there is no such file. */
export function requireFile(file: string): Stats {
  const info = statSync(file, { throwIfNoEntry: false });
  if (!info) return refuse(file, "there is no such file");
  if (!info.isFile()) return refuse(file, "it is no file");
  return info;
}

/**
 * Opens a file of text, plain or gzipped; its content tells which.
 * @param encoding how its bytes are read. Default: UTF-8, UTF-16 or Latin-1, as they show.
 * @param note is told of an encoding that is not UTF-8.
 * @throws InputError if there is no such file.
 */
export function openText(
  file: string,
  encoding: string | undefined,
  note: (text: string) => void,
): Lines {
  const info = requireFile(file);
  const stream = createReadStream(file, { highWaterMark: 128 * 1024 });
  const input = isGzip(file) ? pipeline(stream, createGunzip(), () => undefined) : stream;
  return {
    blocks: refusing(file, linesOf(file, decoded(file, input, encoding, note))),
    share: () => (info.size === 0 ? 1 : stream.bytesRead / info.size),
  };
}
