import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { databases } from "./influxdb";
import { type Field, type Measurement, type Model, pipelineTables } from "./model";
import { outageSeconds } from "./profiles";
import { renderScript, scriptFolder } from "./scripts";
import { durationSeconds } from "./units";

/** Port of Telegraf's health output, inside its container only. */
export const healthPort = 8080;

/** Paths inside Telegraf's container. Secrets are files that `secretstores.docker` reads. */
export const paths = {
  config: "/etc/telegraf/telegraf.conf",
  /** The Starlark program of {@link fieldsProgram}. */
  program: "/etc/telegraf/fields.star",
  secrets: "/run/secrets",
  start: "/etc/telegraf/start.sh",
} as const;

/**
 * Host's uptime, in seconds, up to which Telegraf waits for a synchronised clock: half of what the
 * broker's queue holds, so that the other half is left for an outage.
 */
export const holdSeconds = outageSeconds / 2;

/** Names of the secret files under {@link paths}`.secrets`. */
export const secrets = {
  mqtt: "mqtt_password",
  monitor: "monitor_password",
  influxdb: "influxdb_token",
} as const;

/** Field that carries the event's own time as text until a processor has read it. */
const timeField = "__time";

/** Messages that one consumer may hold before InfluxDB has them; the rest waits at the broker. */
const undelivered = 1000;

/** Where Telegraf finds its neighbours. */
export interface TelegrafOptions {
  site: string;
  /** URL of the broker, such as `tcp://mosquitto:1883`. */
  broker: string;
  /** URL of InfluxDB, such as `http://influxdb:8181`. */
  influxdb: string;
  /** Where the program and the folder of the secret files lie; the container's paths by default. */
  paths?: Record<"program" | "secrets", string>;
  /** Port of the health output, 0 for any free one. Default: {@link healthPort}. */
  healthPort?: number;
}

/**
 * Name of a topic's session within its site. It changes with the topic, because a broker never
 * subscribes a session that it knows to a topic added later. A measurement that is renamed keeps it.
 */
export const sessionName = ({ topic }: Measurement): string =>
  createHash("sha256").update(topic).digest("hex").slice(0, 8);

/** A session of one of Telegraf's consumers at the broker. */
export interface Session {
  /** Client id of the consumer. */
  id: string;
  /** Client id until 0.1, which had the measurement's name in it. */
  formerId: string;
  topic: string;
}

/** The session of a measurement's consumer. */
export function sessionOf(site: string, measurement: Measurement): Session {
  const { name, topic } = measurement;
  const session = sessionName(measurement);
  const formerId = `telegraf-${site}-${name}-${session}`;
  return { id: `telegraf-${site}-${session}`, formerId, topic };
}

/** The sessions of a site's consumers. */
export const sessions = (site: string, model: Model): Session[] =>
  model.measurements.map((measurement) => sessionOf(site, measurement));

const secret = (name: string) => `@{secrets:${name}}`;

function consumer(measurement: Measurement, options: TelegrafOptions) {
  const inTopic = new Map(measurement.tags.map((tag) => [tag.segment, tag.name]));
  const segments = measurement.topic.split("/").map((_, i) => inTopic.get(i) ?? "_");
  return {
    servers: [options.broker],
    topics: [measurement.topic],
    topic_tag: "",
    qos: 1,
    client_id: sessionOf(options.site, measurement).id,
    persistent_session: true,
    max_undelivered_messages: undelivered,
    username: "telegraf",
    password: secret(secrets.mqtt),
    startup_error_behavior: "retry",
    name_override: measurement.name,
    data_format: "json_v2",
    ...(segments.some((name) => name !== "_") && {
      topic_parsing: [{ topic: measurement.topic, tags: segments.join("/") }],
    }),
    json_v2: [
      {
        measurement_name: measurement.name,
        tag: measurement.tags.flatMap(({ path, name }) => (path ? [{ path, rename: name }] : [])),
        field: [
          { path: measurement.time.path, rename: timeField, optional: true },
          ...measurement.fields.map((field) => ({
            path: field.path,
            rename: field.name,
            optional: true,
          })),
        ],
      },
    ],
  };
}

/**
 * A field's type, divisor and factor, as a Starlark tuple. A scale such as 0.001 divides, so that
 * 7321 times 0.1 is 732.1 to the last digit.
 */
function conversion({ type, scale }: Field): string {
  const divisor = Math.round(1 / scale);
  const exact = divisor > 1 && Math.abs(divisor * scale - 1) < 1e-12;
  const literal = (value: number) => (Number.isInteger(value) ? `${value}.0` : String(value));
  return `("${type}", ${literal(exact ? divisor : 1)}, ${literal(exact ? 1 : scale)})`;
}

