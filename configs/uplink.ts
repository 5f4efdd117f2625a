import * as z from "zod";
import type { AlertSource } from "./grafana";
import type { Field, Measurement, Model } from "./model";
import { isNumber, rolledOf, type Rolled } from "./rollups";
import type { Unit } from "./units";
import { text } from "./validation";
import { isPlaceholder } from "./secret-placeholders";

/** Each unit as Prometheus spells it in a metric's name: in words, in the plural. */
const unitWords = {
  A: "amperes",
  mA: "milliamperes",
  kA: "kiloamperes",
  V: "volts",
  mV: "millivolts",
  kV: "kilovolts",
  W: "watts",
  mW: "milliwatts",
  kW: "kilowatts",
  MW: "megawatts",
  GW: "gigawatts",
  var: "vars",
  kvar: "kilovars",
  Mvar: "megavars",
  VA: "volt_amperes",
  kVA: "kilovolt_amperes",
  MVA: "megavolt_amperes",
  Wh: "watt_hours",
  kWh: "kilowatt_hours",
  MWh: "megawatt_hours",
  J: "joules",
  kJ: "kilojoules",
  MJ: "megajoules",
  varh: "var_hours",
  kvarh: "kilovar_hours",
  Ah: "ampere_hours",
  mAh: "milliampere_hours",
  kAh: "kiloampere_hours",
  As: "ampere_seconds",
  Ω: "ohms",
  µΩ: "microohms",
  mΩ: "milliohms",
  kΩ: "kiloohms",
  MΩ: "megaohms",
  F: "farads",
  Hz: "hertz",
  mHz: "millihertz",
  kHz: "kilohertz",
  "1/min": "per_minute",
  "1/s": "per_second",
  "%": "percent",
  "‰": "permille",
  K: "kelvins",
  "°C": "celsius",
  "°F": "fahrenheit",
  Pa: "pascals",
  kPa: "kilopascals",
  mbar: "millibars",
  hPa: "hectopascals",
  bar: "bars",
  ms: "milliseconds",
  s: "seconds",
  min: "minutes",
  h: "hours",
  d: "days",
  mm: "millimeters",
  m: "meters",
  "l/min": "liters_per_minute",
  "l/h": "liters_per_hour",
  "m³/h": "cubic_meters_per_hour",
  "W/m²": "watts_per_square_meter",
  dB: "decibels",
  dBm: "decibel_milliwatts",
  ppm: "ppm",
  B: "bytes",
  "": "",
} as const satisfies Record<Unit, string>;

/**
 * What a series holds of a minute: of a number its average, lowest, highest and last value; of a counter
 * the last; of a state 1 while it is the last one, and else 0, and the seconds that it lasted; of a text 1.
 */
export type UplinkKind = "avg" | "min" | "max" | "last" | "total" | "state" | "seconds" | "info";

/** One metric of a site: a series for each unit, and of states and texts for each of them. */
export interface UplinkSeries {
  metric: string;
  kind: UplinkKind;
  measurement: Measurement;
  /** What is rolled up: a field, or a power that is derived of each row. */
  rolled: Rolled;
  unit: Unit;
  /** Label with the state or the text. */
  label?: string;
}

/** Label with the site's name. The embedded hub sets it itself, by the site's token. */
export const siteLabel = "site";

/** Label of a tag. */
export const tagLabel = (tag: string): string => (tag === siteLabel ? `tag_${tag}` : tag);

const unitOf = ({ fields }: Measurement, rolled: Rolled): Unit =>
  rolled.terms ? "W" : (fields.find(({ name }) => name === rolled.name)?.unit ?? "");

/** Name of a field's metric, without what is told of a minute: the name of its values at full rate. */
export function uplinkMetric(m: Measurement, { name, unit }: { name: string; unit: Unit }): string {
  const field = name.replace(/^_/, "");
  const word = unitWords[unit];
  const named = word === "" || `_${field}`.endsWith(`_${word}`);
  return `bess_${m.name}_${field}${named ? "" : `_${word}`}`;
}

/** Whether a text is one of any: a version, a serial number. All others are states. */
const isText = (f: Field | undefined) =>
  f?.type === "string" && f.quantity !== "mode" && !f.values && f.alarm === undefined;

function kindsOf(field: Field | undefined, rolled: Rolled): UplinkKind[] {
  if (isText(field)) return ["info"];
  if (rolled.states) return ["state", "seconds"];
  return field?.quantity === "energy" ? ["total"] : ["avg", "min", "max", "last"];
}

