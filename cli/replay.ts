import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { SingleBar } from "cli-progress";
import { Command, InvalidArgumentError, Option } from "commander";
import { loadModel } from "../configs/model";
import { InputError } from "../configs/validation";
import { open, send, type Progress } from "./replay/send";
import { openSource, type Row } from "./replay/source";
import { pulumiEnvironment } from "../automation/backend";

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

const epilogue = `
The file is CSV, whose header names the JSON paths of the model's payload (docs/telemetry.md), or NDJSON: one payload
a line, or one recorded message {"topic": ..., "payload": ...} a line. Either may be gzipped.

The password is taken from --password-file, else from --stack, else from MQTT_PASSWORD; without one the replay logs in
as nobody. TLS: give an mqtts:// URL, and the broker's own CA by NODE_EXTRA_CA_CERTS.

Examples:
  A day of one battery unit into the site "lab", as fast as the broker takes it:
    npm run replay -- day.csv.gz --model configs/models/m5bat.yaml --unit 10 --stack lab
  The same, 60 times real time:
    npm run replay -- day.csv.gz --model configs/models/m5bat.yaml --unit 10 --stack lab --speed 60
  Rows of a battery whose file lacks the tags:
    npm run replay -- soc.csv --measurement battery --unit 1 --tag id=battery-1 --tag group_id=bess-1 --stack lab
  Record a fleet, and replay it elsewhere:
    mosquitto_sub -h old -t '#' -F %J > fleet.ndjson
    npm run replay -- fleet.ndjson --stack lab

Exit code 0: the broker has acknowledged every row. 1: not so; the reason is told, and --from for the rest.`;

/** Parses a whole number from 1 to `most`. */
const count = (most: number) => (text: string) => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > most)
    throw new InvalidArgumentError(`Write a whole number from 1 to ${most}.`);
  return value;
};

function speed(text: string): number {
  const value = text === "max" ? Infinity : Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("Write a number over 0, such as 60, or max.");
  return value;
}

