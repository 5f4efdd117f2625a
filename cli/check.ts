import { type Model, loadModel, topicsOf } from "../configs/model";
import { type Drop, type Read, readerOf, type Stored, type StoredPoint } from "../configs/reading";
import { retentionOf } from "../configs/retention";
import { findSite, siteConfig } from "../configs/sites";
import { acting, bessCommand, refuse, stackOption, table } from "./command";
import { listeningTime, Messages, type MessageSource, type Recorded } from "./recording";

interface Options extends Omit<MessageSource, "stack"> {
  model?: string;
  stack?: string;
  topic?: string;
  payload?: string;
}

const defaultModel = "configs/telemetry.yaml";

const details = `
One of --topic with --payload, --recording and --listen tells the messages. A recording is what
mosquitto_sub -t '#' -F %j > FILE writes; lines that are no recorded messages are counted. Of a
recording, and while listening, each message is shown that has something new.

Exit code 1: something of a message on the model's topics is not stored. The reasons are printed.`;

/** Shows what a telemetry model makes of messages. */
export const checkCommand = () =>
  bessCommand(
    "check",
    "Shows what a telemetry model makes of messages: the points, where each value was found, and " +
      "why something is not stored.",
  )
    .summary("Shows what a telemetry model makes of messages.")
    .option("--model <path>", `telemetry model (default: the stack's, else ${defaultModel})`)
    .option("--topic <topic>", "topic of a message")
    .option("--payload <text>", "payload of that message")
    .option("--recording <file>", "recorded messages, also gzipped")
    .option("--listen", "messages that the broker of --stack gets now")
    .option("--for <duration>", "how long to listen", listeningTime, 60)
    .addOption(stackOption())
    .example(
      "One message",
      `check --model configs/telemetry.yaml --topic battery/1/status --payload '{"id":1,"soc":55.5}'`,
    )
    .example("A recording", "check --model my-model.yaml --recording plant.ndjson")
    .example("What a site gets", "check --listen --stack kiel-1")
    .addHelpText("after", details)
    .action(acting(check));

