import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rehearsedStack, WorkerPool } from "../automation";
import { median, secondsOf } from "./measuring";

const repeats = 5;
const operations = ["preview", "up"] as const;
type Operation = (typeof operations)[number];

/** A program that makes nothing, and a site without a simulated battery, as in the field. */
const subjects = {
  empty: { program: join(__dirname, "empty-program.ts"), config: {} },
  site: { config: { "bess-telemetry:site": { name: "bench", profile: "pi" } } },
};
type Subject = keyof typeof subjects;
const subjectNames = Object.keys(subjects) as Subject[];

const open = (subject: Subject, folder: string) =>
  rehearsedStack("bench", {
    folder: join(folder, subject),
    workers: new WorkerPool({ size: 1 }),
    ...subjects[subject],
  });

/** One operation in a process of its own, as an operator's command is. */
function runCommand(operation: Operation, subject: Subject, folder: string): void {
  const { status, stderr } = spawnSync(
    process.execPath,
    [join(__dirname, "../cli/bess.js"), "../bench/engine", operation, subject, folder],
    { encoding: "utf8" },
  );
  if (status !== 0) throw new Error(`${operation} of ${subject} failed: ${stderr}`);
}

/**
 * Measures both subjects in turns, so that what else this machine does meets both.
 * @returns their ratio.
 */
async function compare(
  title: string,
  work: (subject: Subject) => Promise<unknown> | void,
): Promise<number> {
  const samples: Record<Subject, number[]> = { empty: [], site: [] };
  for (let i = 0; i < repeats; i++)
    for (const subject of subjectNames) samples[subject].push(await secondsOf(() => work(subject)));
  const [empty, site] = [median(samples.empty), median(samples.site)];
  const ratio = site / empty;
  console.log(
    `${title.padEnd(28)} empty program ${empty.toFixed(2)} s   site ${site.toFixed(2)} s   ` +
      `ratio ${ratio.toFixed(2)}`,
  );
  return ratio;
}

async function benchmark(folder: string): Promise<void> {
  for (const subject of subjectNames) runCommand("up", subject, folder);
  console.log(
    `median of ${repeats}, an empty program and a site of 56 resources in turns, both up to date`,
  );
  const ratios: string[] = [];
  for (const operation of operations) {
    const ratio = await compare(`${operation} by command`, (subject) =>
      runCommand(operation, subject, folder),
    );
    ratios.push(`${operation} ${ratio.toFixed(1)}`);
  }
  const warm = { empty: open("empty", folder), site: open("site", folder) };
  for (const subject of subjectNames) await warm[subject].preview();
  for (const operation of operations)
    await compare(`${operation} in a warm process`, (subject) => warm[subject][operation]());
  console.log(`ratios: ${ratios.join(" ")}`);
}

async function main(operation?: Operation, subject?: Subject, folder?: string): Promise<void> {
  if (operation && subject && folder) return void (await open(subject, folder)[operation]());
  const temporary = mkdtempSync(join(tmpdir(), "bench-"));
  await benchmark(temporary).finally(() => rmSync(temporary, { recursive: true }));
}

main(...(process.argv.slice(2) as [Operation?, Subject?, string?])).then(
  () => process.exit(0),
  (error: Error) => {
    console.error(error.message);
    process.exit(1);
  },
);
