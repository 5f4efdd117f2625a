import { spawn } from "node:child_process";
import { type ContainerStatus, parseStatus, statusScript } from "../configs/containers";
import { engineEnvironment, engineLine, type EnginePlace, quoted } from "../configs/ssh";

/**
 * Runs a command line beside a site's engine.
 * @param input its standard input.
 * @returns what it prints.
 * @throws Error with the last line of its standard error.
 */
export function besideEngine(place: EnginePlace, line: string, input = ""): Promise<string> {
  const env = { ...process.env, ...engineEnvironment(place) };
  return new Promise((done, failed) => {
    // In a session of its own: a terminal's Ctrl-C lets what runs be finished.
    const child = spawn("sh", ["-c", engineLine(place, line)], {
      env,
      timeout: 120_000,
      detached: true,
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
    child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
    child.once("error", failed);
    child.once("close", (code, signal) =>
      code === 0
        ? done(stdout)
        : failed(new Error(stderr.trim().split("\n").at(-1) || `it ended with ${code ?? signal}`)),
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
