import { sqlName, sqlText } from "./databases";
import {
  apiPlaceholders,
  blockSeconds,
  paths,
  type Schema,
  type Table,
  writePort,
} from "./influxdb";
import { renderScript } from "./scripts";
import {
  type ColumnKind,
  columnsOf,
  conflictsOf,
  isTier,
  type MigrationNote,
  type Standing,
  type StandingTable,
  type TagRule,
} from "./tables";
import { joined } from "./text";
import { InputError } from "./validation";

/** What a person decides about a migration. */
export interface MigrationChoices {
  /** New names of tables, by the former ones. */
  rename: Record<string, string>;
  /** Rules of tags, by the tag's name, or by `table.tag` where two tables differ. */
  tags: Record<string, TagRule>;
  /** The same where none is given, by `table.tag`: what the model stores where a message lacks the tag. */
  defaults: Record<string, TagRule>;
}

/** A column of the new shape, and how it is read of the old one. */
export interface CopiedColumn {
  name: string;
  kind: ColumnKind;
  /** In SQL over the source. */
  expression: string;
  /** Column of the source whose values it converts, some of which may have no counterpart. */
  converts?: { column: string; from: ColumnKind };
}

/** A table that is copied. */
export interface CopiedTable {
  db: string;
  /** Table with the rows of before. */
  from: string;
  /** Table that gets them. */
  to: string;
  columns: CopiedColumn[];
  /** Columns of the source that the new shape does not have. They stay in the source alone. */
  left: string[];
  /** Where tags come from that the source does not have. */
  rules: Record<string, TagRule>;
}

/** A table that gets a new shape under its own name: what is there is kept under another name. */
export interface SwappedTable {
  /** The new shape. */
  wanted: Table;
  /** The copy that keeps the old shape. */
  kept: CopiedTable;
  /** Why it cannot stay. */
  conflicts: string[];
}

/** What a migration does. */
export interface MigrationPlan {
  /** Tables that are there, in a shape that cannot take the model's rows. */
  swapped: SwappedTable[];
  /** Tables that a former run has kept, but whose new ones are not there. */
  missing: Table[];
  /** Copies into the new tables, once these are there. */
  filled: CopiedTable[];
  /** Tables of rollups whose rows stay where they are kept, for nothing tells their new tag. */
  unfilled: CopiedTable[];
  /** Tables that are kept until they are dropped. */
  kept: { db: string; table: string }[];
}

const greatest = "1.7976931348623157e308";

/**
 * Expressions in SQL that convert a value, by what it is and what it becomes. One that has no counterpart
 * becomes NULL: nothing is rounded, cut or guessed.
 */
const conversions: Record<string, Partial<Record<ColumnKind, (value: string) => string>>> = {
  float: {
    int: (v) => `CASE WHEN ${v} = trunc(${v}) THEN TRY_CAST(${v} AS BIGINT) END`,
    bool: (v) => `CASE ${v} WHEN 0 THEN false WHEN 1 THEN true END`,
    string: (v) => `regexp_replace(CAST(${v} AS VARCHAR), '\\.0$', '')`,
  },
  int: {
    float: (v) =>
      `CASE WHEN TRY_CAST(CAST(${v} AS DOUBLE) AS BIGINT) = ${v} THEN CAST(${v} AS DOUBLE) END`,
    bool: (v) => `CASE ${v} WHEN 0 THEN false WHEN 1 THEN true END`,
    string: (v) => `CAST(${v} AS VARCHAR)`,
  },
  UInt64: {
    int: (v) => `TRY_CAST(${v} AS BIGINT)`,
    float: (v) =>
      `CASE WHEN TRY_CAST(CAST(${v} AS DOUBLE) AS BIGINT UNSIGNED) = ${v} THEN CAST(${v} AS DOUBLE) END`,
    string: (v) => `CAST(${v} AS VARCHAR)`,
  },
  bool: {
    int: (v) => `CASE WHEN ${v} THEN 1 WHEN NOT ${v} THEN 0 END`,
    float: (v) => `CASE WHEN ${v} THEN 1.0 WHEN NOT ${v} THEN 0.0 END`,
    string: (v) => `CAST(${v} AS VARCHAR)`,
  },
  string: {
    int: (v) => `TRY_CAST(trim(${v}) AS BIGINT)`,
    // NaN is greater than every number.
    float: (v) =>
      `CASE WHEN abs(TRY_CAST(trim(${v}) AS DOUBLE)) <= ${greatest} THEN TRY_CAST(trim(${v}) AS DOUBLE) END`,
    bool: (v) => `TRY_CAST(lower(trim(${v})) AS BOOLEAN)`,
  },
};

