import type { Field, Model } from "./model";
import { renderScript } from "./scripts";
import { durationSeconds } from "./units";

/** Port of InfluxDB's HTTP and Flight SQL API inside its container. */
export const port = 8181;

/** The site's databases: the battery's telemetry, and the pipeline's own metrics. */
export const databases = { telemetry: "bess", pipeline: "pipeline" } as const;

/** Paths inside InfluxDB's container. */
export const paths = {
  data: "/var/lib/influxdb3",
  /** Admin token for a new volume. */
  seed: "/run/secrets/influxdb-admin-token",
  /** Admin token in use: it lies beside the data that knows it, and so outlives the stack. */
  adminToken: "/var/lib/influxdb3/.admin-token",
  start: "/etc/influxdb3/start.sh",
} as const;

/** How long the pipeline's own metrics are kept. */
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

/**
 * The tables of a model. Each column's type is declared, because otherwise the first value that is
 * written decides it.
 */
export function tables(model: Model): Table[] {
  return model.measurements.map((m) => ({
    db: databases.telemetry,
    table: m.name,
    tags: m.tags.map((tag) => tag.name),
    fields: m.fields.map((field) => ({ name: field.name, type: columnTypes[field.type] })),
  }));
}

/**
 * Content of the file that InfluxDB reads while it has no admin token. The token must be named
 * `_admin`: with any other name, anybody can create the admin token without credentials.
 */
export const adminTokenFile = (token: string) => JSON.stringify({ token, name: "_admin" });

/**
 * Parquet files that a query over the whole retention may read: one for each ten minutes, and a
 * tenth more for those that are not merged yet. With InfluxDB's default of 432, a query over 72 h fails.
 * @param retention such as `90d`.
 */
export const queryFileLimit = (retention: string) =>
  Math.max(432, Math.ceil((durationSeconds(retention) / 600) * 1.1));

/**
 * Arguments of `influxdb3`.
 * @param options `node`: InfluxDB's node id; `retention`: such as `90d`; `memoryMiB`: the
 * container's memory limit. Queries get 40 % of it and the Parquet cache 10 %; at 30 %, a snapshot is
 * forced.
 */
export function serveArguments(options: {
  node: string;
  retention: string;
  memoryMiB: number;
}): string[] {
  return [
    "serve",
    `--node-id=${options.node}`,
    "--object-store=file",
    `--data-dir=${paths.data}`,
    `--http-bind=0.0.0.0:${port}`,
    `--admin-token-file=${paths.adminToken}`,
    // The health check holds no token; the API itself stays closed.
    "--disable-authz=health,ping",
    // The default gathers writes for 1 s, and Telegraf waits for each write that long.
    "--wal-flush-interval=100ms",
    `--query-file-limit=${queryFileLimit(options.retention)}`,
    `--exec-mem-pool-bytes=${Math.floor(options.memoryMiB * 0.4)}`,
    `--parquet-mem-cache-size=${Math.floor(options.memoryMiB * 0.1)}`,
    `--force-snapshot-mem-threshold=${Math.floor(options.memoryMiB * 0.3)}`,
    "--disable-telemetry-upload",
  ];
}

/** Entrypoint: a new volume takes the generated admin token, an old one keeps its own. */
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

/** Where a script that sources `influxdb-api.sh` finds the admin token and the API. */
export const apiPlaceholders: { adminToken: string; port: number } = {
  adminToken: paths.adminToken,
  port,
};

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
 * A bash script for InfluxDB's container that makes the databases and tables. It may run any number
 * of times. An existing table gets a new field by the first write of it; a field whose type has
 * changed is refused.
 */
export const schemaScript = (wanted: Schema, api = apiPlaceholders): string =>
  renderScript("influxdb-schema.sh", {
    ...api,
    databases: wanted.databases.map((body) => ({ database: quotedJson(body), name: body.db })),
    tables: wanted.tables.map((body) => ({ table: quotedJson(body), name: body.table })),
  });

/** A bash script that makes the token named in `$TOKEN_NAME`, and prints it alone. */
export const createTokenScript = (api = apiPlaceholders): string =>
  renderScript("influxdb-create-token.sh", api);

/** A bash script that revokes the token named in `$TOKEN_NAME`; one that is gone is no error. */
export const revokeTokenScript = (api = apiPlaceholders): string =>
  renderScript("influxdb-revoke-token.sh", api);
