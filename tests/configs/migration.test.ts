import { schema, type Schema } from "../../configs/influxdb";
import {
  copyReport,
  copyScript,
  declarationOf,
  type MigrationChoices,
  planMigration,
} from "../../configs/migration";
import { loadModel } from "../../configs/model";
import { retentionOf } from "../../configs/retention";
import { columnsOf, type MigrationNote, type Standing } from "../../configs/tables";
import { InputError } from "../../configs/validation";

const wanted = schema(loadModel("configs/telemetry.yaml"), retentionOf({ profile: "pi" }));
const none: MigrationChoices = { rename: {}, tags: {}, defaults: {} };

/** The tables of the model, after changes of some of them; a table without columns is not there. */
function standing(
  changes: Record<string, Record<string, string | undefined> | undefined> = {},
  migrations: MigrationNote[] = [],
): Standing {
  const tables = new Map(
    wanted.tables.map((table) => [`${table.db}.${table.table}`, columnsOf(table)]),
  );
  for (const [name, change] of Object.entries(changes)) {
    const key = name.includes(".") ? name : `bess.${name}`;
    if (!change) tables.delete(key);
    const columns = tables.get(key) ?? new Map<string, string>();
    for (const [column, kind] of Object.entries(change ?? {}))
      if (kind) columns.set(column, kind);
      else columns.delete(column);
    if (change) tables.set(key, columns);
  }
  return {
    databases: wanted.databases.map(({ db }) => db),
    migrations,
    tables: [...tables].map(([key, columns]) => {
      const [db = "", table = ""] = key.split(".");
      return { db, table, columns };
    }),
  };
}

const plan = (there: Standing, choices: Partial<MigrationChoices> = {}, to: Schema = wanted) =>
  planMigration(there, to, { ...none, ...choices });
const battery = { id: "tag", group_id: "tag", soc: "float", current: "float", voltage: "int" };
const nothing = { swapped: [], missing: [], filled: [], unfilled: [], kept: [] };
const kept = [{ db: "bess", table: "battery-before-1" }];

describe("a migration is planned from the tables alone", () => {
  test("nothing is to be done where they have the model's shape, also with more columns", () => {
    expect(plan(standing())).toEqual(nothing);
    expect(plan(standing({ battery: { former: "string" } }))).toEqual(nothing);
  });

  test("a table of another shape is kept, made anew and filled", () => {
    const {
      swapped,
      missing,
      filled,
      kept: keeps,
    } = plan(standing({ battery: { voltage: "int" } }));
    expect(swapped.map(({ wanted: { table }, kept: { from, to } }) => [table, from, to])).toEqual([
      ["battery", "battery", "battery-before-1"],
    ]);
    expect([missing, keeps]).toEqual([[], kept]);
    expect(filled).toMatchObject([
      { from: "battery-before-1", to: "battery", left: [], rules: {} },
    ]);
    expect(filled[0]?.columns.filter(({ converts }) => converts)).toMatchObject([
      { name: "voltage", kind: "float", converts: { column: "voltage", from: "int" } },
    ]);
  });

  test("a copy that was begun goes on under its name, and one of another shape gets the next", () => {
    const begun = plan(standing({ battery: { voltage: "int" }, "battery-before-3": battery }));
    expect(begun.swapped[0]?.kept.to).toBe("battery-before-3");
    const other = { ...battery, voltage: "string" };
    const next = plan(standing({ battery: { voltage: "int" }, "battery-before-3": other }));
    expect(next.swapped[0]?.kept.to).toBe("battery-before-4");
  });

  test("a table that is missing beside a kept one is made: a run was cut off there", () => {
    const { swapped, missing, filled } = plan(
      standing({ battery: undefined, "battery-before-1": battery }),
    );
    expect([swapped, missing.map(({ table }) => table)]).toEqual([[], ["battery"]]);
    expect(filled.map(({ from, to }) => [from, to])).toEqual([["battery-before-1", "battery"]]);
  });

  test("a copy goes on until it is noted as done, and what is kept is told then too", () => {
    const there = { "battery-before-1": battery };
    const note = { db: "bess", from: "battery-before-1", to: "battery", rules: {} };
    expect(plan(standing(there, [{ ...note, done: false }])).filled).toHaveLength(1);
    expect(plan(standing(there, [{ ...note, done: true }]))).toEqual({ ...nothing, kept });
  });

  test("columns that the model has no more stay in the kept table", () => {
    const { filled } = plan(standing({ battery: { voltage: "int", former: "string" } }));
    expect(filled[0]?.left).toEqual(["former"]);
  });

  test("a table and its rollups are renamed", () => {
    const tables = wanted.tables.map((table) => ({
      ...table,
      table: table.table.replace(/^battery(?=$|-)/, "string"),
    }));
    const there = standing({ batteries: battery, "battery-3x": battery });
    const renamed = plan(there, { rename: { battery: "string" } }, { ...wanted, tables });
    expect(renamed.filled.map(({ db, from, to }) => `${db}: ${from} ${to}`)).toEqual([
      "bess: battery string",
      "bess_minute: battery string",
      "bess_hour: battery string",
      "bess_day: battery string",
    ]);
    expect(renamed.swapped).toEqual([]);
  });
});

