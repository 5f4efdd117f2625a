import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { SingleBar } from "cli-progress";
import { Command, InvalidArgumentError } from "commander";
import mqtt from "mqtt";
import { loadModel } from "../configs/model";
import { InputError } from "../configs/refuse";
import { pulumiEnvironment } from "./stack";
import { type Outcome, publishAll } from "./replay/publish";
import { checkRow, type Mapping, measurementOf, type Message, rows, toMessage } from "./replay/rows";

interface Options {
  model: string;
  measurement?: string;
  unit: string;
  tag: Record<string, string>;
  url: string;
  username: string;
  passwordFile?: string;
  stack?: string;
  speed: number;
  inflight: number;
  from: number;
  limit: number;
}

const whole = (text: string) => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("write a whole number from 1.");
  return value;
};
const speed = (text: string) => {
  const value = text === "max" ? Infinity : Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("write max, or a number over 0 such as 1 or 60.");
  return value;
};
const tag = (text: string, tags: Record<string, string>) => {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("write NAME=VALUE, such as id=battery-1.");
  return { ...tags, [text.slice(0, at)]: text.slice(at + 1) };
};

/** The password of the broker's user; never printed. */
function password({ passwordFile, stack }: Options): string | undefined {
  if (passwordFile) return readFileSync(passwordFile, "utf8").trim();
  if (!stack) return process.env.MQTT_PASSWORD;
  const output = spawnSync("pulumi", ["stack", "output", "gatewayPassword", "--show-secrets", "--stack", stack], { env: pulumiEnvironment(), encoding: "utf8" });
  if (output.status !== 0) throw new InputError("--stack", [`no password of stack ${stack}: ${output.stderr?.trim() || "pulumi did not run"}`]);
  return output.stdout.trim();
}

async function* messages(file: string, mapping: Mapping, { from, limit }: Options): AsyncGenerator<Message> {
  let row = 0;
  for await (const content of rows(file)) {
    row += 1;
    if (row === 1) checkRow(content, mapping, file);
    if (row >= from + limit) return;
    if (row >= from) yield toMessage(content, mapping);
  }
}

/** Progress: a bar on a terminal, a line every five seconds without one. */
function reporter() {
  const bar = process.stdout.isTTY ? new SingleBar({ format: "{value} acknowledged in {duration_formatted}", barsize: 0 }) : undefined;
  bar?.start(0, 0);
  let said = Date.now();
  return {
    progress(outcome: Outcome) {
      bar?.update(outcome.acknowledged);
      if (bar || Date.now() - said < 5000) return;
      said = Date.now();
      console.log(`${outcome.acknowledged} acknowledged`);
    },
    stop: () => bar?.stop(),
  };
}

async function replay(file: string, options: Options): Promise<number> {
  const mapping = { measurement: measurementOf(loadModel(options.model), options.measurement), unit: options.unit, tags: options.tag };
  // MQTT 5: in 3.1.1 the broker has no way to say that it refused a message.
  const client = await mqtt.connectAsync(options.url, { username: options.username, password: password(options), protocolVersion: 5, reconnectPeriod: 0 });
  const report = reporter();
  const started = Date.now();
  try {
    const { read, acknowledged, refused } = await publishAll(client, messages(file, mapping, options), { ...options, progress: report.progress });
    report.stop();
    const seconds = (Date.now() - started) / 1000;
    console.log(`${read} rows read, ${acknowledged} acknowledged by the broker in ${seconds.toFixed(1)} s (${Math.round(acknowledged / seconds)}/s)`);
    if (!refused) return 0;
    const row = options.from + refused.row - 1;
    console.error(`row ${row} was refused: ${refused.reason}; mend it and go on with --from ${row}`);
    return 1;
  } finally {
    report.stop();
    await client.endAsync();
  }
}

new Command("npm run replay --")
  .description("Publishes a recorded CSV or NDJSON file through a site's broker, at QoS 1.\nA CSV column's header is the JSON path of its value.")
  .argument("<file>", ".csv, .ndjson or .jsonl, each also .gz")
  .option("--model <file>", "telemetry model of the site", "configs/telemetry.yaml")
  .option("--measurement <name>", "measurement that the rows are of; needed where the model has several")
  .option("--unit <id>", "what stands for + in the topic", "1")
  .option("--tag <name=value>", "a tag that the file lacks; may be repeated", tag, {})
  .option("--url <url>", "broker", "mqtt://127.0.0.1:1883")
  .option("--username <user>", "user of the broker", "gateway")
  .option("--stack <name>", "takes the password from this stack")
  .option("--password-file <file>", "takes the password from a file; without both, from MQTT_PASSWORD")
  .option("--speed <factor>", "times real time, by the rows' own time; max: as fast as acknowledged", speed, Infinity)
  .option("--inflight <count>", "most messages waiting for the broker at once", whole, 1000)
  .option("--from <row>", "first row to publish, counted from 1", whole, 1)
  .option("--limit <rows>", "most rows to publish", whole, Infinity)
  .addHelpText("after", "\nExample: npm run replay -- day.csv.gz --model configs/models/m5bat.yaml --unit batt10 --stack dev")
  .showHelpAfterError()
  .action(async (file: string, options: Options) => {
    try {
      process.exitCode = await replay(file, options);
    } catch (error) {
      console.error((error as Error).message);
      process.exitCode = 1;
    }
  })
  .parseAsync();
