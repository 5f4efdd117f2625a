import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readlinkSync } from "node:fs";
import { until } from "../programs";

/**
 * Mounts and a network of their own. Nobody else sees them, and they are gone with it, even if this
 * process is killed.
 */
export class Namespace {
  /** Address of this process, as it is reached from in here; empty until {@link join}. */
  outside = "";

  private constructor(private readonly holder: ChildProcess) {}

  static async make(): Promise<Namespace> {
    const program = ["--pdeathsig=KILL", "unshare", "--mount", "--net", "sleep", "infinity"];
    const holder = spawn("setpriv", program, { stdio: "ignore" });
    const network = (pid: number | string) => readlinkSync(`/proc/${pid}/ns/net`);
    await until("a namespace", () => network(holder.pid ?? "self") !== network("self"));
    return new Namespace(holder);
  }

  /** Command that runs what follows it in here. */
  get enter(): string[] {
    return ["nsenter", `--target=${this.holder.pid}`, "--mount", "--net"];
  }

  /** Where this process finds a path of in here. */
  path(inside: string): string {
    return `/proc/${this.holder.pid}/root${inside}`;
  }

  /** Runs a command in here. @throws Error with what it said, if it fails. */
  run(...command: string[]): string {
    return run(...this.enter, ...command);
  }

  /** Joins it to this process's network. @returns its address. */
  join(): string {
    // The addresses that RFC 2544 sets aside for tests, a subnet of four for each process.
    const { pid = 0 } = this.holder;
    const subnet = (pid % 32768) * 4;
    const [outside, inside] = [1, 2].map((host) => {
      const number = subnet + host;
      return `198.${18 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
    }) as [string, string];
    this.outside = outside;
    const link = `bess${pid}`;
    const end = ["type", "veth", "peer", "name", "eth0", "netns", String(pid)];
    run("ip", "link", "add", link, ...end);
    run("ip", "address", "add", `${outside}/30`, "dev", link);
    run("ip", "link", "set", link, "up");
    this.run("ip", "address", "add", `${inside}/30`, "dev", "eth0");
    for (const name of ["lo", "eth0"]) this.run("ip", "link", "set", name, "up");
    return inside;
  }

  /** Ends it, with all its mounts. What runs in it must be gone. */
  async close(): Promise<void> {
    const gone = new Promise((resolve) => this.holder.once("exit", resolve));
    this.holder.kill("SIGKILL");
    await gone;
  }
}

/** Runs a command. @throws Error with what it said, if it fails. */
export function run(...command: string[]): string {
  const [program = "", ...args] = command;
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command.join(" ")}: ${error?.message ?? stderr.trim()}`);
  return stdout;
}
