import { type ChildProcessByStdio, spawn } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { MockedContainer } from "../mocked-site";
import type { Namespace } from "./namespace";

/** What an image says where its container says nothing, and the programs that it brings. */
export interface Image {
  entrypoint: string[];
  command: string[];
  /** Ids, `user:group`. */
  user: string;
  /** Programs and libraries, `source:target`. */
  programs: string[];
}

/** Where a {@link Container} finds what is not its own. */
export interface Surroundings {
  /** Folder for its files. */
  folder: string;
  /** Where it runs. */
  namespace: Namespace;
  /** Where a volume lies, by its name. */
  volume(name: string): string;
}

/** How a program ended, and what it printed. */
export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/**
 * Arguments with other values of some options.
 * @param values by the option's name, such as `--node-id`.
 * @throws Error if the arguments lack one.
 */
export function withOptions(args: readonly string[], values: Record<string, string>): string[] {
  const lacking = Object.keys(values).filter((name) => !args.some((a) => a.startsWith(`${name}=`)));
  if (lacking.length > 0) throw new Error(`no ${lacking.join(", ")} in: ${args.join(" ")}`);
  return args.map((argument) => {
    const name = argument.split("=", 1).join();
    return values[name] === undefined ? argument : `${name}=${values[name]}`;
  });
}

const script = join(__dirname, "container.sh");

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/**
 * A container of a site, made from the very inputs of its resource: files, user, command, health
 * check. Its root is this machine's, with the image's programs.
 */
export class Container {
  /** What it has printed since {@link start}. */
  output = "";
  /** How often it ended by itself since {@link start}; it is started again each time. */
  restarts = 0;
  private wanted = false;
  private child: Child | undefined;
  private supervision: Promise<void> = Promise.resolve();

  constructor(
    private readonly inputs: MockedContainer,
    private readonly image: Image,
    private readonly around: Surroundings,
  ) {
    for (const { file, content, permissions } of inputs.uploads)
      this.upload(file, content, permissions);
  }

  /** Puts a file into it; a running one does not see it. */
  upload(file: string, content: string, permissions = "0644"): void {
    const path = join(this.around.folder, file);
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    writeFileSync(path, content);
    chmodSync(path, Number.parseInt(permissions, 8));
  }

  /** Arguments of its entrypoint. */
  get command(): string[] {
    // An entrypoint of the container's own leaves the image's command out.
    const { entrypoints, command = entrypoints ? [] : this.image.command } = this.inputs;
    return command;
  }

  /**
   * Starts it. When it ends by itself, it is started again after a pause, like Docker does.
   * @param command other arguments for its entrypoint than the site's.
   */
  start(command = this.command): void {
    this.wanted = true;
    this.restarts = 0;
    this.output = "";
    this.supervision = this.supervise(command);
  }

  /** Sends a signal to its first process. */
  signal(signal: NodeJS.Signals): void {
    const pid = this.pid();
    if (pid !== undefined) process.kill(pid, signal);
  }

  /** Its processes that run a program, as this machine numbers them. */
  processes(program: string): number[] {
    const namespace = (pid: string | number) => readlinkSync(`/proc/${pid}/ns/pid`);
    const own = namespace(this.pid() ?? "self");
    return readdirSync("/proc")
      .filter((entry) => {
        try {
          const name = readFileSync(`/proc/${entry}/comm`, "utf8").trim();
          return name === program && namespace(entry) === own;
        } catch {
          return false;
        }
      })
      .map(Number);
  }

  /** Ends it by a signal, and after `seconds` for good, like `docker stop`. */
  async stop(signal: NodeJS.Signals = "SIGTERM", seconds = 10): Promise<void> {
    this.wanted = false;
    this.signal(signal);
    const late = setTimeout(() => this.signal("SIGKILL"), seconds * 1000);
    await this.supervision;
    clearTimeout(late);
  }

