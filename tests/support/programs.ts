import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import type { Readable } from "node:stream";
import { delimiter, join } from "node:path";

const cache = join(__dirname, "../../.cache/bin");
const searched = [cache, ...(process.env.PATH ?? "").split(delimiter), "/usr/sbin"];

/**
 * Path of a real program.
 * @throws Error if it is missing: a test without it would prove nothing.
 */
export function program(
  name:
    | "busybox"
    | "docker-registry"
    | "mosquitto"
    | "mosquitto_persist_sqlite.so"
    | "caddy"
    | "mosquitto_pub"
    | "mosquitto_sub"
    | "python3"
    | "restic"
    | "shellcheck"
    | "telegraf"
    | "sshd"
    | "victoria-metrics"
    | "vmagent"
    | "vmauth"
    | "vmbackup"
    | "vmrestore",
): string {
  const found = searched.map((folder) => join(folder, name)).find(existsSync);
  if (!found) throw new Error(`${name} is missing: npm test installs it; see its first lines`);
  return found;
}

/** Path of a program on the PATH that a test can do without; undefined where it is missing. */
export const optionalProgram = (
  name: "gofakes3" | "influxdb3" | "rest-server",
): string | undefined => searched.map((folder) => join(folder, name)).find(existsSync);

/**
 * InfluxDB 3, which no package registry has: `BESS_INFLUXDB3`, else `influxdb3` on the PATH;
 * undefined where neither is.
 */
export const influxdb3 = (): string | undefined =>
  process.env.BESS_INFLUXDB3 ?? optionalProgram("influxdb3");

/** Why there is no real InfluxDB 3 here; undefined where there is. */
export const influxdbMissing = influxdb3()
  ? undefined
  : "InfluxDB 3 is missing: BESS_INFLUXDB3 names it";

/** A port of the loopback address that nobody listens on. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** Whether somebody listens on a port of the loopback address. */
export function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(true)).once("error", () =>
      resolve(false),
    );
    socket.once("connect", () => socket.destroy());
  });
}

/** A folder that any user can enter, for programs that drop root. */
export function temporaryFolder(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "bess-"));
  spawnSync("chmod", ["755", path]);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/**
 * Waits until `check` holds.
 * @throws Error with `what` after `seconds`.
 */
export async function until(
  what: string | (() => string),
  check: () => boolean | Promise<boolean>,
  seconds = 20,
): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!(await check())) {
    if (Date.now() > end) {
      const missing = typeof what === "string" ? what : what();
      throw new Error(`waited ${seconds} s in vain: ${missing}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A running program and what it has printed. */
export class Running {
  output = "";
  private readonly child: ChildProcessByStdio<null, Readable, Readable>;

  /**
   * @param options `user`: id of the user and group that it runs as. Default: this process's.
   * `env`: its environment. Default: this process's.
   */
  constructor(
    command: string,
    args: string[],
    { user, env }: { user?: number | undefined; env?: NodeJS.ProcessEnv } = {},
  ) {
    const identity = user === undefined ? {} : { uid: user, gid: user };
    // A process group of its own: what it starts is killed with it, as in a container.
    const options = { ...identity, detached: true, ...(env && { env }) };
    this.child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream.on("data", (data: Buffer) => (this.output += data.toString()));
  }

  /** Its process id. @throws Error if it could not be started. */
  get pid(): number {
    const { pid } = this.child;
    if (pid === undefined) throw new Error(`${this.child.spawnfile} was not started`);
    return pid;
  }

  /** Its exit code; null while it runs, and if a signal has ended it. */
  get exitCode(): number | null {
    return this.child.exitCode;
  }

  /** Stops it, and waits until it is gone. What it has started ends with it, as in a container. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.child.once("exit", resolve));
    if (signal === "SIGKILL") process.kill(-this.pid, signal);
    else this.child.kill(signal);
    await gone;
    try {
      process.kill(-this.pid, "SIGKILL");
    } catch {
      // Nothing of it is left.
    }
  }
}