function level(text: string): string {
  if (!/^[^/#+$\s]+$/.test(text))
    throw new InvalidArgumentError("Write one topic level, without /, +, #, $ and spaces.");
  return text;
}

function url(text: string): string {
  if (!/^(mqtts?|wss?):\/\/[^\s@]+$/.test(text))
    throw new InvalidArgumentError(
      "Write mqtt://, mqtts://, ws:// or wss://, a host and a port, and no user.",
    );
  return text;
}

function tag(text: string, previous: Record<string, string>): Record<string, string> {
  const [, name, value] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined)
    throw new InvalidArgumentError("Write NAME=VALUE, such as group_id=bess-1.");
  return { ...previous, [name]: value };
}

const command = new Command("npm run replay --")
  .description(
    "Publishes a recorded file as a site's gateway would: one message a row, each acknowledged by the broker.",
  )
  .argument("<file>", "CSV, NDJSON or JSONL file, also with .gz")
  .option("--model <path>", "telemetry model that the rows follow", "configs/telemetry.yaml")
  .option(
    "--measurement <name>",
    "measurement that the rows are (default: the model's only one, or by each line's topic)",
  )
  .option("--unit <id>", "unit that fills the + levels of the topic", level, "1")
  .addOption(
    new Option("--tag <name=value>", "tag that the file lacks; repeatable")
      .argParser(tag)
      .default({}, "none"),
  )
  .option("--url <url>", "the broker", url, "mqtt://127.0.0.1:1883")
  .option("--username <name>", "user of the broker", "gateway")
  .option("--password-file <path>", "file that holds the password")
  .option("--stack <name>", "Pulumi stack whose output gatewayPassword is the password")
  .addOption(
    new Option("--speed <n>", "times real time by the rows' own times, or max")
      .argParser(speed)
      .default(Infinity, "max"),
  )
  .option("--inflight <n>", "most messages that wait for their acknowledgement", count(65535), 1000)
  .option("--from <n>", "first row to send, counted from 1", count(Number.MAX_SAFE_INTEGER), 1)
  .addOption(
    new Option("--limit <n>", "most rows to send")
      .argParser(count(Number.MAX_SAFE_INTEGER))
      .default(Infinity, "all"),
  )
  .addHelpText("after", epilogue)
  .showHelpAfterError("(--help tells more)");

/** The stack's own password, read by the Pulumi CLI that the project already needs. */
function stackPassword(stack: string): string {
  const args = ["stack", "output", "gatewayPassword", "--show-secrets", "--stack", stack];
  try {
    return execFileSync("pulumi", args, {
      env: pulumiEnvironment(),
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    }).trimEnd();
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    throw new InputError("the command line", [`--stack is ${stack}: ${stderr?.trim() || message}`]);
  }
}

function filePassword(file: string): string {
  try {
    return readFileSync(file, "utf8").trimEnd();
  } catch (error) {
    throw new InputError("the command line", [
      `--password-file is ${file}: ${(error as Error).message}`,
    ]);
  }
}

function readPassword({ passwordFile, stack }: Options): string | undefined {
  if (passwordFile !== undefined) return filePassword(passwordFile);
  return stack !== undefined ? stackPassword(stack) : process.env.MQTT_PASSWORD;
}

/** At most `most` rows: one that has been read already, and those that follow it. */
async function* limited(
  first: Row,
  rest: AsyncIterable<Row>,
  most: number,
): AsyncGenerator<Row, void, undefined> {
  yield first;
  let left = most - 1;
  if (left === 0) return;
  for await (const row of rest) {
    yield row;
    left -= 1;
    if (left === 0) return;
  }
}

const tellInterval = 5000;

/** Shows the progress on the terminal, or tells it every few seconds where there is none; returns what ends that. */
function show(progress: Progress, share: () => number): () => void {
  const began = performance.now();
  const text = () =>
    `${progress.read} rows read, ${progress.acknowledged} acknowledged (${rate(progress.acknowledged, began)}/s)`;
  if (!process.stderr.isTTY) {
    const timer = setInterval(
      () => console.error(`${Math.floor(share() * 100)} %: ${text()}`),
      tellInterval,
    );
    return () => clearInterval(timer);
  }
  const bar = new SingleBar({
    format: "{bar} {percentage} %: {text}",
    gracefulExit: false,
    clearOnComplete: true,
  });
  const update = () => bar.update(share(), { text: text() });
  bar.start(1, 0, { text: text() });
  const timer = setInterval(update, 100);
  return () => {
    clearInterval(timer);
    update();
    bar.stop();
  };
}

const rate = (rows: number, began: number): number =>
  Math.round((rows * 1000) / Math.max(1, performance.now() - began));

/** Says what became of the rows; true if the broker has acknowledged every one. */
function summarize(
  { read, acknowledged, unheard, failure, resumeAt }: Progress,
  began: number,
): boolean {
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(
    `${read} rows read, ${acknowledged} acknowledged by the broker in ${seconds} s (${rate(acknowledged, began)}/s)`,
  );
  if (unheard > 0)
    console.error(`${unheard} of them reached nobody: no client has subscribed to their topic.`);
  if (failure === undefined) return true;
  console.error(
    `${failure}\nrows sent but not acknowledged: ${read - acknowledged}; resume with --from ${resumeAt}`,
  );
  return false;
}

/** Replays a file; true if the broker has acknowledged every row. */
async function replay(file: string, options: Options): Promise<boolean> {
  const choices = { measurement: options.measurement, unit: options.unit, tags: options.tag };
  const source = openSource(file, {
    model: loadModel(options.model),
    choices,
    from: options.from,
    note: console.error,
  });
  const first = await source.rows.next();
  if (first.done) throw new InputError(file, [`it has no row ${options.from}`]);
  const { client, most } = await open({
    url: options.url,
    username: options.username,
    password: readPassword(options),
  });
  const interrupt = new AbortController();
  process.once("SIGINT", () => interrupt.abort());
  const progress: Progress = { read: 0, acknowledged: 0, unheard: 0, resumeAt: first.value.number };
  const began = performance.now();
  const share = () => (options.limit === Infinity ? source.share() : progress.read / options.limit);
  const end = show(progress, share);
  const pace = { speed: options.speed, inflight: Math.min(options.inflight, most) };
  await send(
    client,
    limited(first.value, source.rows, options.limit),
    pace,
    progress,
    interrupt.signal,
  );
  end();
  return summarize(progress, began);
}

async function main(): Promise<void> {
  command.parse();
  try {
    process.exitCode = (await replay(command.args[0], command.opts<Options>())) ? 0 : 1;
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}

void main();
