import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Option, program } from "commander";
import pLimit from "p-limit";
import { parse, stringify } from "yaml";
import { rehearse } from "../rehearsal";
import { rehearsedStack, update } from "../automation/inline";
import { environment, locate, setUp } from "../automation/programs";
import { localBackend, root } from "../automation/backend";

const operations = ["preview", "up"] as const;
type Operation = (typeof operations)[number];

const siteName = (i: number) => `site-${String(i).padStart(4, "0")}`;
const configOf = (name: string) => ({
  "bess-telemetry:site": { name, engine: `ssh://bess@${name}`, profile: "pi" },
});

/** One operation at one site, inline. */
async function inline(operation: Operation, name: string, folder: string): Promise<void> {
  const { stack, close } = await rehearsedStack(name, {
    folder,
    config: configOf(name),
    existing: operation === "preview" ? "assumed" : undefined,
  });
  await (operation === "up" ? update(stack) : stack.preview()).finally(close);
}

/** The same by a command of its own, as a shell loop does it: Pulumi's, where its language host is, else this project's. */
async function alone(operation: Operation, name: string, folder: string): Promise<void> {
  const own = {
    command: process.execPath,
    args: [join(__dirname, "../cli/bess.js"), "../bench/fleet", "--once", operation, name, folder],
    env: process.env,
    close: () => undefined,
  };
  const { command, args, env, close } = languageHost
    ? await pulumiOf(operation, name, folder)
    : own;
  await promisify(execFile)(command, args, { env, maxBuffer: 1 << 26 }).finally(close);
}

const languageHost = locate("pulumi-language-nodejs") !== undefined;

/** Pulumi's command on a site that is rehearsed by this process. */
async function pulumiOf(operation: Operation, name: string, folder: string) {
  const providers = await rehearse({
    folder: join(folder, "engines"),
    engine: configOf(name)["bess-telemetry:site"].engine,
  });
  const [inlined, project] = [join(folder, "stacks", name), join(folder, "loop", name)];
  mkdirSync(project, { recursive: true });
  writeFileSync(
    join(project, "Pulumi.yaml"),
    stringify({ ...parse(readFileSync(join(root, "Pulumi.yaml"), "utf8")), main: root }),
  );
  copyFileSync(join(inlined, `Pulumi.${name}.yaml`), join(project, `Pulumi.${name}.yaml`));
  const env = {
    ...environment(),
    ...localBackend(folder),
    ...providers.environment,
    PULUMI_SKIP_UPDATE_CHECK: "true",
  };
  const unasked = operation === "up" ? ["--yes", "--skip-preview"] : [];
  return {
    command: "pulumi",
    args: [operation, ...unasked, "--non-interactive", "--stack", name, "--cwd", project],
    env,
    close: providers.close,
  };
}

async function seconds(work: () => Promise<unknown> | unknown): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

async function inTurns(names: string[], work: (name: string) => Promise<void>): Promise<void> {
  for (const name of names) await work(name);
}

const memory = () => Math.round(process.memoryUsage().rss / 2 ** 20);

async function benchmark(
  sizes: number[],
  parallels: number[],
  looped: number,
  folder: string,
): Promise<void> {
  const names = Array.from({ length: Math.max(...sizes, looped) }, (_, i) => siteName(i));
  const limited = (operation: Operation, count: number, parallel: number) => {
    const limit = pLimit(parallel);
    return Promise.all(
      names.slice(0, count).map((name) => limit(() => inline(operation, name, folder))),
    );
  };
  console.log(
    `first up of ${names.length} sites: ${((await seconds(() => limited("up", names.length, Math.max(...parallels)))) / names.length).toFixed(2)} s a site, resident ${memory()} MB`,
  );
  const ratios: string[] = [];
  for (const operation of operations) {
    const loop =
      (await seconds(() =>
        inTurns(names.slice(0, looped), (name) => alone(operation, name, folder)),
      )) / looped;
    console.log(
      `${operation.padEnd(8)} a shell loop of ${languageHost ? "pulumi" : "this project's command"} over ${looped} sites: ${loop.toFixed(2)} s a site`,
    );
    let best = Infinity;
    for (const count of sizes) {
      for (const parallel of parallels) {
        const each = (await seconds(() => limited(operation, count, parallel))) / count;
        best = Math.min(best, each);
        console.log(
          `${operation.padEnd(8)} ${String(count).padStart(4)} sites, ${parallel} at once: ${each.toFixed(2)} s a site, ${(loop / each).toFixed(1)} times the loop's rate, resident ${memory()} MB`,
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
    "Preview and up, both up to date, of rehearsed sites in one process, beside a shell loop of one command a site.",
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
      if (once) {
        await inline(once, site!, folder!);
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
