import { writeFileSync } from "node:fs";
import { Option, program } from "commander";
import { profiles } from "../configs/profiles";
import { diskMissing } from "../tests/support/machine/disk";
import { Machine } from "../tests/support/machine/machine";
import { type Cut, inDatabase, SiteUnderLoad, random } from "../tests/support/machine/under-load";
import { influxdb3 } from "../tests/support/programs";
import { median } from "./measuring";

interface Options {
  cuts: number;
  new: number;
  rate: number;
  profile: keyof typeof profiles;
  seed: number;
  snapshot?: string;
  json?: string;
}

/** A cut that is to be made. */
interface Plan {
  /** Whether the site is made anew before. */
  fresh: boolean;
  /** Seconds from the boot to the cut. */
  seconds: number;
  cache: Cut["cache"];
}

/** Cuts of new sites within their first minute, each with one more after it; then of the last site. */
function plan({ cuts, new: fresh, seed }: Options): Plan[] {
  const next = random(seed);
  const between = (from: number, to: number) => from + next() * (to - from);
  return Array.from({ length: cuts }, (_, index) => {
    const isFresh = index < 2 * fresh && index % 2 === 0;
    return {
      fresh: isFresh || index === 0,
      seconds: isFresh ? between(0, 50) : between(0, 12),
      cache: next() < 0.5 ? "kept" : "lost",
    };
  });
}

const line = (cut: Cut) =>
  `site of ${cut.age.toFixed(1)} s, up ${cut.up.toFixed(1)} s, disk cache ${cut.cache}: ` +
  `${cut.acknowledged} acknowledged, ${cut.lost} lost` +
  (cut.lost > 0 ? `, the oldest ${cut.oldest.toFixed(2)} s before` : "") +
  `; healthy in ${cut.healthy.toFixed(1)} s, storing in ${cut.storing.toFixed(1)} s` +
  (cut.restarts > 0 ? `; ${cut.restarts} restarts` : "") +
  (cut.setAside.length > 0 ? `; set aside: ${cut.setAside.join(" ")}` : "");

function summary(made: Cut[], failed: string[]): string {
  const figures = (of: (cut: Cut) => number) => {
    const values = made.map(of);
    return `median ${median(values).toFixed(2)} s, worst ${Math.max(...values).toFixed(2)} s`;
  };
  const sum = (of: (cut: Cut) => number) => made.reduce((total, cut) => total + of(cut), 0);
  const cuts = made.length + failed.length;
  return [
    `${cuts} cuts, ${made.filter(({ age }) => age < 60).length} of them in a site's first minute; ` +
      `${made.length} of ${cuts} started without a hand, ${sum((cut) => cut.restarts)} restarts of a service`,
    `lost ${sum((cut) => cut.lost)} of ${sum((cut) => cut.acknowledged)} acknowledged messages, ` +
      `at ${made.filter(({ lost }) => lost > 0).length} cuts`,
    `the oldest of them was acknowledged before the cut: ${figures((cut) => cut.oldest)}; ` +
      // What waited at the broker over a boot was stored after it.
      `or delivered again: ${figures((cut) => Math.min(cut.oldest, cut.up))}`,
    `healthy: ${figures((cut) => cut.healthy)}; storing: ${figures((cut) => cut.storing)}`,
    `${sum((cut) => cut.setAside.length)} files set aside, at ` +
      `${made.filter(({ setAside }) => setAside.length > 0).length} cuts`,
  ].join("\n");
}

async function benchmark(options: Options): Promise<boolean> {
  const machine = await Machine.make({
    services: ["mosquitto", "telegraf", "influxdb"],
    profile: options.profile,
    mebibytes: 1024,
    influxdb: options.snapshot ? { "--wal-snapshot-size": options.snapshot } : {},
  });
  const [made, failed]: [Cut[], string[]] = [[], []];
  const site = new SiteUnderLoad(machine, inDatabase(machine), options.rate);
  try {
    let isDown = true;
    for (const [index, { fresh, seconds, cache }] of plan(options).entries()) {
      try {
        if (fresh || isDown) await site.deploy();
        isDown = false;
        const cut = await site.cutPower(cache, seconds);
        made.push(cut);
        console.log(`${index + 1}: ${line(cut)}`);
      } catch (error) {
        isDown = true;
        failed.push((error as Error).message);
        console.log(`${index + 1}: FAILED: ${(error as Error).message}`);
      }
    }
  } finally {
    await machine.close();
  }
  console.log(summary(made, failed));
  if (options.json) writeFileSync(options.json, JSON.stringify({ options, made, failed }, null, 2));
  return failed.length === 0;
}

program
  .name("npm run bench:power-cut --")
  .description(
    "Cuts the power of a site under load: real Mosquitto, Telegraf and InfluxDB 3, started as " +
      "deployed on a disk that forgets what it was not told to flush. Looks for every message that " +
      "was acknowledged. Needs root; InfluxDB 3 on the PATH or at BESS_INFLUXDB3.",
  )
  .option("--cuts <n>", "power cuts", Number, 100)
  .option("--new <n>", "of them within the first minute of a new site", Number, 20)
  .option("--rate <n>", "messages a second", Number, 50)
  .addOption(
    new Option("--profile <name>", "the site's").choices(Object.keys(profiles)).default("pi"),
  )
  .option("--seed <n>", "of the moments; the same one cuts at the same moments", Number, 1)
  .option("--snapshot <n>", "files of InfluxDB's log for a snapshot; as deployed by default")
  .option("--json <file>", "where the results go too")
  .action(async (options: Options) => {
    const missing = diskMissing() ?? (influxdb3() ? undefined : "InfluxDB 3 is missing");
    if (missing) throw new Error(`no power cuts here: ${missing}`);
    process.exit((await benchmark(options)) ? 0 : 1);
  })
  .parseAsync()
  .catch((error: Error) => (console.error(error.message), process.exit(1)));
