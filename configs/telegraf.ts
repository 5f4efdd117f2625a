import { createHash } from "node:crypto";
import { stringify } from "smol-toml";
import { databases } from "./influxdb";
import { type Measurement, type Model, pipelineTables } from "./model";
import { durationSeconds } from "./units";

/** Port of Telegraf's health output, inside its container only. */
export const healthPort = 8080;

/** Paths inside Telegraf's container. Secrets are files that `secretstores.docker` reads. */
export const paths = {
  config: "/etc/telegraf/telegraf.conf",
  secrets: "/run/secrets",
} as const;

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
  /** Folder of the secret files; the container's by default. */
  secrets?: string;
}

/**
 * Client id of a measurement's consumer. It changes with the topic, because a broker never subscribes
 * a session that it knows to a topic added later.
 */
export function clientId(site: string, measurement: Measurement): string {
  const topic = createHash("sha256").update(measurement.topic).digest("hex").slice(0, 8);
  return `telegraf-${site}-${measurement.name}-${topic}`;
}

const secret = (name: string) => `@{secrets:${name}}`;

function consumer(measurement: Measurement, options: TelegrafOptions) {
  const segments = measurement.topic.split("/").map(() => "_");
  const inTopic = measurement.tags.filter((tag) => tag.segment !== undefined);
  inTopic.forEach((tag) => (segments[tag.segment!] = tag.name));
  return {
    servers: [options.broker],
    topics: [measurement.topic],
    topic_tag: "",
    qos: 1,
    client_id: clientId(options.site, measurement),
    persistent_session: true,
    max_undelivered_messages: undelivered,
    username: "telegraf",
    password: secret(secrets.mqtt),
    startup_error_behavior: "retry",
    name_override: measurement.name,
    data_format: "json_v2",
    ...(inTopic.length > 0 && {
      topic_parsing: [{ topic: measurement.topic, tags: segments.join("/") }],
    }),
    json_v2: [
      {
        measurement_name: measurement.name,
        tag: measurement.tags
          .filter((tag) => tag.path)
          .map((tag) => ({ path: tag.path!, rename: tag.name })),
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

/** `[type, divisor, factor]`: a scale such as 0.001 divides, so that 7321 times 0.1 is 732.1 to the last digit. */
function conversion(type: string, scale: number): string {
  const divisor = Math.round(1 / scale);
  const exact = divisor > 1 && Math.abs(divisor * scale - 1) < 1e-12;
  const literal = (value: number) => (Number.isInteger(value) ? `${value}.0` : String(value));
  return `("${type}", ${literal(exact ? divisor : 1)}, ${literal(exact ? 1 : scale)})`;
}

/**
 * The Starlark program that gives every field its declared type and unit. A value of another type is dropped
 * alone, and said in the log; the rest of its message is kept.
 */
function starlark(model: Model): string {
  const table = model.measurements.map((m) => {
    const fields = m.fields.map((f) => `        "${f.name}": ${conversion(f.type, f.scale)},`);
    return [`    "${m.name}": {`, ...fields, "    },"].join("\n");
  });
  const iso = model.measurements
    .filter((m) => m.time.format === "iso8601")
    .map((m) => `"${m.name}": True`);
  return `load("logging.star", "log")

FIELDS = {
${table.join("\n")}
}
ISO8601 = {${iso.join(", ")}}
TIME = "${timeField}"

def number(value):
    if type(value) in ("float", "int"):
        return float(value)
    if type(value) != "string":
        return None
    digits = value[1:] if value[:1] in ("-", "+") else value
    whole = digits.split(".")
    if len(whole) > 2 or not all([part.isdigit() for part in whole]):
        return None
    return float(value)

def typed(value, kind, divisor, factor):
    if kind == "string":
        return value if type(value) == "string" else None
    if kind == "bool":
        return value if type(value) == "bool" else None
    n = number(value)
    if n == None or not abs(n) < 9.0e18:
        return None
    if kind == "int":
        return int(n) if n == int(n) else None
    return n / divisor * factor

def utc(text):
    text = text.strip()
    if len(text) < 19:
        return text
    text = text[:10] + "T" + text[11:]
    clock = text[19:]
    return text if "Z" in clock or "z" in clock or "+" in clock or "-" in clock else text + "Z"

def apply(metric):
    fields = FIELDS[metric.name]
    for name, value in metric.fields.items():
        if name == TIME:
            continue
        kind, divisor, factor = fields[name]
        result = typed(value, kind, divisor, factor)
        metric.fields.pop(name)
        if result == None:
            log.warn("%s.%s dropped: %s is no %s" % (metric.name, name, repr(value)[:60], kind))
        else:
            metric.fields[name] = result
    text = metric.fields.get(TIME)
    if type(text) == "string" and metric.name in ISO8601:
        metric.fields[TIME] = utc(text)
    return metric if len([name for name in metric.fields.keys() if name != TIME]) > 0 else None
`;
}

const timeFormats = {
  iso8601: "2006-01-02T15:04:05Z07:00",
  unix: "unix",
  unix_ms: "unix_ms",
  unix_us: "unix_us",
  unix_ns: "unix_ns",
} as const satisfies Record<Measurement["time"]["format"], string>;

/** One converter for each time format: a time that it cannot read is said in the log, and the arrival's stands. */
function timeConverters(model: Model) {
  const formats = [...new Set(model.measurements.map((m) => m.time.format))];
  return formats.map((format) => ({
    order: 2,
    namepass: model.measurements.filter((m) => m.time.format === format).map((m) => m.name),
    fields: { timestamp: [timeField], timestamp_format: timeFormats[format] },
  }));
}

/** Renders telegraf.conf for a model. */
export function telegrafConf(model: Model, options: TelegrafOptions): string {
  const names = model.measurements.map((m) => m.name);
  const output = { urls: [options.influxdb], token: secret(secrets.influxdb), timeout: "10s" };
  const buffer = model.measurements.length * undelivered;
  const interval = Math.min(...model.measurements.map((m) => durationSeconds(m.interval)));
  return `# Made by bess-telemetry from the telemetry model ${model.name}.\n${stringify({
    agent: {
      interval: "10s",
      flush_interval: `${Math.min(1000, Math.round(interval * 1000))}ms`,
      flush_jitter: "0s",
      metric_batch_size: undelivered,
      // Room for all that the consumers may hold, so that nothing is ever dropped from the buffer.
      metric_buffer_limit: buffer * 2,
      omit_hostname: true,
      quiet: true,
      skip_processors_after_aggregators: true,
    },
    secretstores: { docker: [{ id: "secrets", path: options.secrets ?? paths.secrets }] },
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
      starlark: [{ order: 1, namepass: names, source: starlark(model) }],
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
      health: [{ service_address: `http://127.0.0.1:${healthPort}`, namepass: ["internal_agent"] }],
    },
  })}`;
}

/** Proves that the agent runs its outputs. */
export const healthCheck = [
  "CMD",
  "wget",
  "-q",
  "-O",
  "/dev/null",
  `http://127.0.0.1:${healthPort}/`,
];
