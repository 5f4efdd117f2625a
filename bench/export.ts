import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { delimiter, join } from "node:path";
import { InvalidArgumentError, Option, program } from "commander";
import { loadModel } from "../configs/model";
import { Influx } from "../tests/support/influxdb";
import { influxdbMissing, temporaryFolder } from "../tests/support/programs";
import { secondsOf } from "./measuring";
import { processorSeconds, residentMiB } from "./processes";

const formats = ["csv", "parquet", "line-protocol"] as const;
type Format = (typeof formats)[number];

interface Options {
  rows: number;
  format: Format[];
  python?: string;
}

const root = join(__dirname, "..");
const units = 4;
const day = 86_400;

/** A row a second of four batteries, with the digits that meters send. */
function* lines(rows: number, from: number): Generator<string> {
  const seconds = Math.ceil(rows / units);
  const step = 10_000;
  for (let begin = 0; begin < seconds; begin += step) {
    const block: string[] = [];
    for (let s = begin; s < Math.min(seconds, begin + step); s += 1)
      for (let unit = 1; unit <= units; unit += 1) {
        const soc = (50 + 40 * Math.sin((s + unit) / 7000)).toFixed(1);
        const current = (120 * Math.sin(s * unit)).toFixed(3);
        const voltage = (750 + 40 * Math.cos(s + unit)).toFixed(3);
        block.push(
          `battery,id=battery-${unit},group_id=bess-1 soc=${soc},current=${current},voltage=${voltage} ${from + s}000000000`,
        );
      }
    yield block.join("\n");
  }
}

const iso = (seconds: number) => new Date(seconds * 1000).toISOString();

/** Counts and sums of an export's files, as DuckDB reads them; floats are summed by Python's fsum. */
const reading = `
import duckdb, json, math, resource, sys, time
kind, files, manifest = sys.argv[1], sys.argv[2], json.load(open(sys.argv[3]))
began = time.time()
equal = True
rows = 0
for file in manifest["files"]:
    if file["file"] is None: continue
    path = files + "/" + file["file"]
    source = f"read_csv('{path}', all_varchar = false)" if kind == "csv" else f"'{path}'"
    table = duckdb.sql(f"SELECT * FROM {source}").fetchnumpy()
    rows += len(table["time"])
    equal = equal and len(table["time"]) == file["rows"]
    for name in ["soc", "current", "voltage"]:
        total = file["columns"][name]
        equal = equal and len(table[name]) == total["count"] and math.fsum(table[name]) == total["sum"]
print(json.dumps({"rows": rows, "equal": bool(equal), "seconds": time.time() - began,
  "mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
`;

