import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { join } from "node:path";
import type { SshTarget } from "../../configs/ssh";
import { freePort, listens, program, Running, temporaryFolder, until } from "./programs";

/** A real SSH server on the loopback address, into which this user's throw-away key logs in. */
export class Sshd {
  private readonly folder = temporaryFolder();
  private server?: Running;
  private bin = "";

  private constructor(readonly port: number) {}

  /**
   * Starts one.
   * @param standIns programs that its sessions find first on their PATH: a shell script's body by
   * name.
   */
  static async start(standIns: Record<string, string> = {}): Promise<Sshd> {
    const made = new Sshd(await freePort());
    // The shared connection's socket lies there; a machine on which ssh never ran lacks it.
    mkdirSync(join(homedir(), ".ssh"), { recursive: true, mode: 0o700 });
    const bin = made.path("bin");
    mkdirSync(bin);
    for (const [name, body] of Object.entries(standIns)) {
      writeFileSync(join(bin, name), `#!/bin/sh\n${body}\n`);
      chmodSync(join(bin, name), 0o755);
    }
    for (const key of ["host", "id", "stranger"])
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", made.path(key)]);
    writeFileSync(made.path("authorized_keys"), readFileSync(made.path("id.pub")));
    made.know(readFileSync(made.path("host.pub"), "utf8"));
    made.bin = bin;
    await made.resume();
    return made;
  }

  /** Ends it with all its connections, until {@link resume}. */
  async halt(): Promise<void> {
    this.vanish();
    await this.server?.stop();
  }

  async resume(): Promise<void> {
    const settings = {
      Port: this.port,
      ListenAddress: "127.0.0.1",
      HostKey: this.path("host"),
      AuthorizedKeysFile: this.path("authorized_keys"),
      PidFile: "none",
      PasswordAuthentication: "no",
      KbdInteractiveAuthentication: "no",
      PermitRootLogin: "prohibit-password",
      UsePAM: "no",
      // The folder of the test belongs to nobody else, whatever stands above it.
      StrictModes: "no",
      LogLevel: "VERBOSE",
      Subsystem: "sftp internal-sftp",
      SetEnv: `PATH=${this.bin}:${process.env.PATH}`,
    };
    writeFileSync(
      this.path("config"),
      Object.entries(settings)
        .map(([key, value]) => `${key} ${value}\n`)
        .join(""),
    );
    if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true });
    this.server = new Running(program("sshd"), [
      "-D",
      "-E",
      this.path("log"),
      "-f",
      this.path("config"),
    ]);
    await until("sshd listens", () => listens(this.port));
  }

  private path(name: string): string {
    return join(this.folder.path, name);
  }

  /** Lets ssh know this key as the server's. */
  private know(publicKey: string): void {
    writeFileSync(this.path("known_hosts"), `[127.0.0.1]:${this.port} ${publicKey}`);
  }

  /** How it is reached. */
  reach(change: { identity?: "stranger"; knownHosts?: "none" | "changed" } = {}): SshTarget {
    const knownHosts = this.path(change.knownHosts ?? "known_hosts");
    if (change.knownHosts === "none") writeFileSync(knownHosts, "");
    if (change.knownHosts === "changed")
      writeFileSync(
        knownHosts,
        `[127.0.0.1]:${this.port} ${readFileSync(this.path("stranger.pub"), "utf8")}`,
      );
    return {
      engine: `ssh://${userInfo().username}@127.0.0.1:${this.port}`,
      ssh: { identity: this.path(change.identity ?? "id"), knownHosts },
    };
  }

  /** Connections that were let in so far. */
  connections(): number {
    return this.logged(/Accepted publickey/g);
  }

  /** Commands that were run so far, over whatever connection. */
  sessions(): number {
    return this.logged(/Starting session: command/g);
  }

  private logged(sign: RegExp): number {
    return (readFileSync(this.path("log"), "utf8").match(sign) ?? []).length;
  }

  /** Ends every connection at once, as a site that loses its power does. */
  vanish(): void {
    // A connection is served by children of the server.
    if (!this.server) return;
    const lines = execFileSync("ps", ["-eo", "pid=,ppid="], { encoding: "utf8" })
      .trim()
      .split("\n");
    const processes = lines.map((line) => {
      const [pid = NaN, parent = NaN] = line.trim().split(/\s+/).map(Number);
      return { pid, parent };
    });
    const descendants = (of: number): number[] =>
      processes
        .filter(({ parent }) => parent === of)
        .flatMap(({ pid }) => [pid, ...descendants(pid)]);
    for (const pid of descendants(this.server.pid)) end(pid);
  }

  /** Stops it with all its connections, and removes its files. */
  async stop(): Promise<void> {
    await this.halt();
    this.folder.remove();
  }
}

/** Kills a process; one that has ended in the meantime is no error. */
function end(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
