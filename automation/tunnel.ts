import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { SiteConfig } from "../configs/site";
import { placeOf } from "../configs/stacks";
import {
  apiTunnel,
  destination,
  type Forward,
  forwardArguments,
  isSsh,
  listenArguments,
  ownOptions,
  type SshTarget,
  sharedOptions,
  unreachableMessage,
} from "../configs/ssh";

/** How a site is reached, if over SSH. */
export const sshTargetOf = ({
  engine,
  ssh,
}: Pick<SiteConfig, "engine" | "ssh">): SshTarget | undefined =>
  isSsh(engine) ? { engine, ssh } : undefined;

/**
 * Runs `run` while the tunnel to a site's Grafana is open, for what Pulumi does without the program
 * (refresh, destroy), and says so if the site vanished meanwhile. A site that is not reached over
 * SSH needs none.
 * @returns the exit code of `run`; 1 if the site is not reached.
 */
export async function withTunnel(
  stack: string,
  run: () => number | Promise<number>,
  folder?: string,
): Promise<number> {
  const site = placeOf(stack, folder);
  const target = sshTargetOf(site);
  const tunnel = apiTunnel(site);
  if (!target || !tunnel) return run();
  let shared: SharedTunnel;
  try {
    shared = await shareTunnel(target, tunnel);
  } catch (error) {
    console.error(
      `The site ${site.name} at ${target.engine} cannot be worked on:\n` +
        `  - ${(error as Error).message}`,
    );
    return 1;
  }
  const code = await run();
  if ((await shared.close()) || code === 0) return code;
  console.error(
    `The connection to ${target.engine} was lost on the way. What was done until then is in the state; ` +
      "run the same command again once the site is back.",
  );
  return code;
}

/** A port of a site brought here by the connection that all work at the site shares. */
export interface SharedTunnel {
  /** Ends it. @returns whether the connection was still there. */
  close(): Promise<boolean>;
}

/**
 * Opens a tunnel over the shared connection; one that an update has left there serves too.
 * @throws Error with what to do if the site is not reached, or the local port is taken.
 */
export async function shareTunnel(target: SshTarget, forward: Forward): Promise<SharedTunnel> {
  // The shared connection's socket lies there; ssh does not make the folder.
  mkdirSync(join(homedir(), ".ssh"), { recursive: true, mode: 0o700 });
  const refused =
    (await ssh([...sharedOptions(target), "-T", ...destination(target), "true"])) ??
    (await ssh(forwardArguments(target, [forward])));
  if (refused !== undefined) throw new Error(unreachableMessage(target, refused));
  // It would close by itself if for a minute nobody used it, and the tunnel with it.
  const keeper = spawn("ssh", [...sharedOptions(target), "-T", ...destination(target), "cat"], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  const close = async () => {
    keeper.kill();
    return (await ssh(forwardArguments(target, [forward], "cancel"))) === undefined;
  };
  return { close };
}

/** Runs ssh. @returns what it printed, if it failed. */
function ssh(args: string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn("ssh", args, { stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code) => resolve(code === 0 ? undefined : stderr));
  });
}

/** Ports of a site brought here by a connection of their own. */
export interface Tunnel {
  /** Resolves with what ssh printed once the connection has ended. */
  ended: Promise<string>;
  /** Ends it. */
  close(): void;
}

/**
 * Opens a tunnel, and waits until its ports can be used.
 * @throws Error with what to do if the site is not reached, or a local port is taken.
 */
export async function openTunnel(target: SshTarget, forwards: Forward[]): Promise<Tunnel> {
  const ready = "tunnel is open";
  // The site says the word only once ssh has bound the ports, and then waits for its end.
  const child = spawn(
    "ssh",
    [
      ...ownOptions(target),
      ...listenArguments(forwards),
      "-T",
      ...destination(target),
      `echo '${ready}'; exec cat`,
    ],
    {
      stdio: ["pipe", "pipe", "pipe"],
    },
  );
  let stderr = "";
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", () => resolve(stderr));
  });
  const opened = new Promise<boolean>((resolve) =>
    child.stdout.on("data", (data: Buffer) => data.toString().includes(ready) && resolve(true)),
  );
  if (!(await Promise.race([opened, ended.then(() => false)])))
    throw new Error(unreachableMessage(target, stderr));
  return { ended, close: () => child.kill() };
}