/** How a column becomes one of another kind; undefined where it cannot. A tag is a text. */
function conversion(column: string, from: ColumnKind, to: ColumnKind): string | undefined {
  const value = sqlName(column);
  if (from === to) return value;
  const asText = (kind: ColumnKind) => (kind === "tag" ? "string" : kind);
  const plain = from === "tag" ? `CAST(${value} AS VARCHAR)` : value;
  return asText(from) === asText(to) ? plain : conversions[asText(from)]?.[asText(to)]?.(plain);
}

const keptPattern = /^(.*)-before-(\d+)$/;

/** The name under which the next old shape of a table is kept. No name of a model has a `-`. */
function keptName({ tables }: Standing, { db, table }: Pick<Table, "db" | "table">): string {
  const numbers = keptOf({ tables }, { db, table }).map((kept) => keptNumber(kept));
  return `${table}-before-${Math.max(0, ...numbers) + 1}`;
}

const keptNumber = ({ table }: StandingTable) => Number(keptPattern.exec(table)?.[2] ?? 0);

/** Tables that keep old shapes of a table, the newest first. */
const keptOf = ({ tables }: Pick<Standing, "tables">, { db, table }: Pick<Table, "db" | "table">) =>
  tables
    .filter((one) => one.db === db && keptPattern.exec(one.table)?.[1] === table)
    .sort((a, b) => keptNumber(b) - keptNumber(a));

const isSame = (a: Map<string, ColumnKind>, b: Map<string, ColumnKind>) =>
  a.size === b.size && [...a].every(([name, kind]) => b.get(name) === kind);

/** A copy of a table as it is. */
const mirrored = ({ db, table, columns }: StandingTable, to: string): CopiedTable => ({
  db,
  from: table,
  to,
  columns: [...columns].map(([name, kind]) => ({ name, kind, expression: sqlName(name) })),
  left: [],
  rules: {},
});

/** What a plan is made with. */
interface Planning {
  choices: MigrationChoices;
  notes: readonly MigrationNote[];
  /** Rules that were used, by their key. */
  used: Set<string>;
  refused: string[];
}

const noteOf = (notes: readonly MigrationNote[], db: string, from: string, to: string) =>
  notes.find((note) => note.db === db && note.from === from && note.to === to);

const ruleText = (tag: string, rule: TagRule) =>
  "from" in rule ? `--tag-from ${tag}=${rule.from}` : `--tag ${tag}=${rule.constant}`;

/** The rule by which rows of before get a tag. A copy that was begun keeps its rules. */
function ruleFor(
  { choices: { tags, defaults }, notes, used, refused }: Planning,
  source: StandingTable,
  table: string,
  tag: string,
): TagRule | undefined {
  const key = [`${table}.${tag}`, tag].find((one) => tags[one] !== undefined);
  if (key !== undefined) used.add(key);
  const given = key === undefined ? undefined : tags[key];
  const noted = noteOf(notes, source.db, source.table, table)?.rules[tag];
  if (given && noted && ruleText(tag, given) !== ruleText(tag, noted))
    refused.push(
      `${ruleText(tag, given)}: the copy of ${source.db}.${source.table} was begun with ` +
        ruleText(tag, noted),
    );
  const rule = noted ?? given ?? defaults[`${table}.${tag}`];
  if (!rule)
    refused.push(
      `${source.db}.${table} gets the tag ${tag}: say what rows of before get, by ` +
        `--tag ${tag}=VALUE or --tag-from ${tag}=COLUMN; --tag ${tag}= leaves them without it`,
    );
  return rule;
}

