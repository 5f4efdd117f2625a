import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type BackupPlaces,
  copierProgram,
  listScript,
  nowScript,
  restoreProgram,
  restoreScript,
  type RestoreOptions,
  secretsOf,
  startScript,
} from "../../configs/backup";
import { backupSchema } from "../../configs/backup-schema";
import { program, Running, temporaryFolder, until } from "./programs";

/** Debian's own: a version manager's shim is of no use to another user. */
const python = existsSync("/usr/bin/python3") ? "/usr/bin/python3" : program("python3");

const isRoot = process.getuid?.() === 0;

/** Owners of the volumes, as the services have them. */
const owners = { influxdb: "1500:1500", mosquitto: "1883:1883", grafana: "472:0" } as const;

/** A run of a script, as `docker run -i` has it. */
export interface Ran {
  code: number | null;
  output: string;
}

/** A backup as restic lists it. */
export interface Snapshot {
  id: string;
  time: string;
  summary?: { total_files_processed: number; total_bytes_processed: number };
}

const environment = () => ({
  ...process.env,
  PATH: `${join(program("restic"), "..")}:${process.env.PATH}`,
});

/**
 * A site's volumes and the two containers of its backup: the rendered scripts, with the real restic and
 * the real SQLite of Python.
 */
export class BackedUpSite {
  readonly folder = temporaryFolder();
  readonly at: BackupPlaces;
  private backup: Running | undefined;
  private copier: Running | undefined;
  private readonly runs = new Set<ChildProcess>();

  /**
   * @param choices `to`: the place of the backups, a folder of this site's by default; `target`: that
   * folder.
   */
  constructor(
    private readonly choices: {
      to?: string;
      target?: string;
      password?: string;
      keep?: object;
      sameDisk?: boolean;
      login?: { user: string; password: string };
      ssh?: { key: string; knownHosts: string };
      copySeconds?: number;
      everySeconds?: number;
      retrySeconds?: number;
      interface?: boolean;
    } = {},
  ) {
    const at = (name: string) => join(this.folder.path, name);
    this.at = {
      state: at("state"),
      secrets: at("secrets"),
      scratch: at("scratch"),
      target: choices.target ?? at("target"),
      influxdb: at("influxdb"),
      mosquitto: at("mosquitto"),
      grafana: at("grafana"),
      interface: at("interface"),
    };
    for (const folder of Object.values(this.at)) mkdirSync(folder, { recursive: true });
    this.own();
    for (const { file, content } of secretsOf(choices, choices.password ?? "a long password"))
      writeFileSync(join(this.at.secrets, file), content);
  }

  /** Gives the volumes to the services' users. */
  own(): void {
    if (!isRoot) return;
    for (const [service, owner] of Object.entries(owners))
      execFileSync("chown", ["-R", owner, this.at[service as keyof typeof owners]]);
  }

  private options() {
    const { to = this.at.target, sameDisk = true, keep = {}, login, ssh } = this.choices;
    const isFolder = to.startsWith("/");
    const backup = backupSchema.parse({
      to,
      password: "not read: the scripts have it from its file",
      keep,
      ...(isFolder && { sameDisk }),
      ...(login && { login }),
      ...(ssh && { ssh }),
    });
    return {
      site: "kiel-1",
      backup,
      at: this.at,
      interface: this.choices.interface ?? false,
      everySeconds: this.choices.everySeconds ?? 86_400,
      retrySeconds: this.choices.retrySeconds ?? 600,
      copySeconds: this.choices.copySeconds ?? 60,
    };
  }

  /** Starts both containers; the copier may be left out. */
  start(copier = true): void {
    const script = (name: string, content: string) => {
      const path = join(this.folder.path, name);
      writeFileSync(path, content);
      return path;
    };
    if (copier)
      this.copier = new Running(python, [script("copier.py", copierProgram(this.options()))]);
    const start = script("start.sh", startScript(this.options()));
    this.backup = new Running(program("busybox"), ["sh", start], { env: environment() });
  }

  get running(): Running {
    if (!this.backup) throw new Error("the backup was not started");
    return this.backup;
  }

  /** What both have printed. */
  get output(): string {
    return `${this.backup?.output ?? ""}${this.copier?.output ?? ""}`;
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    await this.backup?.stop(signal);
    await this.copier?.stop("SIGKILL");
  }

  async remove(): Promise<void> {
    await this.stop("SIGKILL");
    // Whoever asked for a backup that was killed still waits for it.
    this.killRuns();
    this.folder.remove();
  }

  /** Waits for a line of the backup's log. */
  logged = (line: RegExp, seconds = 60): Promise<void> =>
    until(
      () => `${line.source} in:\n${this.output}`,
      () => line.test(this.output),
      seconds,
    );

