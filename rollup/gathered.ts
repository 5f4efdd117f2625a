import type { Rolled } from "../configs/rollups";
import type { Database } from "./database";
import type { Value } from "./roll";
import { parse } from "./tier-rows";

/** A column of an answer. */
export interface Column {
  /** Its expression in SQL. */
  sql: string;
  type: Rolled["type"];
}

/** A query in SQL, apart from the columns that are asked for. */
export interface Asked {
  db: string;
  /** What comes before the columns: what the rows are grouped by. */
  groups: string[];
  /** What comes after the columns. */
  rest: string;
}

/** Takes a row: what it is grouped by, and the value of each column that was asked for. */
export type Take = (groups: string[], values: (Value | undefined)[]) => void;

interface Client {
  columns: readonly Column[];
  take: Take;
  gone: AbortSignal | undefined;
}

interface Gathering {
  clients: Client[];
  answered: Promise<void>;
}

/**
 * Joins queries of the same rows that come at about the same time, as those of a dashboard do: InfluxDB
 * reads the rows once for all of them.
 */
export class Gathered {
  private readonly open = new Map<string, Gathering>();

  /** @param wait ms for which a query waits for others. */
  constructor(
    private readonly database: Pick<Database, "rows">,
    private readonly wait = 15,
  ) {}

  /**
   * Asks for columns. Resolves when each row was taken.
   * @param gone aborts: the query itself goes on while others wait for it.
   */
  ask(
    authorization: string,
    asked: Asked,
    columns: readonly Column[],
    take: Take,
    gone?: AbortSignal,
  ): Promise<void> {
    const key = JSON.stringify([authorization, asked]);
    const client = { columns, take, gone };
    const waiting = this.open.get(key);
    if (waiting) {
      waiting.clients.push(client);
      return waiting.answered;
    }
    const clients = [client];
    const answered = new Promise((resolve) => setTimeout(resolve, this.wait)).then(() => {
      this.open.delete(key);
      return this.run(authorization, asked, clients);
    });
    this.open.set(key, { clients, answered });
    return answered;
  }

  private async run(authorization: string, asked: Asked, clients: Client[]): Promise<void> {
    const types = new Map(
      clients.flatMap(({ columns }) => columns.map(({ sql, type }) => [sql, type] as const)),
    );
    const columns = [...types.keys()];
    const takers = clients.map(({ columns: own, take }) => {
      const places = own.map(({ sql }) => columns.indexOf(sql));
      return (groups: string[], all: (Value | undefined)[]) =>
        take(
          groups,
          places.map((place) => all[place]),
        );
    });
    const { db, groups, rest } = asked;
    const sql = `SELECT ${[...groups, ...columns].join(", ")} ${rest}`;
    for await (const rows of this.database.rows(authorization, db, sql, allGone(clients)))
      for (const row of rows) {
        const all = [...types.values()].map((type, i) => parse(row[groups.length + i] ?? "", type));
        const own = row.slice(0, groups.length);
        for (const take of takers) take(own, all);
      }
  }
}

/** Aborted once all clients are. */
function allGone(clients: readonly Client[]): AbortSignal | undefined {
  const signals = clients.flatMap(({ gone }) => gone ?? []);
  if (signals.length < clients.length) return undefined;
  const all = new AbortController();
  const check = () => {
    if (signals.every(({ aborted }) => aborted)) all.abort();
  };
  for (const signal of signals) signal.addEventListener("abort", check, { once: true });
  check();
  return all.signal;
}
