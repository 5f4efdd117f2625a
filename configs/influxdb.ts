import { blocks, blockSeconds, databases, noting, pipelineRetention } from "./databases";
import type { Field, Measurement, Model } from "./model";
import { clonePlaceholders, fullest } from "./clones";
import { images } from "./images";
import type { Profile } from "./profiles";
import {
  aggregatesOf,
  atColumn,
  columnOf,
  columnType,
  type Retention,
  type Rolled,
  type Tier,
  rolledOf,
  rollupsColumns,
  rollupsTable,
  statesColumns,
  statesTable,
  tierNames,
  tiers,
  tierTables,
  windowsPerYear,
} from "./rollups";
import { logbookTables } from "./logbook";
import { renderScript } from "./scripts";
import { storedLines, storedTables, type StoredTable, tablesOfLines } from "./stored";
import { durationSeconds } from "./units";

export { blocks, blockSeconds, databases, noting, pipelineRetention } from "./databases";

/** Port of InfluxDB's HTTP and Flight SQL API inside its container. */
export const port = 8181;

/** Port at which a write is answered once it is on the disk: the relay's of {@link relayProgram}. */
export const writePort = 8182;

/** Paths inside InfluxDB's container. */
export const paths = {
  data: "/var/lib/influxdb3",
  /** Admin token for a new volume. */
  seed: "/run/secrets/influxdb-admin-token",
  /** Admin token in use: it lies beside the data that knows it, and so outlives the stack. */
  adminToken: "/var/lib/influxdb3/.admin-token",
  start: "/etc/influxdb3/start.sh",
  health: "/etc/influxdb3/health.sh",
  relay: "/etc/influxdb3/relay.pl",
  snapshots: "/etc/influxdb3/snapshots.pl",
  /** Bytes that the volume takes, as of the last hour. */
  size: "/var/lib/influxdb3/.size",
  /**
   * Folder in which the relay notes for the rollups what was written: a volume of its own. The image has
   * it, and gives it to the user: a new volume takes that over.
   */
  notes: "/home/influxdb3/.influxdb3",
} as const;

/** Table of the pipeline's database with the volume's size in `bytes`, each hour. */
export const sizeTable = "influxdb_size";

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

/** Columns of a table, with their types as InfluxDB names them. */
const columns = (types: Iterable<readonly [name: string, type: Field["type"]]>): Table["fields"] =>
  [...types].map(([name, type]) => ({ name, type: columnTypes[type] }));

/**
 * The tables of a model. Each column's type is declared, because otherwise the first value that is
 * written decides it.
 */
export function tables(model: Model): Table[] {
  return model.measurements.map((m) => ({
    db: databases.telemetry,
    table: m.name,
    tags: m.tags.map((tag) => tag.name),
    fields: columns(m.fields.map(({ name, type }) => [name, type])),
  }));
}

/** The tables of the rollups of a model, in each tier's database. */
export const rollupTables = ({ measurements }: Model): Table[] =>
  tierNames.flatMap((tier) =>
    measurements.flatMap((m): Table[] => {
      const db = tiers[tier].database;
      const tags = m.tags.map((tag) => tag.name);
      const { field, state, seconds } = statesColumns;
      return [
        ...tierTables(m).map(({ table, rolled }) => ({
          db,
          table,
          tags,
          fields: columns([[atColumn, "int"], ...rolled.flatMap((each) => rolledColumns(m, each))]),
        })),
        ...(rolledOf(m).some(({ states }) => states)
          ? [
              {
                db,
                table: statesTable(m),
                tags: [...tags, field, state],
                fields: columns([
                  [atColumn, "int"],
                  [seconds, "float"],
                ]),
              },
            ]
          : []),
      ];
    }),
  );

const rolledColumns = (m: Measurement, rolled: Rolled) =>
  aggregatesOf(rolled).map(
    (aggregate) => [columnOf(m, rolled, aggregate), columnType(rolled, aggregate)] as const,
  );

/**
 * Content of the file that InfluxDB reads while it has no admin token. The token must be named
 * `_admin`: with any other name, anybody can create the admin token without credentials.
 */
export const adminTokenFile = (token: string) => JSON.stringify({ token, name: "_admin" });

/**
 * Parquet files of each table that a tier's database, or that of the rows, has over its retention: one
 * for each window or block.
 */
export const filesOfTable = (retention: Retention): Record<keyof Retention, number> => {
  const windows = (tier: Tier) =>
    Math.ceil((durationSeconds(retention[tier]) / durationSeconds("365d")) * windowsPerYear[tier]);
  return {
    raw: blocks(retention.raw),
    minute: windows("minute"),
    hour: windows("hour"),
    day: windows("day"),
  };
};

