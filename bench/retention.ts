import { Option, program } from "commander";
import { blocks, blockSeconds } from "../configs/influxdb";
import { profiles } from "../configs/profiles";
import { withOptions } from "../tests/support/machine/container";
import { diskMissing } from "../tests/support/machine/disk";
import { Machine } from "../tests/support/machine/machine";
import { influxdb3 } from "../tests/support/programs";
import { secondsOf } from "./measuring";
import { processorSeconds, residentMiB } from "./processes";

interface Options {
  profile: keyof typeof profiles;
  blocks?: number;
  tables: number;
  mebibytes: number;
}

const rowsPerBlock = 4;

/** A site whose database is filled to its retention. */
class FilledSite {
  /** Time of its first row, in seconds. The last block is an hour ahead, so none is too old to be seen. */
  private readonly first: number;
  readonly blocks: number;
  private readonly tables: string[];

  private constructor(
    private readonly machine: Machine,
    options: Options,
  ) {
    this.blocks = options.blocks ?? blocks(machine.profile.retention);
    const end = Math.floor(Date.now() / 1000 / blockSeconds) * blockSeconds + 3600;
    this.first = end - this.blocks * blockSeconds;
    this.tables = Array.from({ length: options.tables }, (_, i) => `t${i}`);
  }

  static async make(options: Options): Promise<FilledSite> {
    const { profile, mebibytes } = options;
    const machine = await Machine.make({ services: ["influxdb"], profile, mebibytes });
    await machine.deploy();
    await machine.shutDown();
    return new FilledSite(machine, options);
  }

  get rows(): number {
    return this.blocks * this.tables.length * rowsPerBlock;
  }

  /**
   * Writes a block at a time, to one file of the log, where a deployed site fills hundreds: nobody could
   * wait for them. A snapshot comes after each block, as there.
   */
  async fill(): Promise<void> {
    const { machine } = this;
    const container = machine.container("influxdb");
    const quickly = withOptions(container.command, {
      "--wal-flush-interval": "5ms",
      "--wal-snapshot-size": "1",
      "--snapshotted-wal-files-to-keep": "3",
    });
    container.start(quickly);
    await machine.healthy();
    for (let block = 0; block < this.blocks; block++) {
      await machine.write(this.linesOf(block));
      if (block % 1000 === 0) console.log(`${block} of ${this.blocks} blocks`);
    }
    await machine.shutDown();
  }

  /** Starts as deployed, and counts all rows. */
  async look(title: string, start: () => Promise<void> | void): Promise<boolean> {
    const { machine } = this;
    const seconds = await secondsOf(async () => {
      await start();
      // As long as it takes: this is what is measured.
      await machine.healthy(["influxdb"], 1800);
    });
    const started = this.usage();
    let rows = 0;
    const counting = await secondsOf(async () => {
      rows = await this.count();
    });
    const after = this.usage();
    console.log(
      `${title}: healthy after ${seconds.toFixed(1)} s, ${started.processor.toFixed(1)} s of them on a ` +
        `processor, with ${started.memory} MiB, ${started.mostMemory} MiB at most; ` +
        `${rows} of ${this.rows} rows counted in ${counting.toFixed(1)} s; ` +
        `${after.memory} MiB then, ${after.mostMemory} MiB at most; ${machine.restarts()} restarts`,
    );
    return rows === this.rows && machine.restarts() === 0;
  }

  /** Cuts the power, and boots. */
  async cutPower(): Promise<void> {
    await this.machine.cut("lost");
    await this.machine.boot();
  }

  /** Shuts down, and boots. */
  async restart(): Promise<void> {
    await this.machine.shutDown();
    this.machine.start();
  }

  /** How many Parquet files and snapshots there are. */
  files(): string {
    const names = this.machine.files();
    const count = (pattern: RegExp) => names.filter((name) => pattern.test(name)).length;
    return `${count(/\.parquet$/)} Parquet files, ${count(/snapshots\/.*\.info\.json$/)} snapshots`;
  }

  close(): Promise<void> {
    return this.machine.close();
  }

  private linesOf(block: number): string {
    const start = this.first + block * blockSeconds;
    return this.tables
      .flatMap((table) =>
        Array.from({ length: rowsPerBlock }, (_, row) => {
          const seconds = start + (row * blockSeconds) / rowsPerBlock;
          return `${table},id=u1 value=${block}.5,row=${row}i ${seconds}000000000`;
        }),
      )
      .join("\n");
  }

  /** Counts a month at a time, as a dashboard never asks for more. */
  private async count(): Promise<number> {
    const month = 30 * 86400;
    const time = (seconds: number) => `'${new Date(seconds * 1000).toISOString()}'`;
    let rows = 0;
    for (const table of this.tables)
      for (let from = this.first; from < Date.now() / 1000 + 7200; from += month) {
        const [answer] = await this.machine.query<{ rows: number }>(
          `SELECT count(*) AS rows FROM ${table} WHERE time >= ${time(from)} AND time < ${time(from + month)}`,
        );
        rows += answer?.rows ?? 0;
      }
    return rows;
  }

  /** What the server has used since its start: seconds of a processor, and memory in MiB. */
  private usage(): { processor: number; memory: number; mostMemory: number } {
    const [pid = 0] = this.machine.container("influxdb").processes("influxdb3");
    const { now, most } = residentMiB(pid);
    return { processor: processorSeconds(pid), memory: now, mostMemory: most };
  }
}

async function benchmark(options: Options): Promise<boolean> {
  const { retention, memory } = profiles[options.profile];
  const site = await FilledSite.make(options);
  try {
    console.log(
      `retention ${retention}, ${site.blocks} blocks, in ${options.tables} tables; ` +
        `profile ${options.profile} gives InfluxDB ${memory.influxdb} MiB`,
    );
    const seconds = await secondsOf(() => site.fill());
    console.log(`written in ${seconds.toFixed(0)} s: ${site.files()}`);
    let complete = true;
    for (const start of ["first", "second", "third"])
      complete = (await site.look(`${start} start`, () => site.restart())) && complete;
    return (await site.look("after a power cut", () => site.cutPower())) && complete;
  } finally {
    await site.close();
  }
}

program
  .name("npm run bench:retention --")
  .description(
    "Fills the real InfluxDB 3 with a profile's whole retention, and starts it as deployed: three " +
      "times, and after a power cut. Needs root; InfluxDB 3 on the PATH or at BESS_INFLUXDB3.",
  )
  .addOption(
    new Option("--profile <name>", "whose retention").choices(Object.keys(profiles)).default("pi"),
  )
  .option("--blocks <n>", "how many blocks; those of the whole retention by default", Number)
  .option("--tables <n>", "tables with rows in every block", Number, 1)
  .option("--mebibytes <n>", "size of the disk, which is in memory", Number, 2048)
  .action(async (options: Options) => {
    const missing = diskMissing() ?? (influxdb3() ? undefined : "InfluxDB 3 is missing");
    if (missing) throw new Error(`nothing to measure here: ${missing}`);
    process.exit((await benchmark(options)) ? 0 : 1);
  })
  .parseAsync()
  .catch((error: Error) => (console.error(error.message), process.exit(1)));
