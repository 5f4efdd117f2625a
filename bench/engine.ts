import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Stack } from "@pulumi/pulumi/automation";

const repeats = 5;
const subjects = ["empty", "site"] as const;
const operations = ["preview", "up"] as const;
type Subject = (typeof subjects)[number];
type Operation = (typeof operations)[number];

// As in the field: without a simulated battery, which is a program of its own to be carried along.
const config = { "bess-telemetry:site": { name: "bench", profile: "pi" } };

/** Opens a program that makes nothing, or a site on a simulated engine; loads no more than it needs. */
async function open(subject: Subject, folder: string): Promise<{ stack: Stack; close(): void }> {
  if (subject === "site")
    return (
      require("../automation/inline") as typeof import("../automation/inline")
    ).rehearsedStack("bench", { folder, config });
  const { LocalWorkspace } =
    require("@pulumi/pulumi/automation") as typeof import("@pulumi/pulumi/automation");
  const { environment } =
    require("../automation/programs") as typeof import("../automation/programs");
  const { localBackend } =
    require("../automation/backend") as typeof import("../automation/backend");
  process.env.PATH = environment().PATH;
  const envVars = { ...localBackend(folder), PULUMI_SKIP_UPDATE_CHECK: "true" };
  const stack = await LocalWorkspace.createOrSelectStack(
    { stackName: "empty", projectName: "empty", program: async () => ({}) },
    { envVars },
  );
  return { stack, close: () => undefined };
}

const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

async function seconds(work: () => Promise<unknown> | unknown): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** One operation in a process of its own, as an operator's command is. */
function alone(operation: Operation, subject: Subject, folder: string): void {
  const { status, stderr } = spawnSync(
    process.execPath,
    [join(__dirname, "../cli/bess.js"), "../bench/engine", operation, subject, folder],
    { encoding: "utf8" },
  );
  if (status !== 0) throw new Error(`${operation} of ${subject} failed: ${stderr}`);
}

async function benchmark(folder: string): Promise<void> {
  for (const subject of subjects) alone("up", subject, join(folder, subject));
  const taken: Record<string, number> = {};
  const measure = async (name: string, work: (subject: Subject) => Promise<unknown> | unknown) => {
    const samples: Record<Subject, number[]> = { empty: [], site: [] };
    // In turns, so that what else this machine does meets both.
    for (let i = 0; i < repeats; i++)
      for (const subject of subjects) samples[subject].push(await seconds(() => work(subject)));
    for (const subject of subjects) taken[`${name} ${subject}`] = median(samples[subject]);
    const [empty, site] = subjects.map((subject) => taken[`${name} ${subject}`]);
    console.log(
      `${name.padEnd(28)} empty program ${empty.toFixed(2)} s   site ${site.toFixed(2)} s   ratio ${(site / empty).toFixed(2)}`,
    );
    return site / empty;
  };
  console.log(
    `median of ${repeats}, an empty program and a site of 56 resources in turns, both up to date`,
  );
  const ratios = [];
  for (const operation of operations)
    ratios.push(
      `${operation} ${(await measure(`${operation} by command`, (subject) => alone(operation, subject, join(folder, subject)))).toFixed(1)}`,
    );
  const warm = {
    empty: await open("empty", join(folder, "empty")),
    site: await open("site", join(folder, "site")),
  };
  for (const operation of operations)
    await measure(`${operation} in a warm process`, (subject) => warm[subject].stack[operation]());
  for (const { close } of Object.values(warm)) close();
  console.log(`ratios: ${ratios.join(" ")}`);
}

const [operation, subject, folder] = process.argv.slice(2) as [Operation?, Subject?, string?];
if (operation && subject && folder) {
  open(subject, folder).then(async ({ stack }) => (await stack[operation](), process.exit(0)));
} else {
  const temporary = mkdtempSync(join(tmpdir(), "bench-"));
  benchmark(temporary).then(
    () => (rmSync(temporary, { recursive: true }), process.exit(0)),
    (error: Error) => (console.error(error.message), process.exit(1)),
  );
}