/** A copy of a table in a new shape. */
function reshaped(planning: Planning, source: StandingTable, wanted: Table): CopiedTable {
  const { refused } = planning;
  const rules: CopiedTable["rules"] = {};
  const columns = [...columnsOf(wanted)].flatMap(([name, kind]): CopiedColumn[] => {
    const isNewTag = kind === "tag" && !source.columns.has(name);
    const rule = isNewTag ? ruleFor(planning, source, wanted.table, name) : undefined;
    if (rule) rules[name] = rule;
    if (rule && "constant" in rule)
      return [{ name, kind, expression: rule.constant === "" ? "NULL" : sqlText(rule.constant) }];
    const column = rule ? rule.from : name;
    const from = source.columns.get(column);
    if (rule && from !== "tag" && isTier(source.db)) return [];
    if (rule && from === undefined)
      refused.push(
        `${ruleText(name, rule)}: ${source.db}.${source.table} has no column ${column}; it has ` +
          joined([...source.columns.keys()]),
      );
    // What is new in a table has no values in rows of before.
    if (from === undefined) return [];
    const expression = conversion(column, from, kind);
    if (expression === undefined) {
      refused.push(
        `${source.db}.${source.table}.${column} is ${from}, of which nothing can be made that is ${kind}: ` +
          "give the field another name",
      );
      return [];
    }
    return [{ name, kind, expression, ...(from !== kind && { converts: { column, from } }) }];
  });
  const taken = new Set(columns.flatMap(({ name, converts }) => [name, converts?.column ?? name]));
  return {
    db: source.db,
    from: source.table,
    to: wanted.table,
    columns,
    left: [...source.columns.keys()].filter((name) => !taken.has(name)),
    rules,
  };
}

/** Tables of a tier that are named after a measurement's. */
const ofMeasurement = (name: string) => new RegExp(`^${name}((?:-states|-\\d+)?)$`);

/**
 * Plans a migration, from what is there and what is to be. What a former run has done, it does not plan
 * again; it is planned from the tables alone.
 * @throws InputError where what was chosen does not fit.
 */