  /** Asks for a backup as `bess backup` does. */
  now(...args: string[]): Promise<Ran> {
    const path = join(this.folder.path, "now.sh");
    writeFileSync(path, nowScript(this.options()));
    return this.run([program("busybox"), "sh", path, ...args]);
  }

  /** The backups of the site. */
  async snapshots(): Promise<Snapshot[]> {
    const { code, output } = await this.run(
      [program("busybox"), "sh", "-s"],
      listScript(this.options()),
    );
    if (code !== 0) throw new Error(output);
    return JSON.parse(output) as Snapshot[];
  }

  /** Rows that the backup has told InfluxDB's container, oldest first. */
  rows(): string[] {
    const folder = join(this.at.influxdb, ".backup/rows");
    const { stdout } = spawnSync("sh", ["-c", `cat "${folder}"/*.lp 2>/dev/null`], {
      encoding: "utf8",
    });
    return stdout.split("\n").filter(Boolean);
  }

  /** Restores another site's backup into this one's volumes, in its two steps. */
  async restoreFrom(
    site: BackedUpSite,
    options: Partial<RestoreOptions> & { snapshot: string },
  ): Promise<Ran> {
    const all: RestoreOptions = {
      ...site.options(),
      overwrite: false,
      ...options,
      at: { ...this.at, target: site.at.target, secrets: site.at.secrets },
      made: site.at,
    };
    const fetched = await this.run([program("busybox"), "sh", "-s"], restoreScript(all));
    if (fetched.code !== 0) return fetched;
    const placed = await this.place(all);
    return { code: placed.code, output: fetched.output + placed.output };
  }

  place(options: RestoreOptions): Promise<Ran> {
    return this.run([python, "-"], restoreProgram(options, { messageRate: 0.001 }));
  }

  private async run([command = "", ...args]: string[], input = ""): Promise<Ran> {
    const child = spawn(command, args, { env: environment(), detached: true });
    this.runs.add(child);
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (data: Buffer) => (output += data.toString()));
    child.stdin.on("error", () => undefined).end(input);
    const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
    this.runs.delete(child);
    return { code, output };
  }

  /** Kills the scripts that still run. */
  killRuns(): void {
    for (const { pid } of this.runs)
      try {
        if (pid) process.kill(-pid, "SIGKILL");
      } catch {
        // It has ended meanwhile.
      }
  }

  /** Text of a file of a volume; undefined where there is none. */
  text(path: string): string | undefined {
    const file = join(this.folder.path, path);
    return existsSync(file) ? readFileSync(file, "utf8") : undefined;
  }
}

/** Runs statements of SQL by the real SQLite, and prints what the last answers. */
export function sqlite(database: string, ...statements: string[]): string {
  const lines = [
    "import json, sqlite3, sys",
    "database = sqlite3.connect(sys.argv[1], isolation_level=None)",
    "for statement in json.loads(sys.argv[2]): found = database.execute(statement).fetchall()",
    "print(json.dumps(found))",
  ];
  return execFileSync(python, ["-c", lines.join("\n"), database, JSON.stringify(statements)], {
    encoding: "utf8",
  }).trim();
}

/** Writes pairs of equal numbers into a table, each pair by two statements of one transaction. */
export class Writer {
  private readonly child: ChildProcess;
  private printed = "";

  constructor(database: string, user: number) {
    const lines = [
      "import json, os, signal, sqlite3, sys, time",
      "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))",
      "database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)",
      "count = slowest = 0",
      "try:",
      "  while True:",
      "    began = time.monotonic()",
      "    database.execute('BEGIN IMMEDIATE')",
      "    database.execute('INSERT INTO pairs VALUES (?, 0, ?)', (count, 'x' * 500))",
      "    database.execute('UPDATE pairs SET two = ? WHERE one = ?', (count, count))",
      "    database.execute('COMMIT')",
      "    slowest = max(slowest, time.monotonic() - began)",
      "    count += 1",
      "    time.sleep(0.01)",
      "finally:",
      "  print(json.dumps({'count': count, 'slowest': round(1000 * slowest)}))",
    ];
    const identity = isRoot ? { uid: user, gid: user } : {};
    this.child = spawn(python, ["-c", lines.join("\n"), database], {
      ...identity,
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.child.stdout?.on("data", (data: Buffer) => (this.printed += data.toString()));
  }

  /** Ends it. @returns how many pairs it has written, and the milliseconds of the slowest. */
  async stop(): Promise<{ count: number; slowest: number }> {
    const ended = new Promise((resolve) => this.child.once("close", resolve));
    this.child.kill();
    await ended;
    return JSON.parse(this.printed) as { count: number; slowest: number };
  }
}
