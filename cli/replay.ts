import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { SingleBar } from "cli-progress";
import { InvalidArgumentError, Option } from "commander";
import { isWatched, pulumiEnvironment } from "../automation";
import { loadModel } from "../configs/model";
import type { SiteConfig } from "../configs/site";
import { findSite, siteConfig } from "../configs/sites";
import { InputError } from "../configs/validation";
import { acting, bessCommand, number, pairs, refuse, stackOption } from "./command";
import { open, send, type Progress } from "./replay/send";
import { openSource, type Row } from "./replay/source";

interface Options {
  model?: string;
  measurement?: string;
  unit: string;
  tag: Record<string, string>;
  url?: string;
  username: string;
  passwordFile?: string;
  stack?: string;
  speed: number;
  inflight: number;
  from: number;
  limit: number;
}

const details = `
The file is CSV, whose header names the JSON paths of the model's payload (docs/telemetry.md), or
NDJSON: one payload a line, or one recorded message {"topic": ..., "payload": ...} a line. Either
may be gzipped.

The password is taken from --password-file, else from --stack, else from MQTT_PASSWORD; without one
the replay logs in as nobody. TLS: give an mqtts:// URL, and the broker's own CA by
NODE_EXTRA_CA_CERTS. To record messages: mosquitto_sub -h HOST -t '#' -F %J > fleet.ndjson

Exit code 0: the broker has acknowledged every row. 1: not so; the reason is printed, and --from for
the rest.`;

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

function brokerUrl(text: string): string {
  if (!/^(mqtts?|wss?):\/\/[^\s@]+$/.test(text))
    throw new InvalidArgumentError(
      "Write mqtt://, mqtts://, ws:// or wss://, a host and a port, and no user.",
    );
  return text;
}

/** Replays a recorded file. */
export const replayCommand = () =>
  bessCommand(
    "replay",
    "Publishes a recorded file as a site's gateway would: " +
      "one message a row, each acknowledged by the broker.",
  )
    .summary("Publishes a recorded file as a site's gateway would.")
    .argument("<file>", "CSV, NDJSON or JSONL file, also with .gz")
    .addOption(stackOption())
    .option(
      "--model <path>",
      "telemetry model of the rows (default: the stack's, else configs/telemetry.yaml)",
    )
    .option(
      "--measurement <name>",
      "measurement that the rows are (default: the model's only one, or by each line's topic)",
    )
    .option("--unit <id>", "unit that fills the + levels of the topic", level, "1")
    .addOption(
      new Option("--tag <name=value>", "tag that the file lacks; repeatable")
        .argParser(pairs("group_id=bess-1"))
        .default({}, "none"),
    )
    .option(
      "--url <url>",
      "the broker (default: the stack's, else mqtt://127.0.0.1:1883)",
      brokerUrl,
    )
    .option("--username <name>", "user of the broker", "gateway")
    .option("--password-file <path>", "file that holds the password (default: the stack's own)")
    .addOption(
      new Option("--speed <n>", "times real time by the rows' own times, or max")
        .argParser(speed)
        .default(Infinity, "max"),
    )
    .option(
      "--inflight <n>",
      "most messages that wait for their acknowledgement",
      number(1, 65535),
      1000,
    )
    .option("--from <n>", "first row to send, counted from 1", number(1), 1)
    .addOption(
      new Option("--limit <n>", "most rows to send").argParser(number(1)).default(Infinity, "all"),
    )
    .example("A day of one unit, as fast as the broker takes it", "replay day.csv.gz --stack dev")
    .example("The same, 60 times real time", "replay day.csv.gz --stack dev --speed 60")
    .example(
      "Rows of a battery whose file lacks the tags",
      "replay soc.csv --measurement battery --tag id=battery-1 --tag group_id=bess-1 --stack dev",
    )
    .addHelpText("after", details)
    .action(
      acting(async (file: string, options: Options) => ((await replay(file, options)) ? 0 : 1)),
    );

/**
 * The broker of a site as this machine reaches it: on the site's host, unless the broker listens
 * there on a loopback address alone.
 */
function brokerOf({ engine, mqtt }: SiteConfig): string {
  const loopback = "127.0.0.1";
  const host = engine?.startsWith("ssh://") ? new URL(engine).hostname : loopback;
  return `mqtt://${mqtt.address === loopback ? loopback : host}:${mqtt.port}`;
}

/** The stack's own password, read by the Pulumi CLI that the project already needs. */
function stackPassword(stack: string): string {
  const env = pulumiEnvironment({ stack });
  const args = ["stack", "output", "gatewayPassword", "--show-secrets", "--stack", stack];
  try {
    return execFileSync("pulumi", args, {
      env,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    }).trimEnd();
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    return refuse(`--stack is ${stack}: ${stderr?.trim() || message}`);
  }
}

function filePassword(file: string): string {
  try {
    return readFileSync(file, "utf8").trimEnd();
  } catch (error) {
    return refuse(`--password-file is ${file}: ${(error as Error).message}`);
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

/** Time between two lines of progress where there is no terminal, in ms. */
const reportInterval = 5000;

/**
 * Shows the progress on the terminal, or prints it every few seconds where there is none.
 * @returns what ends that.
 */
function show(progress: Progress, share: () => number): () => void {
  const began = performance.now();
  const text = () =>
    `${progress.read} rows read, ${progress.acknowledged} acknowledged ` +
    `(${rate(progress.acknowledged, began)}/s)`;
  if (!isWatched()) {
    const timer = setInterval(
      () => console.error(`${Math.floor(share() * 100)} %: ${text()}`),
      reportInterval,
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
    `${read} rows read, ${acknowledged} acknowledged by the broker ` +
      `in ${seconds} s (${rate(acknowledged, began)}/s)`,
  );
  if (unheard > 0)
    console.error(`${unheard} of them reached nobody: no client has subscribed to their topic.`);
  if (failure === undefined) return true;
  console.error(
    `${failure}\nrows sent but not acknowledged: ${read - acknowledged}; ` +
      `resume with --from ${resumeAt}`,
  );
  return false;
}

/** Replays a file; true if the broker has acknowledged every row. */
async function replay(file: string, asked: Options): Promise<boolean> {
  const found = asked.stack === undefined ? undefined : findSite(asked.stack);
  const site = found && siteConfig(found);
  const options = { ...asked, ...(found && { stack: found.stack }) };
  const choices = { measurement: options.measurement, unit: options.unit, tags: options.tag };
  const source = openSource(file, {
    model: loadModel(options.model ?? site?.model ?? "configs/telemetry.yaml"),
    choices,
    from: options.from,
    note: console.error,
  });
  const first = await source.rows.next();
  if (first.done) throw new InputError(file, [`it has no row ${options.from}`]);
  const { client, most } = await open({
    url: options.url ?? (site ? brokerOf(site) : "mqtt://127.0.0.1:1883"),
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
