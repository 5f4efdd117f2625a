import { execFileSync, spawn } from "node:child_process";
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "./programs";

const root = join(__dirname, "../..");
const notCopied = ["node_modules", ".git", ".cache", ".pulumi-state", "coverage"];

/** How a command ended. */
export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** The project in a repository of its own, where a test may change and commit what it likes. */
export class Checkout {
  private readonly folder = temporaryFolder();

  constructor() {
    cpSync(root, this.folder.path, {
      recursive: true,
      filter: (path) => !notCopied.some((name) => path === join(root, name)),
    });
    symlinkSync(join(root, "node_modules"), this.at("node_modules"));
    writeFileSync(this.at(".gitignore"), "node_modules\n.cache/\n.pulumi-state/\n");
    this.git("init", "-q");
    this.git("add", "-A");
    this.git("commit", "-q", "-m", "base");
  }

  /** Path of a file of it. */
  at(file: string): string {
    return join(this.folder.path, file);
  }

  git(...args: string[]): string {
    const author = ["-c", "user.name=test", "-c", "user.email=test@localhost"];
    return execFileSync("git", [...author, ...args], {
      cwd: this.folder.path,
      stdio: "pipe",
      encoding: "utf8",
    });
  }

  /** Runs `bess …` there, in a backend of its own. */
  bess(...args: string[]): Promise<Ended> {
    const { PULUMI_BACKEND_URL: _url, PULUMI_ACCESS_TOKEN: _token, ...env } = process.env;
    const child = spawn(process.execPath, ["cli/bess.js", ...args], {
      cwd: this.folder.path,
      env: { ...env, PULUMI_HOME: this.at(".cache/home") },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const text = { stdout: "", stderr: "" };
    child.stdout.on("data", (data: Buffer) => (text.stdout += data.toString()));
    child.stderr.on("data", (data: Buffer) => (text.stderr += data.toString()));
    return new Promise((resolve) => child.once("close", (code) => resolve({ code, ...text })));
  }

  /** Replaces a text that must be in a file. */
  change(file: string, from: string | RegExp, to: string): void {
    const text = readFileSync(this.at(file), "utf8");
    expect(text).toMatch(from);
    writeFileSync(this.at(file), text.replace(from, to));
  }

  remove(): void {
    this.folder.remove();
  }
}