export function planMigration(
  standing: Standing,
  wanted: Schema,
  choices: MigrationChoices,
): MigrationPlan {
  const plan: MigrationPlan = { swapped: [], missing: [], filled: [], unfilled: [], kept: [] };
  const refused: string[] = [];
  const used = new Set<string>();
  const { migrations: notes } = standing;
  const planning = { choices, notes, used, refused };
  const isDone = (db: string, from: string, to: string) => noteOf(notes, db, from, to)?.done;
  const fill = (source: StandingTable, table: Table) => {
    const copy = reshaped(planning, source, table);
    // A row of a rollup is of many rows, with any value of a field.
    const isTold = table.tags.every((tag) => copy.columns.some(({ name }) => name === tag));
    (isTold || !isTier(table.db) ? plan.filled : plan.unfilled).push(copy);
  };
  const there = (db: string, name: string) =>
    standing.tables.find((one) => one.db === db && one.table === name);
  for (const table of wanted.tables) {
    const own = there(table.db, table.table);
    const former = keptOf(standing, table);
    plan.kept.push(...former.map((kept) => ({ db: kept.db, table: kept.table })));
    const conflicts = (own ? conflictsOf(own, table) : [])
      .filter(({ kind }) => kind === "tags" || !isTier(table.db))
      .map(({ message }) => message);
    if (own && conflicts.length > 0) {
      const begun = former.find((kept) => isSame(kept.columns, own.columns));
      const name = begun?.table ?? keptName(standing, table);
      plan.swapped.push({ wanted: table, kept: mirrored(own, name), conflicts });
      const kept = { ...own, table: name };
      fill(kept, table);
      if (!begun) plan.kept.push({ db: table.db, table: name });
      continue;
    }
    const [newest] = former;
    if (!own && newest) plan.missing.push(table);
    if (newest && !(own && isDone(table.db, newest.table, table.table))) fill(newest, table);
  }
  const own = wanted.stored.map(({ name }) => name);
  for (const [from, to] of Object.entries(choices.rename)) {
    const pairs = wanted.tables.flatMap((table): [StandingTable, Table][] => {
      const end = ofMeasurement(to).exec(table.table)?.[1];
      const source = end === undefined ? undefined : there(table.db, `${from}${end}`);
      return source ? [[source, table]] : [];
    });
    const isWanted = wanted.tables.some(({ table }) => table === from);
    if (pairs.length === 0 || isWanted)
      refused.push(
        `--rename ${from}=${to}: ` +
          (isWanted
            ? `the model has a table ${from} still`
            : wanted.tables.some(({ table }) => table === to)
              ? `there is no table ${from}; there are ${joined([...new Set(standing.tables.map(({ table }) => table))])}`
              : `the model has no table ${to}; it has ${joined(own)}`),
      );
    else
      for (const [source, table] of pairs) {
        if (!isDone(source.db, source.table, table.table)) fill(source, table);
        plan.kept.push({ db: source.db, table: source.table });
      }
  }
  for (const name of Object.keys(choices.tags))
    if (!used.has(name) && plan.filled.length > 0)
      refused.push(
        `--tag or --tag-from ${name}: no table that is migrated gets a tag ${name} that it lacks`,
      );
  if (refused.length > 0) throw new InputError("the migration", refused);
  return plan;
}

/** SQL that counts values of a copied column which have no counterpart, by value. */
export const unconvertedSql = ({ from }: CopiedTable, { expression, converts }: CopiedColumn) => {
  const value = sqlName(converts?.column ?? "");
  return (
    `SELECT CAST(${value} AS VARCHAR) AS value, count(*) AS count, min(time) AS first, ` +
    `max(time) AS last FROM ${sqlName(from)} WHERE ${value} IS NOT NULL AND (${expression}) IS NULL ` +
    "GROUP BY 1 ORDER BY count DESC, value"
  );
};

/** A value of Perl. */
const perl = (value: string) => `'${value.replaceAll(/['\\]/g, "\\$&")}'`;

/** Where a script finds the database: its port, its relay's, its data. */
export interface CopyPlace {
  adminToken: string;
  port: number;
  writePort: number;
  data: string;
}

const inContainer: CopyPlace = { ...apiPlaceholders, writePort, data: paths.data };

/**
 * A Perl script for InfluxDB's container that copies a table.
 * @param how `mirror`: so that both are the same, while rows may still come; `final`: the same, of a source
 * to which none come; `fill`: what the copy lacks, of a source to which none come.
 */
export function copyScript(
  { db, from, to, columns }: CopiedTable,
  how: "mirror" | "final" | "fill",
  place: CopyPlace = inContainer,
): string {
  return renderScript("influxdb-copy.pl", {
    ...place,
    database: perl(db),
    from: perl(from),
    to: perl(to),
    mirrors: Number(how !== "fill"),
    isFinal: Number(how !== "mirror"),
    columns: columns.map(({ name, kind, expression }) => ({
      name: perl(name),
      kind: perl(kind),
      expression: perl(expression),
    })),
    blockSeconds,
    mostRows: mostRows(columns.length),
  });
}

/** Rows that are in memory at once: about 50 MB in Perl. */
const mostRows = (columns: number) =>
  Math.max(100, Math.min(20_000, Math.floor(400_000 / columns)));

