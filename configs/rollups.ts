import { blockSeconds, databases, noting } from "./databases";
import { circuits, type Field, type Measurement, type Model, mostColumns } from "./model";
import { durationSeconds, type Unit } from "./units";

/** Seconds of a day: UTC has no other ones. */
const day = 86_400;

/**
 * Tiers of rollups, from the finest: the seconds of a row, the database that holds its tables, and how
 * long they are kept where a site says nothing.
 */
export const tiers = {
  minute: { seconds: 60, database: `${databases.telemetry}_minute`, retention: "365d" },
  hour: { seconds: 3600, database: `${databases.telemetry}_hour`, retention: "3650d" },
  day: { seconds: day, database: `${databases.telemetry}_day`, retention: "3650d" },
} as const;

/** A tier of rollups. */
export type Tier = keyof typeof tiers;

/** The tiers, from the finest. */
export const tierNames = ["minute", "hour", "day"] as const satisfies readonly Tier[];

/** How long each tier and the rows themselves are kept, such as `90d`. */
export type Retention = Record<"raw" | Tier, string>;

/** A span of time in seconds since 1970; its end is not part of it. */
export interface Span {
  start: number;
  end: number;
}

/**
 * The window that a moment lies in. A window's rows are written at once when it is over, and lie in one
 * block of InfluxDB: six hours of minutes, a quarter of a month of hours, eight days at most, and a month
 * of days.
 * @param at seconds since 1970.
 */
export function windowOf(tier: Tier, at: number): Span {
  if (tier === "minute") {
    const length = day / 4;
    const start = Math.floor(at / length) * length;
    return { start, end: start + length };
  }
  const date = new Date(at * 1000);
  const of = (month: number, days: number) =>
    Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + month, 1 + days) / 1000;
  if (tier === "day") return { start: of(0, 0), end: of(1, 0) };
  const quarter = Math.min(3, Math.floor((date.getUTCDate() - 1) / 8));
  return {
    start: of(0, quarter * 8),
    end: quarter === 3 ? of(1, 0) : of(0, (quarter + 1) * 8),
  };
}

/**
 * The least that a tier can be kept: the next one is made of it a window at a time, and its own rows lie at
 * their window's beginning.
 */
export const leastRetention = { minute: "10d", hour: "40d", day: "40d" } as const satisfies Record<
  Tier,
  string
>;

/** Files of a table and tier in a year: one for each window. */
export const windowsPerYear = { minute: 1460, hour: 48, day: 12 } as const satisfies Record<
  Tier,
  number
>;

/**
 * The `time` under which a rollup's row is stored: all rows of a window lie a second apart from its start
 * on, and so in its first block, which is one file. Where the rolled time begins stands in {@link atColumn}.
 * @param at where the rolled time begins, in seconds since 1970.
 */
export function fold(tier: Tier, at: number): number {
  const { start } = windowOf(tier, at);
  return start + Math.floor((at - start) / tiers[tier].seconds);
}

/** Where the rolled time of a row begins, by the `time` under which {@link fold} stores it. */
export function unfold(tier: Tier, time: number): number {
  const { start } = windowOf(tier, time);
  return start + (time - start) * tiers[tier].seconds;
}

// No name of a model begins with a _ or has a -, so none of these can be one of a model's.

/** Column with the beginning of the rolled time, in nanoseconds since 1970. */
export const atColumn = "_at";

/** Table with the time that each unit was in each state, a row for each of them. */
export const statesTable = ({ name }: Pick<Measurement, "name">): string => `${name}-states`;

/** Columns of a {@link statesTable} beside the tags of the measurement, which are tags here too. */
export const statesColumns = { field: "_field", state: "_state", seconds: "_seconds" } as const;

/** States of a field that a row of a tier may have; the time in all others is that of {@link otherState}. */
export const mostStates = 32;

/** What the states beyond {@link mostStates} are counted under. */
export const otherState = "other";

/** What a rollup holds of a number, in the order in which it is written. */
const aggregates = ["count", "sum", "min", "max", "last"] as const;

/** One of a number's {@link aggregates}. */
export type Aggregate = (typeof aggregates)[number];

/** What is rolled up: a field, or a power that is derived of each row. */
export interface Rolled {
  name: string;
  type: Field["type"];
  /** Whether the time in each state is kept. */
  states: boolean;
  /** Of what each row's value is the sum; missing where it is a field. */
  terms?: Term[];
}