/**
 * Parquet files that a query over the whole retention may read: a tenth more than a table has at least,
 * and of rollups four times as many, because late rows make more. With InfluxDB's default of 432, a query
 * over 72 h fails.
 */
export function queryFileLimit(retention: Retention): number {
  const { raw, ...rollups } = filesOfTable(retention);
  const most = Object.values(rollups).map((files) => 4 * files);
  return Math.max(432, Math.ceil(1.1 * raw), ...most);
}

/**
 * The newest snapshots, which stay as they are: those of the time that the pipeline's own metrics are
 * kept. Of older ones, `group` are made one.
 */
export const snapshots = {
  untouched: blocks(pipelineRetention) + blocks("2d"),
  group: 1024,
} as const;

/**
 * Snapshots that InfluxDB reads at its start, where there is one for each block.
 * @param retention as long as the rollups by the day, which stay the longest.
 */
export const snapshotsToRead = ({ day }: Pick<Retention, "day">): number =>
  snapshots.untouched + snapshots.group + Math.ceil(blocks(day) / snapshots.group);

/**
 * Seconds that InfluxDB gathers writes for one file of its write-ahead log. Telegraf gathers for longer,
 * so this only adds to what a message takes.
 */
const walFlush = 0.1;

/**
 * Files of the write-ahead log that a snapshot takes: a block's, one for each of Telegraf's writes. A
 * snapshot comes when there are one and a half times as many.
 * @param flush how long Telegraf gathers, in seconds.
 */
const walFilesPerSnapshot = ({ flush }: Pick<Profile, "flush">): number =>
  Math.ceil(blockSeconds / flush);

/** Seconds between two syncs of the volume, for what is made from the write-ahead log. */
const syncSeconds = 60;

/** Files of the write-ahead log that are kept when a snapshot has them: those of five syncs at least. */
const walFilesToKeep = (perSnapshot: number): number =>
  Math.max(3 * perSnapshot, (5 * syncSeconds) / walFlush);

const everywhere = { address: "0.0.0.0", port, writePort };

/** What InfluxDB is started with. */
export interface InfluxDbOptions {
  /** Its node id: the site's name. */
  node: string;
  /** How long telemetry is kept. */
  retention: Retention;
  /** Memory limit of the container, in MiB. */
  memoryMiB: number;
  profile: Pick<Profile, "flush">;
  /** Where it lies; the container's paths by default. */
  paths?: Record<"data" | "seed" | "adminToken" | "size" | "relay" | "snapshots", string>;
  /**
   * Where it listens, and its relay; on every address of the container, at {@link port} and
   * {@link writePort}, by default.
   */
  listen?: { address: string; port: number; writePort: number };
  /**
   * Seconds after the start at which the volume is first measured. Default: 300, when a new site has
   * its tables.
   */
  measureAfter?: number;
  /** Seconds between two syncs of the volume. Default: 60. */
  sync?: number;
  /** Its image, whose version decides whether the data are cloned first. Default: the pinned one. */
  image?: string;
  /** Folder with rows about backups, which it stores. Default: there are none. */
  rows?: string | undefined;
}

/**
 * Shares of InfluxDB's memory: what queries get, what the cache of Parquet files gets, and at what
 * size of the write buffer a snapshot is forced. The rest is for the process and its index.
 */
export const memoryShares = { queries: 0.35, cache: 0.1, buffer: 0.2 } as const;

/** Arguments of `influxdb3`. */
export function serveArguments({
  node,
  retention,
  memoryMiB,
  profile,
  paths: at = paths,
  listen = everywhere,
}: InfluxDbOptions): string[] {
  const perSnapshot = walFilesPerSnapshot(profile);
  return [
    "serve",
    `--node-id=${node}`,
    "--object-store=file",
    `--data-dir=${at.data}`,
    `--http-bind=${listen.address}:${listen.port}`,
    `--admin-token-file=${at.adminToken}`,
    // The health check holds no token; the API itself stays closed.
    "--disable-authz=health,ping",
    // It reads its newest snapshots alone, as many as this time has blocks: all that there are.
    "--gen1-lookback-duration=36500d",
    `--wal-flush-interval=${walFlush * 1000}ms`,
    `--wal-snapshot-size=${perSnapshot}`,
    // If a power cut takes the last snapshot, the log that it was made from makes it again.
    `--snapshotted-wal-files-to-keep=${walFilesToKeep(perSnapshot)}`,
    `--query-file-limit=${queryFileLimit(retention)}`,
    // Names of before 3.11, which later versions take with a warning.
    `--exec-mem-pool-bytes=${Math.floor(memoryMiB * memoryShares.queries)}`,
    `--parquet-mem-cache-size=${Math.floor(memoryMiB * memoryShares.cache)}`,
    `--force-snapshot-mem-threshold=${Math.floor(memoryMiB * memoryShares.buffer)}`,
    "--disable-telemetry-upload",
    // A line for each flush would wear an SD card.
    "--log-filter=warn",
  ];
}

