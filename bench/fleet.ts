import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Option, program } from "commander";
import pLimit from "p-limit";
import { parse, stringify } from "yaml";
import { rehearse } from "../rehearsal";
import {
  environment,
  localBackend,
  locate,
  rehearsedStack,
  root,
  setUp,
  WorkerPool,
} from "../automation";
import { type Memory, peakMemory, secondsOf } from "./measuring";

const operations = ["preview", "up"] as const;
type Operation = (typeof operations)[number];

const siteName = (i: number) => `site-${String(i).padStart(4, "0")}`;
const configOf = (name: string) => ({
  "bess-telemetry:site": { name, engine: `ssh://bess@${name}`, profile: "pi" },
});

/** One operation at one site, by a worker process. */
async function byWorker(
  operation: Operation,
  name: string,
  folder: string,
  workers?: WorkerPool,
): Promise<void> {
  await rehearsedStack(name, {
    folder,
    config: configOf(name),
    ...(workers && { workers }),
  })[operation]();
}

/**
 * The same by a command of its own, as a shell loop does it: Pulumi's, where its language host is,
 * else this project's.
 */
async function byCommand(operation: Operation, name: string, folder: string): Promise<void> {
  const own = {
    command: process.execPath,
    args: [join(__dirname, "../cli/bess.js"), "../bench/fleet", "--once", operation, name, folder],
    env: process.env,
    close: () => undefined,
  };
  const { command, args, env, close } = languageHost
    ? await pulumiCommand(operation, name, folder)
    : own;
  await promisify(execFile)(command, args, { env, maxBuffer: 1 << 26 }).finally(close);
}

const languageHost = locate("pulumi-language-nodejs") !== undefined;

/** Pulumi's command on a site that is rehearsed by this process. */
async function pulumiCommand(operation: Operation, name: string, folder: string) {
  const providers = await rehearse({
    folder: join(folder, "engines"),
    engine: configOf(name)["bess-telemetry:site"].engine,
  });
  const [written, project] = [join(folder, "stacks", name), join(folder, "loop", name)];
  mkdirSync(project, { recursive: true });
  writeFileSync(
    join(project, "Pulumi.yaml"),
    stringify({ ...parse(readFileSync(join(root, "Pulumi.yaml"), "utf8")), main: root }),
  );
  copyFileSync(join(written, `Pulumi.${name}.yaml`), join(project, `Pulumi.${name}.yaml`));
  const env = {
    ...environment(),
    ...localBackend(folder),
    ...providers.environment,
    PULUMI_SKIP_UPDATE_CHECK: "true",
  };
  const confirmed = operation === "up" ? ["--yes", "--skip-preview"] : [];
  return {
    command: "pulumi",
    args: [operation, ...confirmed, "--non-interactive", "--stack", name, "--cwd", project],
    env,
    close: providers.close,
  };
}

const inMiB = ({ node, all }: Memory) =>
  `memory: node ${Math.round(node)} MiB, with pulumi ${Math.round(all)} MiB`;

async function benchmark(
  sizes: number[],
  parallels: number[],
  looped: number,
  folder: string,
): Promise<void> {
  const names = Array.from({ length: Math.max(...sizes, looped) }, (_, i) => siteName(i));
  // Processes are warm, as they are in a rollout of many sites; those of another number at once are
  // ended.
  let pool = { parallel: 0, workers: new WorkerPool() };
  const poolOf = (parallel: number): WorkerPool => {
    if (pool.parallel !== parallel) {
      pool.workers.close();
      pool = { parallel, workers: new WorkerPool({ size: parallel }) };
    }
    return pool.workers;
  };
  /**
   * An operation at the first sites, some at once.
   * @returns seconds for each site, and the most memory that was taken.
   */
  const measure = async (operation: Operation, count: number, parallel: number) => {
    const limit = pLimit(parallel);
    const workers = poolOf(parallel);
    let memory: Memory = { node: 0, all: 0 };
    const seconds = await secondsOf(async () => {
      memory = await peakMemory(() =>
        Promise.all(
          names
            .slice(0, count)
            .map((name) => limit(() => byWorker(operation, name, folder, workers))),
        ),
      );
    });
    return { each: seconds / count, memory };
  };
  const first = await measure("up", names.length, Math.max(...parallels));
  console.log(
    `first up of ${names.length} sites: ${first.each.toFixed(2)} s a site, ${inMiB(first.memory)}`,
  );
  const ratios: string[] = [];
  for (const operation of operations) {
    const loop =
      (await secondsOf(async () => {
        for (const name of names.slice(0, looped)) await byCommand(operation, name, folder);
      })) / looped;
    console.log(
      `${operation.padEnd(8)} a shell loop ` +
        `of ${languageHost ? "pulumi" : "this project's command"} over ${looped} sites: ${loop.toFixed(2)} s a site`,
    );
    let best = Infinity;
    for (const parallel of parallels) {
      for (const count of sizes) {
        const { each, memory } = await measure(operation, count, parallel);
        best = Math.min(best, each);
        console.log(
          `${operation.padEnd(8)} ${String(count).padStart(4)} sites, ${parallel} at once: ` +
            `${each.toFixed(2)} s a site, ${(loop / each).toFixed(1)} times the loop's rate, ` +
            inMiB(memory),
        );
      }
    }
    ratios.push(`${operation} ${(loop / best).toFixed(1)}`);
  }
  console.log(`ratios: ${ratios.join(" ")}`);
}

const list = (text: string) => text.split(",").map(Number);

program
  .name("npm run bench:fleet --")
  .description(
    "Preview and up of unchanged rehearsed sites by worker processes, " +
      "beside a shell loop of one command a site.",
  )
  .option("--sizes <n,n>", "numbers of sites", list, [8, 32, 100])
  .option("--parallels <n,n>", "sites at once", list, [1, 2, 4, 8])
  .option("--looped <n>", "sites of the shell loop", Number, 8)
  .addOption(new Option("--once <operation>", "what the loop runs").hideHelp())
  .argument("[site]")
  .argument("[folder]")
  .action(
    async (
      site: string | undefined,
      folder: string | undefined,
      { once, sizes, parallels, looped },
    ) => {
      if (once && site && folder) {
        await byWorker(once, site, folder);
        process.exit(0);
      }
      if (!(await setUp("rehearse"))) process.exit(1);
      const temporary = mkdtempSync(join(tmpdir(), "bench-"));
      await benchmark(sizes, parallels, looped, temporary).finally(() =>
        rmSync(temporary, { recursive: true }),
      );
      process.exit(0);
    },
  )
  .parseAsync()
  .catch((error: Error) => (console.error(error.message), process.exit(1)));
