import { InvalidArgumentError } from "commander";
import { timeSchema } from "../configs/payload";
import { timeReader } from "../configs/reading";
import { findSite, siteConfig } from "../configs/sites";
import { durationPattern, durationSeconds } from "../configs/units";
import { heardAt } from "../fleet";
import { openText } from "./replay/text";

/** A message that was recorded. */
export interface Recorded {
  topic: string;
  /** The payload's text, as exactly as the recording has it. */
  payload: string;
  /** When it was recorded, in ns since 1970. */
  time: bigint | undefined;
  /** Whether the broker had kept it, nobody knows since when. */
  retained: boolean;
}

/** What stands behind the last key of a line that `mosquitto_sub -F %J` wrote. */
const lastPayload = /"payload":(.*)\}\s*$/s;

/**
 * The payload's text. `%j` writes it as a text, `%J` as the JSON that it is; only the length tells a
 * text from the JSON of one.
 */
function payloadText(line: string, payload: unknown, length: unknown): string {
  if (typeof payload === "string") {
    const json = JSON.stringify(payload);
    const sizes = [payload, json].map((text) => Buffer.byteLength(text));
    return length !== sizes[0] && length === sizes[1] ? json : payload;
  }
  if (payload === null && length === 0) return "";
  // The line's own text has the digits that a number of JavaScript would lose.
  const [, text = ""] = lastPayload.exec(line) ?? [];
  const plain = JSON.stringify(payload);
  try {
    return JSON.stringify(JSON.parse(text)) === plain ? text : plain;
  } catch {
    return plain;
  }
}

const timeAs = (format: string) => timeReader(timeSchema.parse({ path: "tst", format }));

const readIso = timeAs("iso8601");
const readSeconds = timeAs("unix");

/** The recorder's own spelling has a `Z` and an offset, which holds; older ones count seconds. */
function recordedTime(tst: unknown): bigint | undefined {
  if (typeof tst === "string") return readIso([tst], 0n);
  return typeof tst === "number" ? readSeconds([String(tst)], 0n) : undefined;
}

/**
 * A message that `mosquitto_sub -F %j` or `-F %J` has recorded, or the broker's container at the end of
 * a session; undefined if the line is another.
 */
export function readRecorded(line: string): Recorded | undefined {
  if (!line.includes('"topic"')) return undefined;
  try {
    const read = JSON.parse(line) as Partial<Record<string, unknown>> | null;
    const { topic, payload, payloadlen, tst, retain } = read ?? {};
    if (typeof topic !== "string" || payload === undefined) return undefined;
    return {
      topic,
      payload: payloadText(line, payload, payloadlen),
      time: recordedTime(tst),
      retained: retain === 1 || retain === true,
    };
  } catch {
    return undefined;
  }
}

/** Where messages are taken from; exactly one of the first two is given. */
export interface MessageSource {
  recording?: string;
  listen?: boolean;
  stack: string;
  for: number;
}

/** Messages of a recording or of a site's broker, and the lines that are none. */
export class Messages {
  /** Lines so far that are no recorded messages. */
  foreign = 0;

  constructor(private readonly source: MessageSource) {}

  /** The messages as they come; Ctrl-C ends the listening, not what is made of it. */
  async *read(): AsyncGenerator<Recorded, void, undefined> {
    for await (const line of this.lines()) {
      if (line.trim() === "") continue;
      const message = readRecorded(line);
      if (message) yield message;
      else this.foreign += 1;
    }
  }

  private async *lines(): AsyncGenerator<string, void, undefined> {
    const { recording, stack, for: seconds } = this.source;
    if (recording !== undefined) {
      for await (const block of openText(recording, undefined, console.error).blocks)
        yield* block.map(({ text }) => text);
      return;
    }
    const site = siteConfig(findSite(stack));
    const interrupt = new AbortController();
    process.once("SIGINT", () => interrupt.abort());
    console.error(`listening at the broker of ${site.name} for ${seconds} s; Ctrl-C ends it`);
    try {
      yield* heardAt(site, seconds, interrupt.signal);
    } catch (error) {
      throw new Error(`The broker of ${site.name} is not heard: ${(error as Error).message}`);
    }
  }
}

/** How long to listen, as an option takes it: a duration such as 60s. @returns seconds. */
export function listeningTime(text: string): number {
  if (!durationPattern.test(text) || durationSeconds(text) < 1)
    throw new InvalidArgumentError("Write a duration of at least a second, such as 60s or 5m.");
  return Math.round(durationSeconds(text));
}