/** Table of the pipeline's database with a row for each start: `set_aside`, `milliseconds`. */
export const startTable = "influxdb_start";

/**
 * Entrypoint. It clones the data for another version, sets aside what a power cut has left half
 * written, runs the relay and syncs the volume beside the server, and reports the start in
 * {@link startTable}.
 */
export const startScript = ({
  node,
  paths: at = paths,
  listen = everywhere,
  measureAfter = 300,
  sync = syncSeconds,
  image = images.influxdb,
  rows,
}: Omit<InfluxDbOptions, "memoryMiB" | "profile" | "retention">): string =>
  renderScript("influxdb-start.sh", {
    ...clonePlaceholders("influxdb", { site: node, image }),
    fullest,
    node,
    data: at.data,
    seed: at.seed,
    adminToken: at.adminToken,
    port: listen.port,
    relay: at.relay,
    snapshots: at.snapshots,
    backups: rows === undefined ? [] : [{ rows }],
    syncSeconds: sync,
    startTable,
    sizeFile: at.size,
    sizeTable,
    measureAfter,
    pipeline: databases.pipeline,
  });

/**
 * The program that Telegraf's writes pass, for Perl. Its answers wait until all is on the disk. It notes
 * into which blocks of the telemetry's tables was written, a line for each:
 * `<seconds since 1970> <database> <table> <beginning of the block>`.
 */
export const relayProgram = ({
  node,
  paths: at = paths,
  listen = everywhere,
  noteSeconds = noting.seconds,
}: Pick<InfluxDbOptions, "node" | "listen"> & {
  paths?: { data: string; notes?: string };
  noteSeconds?: number;
}): string =>
  renderScript("influxdb-relay.pl", {
    ...listen,
    node,
    data: at.data,
    notes: at.notes ?? paths.notes,
    database: databases.telemetry,
    blockSeconds,
    noteSeconds,
    noteDays: noting.days,
  });

/** The program that makes one of many old snapshots, for Perl. */
export const snapshotsProgram = ({
  node,
  paths: at = paths,
  merge = snapshots,
}: Pick<InfluxDbOptions, "node" | "paths"> & {
  merge?: Record<keyof typeof snapshots, number>;
}): string => renderScript("influxdb-snapshots.pl", { ...merge, node, data: at.data });

/** Proves that the API answers, also through the relay, and that the volume is synced. */
export const healthScript = ({
  paths: at = paths,
  listen = everywhere,
}: Pick<InfluxDbOptions, "paths" | "listen"> = {}): string =>
  renderScript("influxdb-health.sh", {
    port: listen.writePort,
    data: at.data,
    // A worn or busy card takes its time.
    mostSeconds: syncSeconds + 60,
  });

/** Runs {@link healthScript}. */
export const healthCheck = ["CMD", "/bin/bash", paths.health];

/** Where a script that sources `influxdb-api.sh` finds the admin token and the API. */
export const apiPlaceholders: { adminToken: string; port: number } = {
  adminToken: paths.adminToken,
  port,
};

/**
 * Tables of the pipeline's database that `scripts/reading.star` counts in what is no telemetry, with
 * their tags: what was dropped of messages, messages on topics of no measurement, and what the broker's
 * log tells of clients. Each has a field `count`, and one that shows the last.
 */
export const countedTables = {
  drops: {
    table: "mqtt_drops",
    tags: ["measurement", "reason", "field", "topic"],
    last: "example",
  },
  strays: { table: "mqtt_strays", tags: ["topic"], last: "payload" },
  log: { table: "mqtt_log", tags: ["event", "client"], last: "line" },
} as const;

/** What {@link schemaScript} makes. */
export interface Schema {
  databases: { db: string; retention_period: string }[];
  tables: Table[];
  /** What the telemetry's tables hold: written down for the next change of it. */
  stored: StoredTable[];
}

/** The databases and tables of a site. */
export const schema = (model: Model, retention: Retention): Schema => ({
  databases: [
    { db: databases.telemetry, retention_period: retention.raw },
    ...tierNames.map((tier) => ({
      db: tiers[tier].database,
      retention_period: retention[tier],
    })),
    { db: databases.pipeline, retention_period: pipelineRetention },
  ],
  tables: [
    ...tables(model),
    ...rollupTables(model),
    {
      db: databases.pipeline,
      table: rollupsTable,
      tags: [],
      fields: columns(rollupsColumns),
    },
    {
      db: databases.pipeline,
      table: startTable,
      tags: [],
      fields: ["set_aside", "milliseconds"].map((name) => ({ name, type: "int64" })),
    },
    ...logbookTables.map(({ db, table, tags, fields }) => ({
      db,
      table,
      tags: [...tags],
      fields: columns(fields),
    })),
    ...Object.values(countedTables).map(({ table, tags, last }): Table => ({
      db: databases.pipeline,
      table,
      tags: [...tags],
      fields: [
        { name: "count", type: "int64" },
        { name: last, type: "utf8" },
      ],
    })),
  ],
  stored: storedTables(model),
});

