import { readFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { countedTables, databases } from "./influxdb";
import { first, type Model, pipelineTables } from "./model";
import { clockTopic, mostRows, planOf, type Subscription, subscriptionsOf } from "./plan";
import { outageSeconds, type Profile } from "./profiles";
import { renderScript, scriptFolder } from "./scripts";
import { isSsh } from "./ssh";

/** Port of Telegraf's health output, inside its container only. */
export const healthPort = 8080;

/** Paths inside Telegraf's container. Secrets are files that `secretstores.docker` reads. */
export const paths = {
  config: "/etc/telegraf/telegraf.conf",
  /** The Starlark program of {@link readingProgram}. */
  program: "/etc/telegraf/reading.star",
  secrets: "/run/secrets",
  start: "/etc/telegraf/start.sh",
  /** Read where the host's drivers tell of a voltage that is too low. */
  voltage: "/etc/telegraf/voltage.conf",
} as const;

/**
 * Host's uptime, in seconds, up to which Telegraf waits for a synchronised clock: half of what the
 * broker's queue holds, so that the other half is left for an outage.
 */
export const holdSeconds = outageSeconds / 2;

/**
 * Seconds of the uptime of an engine's host up to which its clock may be waited for. A host that is
 * reached over SSH was refused unless its clock was synchronised, and so has a time service. A laptop's
 * kernel often never hears of one.
 */
export const holdOf = (engine: string | undefined): number => (isSsh(engine) ? holdSeconds : 0);

/** Names of the secret files under {@link paths}`.secrets`. */
export const secrets = {
  mqtt: "mqtt_password",
  monitor: "monitor_password",
  influxdb: "influxdb_token",
} as const;

/** How the topics begin under which the broker publishes its log. */
const brokerLog = "$SYS/broker/log/";

/** Consumers whose messages are no telemetry and are counted: each has the name of its table. */
const countedNames = [countedTables.strays.table, countedTables.log.table];

/** Messages that one consumer may hold before InfluxDB has them; the rest waits at the broker. */
const undelivered = 1000;

/** The same of a consumer whose messages may have {@link mostRows} rows each. */
const undeliveredLists = 200;

/** Messages that a subscription's consumer may hold, and the rows that they may have. */
function holds({ sources }: Subscription): { messages: number; rows: number } {
  const lists = sources.some(({ source }) => source.each.length > 0);
  return lists
    ? { messages: undeliveredLists, rows: undeliveredLists * mostRows }
    : { messages: undelivered, rows: undelivered * sources.length };
}

/** Where Telegraf finds its neighbours. */
export interface TelegrafOptions {
  site: string;
  /** URL of the broker, such as `tcp://mosquitto:1883`. */
  broker: string;
  /** URL of InfluxDB's relay, such as `http://influxdb:8182`. */
  influxdb: string;
  /** How long it gathers messages. */
  profile: Pick<Profile, "flush">;
  /** Where the program and the folder of the secret files lie; the container's paths by default. */
  paths?: Record<"program" | "secrets", string>;
  /** Port of the health output, 0 for any free one. Default: {@link healthPort}. */
  healthPort?: number;
}

/** A session of one of Telegraf's consumers at the broker. */
export interface Session {
  /** Client id of the consumer. */
  id: string;
  /** Client id until 0.1, which had the measurement's name in it. */
  formerId: string;
  /** What it subscribes to. */
  topics: string[];
}

/** The session of a subscription. */
export function sessionOf(site: string, { id, topics, measurements }: Subscription): Session {
  const formerId = `telegraf-${site}-${first(measurements).name}-${id}`;
  return { id: `telegraf-${site}-${id}`, formerId, topics };
}

/** The sessions of a site's consumers. */
export const sessions = (site: string, model: Model): Session[] =>
  subscriptionsOf(model).map((subscription) => sessionOf(site, subscription));

const secret = (name: string) => `@{secrets:${name}}`;

function consumer(subscription: Subscription, options: TelegrafOptions) {
  return {
    servers: [options.broker],
    topics: subscription.topics,
    topic_tag: "topic",
    qos: 1,
    client_id: sessionOf(options.site, subscription).id,
    persistent_session: true,
    max_undelivered_messages: holds(subscription).messages,
    username: "telegraf",
    password: secret(secrets.mqtt),
    startup_error_behavior: "retry",
    name_override: subscription.id,
    // The program reads the payload.
    data_format: "value",
    data_type: "string",
  };
}

/** A consumer of what is no telemetry, whose messages may be lost. */
const monitor = (name: string, topics: string[], { site, broker }: TelegrafOptions) => ({
  servers: [broker],
  topics,
  topic_tag: "topic",
  qos: 0,
  client_id: `telegraf-${site}-${name}`,
  username: "monitor",
  password: secret(secrets.monitor),
  startup_error_behavior: "retry",
  data_format: "value",
});

/** A value as Starlark writes it. */
function starlark(value: unknown, indent = ""): string {
  const inner = `${indent}  `;
  const block = (open: string, entries: string[], close: string) =>
    entries.length === 0
      ? open + close
      : `${open}\n${entries.map((entry) => `${inner}${entry},\n`).join("")}${indent}${close}`;
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number")
    return Number.isInteger(value) ? String(BigInt(value)) : String(value);
  if (typeof value !== "object") return JSON.stringify(value);
  const flat = Array.isArray(value) && value.every((entry) => typeof entry !== "object" || !entry);
  if (flat) return `[${value.map((entry) => starlark(entry)).join(", ")}]`;
  if (Array.isArray(value))
    return block(
      "[",
      value.map((entry) => starlark(entry, inner)),
      "]",
    );
  return block(
    "{",
    Object.entries(value).map(
      ([key, entry]) => `${JSON.stringify(key)}: ${starlark(entry, inner)}`,
    ),
    "}",
  );
}

/**
 * The Starlark program that makes points of messages: the model's plan, then `scripts/reading.star`.
 * @param retention how long rows are kept. Default: a time of any age is believed.
 */
export function readingProgram(model: Model, retention?: string): string {
  const { subscriptions, oldest } = planOf(model, retention);
  return `${madeFrom(model)}
SUBSCRIPTIONS = ${starlark(subscriptions)}
OLDEST = ${starlark(oldest)}
CLOCK = ${starlark(clockTopic)}
DROPS = ${starlark(countedTables.drops)}
STRAYS = ${starlark(countedTables.strays)}
LOG = ${starlark(countedTables.log)}
MOST_ROWS = ${mostRows}

${readFileSync(join(scriptFolder, "reading.star"), "utf8")}`;
}

const madeFrom = ({ name }: Model) => `# Made by bess-telemetry from the telemetry model ${name}.`;

/** Renders telegraf.conf for a model. The agent logs warnings, but no line for each flush. */
export function telegrafConf(model: Model, options: TelegrafOptions): string {
  const names = model.measurements.map((m) => m.name);
  const output = {
    urls: [options.influxdb],
    token: secret(secrets.influxdb),
    timeout: "10s",
    // The relay reads it, on the same machine.
    content_encoding: "identity",
  };
  const subscriptions = subscriptionsOf(model);
  const rows = subscriptions.reduce((sum, subscription) => sum + holds(subscription).rows, 0);
  const { program, secrets: secretFolder } = options.paths ?? paths;
  const healthAddress = `http://127.0.0.1:${options.healthPort ?? healthPort}`;
  return `${madeFrom(model)}\n${stringify({
    agent: {
      interval: "10s",
      flush_interval: `${options.profile.flush}s`,
      flush_jitter: "0s",
      metric_batch_size: undelivered,
      // Room for all that the consumers may hold, so that nothing is ever dropped from the buffer.
      metric_buffer_limit: rows * 2,
      omit_hostname: true,
      skip_processors_after_aggregators: true,
    },
    secretstores: { docker: [{ id: "secrets", path: secretFolder }] },
    inputs: {
      mqtt_consumer: [
        ...subscriptions.map((subscription) => consumer(subscription, options)),
        {
          ...monitor("monitor", ["$SYS/broker/#"], options),
          name_override: "mosquitto",
          data_type: "auto_float",
          // Version and uptime are texts; the numbers are what is watched. Of a text the last word counts.
          fieldinclude: ["value"],
          metricpass: `type(fields.value) == double && !tags.topic.startsWith("${brokerLog}")`,
        },
        {
          // A shared subscription gets nothing that was retained long ago.
          ...monitor("strays", ["$share/bess/#"], options),
          name_override: countedTables.strays.table,
          data_type: "string",
          // Any of them may be of 2 MB.
          max_undelivered_messages: 10,
        },
        {
          // Not the consumer above: it would hand on each line for either of its topics.
          ...monitor("log", [`${brokerLog}+`], options),
          name_override: countedTables.log.table,
          data_type: "string",
        },
      ],
      internal: [{ collect_memstats: false }],
      cpu: [{ percpu: false, totalcpu: true }],
      mem: [{}],
      // The container's root lies on the disk that holds Docker's volumes.
      disk: [
        {
          mount_points: ["/"],
          ignore_fs: ["tmpfs", "devtmpfs", "devfs", "iso9660", "squashfs", "aufs"],
        },
      ],
      temp: [{}],
      timex: [{ name_override: clockTable, fieldinclude: ["maxerror_ns"], tagexclude: ["status"] }],
    },
    processors: {
      starlark: [
        // What Telegraf tells of itself every ten seconds makes the program tell what it counted.
        {
          namepass: [...subscriptions.map(({ id }) => id), ...countedNames, "internal_agent"],
          script: program,
        },
      ],
    },
    outputs: {
      influxdb_v3: [
        { alias: "telemetry", ...output, database: databases.telemetry, namepass: names },
        { alias: "pipeline", ...output, database: databases.pipeline, namepass: pipelineTables },
      ],
      health: [{ service_address: healthAddress, namepass: ["internal_agent"] }],
    },
  })}`;
}

/** Tables of the host's clock, and of voltages that are too low; their names are the pipeline's. */
export const [clockTable, voltageTable] = ["internal_clock", "internal_voltage"];

/** Error that the kernel tells of a clock that nobody sets, in s: `timedatectl` goes by it too. */
export const unsynchronisedSeconds = 16;

/**
 * Entrypoint, whose arguments are the command: while the kernel says that the clock is not
 * synchronised it waits, and says so in the log.
 * @param hold the host's uptime, in seconds, from which it waits no more; 0 never waits.
 */
export const startScript = (
  hold: number,
  { sensors, voltage }: VoltageFiles = voltageFiles,
): string => renderScript("telegraf-start.sh", { holdSeconds: hold, sensors, voltage });

/** Where drivers of voltages tell that one is too low, and the configuration that reads it. */
export interface VoltageFiles {
  /** A pattern, as the shell and Telegraf both know it. */
  sensors: string;
  voltage: string;
}

/** As in the container. A Raspberry Pi's driver tells of its supply there. */
const voltageFiles: VoltageFiles = {
  sensors: "/sys/class/hwmon/hwmon*/in*_lcrit_alarm",
  voltage: paths.voltage,
};

/** What is read beside the rest where there are such sensors: Telegraf calls a pattern without a file an error. */
export const voltageConf = ({ sensors }: VoltageFiles = voltageFiles): string =>
  stringify({
    inputs: {
      file: [
        {
          name_override: voltageTable,
          files: [sensors],
          file_path_tag: "sensor",
          data_format: "value",
          data_type: "integer",
        },
      ],
    },
  });

/** Proves that the agent runs its outputs; it does not while the start script waits. */
export const healthCheck = [
  "CMD",
  "wget",
  "-q",
  "-O",
  "/dev/null",
  `http://127.0.0.1:${healthPort}/`,
];
