import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Option, program } from "commander";
import pLimit from "p-limit";
import { rehearsedStack } from "../inline";
import { setUp } from "../setup";

const operations = ["preview", "up"] as const;
type Operation = (typeof operations)[number];

const siteName = (i: number) => `site-${String(i).padStart(4, "0")}`;
const configOf = (name: string) => ({ "bess-telemetry:site": { name, engine: `ssh://bess@${name}`, profile: "pi" } });

/** One operation at one site, inline. */
async function inline(operation: Operation, name: string, folder: string): Promise<void> {
  const { stack, close } = await rehearsedStack(name, { folder, config: configOf(name) });
  await stack[operation]().finally(close);
}

/** The same by a command of its own, as a shell loop does it. */
function alone(operation: Operation, name: string, folder: string): void {
  const { status, stderr } = spawnSync(process.execPath, [join(__dirname, "../run.js"), "bench/fleet", "--once", operation, name, folder], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${operation} of ${name} failed: ${stderr}`);
}

async function seconds(work: () => Promise<unknown> | unknown): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

const memory = () => Math.round(process.memoryUsage().rss / 2 ** 20);

async function benchmark(sizes: number[], parallels: number[], looped: number, folder: string): Promise<void> {
  const names = Array.from({ length: Math.max(...sizes, looped) }, (_, i) => siteName(i));
  const limited = (operation: Operation, count: number, parallel: number) => {
    const limit = pLimit(parallel);
    return Promise.all(names.slice(0, count).map((name) => limit(() => inline(operation, name, folder))));
  };
  console.log(`first up of ${names.length} sites: ${((await seconds(() => limited("up", names.length, Math.max(...parallels)))) / names.length).toFixed(2)} s a site, resident ${memory()} MB`);
  const ratios: string[] = [];
  for (const operation of operations) {
    const loop = (await seconds(() => names.slice(0, looped).forEach((name) => alone(operation, name, folder)))) / looped;
    console.log(`${operation.padEnd(8)} a shell loop over ${looped} sites: ${loop.toFixed(2)} s a site`);
    let best = Infinity;
    for (const count of sizes) {
      for (const parallel of parallels) {
        const each = (await seconds(() => limited(operation, count, parallel))) / count;
        best = Math.min(best, each);
        console.log(`${operation.padEnd(8)} ${String(count).padStart(4)} sites, ${parallel} at once: ${each.toFixed(2)} s a site, ${(loop / each).toFixed(1)} times the loop's rate, resident ${memory()} MB`);
      }
    }
    ratios.push(`${operation} ${(loop / best).toFixed(1)}`);
  }
  console.log(`ratios: ${ratios.join(" ")}`);
}

const list = (text: string) => text.split(",").map(Number);

program
  .name("npm run bench:fleet --")
  .description("Preview and up, both up to date, of rehearsed sites in one process, beside a shell loop of one command a site.")
  .option("--sizes <n,n>", "numbers of sites", list, [8, 32, 100])
  .option("--parallels <n,n>", "sites at once", list, [1, 2, 4, 8])
  .option("--looped <n>", "sites of the shell loop", Number, 8)
  .addOption(new Option("--once <operation>", "what the loop runs").hideHelp())
  .argument("[site]")
  .argument("[folder]")
  .action(async (site: string | undefined, folder: string | undefined, { once, sizes, parallels, looped }) => {
    if (once) {
      await inline(once, site!, folder!);
      process.exit(0);
    }
    if (!(await setUp("rehearse"))) process.exit(1);
    const temporary = mkdtempSync(join(tmpdir(), "bench-"));
    await benchmark(sizes, parallels, looped, temporary).finally(() => rmSync(temporary, { recursive: true }));
    process.exit(0);
  })
  .parseAsync()
  .catch((error: Error) => (console.error(error.message), process.exit(1)));
