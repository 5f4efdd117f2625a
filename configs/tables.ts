import { apiPlaceholders, paths, type Schema, type Table } from "./influxdb";
import { tierNames, tiers } from "./rollups";
import { renderScript } from "./scripts";
import { joined } from "./text";

/** What a column is: a tag, a field by the type that a model gives it, or another type of InfluxDB. */
export type ColumnKind = string;

/** A table that is in a site's database. */
export interface StandingTable {
  db: string;
  table: string;
  columns: Map<string, ColumnKind>;
}

/** What is in a site's database. */
export interface Standing {
  /** Names of all databases, also of those that are not the site's. */
  databases: string[];
  /** Tables of the site's databases. */
  tables: StandingTable[];
  /** Copies that `bess migrate` has begun. */
  migrations: MigrationNote[];
}

/** Where a tag of the new shape gets its value in rows of before. */
export type TagRule = { constant: string } | { from: string };

/** A copy that was begun: another run must copy by the same rules. */
export interface MigrationNote {
  db: string;
  from: string;
  to: string;
  rules: Record<string, TagRule>;
  /** Whether every row is copied. */
  done: boolean;
}

/** Databases and columns that InfluxDB 3 Core takes. */
const most = { databases: 5, columns: 500 } as const;

/** InfluxDB's own database, which does not count. */
const internal = "_internal";

const kindOfType: Partial<Record<string, ColumnKind>> = {
  Float64: "float",
  Int64: "int",
  Boolean: "bool",
  Utf8: "string",
  "Dictionary(Int32, Utf8)": "tag",
};

/** The time is every table's; it has no other type. */
const time = "time";

/** A bash script for InfluxDB's container that prints what {@link standingOf} reads. */
export const tablesScript = (
  { databases }: Pick<Schema, "databases">,
  api = { ...apiPlaceholders, data: paths.data as string },
) =>
  renderScript("influxdb-tables.sh", {
    ...api,
    databases: databases.map(({ db }) => ({ name: db })),
  });

interface Column {
  table_name: string;
  column_name: string;
  data_type: string;
}

/** What is in a database, from its {@link tablesScript}; undefined where that did not come to its end. */
export function standingOf(printed: string): Standing | undefined {
  const lines = printed.split("\n");
  if (!lines.includes("tables-read")) return undefined;
  const standing: Standing = { databases: [], tables: [], migrations: [] };
  for (const line of lines) {
    const [what, db = "", answer = "[]"] = line.split("\t");
    if (what === "database" && db !== "" && db !== internal) standing.databases.push(db);
    if (what === "migration") standing.migrations.push(JSON.parse(db) as MigrationNote);
    if (what !== "columns") continue;
    const tables = new Map<string, StandingTable>();
    for (const { table_name: table, column_name: column, data_type } of JSON.parse(
      answer,
    ) as Column[]) {
      const found = tables.get(table) ?? { db, table, columns: new Map() };
      tables.set(table, found);
      if (column !== time) found.columns.set(column, kindOfType[data_type] ?? data_type);
    }
    standing.tables.push(...tables.values());
  }
  return standing;
}

/** The columns of a table as it is to be, but for the time. */
export const columnsOf = ({ tags, fields }: Table): Map<string, ColumnKind> =>
  new Map([
    ...tags.map((name): [string, ColumnKind] => [name, "tag"]),
    ...fields.map(({ name, type }): [string, ColumnKind] => [name, kindOfDeclared[type]]),
  ]);

const kindOfDeclared: Record<Table["fields"][number]["type"], ColumnKind> = {
  float64: "float",
  int64: "int",
  bool: "bool",
  utf8: "string",
};

/** Why a table that is there cannot take the rows of the one that is to be. */
export interface Conflict {
  kind: "type" | "columns" | "tags";
  /** Table, column, value and limit, in a sentence. */
  message: string;
}

const inWords = (kind: ColumnKind) => (kind === "tag" ? "a tag" : kind);

/** Conflicts of a table; those of kind `tags` lose no row of the other ones. */
export function conflictsOf(standing: StandingTable, wanted: Table): Conflict[] {
  const columns = columnsOf(wanted);
  const changed = [...columns].flatMap(([name, kind]): Conflict[] => {
    const there = standing.columns.get(name);
    if (there === undefined || there === kind) return [];
    return [
      {
        kind: "type",
        message:
          `${wanted.db}.${wanted.table}.${name} is ${inWords(there)} in the database and ` +
          `${inWords(kind)} in the model: InfluxDB never changes a column, and rejects each row ` +
          "with another kind of it",
      },
    ];
  });
  const made = [...columns.keys()].filter((name) => !standing.columns.has(name));
  const count = 1 + standing.columns.size + made.length;
  const tags = wanted.tags.filter((name) => !standing.columns.has(name));
  return [
    ...changed,
    ...(count > most.columns && made.length > 0
      ? [
          {
            kind: "columns" as const,
            message:
              `${wanted.db}.${wanted.table} has ${1 + standing.columns.size} columns in the database, ` +
              `and the model adds ${made.length}: ${count}, where InfluxDB takes ${most.columns} a ` +
              "table; columns that the model no longer has stay there",
          },
        ]
      : []),
    ...(tags.length > 0
      ? [
          {
            kind: "tags" as const,
            message:
              `${wanted.db}.${wanted.table} has no tag ${joined(tags)} in the database: rows of ` +
              "before do not belong to the same units as new ones",
          },
        ]
      : []),
  ];
}

/** What an update does to the tables that are there. */
export interface TableComparison {
  /** What it adds, a line for each table. */
  made: string[];
  /** What it does that may not be meant. */
  warnings: string[];
  /** Why it is refused. */
  refused: string[];
}

const remedies: Record<Exclude<Conflict["kind"], "tags">, string> = {
  type: "give the field another name",
  columns: "split the measurement",
};

/** Whether a database is of a tier of rollups. A rolled value of another kind gets a column in another table. */
export const isTier = (db: string) => tierNames.some((tier) => tiers[tier].database === db);

/**
 * Compares the tables that are there with those that are to be.
 * @param stack whose site it is, for the remedy.
 */
export function compareTables(standing: Standing, wanted: Schema, stack: string): TableComparison {
  const comparison: TableComparison = { made: [], warnings: [], refused: [] };
  const migrate = `run npx bess migrate --stack ${stack}`;
  const own = wanted.databases.map(({ db }) => db);
  const others = standing.databases.filter((db) => !own.includes(db));
  if (own.length + others.length > most.databases)
    comparison.refused.push(
      `databases are ${joined([...own, ...others])}: ${own.length + others.length}, where InfluxDB ` +
        `takes ${most.databases}; delete one that is not the site's: ${joined(others)}`,
    );
  for (const table of wanted.tables) {
    const there = standing.tables.find((one) => one.db === table.db && one.table === table.table);
    const name = `${table.db}.${table.table}`;
    if (!there) {
      comparison.made.push(`${name} is made, with ${columnsOf(table).size} columns`);
      continue;
    }
    const conflicts = isTier(table.db) ? [] : conflictsOf(there, table);
    for (const { kind, message } of conflicts)
      if (kind === "tags") comparison.warnings.push(message);
      else comparison.refused.push(`${message}; ${remedies[kind]}, or ${migrate}`);
    const fields = table.fields.filter((field) => !there.columns.has(field.name));
    if (conflicts.length === 0 && fields.length > 0)
      comparison.made.push(
        `${name} gets ${joined(fields.map((field) => `${field.name} (${kindOfDeclared[field.type]})`))}`,
      );
  }
  return comparison;
}
