import { execFileSync, spawn } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { environment, localBackend } from "../../automation";
import { homeWithoutLogs } from "../../automation/backend";
import { providerPlugins } from "../../automation/programs";
import { temporaryFolder } from "./programs";

const root = join(__dirname, "../..");
const notCopied = ["node_modules", ".git", ".cache", ".pulumi-state", "coverage", "dist"];

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

  /**
   * The environment of a person at a machine of their own who is logged in to no backend; the
   * programs of the project are found there, and not built anew.
   */
  get person(): NodeJS.ProcessEnv {
    const own = Object.entries(process.env).filter(
      ([name]) => !/^(CI$|GITHUB_|PULUMI_)/.test(name),
    );
    return {
      ...Object.fromEntries(own),
      PATH: environment().PATH,
      ...homeWithoutLogs(this.at(".cache/home")),
    };
  }

  /** The same, of somebody who has chosen a backend. */
  get loggedIn(): NodeJS.ProcessEnv {
    return { ...this.person, ...localBackend(this.at(".cache/backend")) };
  }

  /** Runs `bess …` there, as a {@link person}. */
  bess = (...args: string[]): Promise<Ended> => this.bessAs({}, ...args);

  /** The same, with more in the environment. */
  bessAs(env: NodeJS.ProcessEnv, ...args: string[]): Promise<Ended> {
    const child = spawn(process.execPath, ["cli/bess.js", ...args], {
      cwd: this.folder.path,
      env: { ...this.person, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const text = { stdout: "", stderr: "" };
    child.stdout.on("data", (data: Buffer) => (text.stdout += data.toString()));
    child.stderr.on("data", (data: Buffer) => (text.stderr += data.toString()));
    return new Promise((resolve) => child.once("close", (code) => resolve({ code, ...text })));
  }

  /**
   * Lays down what a machine needs beside the Pulumi CLI, its runtime and the providers' plugins,
   * in name alone: for what comes before Pulumi runs them.
   */
  pretendPulumi(): void {
    const plugins = providerPlugins(this.at(".cache/home")).map(({ path }) => path);
    for (const folder of [...plugins, this.at(".cache/bin")])
      mkdirSync(folder, { recursive: true });
    writeFileSync(this.at(".cache/bin/pulumi-language-nodejs"), "#!/bin/sh\nexit 1\n", {
      mode: 0o755,
    });
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
