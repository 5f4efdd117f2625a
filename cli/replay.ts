import { performance } from "node:perf_hooks";
import { InvalidArgumentError, Option } from "commander";
import { loadModel } from "../configs/model";
import { retentionOf } from "../configs/retention";
import type { SiteConfig } from "../configs/site";
import { findSite, siteConfig } from "../configs/sites";
import { durationSeconds } from "../configs/units";
import { InputError } from "../configs/validation";
import { acting, bessCommand, number, pairs, stackOption } from "./command";
import { followWork, rate } from "./follow";
import { delimiterOf, encodingName, list, urlOf } from "./options";
import { type Decimal, decimals, type Row } from "./replay/messages";
import { loopback, reach, readPassword } from "./replay/login";
import { open, send, type Progress } from "./replay/send";
import { Skipped } from "./replay/skipped";
import { type Format, formats, openSource } from "./replay/source";

interface Options {
  model?: string;
  measurement?: string;
  unit?: string;
  tag: Record<string, string>;
  map: Record<string, string>;
  ignore: string[];
  format?: Format;
  delimiter?: string;
  decimal?: Decimal;
  encoding?: string;
  skipBad?: string;
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
NDJSON: one payload a line, or a recording, one message {"topic": ..., "payload": ...} a line.
Whether it is gzipped, its encoding, delimiter and decimal mark are found in its content, and told
where they are not UTF-8, a comma and a point.

To record a broker: mosquitto_sub -h HOST -t '#' -F %j > fleet.ndjson
Of a recording, lines that are no message of the model are skipped and counted, and a row without a
time of its own gets that of its recording. A bad row of another file ends the replay, unless
--skip-bad names a file for such rows. That file can be mended and replayed.

With --stack the broker's address and password are the stack's; a site behind SSH is reached through
a tunnel. --password-file comes before the stack's password, and MQTT_PASSWORD is taken without a
stack; without any, the replay logs in as nobody. TLS: give an mqtts:// URL, and the broker's own CA
by NODE_EXTRA_CA_CERTS.

Exit code 0: the broker has acknowledged every row that was not skipped. 1: not so; the reason is
printed, and --from for the rest.`;

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

/** Replays a recorded file. */
export const replayCommand = () =>
  bessCommand(
    "replay",
    "Publishes a recorded file as a site's gateway would: " +
      "one message a row, each acknowledged by the broker.",
  )
    .summary("Publishes a recorded file as a site's gateway would.")
    .argument("<file>", "CSV, NDJSON or JSONL file, also gzipped")
    .addOption(stackOption())
    .option(
      "--model <path>",
      "telemetry model of the rows (default: the stack's, else configs/telemetry.yaml)",
    )
    .option(
      "--measurement <name>",
      "measurement that the rows are (default: the model's only one, or by each line's topic)",
    )
    .option("--unit <id>", "unit that fills the + levels of the topic (default: 1)", level)
    .addOption(
      new Option("--tag <name=value>", "tag that the file lacks; repeatable")
        .argParser(pairs("group_id=bess-1"))
        .default({}, "none"),
    )
    .addOption(
      new Option("--map <column=path>", "JSON path of a column that has another name; repeatable")
        .argParser(pairs("'SOC [%]=soc'"))
        .default({}, "none"),
    )
    .addOption(
      new Option("--ignore <column>", "column to leave out, or * for all undeclared; repeatable")
        .argParser(list)
        .default([], "none"),
    )
    .addOption(
      new Option("--format <format>", "what the file is (default: by its ending)").choices(formats),
    )
    .option("--delimiter <character>", "between two cells (default: by the header)", delimiterOf)
    .addOption(
      new Option("--decimal <mark>", "before a fraction (default: by the cells)").choices(decimals),
    )
    .option("--encoding <name>", "how bytes are read (default: by the bytes)", encodingName)
    .option("--skip-bad <path>", "go on at a bad row, and keep it in this new file")
    .option(
      "--url <url>",
      "the broker (default: the stack's, else mqtt://127.0.0.1:1883)",
      urlOf("mqtt", "mqtts", "ws", "wss"),
    )
    .option("--username <name>", "user of the broker", "gateway")
    .option("--password-file <path>", "file that holds the password (default: the stack's own)")
    .addOption(
      new Option("--speed <n>", "times real time, the rows sorted by time; or max")
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
    .example(
      "A table with a column of another name, one to leave out, and bad rows",
      "replay day.csv --map 'SOC [%]=SOC' --ignore Remark --skip-bad bad.csv --stack dev",
    )
    .addHelpText("after", details)
    .action(
      acting(async (file: string, options: Options) => ((await replay(file, options)) ? 0 : 1)),
    );

/** Rows, of which the first have been read already. */
async function* resumed(first: Row[], rest: AsyncIterable<Row[]>): AsyncGenerator<Row[]> {
  yield first;
  yield* rest;
}

/** Shows the progress. @returns what ends that. */
function show(progress: Progress, skipped: Skipped, share: () => number): () => void {
  const began = performance.now();
  return followWork(
    share,
    () =>
      `${progress.sent} rows sent, ${progress.acknowledged} acknowledged ` +
      `(${rate(progress.acknowledged, began)}/s)` +
      (skipped.count > 0 ? `, ${skipped.count} skipped` : ""),
  );
}

/** Says what became of the rows; true if the broker has acknowledged every one. */
function summarize(
  { sent, acknowledged, unheard, failure, resumeAt }: Progress,
  skipped: Skipped,
  began: number,
): boolean {
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(
    `${sent} rows sent, ${acknowledged} acknowledged by the broker ` +
      `in ${seconds} s (${rate(acknowledged, began)}/s)` +
      (skipped.count > 0 ? `, ${skipped.count} skipped` : ""),
  );
  for (const line of skipped.summary()) console.error(line);
  if (unheard > 0)
    console.error(`${unheard} of them reached nobody: no client has subscribed to their topic.`);
  if (failure === undefined) return true;
  console.error(
    `${failure}\nrows sent but not acknowledged: ${sent - acknowledged}; ` +
      `resume with --from ${resumeAt}`,
  );
  return false;
}

/** Replays a file; true if the broker has acknowledged every row. */
async function replay(file: string, asked: Options): Promise<boolean> {
  const found = asked.stack === undefined ? undefined : findSite(asked.stack);
  const site = found && siteConfig(found);
  const options = { ...asked, ...(found && { stack: found.stack }) };
  const skipped = new Skipped(options.skipBad);
  try {
    return await replayTo(site, file, options, skipped);
  } finally {
    skipped.close();
  }
}

/** Says that a site keeps no row of this age: it is acknowledged all the same. */
function tellAge(site: SiteConfig, { number, message: { time } }: Row): void {
  const kept = retentionOf(site).raw;
  if (Date.now() - time > durationSeconds(kept) * 1000)
    console.error(
      `row ${number} is of ${new Date(time).toISOString()}, and ${site.name} keeps ${kept}: it drops ` +
        "such rows, or stores them at their arrival if the model says so",
    );
}

async function replayTo(
  site: SiteConfig | undefined,
  file: string,
  options: Options,
  skipped: Skipped,
): Promise<boolean> {
  const { measurement, unit, tag: tags, map, ignore, decimal, from, limit } = options;
  const { format, encoding, delimiter } = options;
  const source = openSource(file, {
    model: loadModel(options.model ?? site?.model ?? "configs/telemetry.yaml"),
    choices: { measurement, unit, tags, map, ignore, decimal },
    format,
    encoding,
    delimiter,
    from,
    limit,
    sort: options.speed !== Infinity,
    skipBad: options.skipBad !== undefined,
    skipped,
    note: console.error,
  });
  const first = await source.rows.next();
  if (first.done || !first.value[0]) {
    for (const line of skipped.summary()) console.error(line);
    throw new InputError(file, [
      `it has no row ${from}${skipped.count > 0 ? " that can be sent" : ""}`,
    ]);
  }
  if (site) tellAge(site, first.value[0]);
  const password = readPassword(options);
  const { url, tunnel } =
    options.url === undefined && site
      ? await reach(site)
      : { url: options.url ?? `mqtt://${loopback}:1883` };
  try {
    const { client, most } = await open({ url, username: options.username, password });
    const interrupt = new AbortController();
    process.once("SIGINT", () => interrupt.abort());
    const resumeAt = first.value[0].number;
    const progress: Progress = { sent: 0, acknowledged: 0, unheard: 0, resumeAt };
    const began = performance.now();
    const share = () => (limit === Infinity ? source.share() : progress.sent / limit);
    const end = show(progress, skipped, share);
    const pace = { speed: options.speed, inflight: Math.min(options.inflight, most) };
    await send(client, resumed(first.value, source.rows), pace, progress, interrupt.signal);
    end();
    return summarize(progress, skipped, began);
  } finally {
    tunnel?.close();
  }
}
