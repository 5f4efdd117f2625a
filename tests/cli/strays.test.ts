import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter } from "node:path";
import { stringify } from "yaml";
import { Checkout } from "../support/checkout";
import { standInForDocker } from "../support/docker";

const checkout = new Checkout();
const path = process.env.PATH;
beforeAll(() => {
  mkdirSync(checkout.at("bin"));
  process.env.PATH = [checkout.at("bin"), path].join(delimiter);
  writeFileSync(
    checkout.at("Pulumi.near.yaml"),
    stringify({ config: { "bess-telemetry:site": { name: "kiel-1" } } }),
  );
});
afterAll(() => {
  process.env.PATH = path;
  checkout.remove();
});

const strays = (...args: string[]) => checkout.bess("strays", "--stack", "near", ...args);

/** What InfluxDB answers; the script that asks it is kept in the file `script`. */
function answer(rows: object[]): void {
  writeFileSync(checkout.at("answer"), JSON.stringify(rows));
  standInForDocker(checkout.at("bin"), {
    "exec -i kiel-1-influxdb bash": `cat > ${checkout.at("script")}; cat ${checkout.at("answer")}`,
  });
}

const rows = [
  {
    topic: "batery/b1/status",
    count: 12,
    first: "2026-11-27T12:00:00",
    last: "2026-11-27T12:01:50.123456789",
    payload: '{\n  "soc": 55.9 }\u001b[31m',
  },
  { count: 7, first: "2026-11-27T12:00:00", last: "2026-11-27T12:00:00", payload: "x" },
];

test("are shown by topic, with nothing that a terminal obeys", async () => {
  answer(rows);
  const { code, stdout } = await strays("--since", "2h");
  expect(stdout.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
    ["TOPIC", "COUNT", "FIRST", "LAST", "PAYLOAD"],
    [
      "batery/b1/status",
      "12",
      "2026-11-27T12:00:00Z",
      "2026-11-27T12:01:50Z",
      '{ "soc": 55.9 }\ufffd[31m',
    ],
    ["(further topics)", "7", "2026-11-27T12:00:00Z", "2026-11-27T12:00:00Z", "x"],
    [""],
  ]);
  expect(code).toBe(0);
  expect(readFileSync(checkout.at("script"), "utf8")).toMatch(
    /FROM mqtt_strays .* '\\''7200 seconds/,
  );
});

test("are data for a script, as they came", async () => {
  answer(rows);
  const [first, others] = JSON.parse((await strays("--json")).stdout) as object[];
  expect(first).toMatchObject({ topic: "batery/b1/status", payload: rows[0]?.payload });
  expect(others).toMatchObject({ topic: "", count: 7 });
});

test("are none where every topic is the model's, which is said", async () => {
  answer([]);
  expect((await strays()).stdout).toBe(
    "kiel-1: every message of the last 7d had a topic of the model.\n",
  );
});

test.each([
  [
    "a site that does not answer",
    [],
    "The strays of kiel-1 are not known: No such container: kiel-1-influxdb",
  ],
  ["a time that is none", ["--since", "soon"], "Write a duration from 1s to 30d, such as 12h."],
  ["a time beyond what is kept", ["--since", "31d"], "Write a duration from 1s to 30d"],
])("%s is told", async (_, args, said) => {
  standInForDocker(checkout.at("bin"), {
    exec: "echo 'No such container: kiel-1-influxdb' >&2; exit 1",
  });
  const { code, stderr } = await strays(...args);
  expect(stderr).toContain(said);
  expect(code).toBe(1);
});