async function benchmark({ rows, format: wanted, python }: Options): Promise<boolean> {
  if (influxdbMissing) throw new Error(`nothing to measure here: ${influxdbMissing}`);
  const folder = temporaryFolder();
  const influx = await Influx.start();
  let good = true;
  try {
    await influx.declare(loadModel(join(root, "configs/telemetry.yaml")));
    const days = Math.ceil(rows / units / day);
    const to = Math.floor(Date.now() / 1000 / day) * day;
    const from = to - days * day;
    const filling = await secondsOf(async () => {
      for (const block of lines(rows, from))
        await influx.call("/api/v3/write_lp?db=bess&no_sync=true", block);
    });
    console.log(
      `${rows} rows of ${units} batteries in ${days} days, written in ${filling.toFixed(0)} s`,
    );
    // The peer: the same rows of each day by curl, and nothing done with them.
    const idle = processorSeconds(influx.pid);
    const curl = await secondsOf(() => {
      for (let at = from; at < to; at += day) {
        const q =
          "SELECT CAST(CAST(time AS BIGINT) AS VARCHAR) AS t, id, group_id, soc, current, voltage " +
          `FROM battery WHERE time >= '${iso(at)}' AND time < '${iso(at + day)}' ` +
          "ORDER BY time, id, group_id";
        const headers = ["-H", `Authorization: Bearer ${influx.token}`];
        const body = JSON.stringify({ db: "bess", q, format: "jsonl" });
        spawnSync(
          "curl",
          [
            "-sS",
            ...headers,
            "-H",
            "Content-Type: application/json",
            "-d",
            "@-",
            "-o",
            "/dev/null",
            `${influx.url}/api/v3/query_sql`,
          ],
          { input: body },
        );
      }
    });
    const load = () => `load ${loadavg()[0]?.toFixed(1)}`;
    console.log(
      `curl, a query a day to /dev/null: ${curl.toFixed(1)} s, ${Math.round(rows / curl)} rows/s; ` +
        `in the database ${(processorSeconds(influx.pid) - idle).toFixed(1)} s of processor and ` +
        `${residentMiB(influx.pid).most} MiB at most; ${load()}`,
    );
    influx.standIn(join(folder.path, "bin"));
    for (const format of wanted) {
      const out = join(folder.path, format);
      const args = ["--stack", "dev", "--measurement", "battery", "--format", format];
      const child = spawn(
        process.execPath,
        ["cli/bess.js", "export", ...args, "--from", iso(from), "--to", iso(to), "--out", out],
        {
          cwd: root,
          env: {
            ...process.env,
            PATH: [join(folder.path, "bin"), process.env.PATH].join(delimiter),
            CI: "true",
          },
          stdio: ["ignore", "inherit", "ignore"],
        },
      );
      let [memory, processor] = [0, 0];
      const before = processorSeconds(influx.pid);
      const watching = setInterval(() => {
        if (child.pid === undefined) return;
        // One that has just ended has no memory left.
        memory = Math.max(memory, residentMiB(child.pid).most || 0);
        processor = Math.max(processor, processorSeconds(child.pid));
      }, 200);
      const seconds = await secondsOf(async () => {
        const code = await new Promise((resolve) => child.once("close", resolve));
        good &&= code === 0;
      });
      clearInterval(watching);
      const manifest = join(out, `battery.${format}.manifest.json`);
      const { files } = JSON.parse(readFileSync(manifest, "utf8")) as {
        files: { bytes: number }[];
      };
      const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
      console.log(
        `${format}: ${seconds.toFixed(1)} s, ${Math.round(rows / seconds)} rows/s, ${processor.toFixed(1)} s of processor ` +
          `and ${memory} MiB at most here, ${(processorSeconds(influx.pid) - before).toFixed(1)} s ` +
          `and ${residentMiB(influx.pid).most} MiB in the database, ${(bytes / 1e6).toFixed(0)} MB; ${load()}`,
      );
      if (python === undefined || format === "line-protocol") continue;
      const { stdout, stderr } = spawnSync(python, ["-c", reading, format, out, manifest], {
        encoding: "utf8",
      });
      if (stdout === "") throw new Error(stderr);
      const read = JSON.parse(stdout) as Record<"rows" | "seconds" | "mebibytes", number> & {
        equal: boolean;
      };
      good &&= read.equal && read.rows === rows;
      console.log(
        `${format} read back by DuckDB: ${read.rows} rows, counts and sums of each file ` +
          `${read.equal ? "equal to the digit" : "DIFFER"}, ${read.seconds.toFixed(1)} s, ${read.mebibytes} MiB`,
      );
    }
    return good;
  } finally {
    await influx.remove();
    folder.remove();
  }
}

const formatList = (text: string): Format[] =>
  text.split(",").map((name) => {
    const found = formats.find((format) => format === name);
    if (!found) throw new InvalidArgumentError(`Write ${formats.join(", ")}, split by commas.`);
    return found;
  });

program
  .name("npm run bench:export --")
  .description(
    "Exports rows of the real InfluxDB 3, and reads them back by another program. Docker's client is a " +
      "stand-in that runs the container's script here.",
  )
  .option("--rows <n>", "how many", Number, 10_000_000)
  .addOption(
    new Option("--format <formats>", "which, split by commas")
      .argParser(formatList)
      .default([...formats], formats.join(",")),
  )
  .option("--python <path>", "a Python with duckdb and numpy; without it nothing is read back")
  .action(async (options: Options) => process.exit((await benchmark(options)) ? 0 : 1))
  .parseAsync()
  .catch((error: Error) => (console.error(error.message), process.exit(1)));