/** What a script of {@link copyScript} tells. */
export interface CopyReport {
  table: CopiedTable;
  /** Rows of the source, and of the copy in the same blocks, where newer ones may be. */
  rows: [source: number, copy: number];
  /** Rows of blocks without newer ones: the fields' counts and sums are of these. */
  compared: number;
  fields: { name: string; counts: [number, number]; sums: [number, number] }[];
  /** Rows that were written in this run. */
  copied: number;
  /** Rows that the copy has with other values, which are newer. */
  kept: number;
  /** Rows whose time and tags another one has too, in the new shape. */
  same: number;
  /** Rows of which the new shape has no value. */
  empty: number;
}

/** Reads what a script of {@link copyScript} has printed. @throws Error where it came to no end. */
export function copyReport(table: CopiedTable, printed: string): CopyReport {
  const lines = printed.split("\n").map((line) => line.split("\t"));
  const numbers = (line: string[] | undefined) => (line ?? []).map(Number);
  const of = (what: string) => lines.find(([first]) => first === what)?.slice(1);
  if (!of("copied")) throw new Error(`the copy of ${table.from} did not come to its end`);
  const [rows = [], counted = []] = [numbers(of("rows")), numbers(of("counted"))];
  const [copied = 0, kept = 0, same = 0, empty = 0] = counted;
  return {
    table,
    rows: [rows[0] ?? 0, rows[1] ?? 0],
    compared: rows[2] ?? 0,
    fields: lines
      .filter(([first]) => first === "field")
      .map(([, name = "", ...values]) => {
        const [count = 0, sum = 0, copyCount = 0, copySum = 0] = values.map(Number);
        return { name, counts: [count, copyCount], sums: [sum, copySum] };
      }),
    copied,
    kept,
    same,
    empty,
  };
}

const json = (value: unknown) => `'${JSON.stringify(value).replaceAll("'", `'\\''`)}'`;

/** A bash script for InfluxDB's container that makes a table as another one is. */
export const makeTablesScript = (tables: readonly Table[], api = apiPlaceholders) =>
  renderScript("influxdb-make-tables.sh", {
    ...api,
    tables: tables.map((table) => ({ table: json(table), name: table.table })),
  });

/**
 * A bash script for InfluxDB's container that deletes tables. One that is gone is no error.
 * @param when `default`: InfluxDB keeps the files for three days.
 */
export const deleteTablesScript = (
  tables: readonly { db: string; table: string }[],
  when: "default" | "now",
  { adminToken, port, data } = inContainer,
) =>
  renderScript("influxdb-delete-tables.sh", {
    adminToken,
    port,
    tables: tables.map(({ db, table }) => ({
      query: `'db=${inUrl(db)}&table=${inUrl(table)}'`,
      name: `'${table.replaceAll("'", "")}'`,
      notes: noteFile(db, table, ""),
      data,
      when,
    })),
  });

/** A name in a URL that stands in quotes of a shell. */
const inUrl = (name: string) => encodeURIComponent(name).replaceAll("'", "%27");

/** Name of a note's file, but for its ending. */
const noteFile = (...names: string[]) => names.join(".").replaceAll(/[^\w.-]/g, "_");

const declaredTypes: Partial<Record<ColumnKind, string>> = {
  float: "float64",
  int: "int64",
  bool: "bool",
  string: "utf8",
  UInt64: "uint64",
};

/** The declaration of the table that a copy makes. */
export function declarationOf({ db, to, columns }: CopiedTable): Table {
  return {
    db,
    table: to,
    tags: columns.filter(({ kind }) => kind === "tag").map(({ name }) => name),
    fields: columns.flatMap(({ name, kind }) => {
      const type = declaredTypes[kind] as Table["fields"][number]["type"] | undefined;
      return kind !== "tag" && type ? [{ name, type }] : [];
    }),
  };
}

/** A bash script for InfluxDB's container that notes how a table is copied, and whether that is done. */
export const noteScript = (
  { db, from, to, rules }: CopiedTable,
  done: boolean,
  { data }: Pick<CopyPlace, "data"> = inContainer,
) => {
  const note: MigrationNote = { db, from, to, rules, done };
  return renderScript("influxdb-note-migration.sh", {
    data,
    note: json(note),
    file: noteFile(db, from, to),
  });
};