/** The metrics of a model, in its order. */
export function uplinkSeries({ measurements }: Model): UplinkSeries[] {
  const taken = new Set<string>([
    ...Object.values(siteMetrics),
    ...pipelineMetrics.map(({ metric }) => metric),
    ...measurements.map(rowsMetric),
  ]);
  return measurements.flatMap((measurement) =>
    rolledOf(measurement).flatMap((rolled): UplinkSeries[] => {
      const field = measurement.fields.find(({ name }) => name === rolled.name);
      const unit = unitOf(measurement, rolled);
      const base = uplinkMetric(measurement, { name: rolled.name, unit });
      return kindsOf(field, rolled).map((kind) => {
        let metric = kind === "state" ? base : `${base}_${kind}`;
        // Fields such as `soc` in % and `soc_percent` would have one name.
        while (taken.has(metric)) metric += "_";
        taken.add(metric);
        const labelled = kind === "state" || kind === "seconds" || kind === "info";
        // OpenMetrics has a state's label named as its metric.
        return { metric, kind, measurement, rolled, unit, ...(labelled && { label: base }) };
      });
    }),
  );
}

/** Rows that came of a unit in a minute. */
export const rowsMetric = ({ name }: Pick<Measurement, "name">): string => `bess_${name}_rows`;

/** Metrics of the site itself, beside those of its model. */
export const siteMetrics = {
  /** 1, with the labels `version` of the program and `model`. */
  info: "bess_site_info",
  /** How many alerts fire, by the label `alertstate`: `firing`, or `muted` while nobody is told. */
  alerts: "bess_alerts",
  /** 1 for each alert that fires, with the labels `alertname`, `severity`, `unit` and `alertstate`. */
  alert: "bess_alert_info",
  /** When the last mute of the site ends, in seconds since 1970; 0 where it is not muted. */
  muteEnds: "bess_site_mute_end_timestamp_seconds",
  /** Seconds that the newest minute at the hub is older than it should be. */
  lag: "bess_uplink_lag_seconds",
} as const;

/** One number of the pipeline: the highest of a minute's rows. */
export interface PipelineMetric {
  metric: string;
  table: string;
  field: string;
  /** Rows of a tag's value alone. */
  where?: readonly [tag: string, value: string];
  /** Whether the rows are added up. */
  sum?: true;
}

const broker = (name: string, topic: string): PipelineMetric => ({
  metric: `bess_pipeline_broker_${name}`,
  table: "mosquitto",
  field: "value",
  where: ["topic", `$SYS/broker/${topic}`],
});
const stored = (name: string, field: string): PipelineMetric => ({
  metric: `bess_pipeline_points_${name}_total`,
  table: "internal_write",
  field,
  where: ["alias", "telemetry"],
});

/** What crosses of the pipeline's health. A counter begins at 0 again when its program does. */
export const pipelineMetrics: readonly PipelineMetric[] = [
  broker("messages_total", "publish/messages/received"),
  broker("dropped_messages_total", "publish/messages/dropped"),
  broker("queue_messages", "store/messages/count"),
  stored("written", "metrics_written"),
  stored("dropped", "metrics_dropped"),
  stored("rejected", "metrics_rejected"),
  { metric: "bess_pipeline_unreadable", table: "mqtt_drops", field: "count", sum: true },
  { metric: "bess_pipeline_stray", table: "mqtt_strays", field: "count", sum: true },
  {
    metric: "bess_pipeline_disk_used_percent",
    table: "disk",
    field: "used_percent",
    where: ["path", "/"],
  },
  { metric: "bess_pipeline_memory_used_percent", table: "mem", field: "used_percent" },
  { metric: "bess_pipeline_temperature_celsius", table: "temp", field: "temp" },
  { metric: "bess_pipeline_data_bytes", table: "influxdb_size", field: "bytes" },
  { metric: "bess_pipeline_rollups_lag_seconds", table: "rollups", field: "lag" },
  { metric: "bess_pipeline_backup_age_seconds", table: "backup", field: "age" },
];

/**
 * Milliseconds at the end of a minute that its samples lie in. A minute that has changed is sent again with
 * a later time within them: the last one counts, whatever stores it. VictoriaMetrics keeps the highest of
 * two values of one time, and the last of those within `-dedup.minScrapeInterval`.
 */