/** Part of a derived power: a voltage by a current. */
export interface Term {
  voltage: string;
  current: string;
  /** Its sign beside the first part's. */
  sign: 1 | -1;
}

/** Whether a rolled value is a number. */
export const isNumber = ({ type }: Pick<Field, "type">): boolean =>
  type === "float" || type === "int";

/** What is kept of a rolled value. */
export const aggregatesOf = (rolled: Pick<Rolled, "type">): readonly Aggregate[] =>
  isNumber(rolled) ? aggregates : ["count", "last"];

/** Type of a column: counts are whole, and sums are fractions. */
export const columnType = ({ type }: Pick<Rolled, "type">, aggregate: Aggregate): Field["type"] =>
  aggregate === "count" ? "int" : aggregate === "sum" ? "float" : type;

/** Name of a rolled value's column. A tag may have it already. */
export function columnOf(
  { tags }: Pick<Measurement, "tags">,
  { name }: Pick<Rolled, "name">,
  aggregate: Aggregate,
): string {
  let column = `${name}_${aggregate}`;
  while (tags.some((tag) => tag.name === column)) column += "_";
  return column;
}

/** Whether a field is an integer that is 0 or 1. */
export const isFlag = (f: Field): boolean =>
  f.type === "int" && f.range?.[0] === 0 && f.range[1] === 1;

/** Whether a field holds states rather than an amount. */
export const isState = (f: Field): boolean =>
  f.type === "string" || f.type === "bool" || f.quantity === "mode" || isFlag(f);

/** A circuit whose power can be derived, and what it is derived from. */
export interface PoweredCircuit {
  circuit: Field["circuit"];
  /** In V. */
  voltage: Field;
  /** In A. */
  current: Field;
}

/** Circuits whose power can be derived: both voltage and current are measured, in V and A. */
export const poweredCircuits = (m: Measurement): PoweredCircuit[] =>
  circuits.flatMap((circuit) => {
    const find = (quantity: Field["quantity"], unit: Unit) =>
      m.fields.find((f) => f.quantity === quantity && f.circuit === circuit && f.unit === unit);
    const [voltage, current] = [find("voltage", "V"), find("current", "A")];
    return voltage && current ? [{ circuit, voltage, current }] : [];
  });

/** Whether powers are measured, and none need be derived. */
export const measuresPower = (m: Measurement): boolean =>
  m.fields.some((f) => f.quantity === "power");

/**
 * Powers that are rolled up because a mean of products cannot be had from means: each circuit's, and the
 * sum of the AC ones.
 */
function derivedPowers(m: Measurement): Rolled[] {
  if (measuresPower(m)) return [];
  const power = (name: string, of: PoweredCircuit[]): Rolled => ({
    name: `_power_${name}`,
    type: "float",
    states: false,
    terms: of.map(({ voltage, current }) => ({
      voltage: voltage.name,
      current: current.name,
      sign: current.positive === of[0]?.current.positive ? 1 : -1,
    })),
  });
  const powered = poweredCircuits(m);
  const ac = powered.filter(({ circuit }) => circuit !== "dc");
  return [
    ...powered.map((each) => power(each.circuit, [each])),
    ...(ac.length > 1 ? [power("ac", ac)] : []),
  ];
}

/** What is rolled up of a measurement: each field, and the derived powers. */
export const rolledOf = (m: Measurement): Rolled[] => [
  ...m.fields.map((f) => ({ name: f.name, type: f.type, states: isState(f) })),
  ...derivedPowers(m),
];

/** A table of a tier, and the values whose columns it has. */
export interface TierTable {
  table: string;
  rolled: Rolled[];
}

/** The columns of tables, and their types. */
export type Columns = ReadonlyMap<string, ReadonlyMap<string, Field["type"] | "tag">>;

/**
 * The tables of a measurement in a tier: one, or as many as hold its columns. A value stays in the table
 * that has its columns, so that a new field moves none; one whose type has changed goes to another table.
 * @param existing what the tier's database has.
 */