/**
 * The Starlark program that gives every field its declared type and unit: the model's own table,
 * then `scripts/fields.star`.
 */
export function fieldsProgram(model: Model): string {
  const table = model.measurements.map((m) => {
    const fields = m.fields.map((field) => `        "${field.name}": ${conversion(field)},`);
    return [`    "${m.name}": {`, ...fields, "    },"].join("\n");
  });
  const iso8601 = model.measurements
    .filter((m) => m.time.format === "iso8601")
    .map((m) => `"${m.name}": True`);
  return `${madeFrom(model)}
FIELDS = {
${table.join("\n")}
}
ISO8601 = {${iso8601.join(", ")}}
TIME = "${timeField}"

${readFileSync(join(scriptFolder, "fields.star"), "utf8")}`;
}

const madeFrom = ({ name }: Model) => `# Made by bess-telemetry from the telemetry model ${name}.`;

const timeFormats = {
  iso8601: "2006-01-02T15:04:05Z07:00",
  unix: "unix",
  unix_ms: "unix_ms",
  unix_us: "unix_us",
  unix_ns: "unix_ns",
} as const satisfies Record<Measurement["time"]["format"], string>;

/**
 * One converter for each time format. It logs an error for a time that it cannot read; the message
 * keeps the time of its arrival then.
 */
function timeConverters(model: Model) {
  const formats = [...new Set(model.measurements.map((m) => m.time.format))];
  return formats.map((format) => ({
    order: 2,
    namepass: model.measurements.filter((m) => m.time.format === format).map((m) => m.name),
    fields: { timestamp: [timeField], timestamp_format: timeFormats[format] },
  }));
}

/** Renders telegraf.conf for a model. The agent logs warnings, but no line for each flush. */
export function telegrafConf(model: Model, options: TelegrafOptions): string {
  const names = model.measurements.map((m) => m.name);
  const output = { urls: [options.influxdb], token: secret(secrets.influxdb), timeout: "10s" };
  const buffer = model.measurements.length * undelivered;
  const interval = Math.min(...model.measurements.map((m) => durationSeconds(m.interval)));
  const { program, secrets: secretFolder } = options.paths ?? paths;
  const healthAddress = `http://127.0.0.1:${options.healthPort ?? healthPort}`;
  return `${madeFrom(model)}\n${stringify({
    agent: {
      interval: "10s",
      flush_interval: `${Math.min(1000, Math.round(interval * 1000))}ms`,
      flush_jitter: "0s",
      metric_batch_size: undelivered,
      // Room for all that the consumers may hold, so that nothing is ever dropped from the buffer.
      metric_buffer_limit: buffer * 2,
      omit_hostname: true,
      skip_processors_after_aggregators: true,
    },
    secretstores: { docker: [{ id: "secrets", path: secretFolder }] },
    inputs: {
      mqtt_consumer: [
        ...model.measurements.map((m) => consumer(m, options)),
        {
          servers: [options.broker],
          topics: ["$SYS/broker/#"],
          qos: 0,
          client_id: `telegraf-${options.site}-monitor`,
          username: "monitor",
          password: secret(secrets.monitor),
          startup_error_behavior: "retry",
          name_override: "mosquitto",
          data_format: "value",
          data_type: "auto_float",
          // Version and uptime are texts; the numbers are what is watched.
          fieldinclude: ["value"],
          metricpass: "type(fields.value) == double",
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
    },
    processors: {
      starlark: [{ order: 1, namepass: names, script: program }],
      converter: timeConverters(model),
    },
    outputs: {
      influxdb_v3: [
        // A time that could not be read is still there as text.
        {
          alias: "telemetry",
          ...output,
          database: databases.telemetry,
          namepass: names,
          fieldexclude: [timeField],
        },
        { alias: "pipeline", ...output, database: databases.pipeline, namepass: pipelineTables },
      ],
      health: [{ service_address: healthAddress, namepass: ["internal_agent"] }],
    },
  })}`;
}

/**
 * Entrypoint, whose arguments are the command: while the kernel says that the clock is not
 * synchronised it waits, and says so in the log.
 * @param hold the host's uptime, in seconds, from which it waits no more; 0 never waits.
 */
export const startScript = (hold: number): string =>
  renderScript("telegraf-start.sh", { holdSeconds: hold });

/** Proves that the agent runs its outputs; it does not while the start script waits. */
export const healthCheck = [
  "CMD",
  "wget",
  "-q",
  "-O",
  "/dev/null",
  `http://127.0.0.1:${healthPort}/`,
];