async function check(options: Options): Promise<number> {
  const { topic, payload, recording, listen, stack } = options;
  const given = { "--topic": topic, "--recording": recording, "--listen": listen };
  const named = Object.entries(given).filter(([, value]) => value !== undefined);
  if (named.length !== 1)
    refuse("give one of --topic with --payload, --recording, and --listen with --stack");
  if ((topic === undefined) !== (payload === undefined))
    refuse("--topic and --payload go together");
  if (topic !== undefined && /[+#]/.test(topic))
    refuse(`--topic is ${topic}: a message's topic has no + and #`);
  const site = stack === undefined ? undefined : siteConfig(findSite(stack));
  if (listen && !site) refuse("--stack is missing: it tells whose broker is listened to");
  const model = loadModel(options.model ?? site?.model ?? defaultModel);
  const report = new Report(model, site && retentionOf(site).raw);
  if (topic !== undefined && payload !== undefined) {
    report.show({ topic, payload, time: undefined }, false);
    return report.good ? 0 : 1;
  }
  const messages = new Messages({ ...options, stack: stack ?? "" });
  for await (const message of messages.read()) report.show(message, true);
  console.log(report.summary(messages.foreign));
  return report.good ? 0 : 1;
}

/** What is counted of a kind of message, with an example. */
interface Kind {
  count: number;
  example: string;
}

/** Most kinds that a summary lists. */
const mostListed = 40;

/** Most rows of a message that are shown. */
const mostShown = 4;

/** What a model makes of messages, printed as they come. */
class Report {
  private readonly read: ReturnType<typeof readerOf>;
  /** What has been shown: fields, tags and drops, each with where it was. */
  private readonly seen = new Set<string>();
  private readonly counts = { whole: 0, part: 0, none: 0, strays: 0 };
  private readonly rows = new Map<
    string,
    { count: number; units: Set<string>; sent: Set<string> }
  >();
  private readonly drops = new Map<string, Kind>();
  private readonly strays = new Map<string, Kind>();

  constructor(
    private readonly model: Model,
    retention: string | undefined,
  ) {
    this.read = readerOf(model, retention);
  }

  /** Whether all of the messages on the model's topics is stored, and anything at all. */
  get good(): boolean {
    return this.counts.part + this.counts.none === 0 && this.counts.whole > 0;
  }

  /** Shows a message. @param ifNew only if it has something new. */
  show({ topic, payload, time }: Omit<Recorded, "retained">, ifNew: boolean): void {
    const arrival = time ?? BigInt(Date.now()) * 1_000_000n;
    const found = this.read(topic, payload, arrival);
    const { subscriptions, points, drops } = found;
    if (subscriptions.length === 0) {
      this.counts.strays += 1;
      count(this.strays, topic, payload);
      const patterns = [...new Set(this.model.measurements.flatMap(topicsOf))];
      if (!ifNew)
        console.log(
          `${topic}\n  no measurement has this topic: the model has ${patterns.join(", ")}`,
        );
      return;
    }
    this.count(topic, found);
    const news = itemsOf(found).filter((item) => !this.seen.has(item));
    news.forEach((item) => this.seen.add(item));
    if (ifNew && news.length === 0) return;
    const shown = ifNew ? points.slice(0, mostShown) : points;
    const lines = [
      ...shown.flatMap((point) => this.pointLines(point, arrival, found)),
      ...(shown.length < points.length ? [`and ${points.length - shown.length} more rows`] : []),
      ...drops.map((drop) => `not stored: ${dropText(drop, found)}`),
    ];
    console.log([topic, ...lines.map((line) => `  ${line}`)].join("\n"));
  }

  private count(topic: string, { points, drops }: Read): void {
    const { counts } = this;
    if (points.length === 0) counts.none += 1;
    else if (drops.length > 0) counts.part += 1;
    else counts.whole += 1;
    for (const { table: name, tags, fields } of points) {
      const row = this.rows.get(name) ?? { count: 0, units: new Set(), sent: new Set() };
      this.rows.set(name, row);
      row.count += 1;
      if (row.units.size < 10_000) row.units.add(unitText(tags));
      Object.keys(fields).forEach((field) => row.sent.add(field));
    }
    for (const { table: name, reason, field, example, count: times } of drops)
      count(this.drops, [nameOf(name, field), reason, topic].join("\t"), example, times);
  }

  private pointLines(point: StoredPoint, arrival: bigint, { origins }: Read): string[] {
    const from = origins.get(point) ?? {};
    const declared = this.model.measurements.find(({ name }) => name === point.table);
    const rows = [
      ...Object.entries(point.tags).map(([name, text]) => [name, quote(text), "tag", from[name]]),
      ...Object.entries(point.fields).map(([name, value]) => {
        const field = declared?.fields.find((f) => f.name === name);
        return [name, valueText(value, field?.unit ?? ""), field?.type, from[name]];
      }),
    ].map((cells) => cells.map((cell) => cell ?? ""));
    return [
      `${point.table} at ${timeText(point.time ?? arrival)}, ` +
        (from.time === undefined ? "its arrival" : `from ${from.time}`),
      ...table(rows)
        .split("\n")
        .map((line) => `  ${line}`),
    ];
  }

  /** What became of all messages, and what is worth a look. @param foreign lines that are none. */
  summary(foreign: number): string {
    const { whole, part, none, strays } = this.counts;
    const total = whole + part + none + strays;
    const lines = foreign > 0 ? `; lines that are no recorded messages: ${foreign}` : "";
    const parts = [
      `${total} messages: ${whole} stored whole, ${part} in part, ${none} not, ` +
        `${strays} on topics of no measurement${lines}`,
      ...this.model.measurements.map((m) => this.tableText(m)),
    ];
    const dropped = listed(this.drops, "not stored", ([what = "", ...others]) => [what, ...others]);
    const stray = listed(this.strays, "topics of no measurement", (cells) => cells);
    return [parts.join("\n"), ...dropped, ...stray].join("\n\n");
  }

  private tableText({ name, fields }: Model["measurements"][number]): string {
    const row = this.rows.get(name);
    if (!row) return `${name}: no rows`;
    const units = [...row.units];
    const some = units.slice(0, 5).join("; ") + (units.length > 5 ? "; …" : "");
    const never = fields.filter((field) => !row.sent.has(field.name)).map((field) => field.name);
    return (
      `${name}: ${row.count} rows of ${units.length} unit${units.length === 1 ? "" : "s"} (${some})` +
      (never.length > 0 ? `; never sent: ${never.join(", ")}` : "")
    );
  }
}

/** The kinds of a count, most frequent first. */
function listed(
  kinds: Map<string, Kind>,
  title: string,
  cells: (parts: string[]) => string[],
): string[] {
  if (kinds.size === 0) return [];
  const sorted = [...kinds].sort(([, a], [, b]) => b.count - a.count);
  const rows = sorted
    .slice(0, mostListed)
    .map(([key, { count: times, example }]) => [
      String(times),
      ...cells(key.split("\t")),
      quote(short(example)),
    ]);
  const more = sorted.length - rows.length;
  return [[`${title}:`, table(rows), ...(more > 0 ? [`and ${more} more`] : [])].join("\n")];
}

function count(kinds: Map<string, Kind>, key: string, example: string, times = 1): void {
  const kind = kinds.get(key);
  if (kind) kind.count += times;
  else kinds.set(key, { count: times, example });
}

/** What a message shows: each value and each drop, with where it was but for numbers in lists. */
const itemsOf = ({ points, drops, origins }: Read): string[] => [
  ...points.flatMap((point) =>
    Object.entries(origins.get(point) ?? {}).map(([name, from]) =>
      [point.table, name, from.replaceAll(/\d+/g, "0")].join("\t"),
    ),
  ),
  ...drops.map(({ table: name, field, reason }) => ["not", name, field, reason].join("\t")),
];

const nameOf = (name: string, field: string): string => (field === "" ? name : `${name}.${field}`);

function dropText(drop: Drop, { origins }: Read): string {
  const from = Object.values(origins.get(drop) ?? {})[0];
  const times = drop.count > 1 ? `, ${drop.count} times` : "";
  const example = drop.example === "" ? "" : `: ${quote(drop.example)}`;
  const at = from === undefined ? "" : `, from ${from}`;
  return `${nameOf(drop.table, drop.field)}: ${drop.reason}${example}${at}${times}`;
}

const quote = (text: string): string => JSON.stringify(text);

const short = (text: string): string => (text.length > 60 ? `${text.slice(0, 59)}…` : text);

const unitText = (tags: Record<string, string>): string =>
  Object.entries(tags)
    .map(([name, text]) => `${name}=${text}`)
    .join(" ") || "no tag";

const valueText = (value: Stored, unit: string): string =>
  `${typeof value === "string" ? quote(value) : String(value)} ${unit}`.trimEnd();

/** A time with all digits that it has beyond the millisecond. */
function timeText(nanoseconds: bigint): string {
  const milliseconds = Number(nanoseconds / 1_000_000n);
  const rest = String(nanoseconds % 1_000_000n)
    .padStart(6, "0")
    .replace(/0+$/, "");
  return new Date(milliseconds).toISOString().replace("Z", `${rest}Z`);
}