describe("a table of a tier of rollups", () => {
  const lacking = { group_id: undefined };
  const there = standing({ battery: lacking, "bess_hour.battery": lacking });
  const tables = (list: { db: string; to: string }[]) => list.map(({ db, to }) => `${db}.${to}`);

  test("stays where a type has changed: its new values get other columns", () => {
    expect(plan(standing({ "bess_hour.battery": { voltage_last: "int" } }))).toEqual(nothing);
  });

  test("gets a tag as the telemetry does", () => {
    const tags = { group_id: { constant: "g1" } };
    const { swapped, filled, unfilled } = plan(there, { tags });
    expect(swapped.map(({ wanted: { db } }) => db)).toEqual(["bess", "bess_hour"]);
    expect([tables(filled), unfilled]).toEqual([["bess.battery", "bess_hour.battery"], []]);
  });

  test("is made anew of what is kept where the tag comes from a field, which it does not have", () => {
    const { filled, unfilled } = plan(there, { tags: { group_id: { from: "soc" } } });
    expect([tables(filled), tables(unfilled)]).toEqual([["bess.battery"], ["bess_hour.battery"]]);
  });
});

describe("a tag that rows of before do not have", () => {
  const there = standing({ battery: { group_id: undefined } });

  test.each<[what: string, choices: Partial<MigrationChoices>, expression: string]>([
    ["the same in each", { tags: { group_id: { constant: "it's" } } }, "'it''s'"],
    ["from a column", { tags: { "battery.group_id": { from: "id" } } }, `CAST("id" AS VARCHAR)`],
    ["the model's default", { defaults: { "battery.group_id": { constant: "g" } } }, "'g'"],
    ["left out", { tags: { group_id: { constant: "" } } }, "NULL"],
  ])("is %s", (_, choices, expression) => {
    const [table] = plan(there, choices).filled;
    const column = table?.columns.find(({ name }) => name === "group_id");
    expect(column?.expression).toBe(expression === `CAST("id" AS VARCHAR)` ? `"id"` : expression);
  });

  test("is as the first run was told, and no other way", () => {
    const rules = { group_id: { constant: "g1" } };
    const note = { db: "bess", from: "battery-before-1", to: "battery", rules, done: false };
    const begun = standing({ "battery-before-1": { ...battery, group_id: undefined } }, [note]);
    expect(plan(begun).filled[0]?.rules).toEqual(rules);
    expect(() => plan(begun, { tags: { group_id: { constant: "g2" } } })).toThrow(
      "--tag group_id=g2: the copy of bess.battery-before-1 was begun with --tag group_id=g1",
    );
  });
});

test.each<[what: string, there: Standing, choices: Partial<MigrationChoices>, finding: string]>([
  [
    "a new tag without a rule",
    standing({ battery: { group_id: undefined } }),
    {},
    "bess.battery gets the tag group_id: say what rows of before get, by --tag group_id=VALUE or " +
      "--tag-from group_id=COLUMN; --tag group_id= leaves them without it",
  ],
  [
    "a rule by a column that is not there",
    standing({ battery: { group_id: undefined } }),
    { tags: { group_id: { from: "rack" } } },
    "--tag-from group_id=rack: bess.battery-before-1 has no column rack; it has id, soc, current, and voltage",
  ],
  [
    "a rule for a tag that no table lacks",
    standing({ battery: { voltage: "int" } }),
    { tags: { rack: { constant: "r1" } } },
    "--tag or --tag-from rack: no table that is migrated gets a tag rack that it lacks",
  ],
  [
    "a type that nothing can be made of",
    standing({ battery: { voltage: "Timestamp(ns)" } }),
    {},
    "bess.battery-before-1.voltage is Timestamp(ns), of which nothing can be made that is float: give " +
      "the field another name",
  ],
  [
    "a new name of a table that the model still has",
    standing(),
    { rename: { battery: "pcs" } },
    "--rename battery=pcs: the model has a table battery still",
  ],
  [
    "a new name that the model does not have",
    standing(),
    { rename: { cells: "cell" } },
    "--rename cells=cell: the model has no table cell; it has bess, battery, and pcs",
  ],
])("%s is refused", (_, there, choices, finding) => {
  const refused = () => plan(there, choices);
  expect(refused).toThrow(InputError);
  expect(refused).toThrow(finding);
});

test("a kept table is declared as it is, and its copy is written in whatever names it has", () => {
  const there = standing({ battery: { voltage: "int", "it's": "UInt64" } });
  const [swapped] = plan(there).swapped;
  if (!swapped) throw new Error("nothing is swapped");
  expect(declarationOf(swapped.kept)).toMatchObject({
    db: "bess",
    table: "battery-before-1",
    tags: ["id", "group_id"],
    fields: expect.arrayContaining([
      { name: "voltage", type: "int64" },
      { name: "it's", type: "uint64" },
    ]),
  });
  expect(copyScript(swapped.kept, "mirror")).toContain(`['it\\'s', 'UInt64', '"it\\'s"'],`);
});

test("a copy that did not come to its end is no copy", () => {
  const table = { db: "bess", from: "a", to: "b", columns: [], left: [], rules: {} };
  const printed = "rows\t5\t7\t4\nfield\tv\t4\t1.5\t4\t1.5\ncounted\t3\t0\t0\t0\n";
  expect(() => copyReport(table, printed)).toThrow("the copy of a did not come to its end");
  expect(copyReport(table, `${printed}copied\n`)).toEqual({
    table,
    rows: [5, 7],
    compared: 4,
    fields: [{ name: "v", counts: [4, 4], sums: [1.5, 1.5] }],
    copied: 3,
    kept: 0,
    same: 0,
    empty: 0,
  });
});
