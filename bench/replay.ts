import { spawn } from "node:child_process";
import { createWriteStream, readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { program } from "commander";
import { loadModel } from "../configs/model";
import { Broker } from "../tests/support/broker";

const root = join(__dirname, "..");
const model = "configs/models/m5bat.yaml";

/** A day after a day of one unit, a row a second, in blocks of text. */
function* blocks(rows: number): Generator<string> {
  const fields = loadModel(join(root, model)).measurements.flatMap((m) => m.fields);
  yield `DateAndTime,${fields.map(({ path }) => path).join(",")}\n`;
  for (let i = 0; i < rows; i += 1000) {
    const block = Array.from({ length: Math.min(1000, rows - i) }, (_, j) => {
      const time = new Date(Date.UTC(2023, 3, 13) + (i + j) * 1000).toISOString().slice(0, 19);
      return `${time},${fields.map(({ type }, k) => (type === "float" ? (i + j + k) % 700 : k % 2)).join(",")}\n`;
    });
    yield block.join("");
  }
}

/** The most memory that a process has had, in MiB. */
const peak = (pid: number): number =>
  Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;

/** What a process has computed, which other work on the machine does not change. */
function processorSeconds(pid: number): number {
  const [, fields = ""] = /\) (.*)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
  const [user, system] = fields.split(" ").slice(11, 13).map(Number);
  return Math.round(((user ?? 0) + (system ?? 0)) / 100);
}

/** Replays a file of so many rows, and prints what it takes on the way. */
async function measure({ rows }: { rows: number }): Promise<void> {
  const broker = await Broker.start(loadModel(join(root, model)));
  try {
    const reader = await broker.read("m5bat/+/evaluation");
    reader.client.removeAllListeners("message");
    const file = broker.at("rows.csv");
    await pipeline(Readable.from(blocks(rows)), createWriteStream(file));
    const args = ["cli/bess.js", "replay", file, "--model", model, "--url", broker.url];
    const child = spawn(process.execPath, args, {
      cwd: root,
      env: { ...process.env, MQTT_PASSWORD: broker.passwords.gateway },
      stdio: ["ignore", "inherit", "pipe"],
    });
    const { pid } = child;
    if (pid === undefined) throw new Error("the replay does not start");
    child.stderr.on("data", (line: Buffer) =>
      console.log(
        `${Math.round(peak(pid))} MiB at most, ${processorSeconds(pid)} s of processor; ` +
          line.toString().trim(),
      ),
    );
    await new Promise((resolve) => child.once("close", resolve));
  } finally {
    await broker.stop();
  }
}

program
  .description("Replays a CSV file into the real broker: rows a second, processor and memory.")
  .option("--rows <n>", "rows of the file", Number, 1_000_000)
  .action(measure)
  .parseAsync()
  .catch((error: Error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