  /** Whether its own health check passes. */
  async healthy(): Promise<boolean> {
    const [kind, ...command] = this.inputs.healthcheck.tests;
    const line = kind === "CMD-SHELL" ? ["/bin/sh", "-c", ...command] : command;
    return (await this.execute(line)).code === 0;
  }

  /** Runs a program in it, like `docker exec -i`. Each line that it prints is heard as it comes. */
  execute(
    command: string[],
    options: {
      input?: string;
      environment?: Record<string, string>;
      heard?: ((line: string) => void) | undefined;
    } = {},
  ): Promise<Ended> {
    const pid = this.pid();
    if (pid === undefined)
      return Promise.resolve({ code: null, stdout: "", stderr: "not running" });
    const namespaces = ["--mount", "--pid", "--net", "--root", "--wd=/"];
    const child = spawn(
      "nsenter",
      [`--target=${pid}`, ...namespaces, ...this.identity(), ...command],
      {
        env: { ...this.environment(), ...options.environment },
      },
    );
    child.stdin.on("error", () => undefined).end(options.input ?? "");
    const ended: Ended = { code: null, stdout: "", stderr: "" };
    child.stdout.on("data", (data: Buffer) => (ended.stdout += data.toString()));
    if (options.heard) createInterface({ input: child.stdout }).on("line", options.heard);
    child.stderr.on("data", (data: Buffer) => (ended.stderr += data.toString()));
    return new Promise((resolve) => child.once("close", (code) => resolve({ ...ended, code })));
  }

  /** Its first process, as this machine numbers it. */
  pid(): number | undefined {
    const parent = this.child?.pid;
    if (parent === undefined) return undefined;
    try {
      // unshare(1) stays outside of the namespaces, and has the first process as its only child.
      const children = readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8").trim();
      return children === "" ? undefined : Number(children);
    } catch {
      return undefined;
    }
  }

  private async supervise(command: string[]): Promise<void> {
    for (let pause = 100; ; pause = Math.min(pause * 2, 60_000)) {
      const began = performance.now();
      await this.runOnce(command);
      if (!this.wanted) return;
      this.restarts++;
      if (performance.now() - began > 10_000) pause = 100;
      await sleep(pause);
      if (!this.wanted) return;
    }
  }

  private runOnce(command: string[]): Promise<void> {
    const { inputs, image, around } = this;
    const volumes = inputs.volumes ?? [];
    const mounts = volumes.map(
      ({ volumeName, containerPath }) => `${around.volume(volumeName)}:${containerPath}`,
    );
    const program = [...(inputs.entrypoints ?? image.entrypoint), ...command];
    const engine = ["unshare", "--mount", "--pid", "--fork", "--kill-child", script];
    const inside = [...around.namespace.enter, ...engine, around.folder, ...mounts];
    const child = spawn(
      // Nothing outlives a test that is killed.
      "setpriv",
      ["--pdeathsig=KILL", ...inside, ...image.programs, "--", ...this.identity(), ...program],
      { env: this.environment(), stdio: ["pipe", "pipe", "pipe"] },
    );
    this.child = child;
    child.stdin.end();
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (data: Buffer) => (this.output += data.toString()));
    return new Promise((resolve) => child.once("close", () => resolve()));
  }

  /** Command that drops all that a site's container lacks. */
  private identity(): string[] {
    const user = this.inputs.user ?? "";
    const [uid, gid] = (/^\d+:\d+$/.test(user) ? user : this.image.user).split(":");
    const capabilities = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"];
    return ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", ...capabilities];
  }

  private environment(): Record<string, string> {
    const own = (this.inputs.envs ?? []).map((line) => /^([^=]*)=([^]*)$/.exec(line) ?? []);
    const libraries = process.env.LD_LIBRARY_PATH;
    return {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      ...(libraries && { LD_LIBRARY_PATH: libraries }),
      ...Object.fromEntries(own.map(([, name = "", value = ""]) => [name, value])),
    };
  }
}
