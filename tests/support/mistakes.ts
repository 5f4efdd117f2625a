import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { bess } from "../../cli/program";

/** A command line that is refused, and the files that make it so. */
export interface Mistake {
  args: string[];
  /** Files by their path in the project, in the encoding given; none for one that is missing. */
  files?: Record<string, string | null>;
  encoding?: "utf8" | "latin1";
  env?: Record<string, string>;
}

/** What became of it. */
export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
  /** Files that are there, are gone, or have other contents or another time after it. */
  written: string[];
  /** Programs that it started. */
  started: string[];
}

/** The end of this process, as a command asks for it. */
class Exit extends Error {
  constructor(readonly code: number) {
    super(`exit ${code}`);
  }
}

const root = join(__dirname, "../..");

/** Programs that are started note it in this file: they lie first on the PATH. */
const log = process.env.STARTED ?? "";

/** Every file of the project with its size and times. */
function snapshot(folder = root, found = new Map<string, string>()): Map<string, string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && entry.name !== ".git") snapshot(path, found);
    if (!entry.isFile() || path === log) continue;
    const { size, mtimeMs, ctimeMs, ino } = statSync(path);
    found.set(path.slice(root.length + 1), [size, mtimeMs, ctimeMs, ino].join(" "));
  }
  return found;
}

const differences = (before: Map<string, string>, after: Map<string, string>): string[] =>
  [...new Set([...before.keys(), ...after.keys()])].filter(
    (path) => before.get(path) !== after.get(path),
  );

/** What nobody has caught between two mistakes: Node would end the process with its stack trace. */
const left: Error[] = [];
const leave = (error: Error) => void left.push(error);
/** Told of what nobody has caught. */
let uncaught: (error: Error) => void = leave;

/** Runs a command line in this process. */
async function run(args: string[]): Promise<number> {
  process.exitCode = 0;
  try {
    const thrown = new Promise<never>((_, reject) => (uncaught = reject));
    await Promise.race([bess().parseAsync(args, { from: "user" }), thrown]);
  } catch (error) {
    if (error instanceof Exit) return error.code;
    console.error((error as Error).stack);
    return 1;
  } finally {
    uncaught = leave;
  }
  return Number(process.exitCode ?? 0);
}

/** Catches what is printed while `work` runs. */
async function printed<T>(work: () => Promise<T>): Promise<{ result: T; texts: [string, string] }> {
  const streams = [process.stdout, process.stderr] as const;
  const texts: [string, string] = ["", ""];
  const writes = streams.map((stream) => stream.write.bind(stream));
  streams.forEach((stream, i) => {
    stream.write = ((chunk: string | Uint8Array) => {
      texts[i] += chunk.toString();
      return true;
    }) as typeof stream.write;
  });
  try {
    return { result: await work(), texts };
  } finally {
    streams.forEach((stream, i) => {
      stream.write = writes[i] as typeof stream.write;
    });
  }
}

const startedSince = (length: number) =>
  readFileSync(log, "utf8").slice(length).split("\n").filter(Boolean);

async function outcomeOf({ args, files = {}, encoding = "utf8", env = {} }: Mistake) {
  const former = new Map<string, Buffer | undefined>();
  const made: string[] = [];
  for (const [file, text] of Object.entries(files)) {
    const path = join(root, file);
    former.set(path, statSync(path, { throwIfNoEntry: false }) && readFileSync(path));
    made.push(mkdirSync(dirname(path), { recursive: true }) ?? "");
    if (text === null) rmSync(path);
    else writeFileSync(path, text, encoding);
  }
  const own = { ...process.env };
  Object.assign(process.env, env);
  const before = snapshot();
  const { length } = readFileSync(log, "utf8");
  const { result: code, texts } = await printed(() => run(args));
  const [stdout, stderr] = texts;
  const outcome: Outcome = {
    code,
    stdout,
    stderr,
    written: differences(before, snapshot()),
    started: startedSince(length),
  };
  for (const name of Object.keys(env)) delete process.env[name];
  Object.assign(process.env, own);
  for (const [path, bytes] of former)
    if (bytes) writeFileSync(path, bytes);
    else rmSync(path, { force: true });
  for (const folder of made.filter(Boolean)) rmSync(folder, { recursive: true });
  return outcome;
}

/** Makes all mistakes of a JSON file, one after the other. @returns what became of each. */
async function makeAll(file: string): Promise<Outcome[]> {
  process.exit = ((code = 0) => {
    throw new Exit(Number(code));
  }) as typeof process.exit;
  process.on("uncaughtException", (error) => uncaught(error));
  const outcomes: Outcome[] = [];
  for (const mistake of JSON.parse(readFileSync(file, "utf8")) as Mistake[])
    outcomes.push(await outcomeOf(mistake));
  if (left.length > 0) throw new AggregateError(left);
  return outcomes;
}

// The program of a checkout: `node cli/bess.js ../tests/support/mistakes FILE`.
const [, , file] = process.argv;
const exit = process.exit.bind(process);
if (file)
  makeAll(file).then(
    (outcomes) => {
      writeFileSync(`${file}.outcomes`, JSON.stringify(outcomes));
      exit(0);
    },
    (error) => {
      console.error(error);
      exit(1);
    },
  );
