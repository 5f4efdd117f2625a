import { describe, expect, test } from "@jest/globals";
import { Gathered } from "../../rollup/gathered";
import type { Value } from "../../rollup/roll";

/** Stand-in for InfluxDB: answers each query with rows, and holds them back until it is let go. */
class Rows {
  readonly asked: { sql: string; signal: AbortSignal | undefined }[] = [];
  letGo: () => void = () => {};
  private readonly held = new Promise<void>((resolve) => {
    this.letGo = resolve;
  });

  constructor(private readonly answer: string[][]) {}

  async *rows(_: string, _db: string, sql: string, signal?: AbortSignal) {
    this.asked.push({ sql, signal });
    await this.held;
    yield this.answer;
  }
}

const hours = { db: "hours", groups: ['"id"', "_at / 60"], rest: 'FROM "battery" GROUP BY 1, 2' };
const sum = { sql: 'sum("soc_sum")', type: "float" } as const;
const count = { sql: 'sum("soc_count")', type: "int" } as const;
const mode = { sql: '"mode_last"', type: "string" } as const;

describe("queries of the same rows", () => {
  const collect = () => {
    const taken: [string[], (Value | undefined)[]][] = [];
    return {
      taken,
      take: (groups: string[], values: (Value | undefined)[]) => void taken.push([groups, values]),
    };
  };

  test("are one, and each is answered with its own columns", async () => {
    const database = new Rows([
      ["b1", "7", "91.5", "60", "=idle"],
      ["b2", "7", "", "0", ""],
    ]);
    const gathered = new Gathered(database, 1);
    const [one, other] = [collect(), collect()];
    const answers = [
      gathered.ask("Bearer a", hours, [sum, count], one.take),
      gathered.ask("Bearer a", { ...hours }, [mode, count], other.take),
    ];
    database.letGo();
    await Promise.all(answers);
    expect(database.asked.map(({ sql }) => sql)).toEqual([
      'SELECT "id", _at / 60, sum("soc_sum"), sum("soc_count"), "mode_last" FROM "battery" GROUP BY 1, 2',
    ]);
    expect(one.taken).toEqual([
      [
        ["b1", "7"],
        [91.5, 60],
      ],
      [
        ["b2", "7"],
        [undefined, 0],
      ],
    ]);
    expect(other.taken).toEqual([
      [
        ["b1", "7"],
        ["idle", 60],
      ],
      [
        ["b2", "7"],
        [undefined, 0],
      ],
    ]);
  });

  test("are two for two clients' rights, two ranges, and once the first has begun", async () => {
    const database = new Rows([]);
    database.letGo();
    const gathered = new Gathered(database, 1);
    const { take } = collect();
    await Promise.all([
      gathered.ask("Bearer a", hours, [sum], take),
      gathered.ask("Bearer b", hours, [sum], take),
      gathered.ask("Bearer a", { ...hours, rest: `${hours.rest}, 3` }, [sum], take),
    ]);
    await gathered.ask("Bearer a", hours, [sum], take);
    expect(database.asked).toHaveLength(4);
  });

  test("go on while one client waits, and end with the last", async () => {
    const database = new Rows([]);
    const gathered = new Gathered(database, 1);
    const [first, last] = [new AbortController(), new AbortController()];
    const { take } = collect();
    const all = Promise.all([
      gathered.ask("Bearer a", hours, [sum], take, first.signal),
      gathered.ask("Bearer a", hours, [count], take, last.signal),
    ]);
    first.abort();
    while (database.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(database.asked[0]?.signal?.aborted).toBe(false);
    last.abort();
    expect(database.asked[0]?.signal?.aborted).toBe(true);
    database.letGo();
    await all;
  });

  test("fail for each client", async () => {
    const gathered = new Gathered(
      {
        // oxlint-disable-next-line require-yield
        async *rows() {
          throw new Error("InfluxDB does not answer");
        },
      },
      1,
    );
    const { take } = collect();
    const all = await Promise.allSettled(
      [sum, count].map((column) => gathered.ask("Bearer a", hours, [column], take)),
    );
    expect(all).toMatchObject(
      Array(2).fill({ status: "rejected", reason: { message: "InfluxDB does not answer" } }),
    );
  });
});