export const revisions = 100;

/** `-dedup.minScrapeInterval` of a hub's VictoriaMetrics: of a minute's {@link revisions} one is left. */
export const hubDedup = `${revisions}ms`;

/**
 * Time of a minute's samples, in ms since 1970.
 * @param start the minute's beginning, in seconds since 1970.
 * @param revision how often it was sent before.
 */
export const sampleTime = (start: number, revision = 0): number =>
  (start + 60) * 1000 - revisions + Math.min(revision + 1, revisions);

/** The minute that a sample's time lies in, in seconds since 1970. */
export const minuteOf = (milliseconds: number): number =>
  (Math.ceil(milliseconds / 60_000) - 1) * 60;

/** Seconds after a minute's end at which its rows are read: they are stored by then. */
export const settleSeconds = 10;

/** Table of the pipeline's database that tells of the uplink, and how far it is. */
export const uplinkTable = "uplink";

/** What a site's program is told of the uplink. */
export interface UplinkConfig {
  /** Name of the site. */
  site: string;
  /** Version of this program, for {@link siteMetrics}. */
  version: string;
  /** Where the hub takes remote write. */
  url: string;
  /** User that the token is the password of; none where the token is sent itself. */
  user?: string | undefined;
  /** File with the token. */
  tokenFile: string;
  /** Certificate of the hub's authority, in PEM form. */
  ca?: string | undefined;
  /** Fields that cross at full rate, such as `battery.soc`. */
  raw: readonly string[];
  /** The site's Grafana, which knows its alerts. Default: they do not cross. */
  grafana?: AlertSource | undefined;
  /** Seconds after which a note is followed, and its block looked at again. Default: as deployed. */
  due?: { note: number; again: number } | undefined;
  /** Seconds after a minute's end. Default: {@link settleSeconds}. */
  settle?: number | undefined;
}

/** File with the token in the container. */
export const uplinkTokenFile = "/run/secrets/uplink_token";

const certificate = /-----BEGIN CERTIFICATE-----[^]+-----END CERTIFICATE-----/;

/** A site's way to a hub. */
export const uplinkSchema = z.strictObject({
  url: text(
    /^https:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/,
    "write an address such as https://hub.example:8427/api/v1/write",
  ).meta({
    description:
      "Where the hub takes Prometheus remote write: a hub of this program, Grafana Cloud, Mimir, " +
      "VictoriaMetrics.",
    examples: ["https://hub.example:8427/api/v1/write"],
  }),
  user: z
    .string()
    .min(1)
    .optional()
    .meta({
      description:
        "User that the token is the password of, where the hub wants a login, as Grafana Cloud does. " +
        "Without it the token itself is sent (`Authorization: Bearer`).",
      examples: ["123456"],
    }),
  token: z
    .string()
    .min(8, "write the hub's token, 8 characters or more")
    .refine(
      (token) => isPlaceholder(token) || /^[\x21-\x7e]+$/.test(token),
      "write it without spaces, as the hub gives it",
    )
    .meta({
      description: "The site's token at the hub. Set it with `pulumi config set --secret`.",
      examples: ["hub_u3Vb0Qf6XcJ2"],
    }),
  ca: z
    .string()
    .regex(certificate, {
      error: "paste it in PEM form, from -----BEGIN to -----END",
      abort: true,
    })
    .optional()
    .meta({
      description:
        "Certificate of the authority that has signed the hub's, in PEM form. " +
        "Without it: the public ones.",
      examples: ["-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----"],
    }),
  raw: z
    .array(
      text(/^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$/, "write measurement.field, such as battery.soc"),
    )
    .default([])
    .meta({
      description: "Fields that cross at full rate too, each as `measurement.field`. Only numbers.",
      examples: [["battery.soc"]],
    }),
});

/** A site's uplink. */
export type Uplink = z.output<typeof uplinkSchema>;

/** What is wrong with the fields that cross at full rate, in words. */
export const rawFindings = ({ measurements }: Model, raw: readonly string[]): string[] =>
  raw.flatMap((name) => {
    const [table, field] = name.split(".");
    const found = measurements.find((m) => m.name === table)?.fields.find((f) => f.name === field);
    if (!found) return [`${name} is no field of the model`];
    return isNumber(found)
      ? []
      : [`${name} is a ${found.type}: only a number crosses at full rate`];
  });
