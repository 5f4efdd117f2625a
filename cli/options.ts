import { InvalidArgumentError } from "commander";
import type * as z from "zod";
import { readText } from "../configs/files";
import { timeSchema } from "../configs/payload";
import { timeReader } from "../configs/reading";
import { InputError } from "../configs/validation";
import { isZone } from "../configs/zones";
import { refuse } from "./command";
import { parseDelimiter } from "./replay/csv";

/** The secret in a file that an option names. @throws InputError if it cannot be read, or is empty. */
export function secretIn(option: string, file: string): string {
  const source = `${option} ${file}`;
  const secret = readText(file, source).trimEnd();
  if (secret === "") throw new InputError(source, ["it is empty"]);
  return secret;
}

/** Takes as an option what a key of a configuration takes. */
export const asKey =
  (schema: z.ZodType) =>
  (text: string): string => {
    const [issue] = schema.safeParse(text).error?.issues ?? [];
    if (issue) throw new InvalidArgumentError(`${sentence(issue.message)}.`);
    return text;
  };

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** An address with one of some schemes, as an option takes it. */
export const urlOf = (...schemes: string[]) => {
  const form = new RegExp(`^(${schemes.join("|")})://[^\\s@]+$`);
  const some = schemes.map((scheme) => `${scheme}://`);
  return (text: string): string => {
    if (!form.test(text) || !URL.canParse(text))
      throw new InvalidArgumentError(
        `Write ${some.slice(0, -1).join(", ")} or ${some.at(-1)}, a host and a port, and no user.`,
      );
    return text;
  };
};

/** Collects the values of a repeatable option. */
export const list = (text: string, previous: string[]): string[] => [...previous, text];

/** A delimiter of a CSV file, as an option takes it. */
export function delimiterOf(text: string): string {
  const found = parseDelimiter(text);
  if (found === undefined)
    throw new InvalidArgumentError("Write one character, such as ';', or tab.");
  return found;
}

/** An encoding, as an option takes it. */
export function encodingName(text: string): string {
  try {
    return new TextDecoder(text).encoding;
  } catch {
    throw new InvalidArgumentError("Write an encoding such as utf-8, utf-16le, windows-1252.");
  }
}

/** A time zone, as an option takes it. */
export function zoneName(text: string): string {
  if (!isZone(text)) throw new InvalidArgumentError("Write a time zone such as Europe/Berlin.");
  return text;
}

/** A time such as 2026-11-01 or 2026-11-01T06:00, in s. @throws InputError if it is none. */
export function instant(option: string, text: string, zone: string): number {
  const read = timeReader(timeSchema.parse({ path: "time", format: "iso8601", zone }));
  const full = /^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00` : text;
  const now = BigInt(Date.now()) * 1_000_000n;
  const found = read([full], now);
  if (found === undefined || found % 1_000_000_000n !== 0n)
    return refuse(
      `${option} is ${text}: write a day or a time in whole seconds, ` +
        "such as 2026-11-01, 2026-11-01T06:00 or 2026-11-01T06:00:00Z",
    );
  return Number(found / 1_000_000_000n);
}