export function tierTables(m: Measurement, existing: Columns = new Map()): TierTable[] {
  const made: TierTable[] = [];
  const columns: Map<string, Field["type"] | "tag">[] = [];
  const part = (i: number) => {
    const table = i === 0 ? m.name : `${m.name}-${i + 1}`;
    made[i] ??= { table, rolled: [] };
    return (columns[i] ??= new Map(existing.get(table)));
  };
  const needed = (rolled: Rolled) =>
    aggregatesOf(rolled).map((a) => [columnOf(m, rolled, a), columnType(rolled, a)] as const);
  // A part's place is sought in the first that has all columns, else in the first with room for them.
  const most = mostColumns - 2 - m.tags.length;
  const homeless: Rolled[] = [];
  const known = [...existing.keys()].filter((table) => table.startsWith(`${m.name}-`)).length + 1;
  for (const rolled of rolledOf(m)) {
    const home = Array.from({ length: known }, (_, i) => i).find((i) =>
      needed(rolled).every(([name, type]) => part(i).get(name) === type),
    );
    if (home === undefined) homeless.push(rolled);
    else made[home]?.rolled.push(rolled);
  }
  for (const rolled of homeless) {
    let i = 0;
    const fits = () => {
      const has = part(i);
      const fields = [...has].filter(([name, type]) => type !== "tag" && name !== atColumn).length;
      const added = needed(rolled).filter(([name]) => !has.has(name)).length;
      return (
        fields + added <= most &&
        needed(rolled).every(([name, type]) => (has.get(name) ?? type) === type)
      );
    };
    while (!fits()) i += 1;
    for (const [name, type] of needed(rolled)) part(i).set(name, type);
    made[i]?.rolled.push(rolled);
  }
  return made.filter(({ rolled }) => rolled.length > 0);
}

/** The most seconds that a state is believed to last. */
const longestHold = day;

/** Seconds that a state lasts at most after its row, while the unit sends no other one. */
export const holdSeconds = ({ interval }: Pick<Measurement, "interval">): number =>
  Math.min(longestHold, Math.max(10, Math.ceil(3 * durationSeconds(interval))));

/** Seconds of rows that are rolled up at once to begin with: about 600 rows of a unit. */
export const chunkSeconds = ({ interval }: Pick<Measurement, "interval">): number =>
  Math.max(
    ...[1, 2, 3, 6, 12, 18, 36]
      .filter((blocks) => blocks <= Math.max(1, durationSeconds(interval)))
      .map((blocks) => blocks * blockSeconds),
  );

/**
 * Seconds after which what is noted or over is rolled up. A note stands for what is written until the
 * relay notes the block again.
 */
export const dueSeconds = { note: 2 * noting.seconds, window: 120 } as const;

/** Table of the pipeline's database that tells of the rollups, and how far they have come. */
export const rollupsTable = "rollups";

/**
 * Columns of the {@link rollupsTable}: until when rows were rolled up and from when on notes still count,
 * what is rolled up anew, by which layout, until when days were reckoned and how, how far behind the
 * rollups are in seconds, and what was done since the last row.
 */
export const rollupsColumns = [
  ["until", "int"],
  ["noted", "int"],
  ["again", "int"],
  ["layout", "string"],
  ["reckoned", "int"],
  ["reckoning", "string"],
  ["lag", "float"],
  ["blocks", "int"],
  ["rows", "int"],
  ["milliseconds", "int"],
] as const satisfies readonly (readonly [string, Field["type"]])[];

/** Port of the reader inside its container: InfluxDB's `/query` of version 1, `/ping` and `/health`. */
export const port = 8183;

/** Paths inside the container. */
export const paths = {
  program: "/opt/rollup/main.js",
  config: "/opt/rollup/config.json",
  token: "/run/secrets/influxdb_token",
  /** Password of the user by whom alerts are read at Grafana. */
  grafanaPassword: "/run/secrets/grafana_password",
  /** Folder with the relay's notes, a volume that it only reads. */
  notes: "/var/lib/rollup-notes",
} as const;

/** What the container's program reads: a file in JSON. */
export interface RollupConfig {
  model: Model;
  retention: Retention;
  /** URL of InfluxDB's API, such as `http://influxdb:8181`. */
  influxdb: string;
  /** URL of its relay, such as `http://influxdb:8182`. */
  relay: string;
  /** File with the token that rollups are read and written with. */
  tokenFile: string;
  /** Folder with the relay's notes. */
  notes: string;
  /** Time zone of the days whose figures are reckoned. Default: UTC. */
  zone?: string;
  /** Where the reader listens. Default: every address, at {@link port}. */
  listen?: { address: string; port: number };
  /** Seconds after which what is noted or over is rolled up. Default: {@link dueSeconds}. */
  due?: { note: number; window: number };
}

/** Proves that the reader answers, and that the rollups go on. */
export const healthCheck = [
  "CMD",
  "node",
  "-e",
  `fetch("http://127.0.0.1:${port}/health").then((r)=>process.exit(r.ok?0:1),()=>process.exit(1))`,
];
