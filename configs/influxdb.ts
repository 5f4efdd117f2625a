import type { Field, Model } from "./model";
import { renderScript } from "./scripts";
import { durationSeconds } from "./units";

/** Port of InfluxDB's HTTP and Flight SQL API inside its container. */
export const port = 8181;

/** The site's databases: what the battery says, and what the pipeline says of itself. */
export const databases = { telemetry: "bess", pipeline: "pipeline" } as const;

/** Paths inside InfluxDB's container. */
export const paths = {
  data: "/var/lib/influxdb3",
  /** The token that a new volume is begun with. */
  seed: "/run/secrets/influxdb-admin-token",
  /** The token in force: it lives with the data that knows it, and so outlives the stack. */
  adminToken: "/var/lib/influxdb3/.admin-token",
  start: "/etc/influxdb3/start.sh",
} as const;

/** How long the pipeline's own health is kept. */
export const pipelineRetention = "30d";

const columnTypes = {
  float: "float64",
  int: "int64",
  bool: "bool",
  string: "utf8",
} as const satisfies Record<Field["type"], string>;

/** A table as `POST /api/v3/configure/table` takes it. */
export interface Table {
  db: string;
  table: string;
  tags: string[];
  fields: { name: string; type: (typeof columnTypes)[Field["type"]] }[];
}

/** The tables of a model, each column with its type: a first message of a wrong type can then not decide it. */
export function tables(model: Model): Table[] {
  return model.measurements.map((m) => ({
    db: databases.telemetry,
    table: m.name,
    tags: m.tags.map((tag) => tag.name),
    fields: m.fields.map((field) => ({ name: field.name, type: columnTypes[field.type] })),
  }));
}

/** The offline token file that InfluxDB reads while it has no admin token; only the name `_admin` closes the open door. */
export const adminTokenFile = (token: string) => JSON.stringify({ token, name: "_admin" });

/**
 * Parquet files that a query over the whole retention may read: one per ten minutes and table,
 * and a tenth for the blocks that are not yet merged. InfluxDB's default of 432 fails from 72 h on.
 */
export const queryFileLimit = (retention: string) =>
  Math.max(432, Math.ceil((durationSeconds(retention) / 600) * 1.1));

/** Arguments of `influxdb3 serve`. */
export function serveArguments(options: {
  node: string;
  retention: string;
  memoryMiB: number;
  adminToken?: string;
  data?: string;
  bind?: string;
}): string[] {
  return [
    "serve",
    `--node-id=${options.node}`,
    "--object-store=file",
    `--data-dir=${options.data ?? paths.data}`,
    `--http-bind=${options.bind ?? `0.0.0.0:${port}`}`,
    `--admin-token-file=${options.adminToken ?? paths.adminToken}`,
    // The health check holds no token; the API itself stays closed.
    "--disable-authz=health,ping",
    // A local disk needs no second to gather writes: an acknowledged write is on it after 0.1 s.
    "--wal-flush-interval=100ms",
    `--query-file-limit=${queryFileLimit(options.retention)}`,
    `--exec-mem-pool-bytes=${Math.floor(options.memoryMiB * 0.4)}`,
    `--parquet-mem-cache-size=${Math.floor(options.memoryMiB * 0.1)}`,
    `--force-snapshot-mem-threshold=${Math.floor(options.memoryMiB * 0.3)}`,
    "--disable-telemetry-upload",
  ];
}

/** Entrypoint of the container: a new volume takes the generated token, an old one keeps its own. */
export const startScript = (): string =>
  renderScript("influxdb-start.sh", { seed: paths.seed, adminToken: paths.adminToken });

/** Proves that the API answers. */
export const healthCheck = [
  "CMD",
  "curl",
  "-fsS",
  "-o",
  "/dev/null",
  `http://127.0.0.1:${port}/health`,
];

/** Placeholders of every script that sources `influxdb-api.sh`. */
export const apiPlaceholders = { adminToken: paths.adminToken, port };

/** What {@link schemaScript} makes. */
export interface Schema {
  databases: { db: string; retention_period: string }[];
  tables: Table[];
}

/** The databases and tables of a site. */
export const schema = (model: Model, retention: string): Schema => ({
  databases: [
    { db: databases.telemetry, retention_period: retention },
    { db: databases.pipeline, retention_period: pipelineRetention },
  ],
  tables: tables(model),
});

const quotedJson = (value: unknown) => `'${JSON.stringify(value).replaceAll("'", `'\\''`)}'`;

/**
 * A bash script, run in InfluxDB's own container, that makes databases and tables and may run any
 * number of times. A table that exists gains the fields it lacks by the first write of them; a field
 * that changed its type is refused.
 */
export const schemaScript = (wanted: Schema): string =>
  renderScript("influxdb-schema.sh", {
    ...apiPlaceholders,
    databases: wanted.databases.map((body) => ({ database: quotedJson(body), name: body.db })),
    tables: wanted.tables.map((body) => ({ table: quotedJson(body), name: body.table })),
  });

/** A bash script that makes the token named in `$TOKEN_NAME`, and prints it alone. */
export const createTokenScript = (): string =>
  renderScript("influxdb-create-token.sh", apiPlaceholders);

/** A bash script that revokes the token named in `$TOKEN_NAME`; one that is gone is no error. */
export const revokeTokenScript = (): string =>
  renderScript("influxdb-revoke-token.sh", apiPlaceholders);
