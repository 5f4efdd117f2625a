import * as pulumi from "@pulumi/pulumi";
import { judgeTables, withTablesCompared } from "../../components/tables";
import { schema } from "../../configs/influxdb";
import { loadModel } from "../../configs/model";
import { retentionOf } from "../../configs/retention";

const wanted = schema(loadModel("configs/telemetry.yaml"), retentionOf({ profile: "pi" }));

/** A site's engine, once its database has answered so. */
async function compared(stdout: string): Promise<unknown> {
  await pulumi.runtime.setMocks({
    call: ({ inputs }) => ({ ...inputs, stdout, stderr: "" }),
    newResource: ({ name, inputs }) => ({ id: name, state: inputs }),
  });
  const site = { site: "kiel-1", stack: "kiel-1", wanted, ssh: {} };
  const engine = withTablesCompared("unix:///run/engine", site);
  return (await pulumi.runtime.serializeProperties("provider", { engine })).engine;
}

const column = (name: string, type: string) => ({
  table_name: "battery",
  column_name: name,
  data_type: type,
});
const printed = (...columns: object[]) =>
  `database\tbess\ncolumns\tbess\t${JSON.stringify(columns)}\ntables-read\n`;

test("the engine is known once the tables have been compared, or there are none yet", async () => {
  expect(await compared(printed(column("voltage", "Float64")))).toBe("unix:///run/engine");
  expect(await compared("")).toBe("unix:///run/engine");
  expect(await compared("tables-failed\t1\n")).toBe("unix:///run/engine");
});

test("a table that cannot take the model's rows is refused, with two remedies", () => {
  const stdout = printed(column("voltage", "Int64"));
  expect(() => judgeTables({ stdout }, { site: "kiel-1", stack: "kiel-1", wanted })).toThrow(
    "The model is refused by the tables that are there; nothing was touched:\n" +
      "  - bess.battery.voltage is int in the database and float in the model: InfluxDB never changes " +
      "a column, and rejects each row with another kind of it; give the field another name, or " +
      "run npx bess migrate --stack kiel-1",
  );
});
