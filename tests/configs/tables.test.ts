import { schema } from "../../configs/influxdb";
import { loadModel } from "../../configs/model";
import { retentionOf } from "../../configs/retention";
import { columnsOf, compareTables, type Standing, standingOf } from "../../configs/tables";

const wanted = schema(loadModel("configs/telemetry.yaml"), retentionOf({ profile: "pi" }));

/** The tables as the model has them, after a change. */
function standing(change: (standing: Standing) => void = () => undefined): Standing {
  const there: Standing = {
    databases: wanted.databases.map(({ db }) => db),
    migrations: [],
    tables: wanted.tables.map((table) => ({
      db: table.db,
      table: table.table,
      columns: columnsOf(table),
    })),
  };
  change(there);
  return there;
}

const battery = ({ tables }: Standing) => {
  const found = tables.find(({ table }) => table === "battery");
  if (!found) throw new Error("the default model has no table battery");
  return found;
};

const compared = (change?: (standing: Standing) => void) =>
  compareTables(standing(change), wanted, "kiel-1");
const nothing = { made: [], warnings: [], refused: [] };

describe("tables that are there", () => {
  test("and are the model's change nothing, also with columns that a former model had", () => {
    expect(compared()).toEqual(nothing);
    expect(compared((there) => battery(there).columns.set("former", "string"))).toEqual(nothing);
  });

  test("get what they lack, and so do databases", () => {
    expect(
      compared((there) => {
        battery(there).columns.delete("soc");
        battery(there).columns.delete("current");
        there.tables = there.tables.filter(({ table }) => table !== "pcs");
      }),
    ).toEqual({
      ...nothing,
      made: [
        "bess.battery gets soc (float) and current (float)",
        "bess.pcs is made, with 10 columns",
        ...["minute", "hour", "day"].map((tier) => `bess_${tier}.pcs is made, with 68 columns`),
      ],
    });
  });

  test("of rollups are never refused: a value of another kind gets a column in another table", () => {
    const { refused } = compared((there) => {
      for (const { db, columns } of there.tables)
        if (db === "bess_hour") for (const name of columns.keys()) columns.set(name, "string");
    });
    expect(refused).toEqual([]);
  });

  test.each([
    ["float", "voltage", "int", "int in the database and float in the model"],
    ["tag", "voltage", "tag", "a tag in the database and float in the model"],
    ["string", "id", "string", "string in the database and a tag in the model"],
    ["another", "soc", "UInt64", "UInt64 in the database and float in the model"],
  ])(
    "with a column of another kind (%s) are refused, with two remedies",
    (_, name, kind, words) => {
      const { refused } = compared((there) => battery(there).columns.set(name, kind));
      expect(refused).toEqual([
        `bess.battery.${name} is ${words}: InfluxDB never changes a column, and rejects each row ` +
          "with another kind of it; give the field another name, or run npx bess migrate --stack kiel-1",
      ]);
    },
  );

  test("that would get a 501st column are refused, with key, value and limit", () => {
    const fill = (count: number) => (there: Standing) => {
      const { columns } = battery(there);
      columns.delete("soc");
      for (let i = columns.size + 1; i < count; i++) columns.set(`former_${i}`, "float");
    };
    expect(compared(fill(499)).refused).toEqual([]);
    expect(compared(fill(500)).refused).toEqual([
      "bess.battery has 500 columns in the database, and the model adds 1: 501, where InfluxDB " +
        "takes 500 a table; columns that the model no longer has stay there; split the " +
        "measurement, or run npx bess migrate --stack kiel-1",
    ]);
  });

  test("without a tag of the model are told of: their rows are of other units", () => {
    expect(compared((there) => battery(there).columns.delete("group_id"))).toEqual({
      ...nothing,
      warnings: [
        "bess.battery has no tag group_id in the database: rows of before do not belong to the " +
          "same units as new ones",
      ],
    });
  });

  test("beside too many databases are refused", () => {
    const { refused } = compared((there) => there.databases.push("a", "b"));
    expect(refused).toEqual([
      "databases are bess, bess_minute, bess_hour, bess_day, pipeline, a, and b: 7, where InfluxDB " +
        "takes 5; delete one that is not the site's: a and b",
    ]);
  });
});

test("what a database prints is read only where it came to its end", () => {
  const line = JSON.stringify([
    { table_name: "t", column_name: "time", data_type: "Timestamp(ns)" },
    { table_name: "t", column_name: "id", data_type: "Dictionary(Int32, Utf8)" },
    { table_name: "t", column_name: "v", data_type: "Float64" },
  ]);
  const printed = `database\t_internal\ndatabase\tbess\ncolumns\tbess\t${line}\n`;
  expect(standingOf(printed)).toBeUndefined();
  expect(standingOf(`${printed}tables-read\n`)).toEqual({
    databases: ["bess"],
    migrations: [],
    tables: [
      {
        db: "bess",
        table: "t",
        columns: new Map([
          ["id", "tag"],
          ["v", "float"],
        ]),
      },
    ],
  });
});
