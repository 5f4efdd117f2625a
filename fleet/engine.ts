import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { type ContainerStatus, parseStatus, statusScript } from "../configs/containers";
import { engineEnvironment, engineLine, type EnginePlace, quoted } from "../configs/ssh";

/**
 * Starts a command line beside a site's engine. It is in a session of its own: a terminal's Ctrl-C lets
 * what runs be finished.
 * @param timeout ms after which it is ended. Default: never.
 */
export function startBesideEngine(
  place: EnginePlace,
  line: string,
  timeout?: number,
): ChildProcessWithoutNullStreams {
  const env = { ...process.env, ...engineEnvironment(place) };
  return spawn("sh", ["-c", engineLine(place, line)], { env, timeout, detached: true });
}

/** Why a program ended: the last line of its standard error. */
export const lastLine = (stderr: string, end: number | string | null): string =>
  stderr.trim().split("\n").at(-1) || `it ended with ${end}`;

/**
 * Runs a command line beside a site's engine.
 * @param input its standard input.
 * @param options `seconds`: how long it may take, 120 by default and 0 for any time; `onOutput`: hears
 * what it prints as it comes.
 * @returns what it prints.
 * @throws Error with the last line of its standard error.
 */
export function besideEngine(
  place: EnginePlace,
  line: string,
  input = "",
  { seconds = 120, onOutput }: { seconds?: number; onOutput?: (text: string) => void } = {},
): Promise<string> {
  return new Promise((done, failed) => {
    const child = startBesideEngine(place, line, seconds * 1000);
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      onOutput?.(text);
    });
    child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
    child.once("error", failed);
    child.once("close", (code, signal) =>
      code === 0 ? done(stdout) : failed(new Error(lastLine(stderr, code ?? signal))),
    );
    child.stdin.on("error", () => undefined).end(input);
  });
}

/** Runs `docker` at a site's engine. @throws Error with its last line. */
export const docker = (place: EnginePlace, args: string[], input = ""): Promise<string> =>
  besideEngine(place, ["docker", ...args].map(quoted).join(" "), input);

/**
 * Every container that is at a site, read in one round trip.
 * @throws Error where the engine cannot be reached.
 */
export const containersAt = async (
  site: EnginePlace & { name: string },
): Promise<ContainerStatus[]> =>
  parseStatus(await besideEngine(site, "sh -s", statusScript(site.name)));