const inQuotes = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
const quotedJson = (value: unknown) => inQuotes(JSON.stringify(value));

const anyValue = { float64: "0", int64: "0i", bool: "f", utf8: '""' } as const;

/** A line of every field of a table, and of its first one in another type too: it is never stored. */
function rejectedLine({ table, fields }: Table): string {
  const values = fields.map(({ name, type }) => `${name}=${anyValue[type]}`);
  const [first] = fields;
  const contradiction = first ? [`${first.name}=${first.type === "utf8" ? "0" : '""'}`] : [];
  return `${table} ${[...values, ...contradiction].join()}`;
}

/**
 * A bash script for InfluxDB's container that makes the databases and tables, and adds columns to
 * tables that are there. It may run any number of times.
 */
export const schemaScript = (wanted: Schema, api = apiPlaceholders): string =>
  renderScript("influxdb-schema.sh", {
    ...api,
    databases: wanted.databases.map((body) => ({ database: quotedJson(body), name: body.db })),
    tables: wanted.tables.map((body) => ({
      table: quotedJson(body),
      name: body.table,
      db: body.db,
      line: inQuotes(rejectedLine(body)),
      field: body.fields[0]?.name ?? "",
      moves: Number(tierNames.some((tier) => tiers[tier].database === body.db)),
    })),
    stored: storedLines(wanted.stored).map((line) => ({ line })),
  });

/** What a script of {@link schemaScript} has made. */
export interface DeclaredSchema {
  /** Retention of each database by its name, such as `90d`. */
  retention: Record<string, string>;
  /** Tables of the telemetry. */
  tables: StoredTable[];
}

const typeOfColumn = (type: string) =>
  (Object.keys(columnTypes) as Field["type"][]).find((name) => columnTypes[name] === type);

/** What a schema's script makes; of one of before 0.2 without what it did not write down. */
export function declaredSchema(script: string): DeclaredSchema {
  const bodies = (kind: "database" | "table") =>
    [...script.matchAll(new RegExp(`^call POST /api/v3/configure/${kind} '(.*)'$`, "gm"))].map(
      ([, body = ""]): unknown => JSON.parse(body.replaceAll(`'\\''`, "'")),
    );
  const stored = [...script.matchAll(/^# stores (\{.*\})$/gm)].map(([, line = ""]) => line);
  const declared = (bodies("table") as Table[]).filter(({ db }) => db === databases.telemetry);
  const made = bodies("database") as Schema["databases"];
  return {
    retention: Object.fromEntries(made.map(({ db, retention_period }) => [db, retention_period])),
    tables:
      stored.length > 0
        ? tablesOfLines(stored)
        : declared.map(({ table, tags, fields }) => ({
            name: table,
            tags: tags.map((name) => ({ name })),
            columns: fields.flatMap(({ name, type: columnType }) => {
              const type = typeOfColumn(columnType);
              return type ? [{ name, type }] : [];
            }),
          })),
  };
}

/** A bash script that makes the token named in `$TOKEN_NAME`, and prints it alone. */
export const createTokenScript = (api = apiPlaceholders): string =>
  renderScript("influxdb-create-token.sh", api);

/** A bash script that prints the answer to a query in SQL, a list of rows in JSON. */
export const queryScript = (db: string, sql: string, api = apiPlaceholders): string =>
  renderScript("influxdb-query.sh", { ...api, query: quotedJson({ db, q: sql }) });

/**
 * A bash script that answers requests of `query_sql`, a line of its input each, for as long as that is
 * open.
 */
export const askScript = (api = apiPlaceholders): string => renderScript("influxdb-ask.sh", api);

/** A bash script that writes the gzipped line protocol of its input through the relay, to a database. */
export const writeScript = (
  db: string,
  api: typeof apiPlaceholders & { writePort: number } = { ...apiPlaceholders, writePort },
): string => renderScript("influxdb-write.sh", { ...api, db });

/** A bash script that revokes the token named in `$TOKEN_NAME`; one that is gone is no error. */
export const revokeTokenScript = (api = apiPlaceholders): string =>
  renderScript("influxdb-revoke-token.sh", api);
