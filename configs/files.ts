import { readFileSync } from "node:fs";
import { type Document, LineCounter, parseDocument } from "yaml";
import { InputError } from "./validation";

const reasons: Partial<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EISDIR: "it is a folder, not a file",
  EACCES: "you may not read it",
};

/**
 * Reads a text file.
 * @param source what an error calls it.
 * @throws InputError if it cannot be read, or is not UTF-8.
 */
export function readText(file: string, source = file): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    throw new InputError(source, [reasons[code] ?? message]);
  }
  const text = bytes.toString("utf8");
  const encoded = Buffer.from(text);
  if (encoded.equals(bytes)) return text;
  // What is not UTF-8 comes out as another character, and encodes to other bytes.
  const at = bytes.findIndex((byte, i) => byte !== encoded[i]);
  const line = bytes.subarray(0, at).toString("latin1").split("\n").length;
  throw new InputError(source, [
    `line ${line}: the byte 0x${bytes.toString("hex", at, at + 1)} is not UTF-8; ` +
      "save the file in the encoding UTF-8",
  ]);
}

/**
 * A YAML text, with its comments and order.
 * @param source what an error calls it.
 * @throws InputError with the line of each finding.
 */
export function yamlDocument(text: string, source: string): Document.Parsed {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const findings = [...document.errors, ...document.warnings].map(
    ({ code, message, pos: [at] }) => {
      const key = /^[^\s:#]+/.exec(text.slice(at))?.[0];
      const finding =
        code === "DUPLICATE_KEY"
          ? `"${key}" is declared twice; every name is allowed once`
          : code === "MULTIPLE_DOCS"
            ? "a second document begins here; write one"
            : message;
      return `line ${lines.linePos(at).line}: ${finding}`;
    },
  );
  if (findings.length > 0) throw new InputError(source, findings);
  return document;
}

/** The value of a YAML text. @throws InputError as {@link yamlDocument} does. */
export function parseYaml(text: string, source: string): unknown {
  const document = yamlDocument(text, source);
  try {
    return document.toJS();
  } catch (error) {
    throw new InputError(source, [(error as Error).message]);
  }
}

/** The value of a YAML file. @throws InputError as {@link readText} and {@link parseYaml} do. */
export const readYaml = (file: string, source = file): unknown =>
  parseYaml(readText(file, source), source);
