import { schema, schemaScript } from "../../configs/influxdb";
import { loadModel } from "../../configs/model";
import {
  changeViolations,
  confirmationLines,
  dataChanges,
  type Resource,
  storedBy,
  unconfirmed,
  unusedConfirmations,
} from "../../policy";
import { retentionOf } from "../../configs/retention";
import { parse } from "yaml";

const model = loadModel("configs/telemetry.yaml");

/** What a site stores with a retention, by its resources. */
const site = (retention: string, others: Resource[] = [], script = (text: string) => text) =>
  storedBy([
    {
      type: "command:local:Command",
      name: "kiel-influxdb-schema",
      inputs: {
        stdin: script(schemaScript(schema(model, retentionOf({ profile: "pi", retention })))),
      },
    },
    ...others,
  ]);
const volume = (retained: boolean): Resource => ({
  type: "docker:index/volume:Volume",
  name: "kiel-influxdb-data",
  inputs: { name: "kiel-influxdb-data" },
  retained,
});

const shorter = dataChanges(site("90d"), site("10d"));
const change = "retention 90d -> 10d";
const broken = (confirm: { sites: string[]; change: string }[]) =>
  changeViolations("kiel", shorter, { confirm }).map(({ message }) => message);

describe("a change that loses data", () => {
  test("breaks the policy, with its old and new value", () =>
    expect(broken([])).toEqual([`${change} loses data, and nothing confirms it`]));
  test("may pass where it is confirmed for its site and its values", () =>
    expect(broken([{ sites: ["aachen", "kiel"], change }])).toEqual([]));
  test("may be confirmed by the line that is printed", () => {
    const [line = ""] = confirmationLines([{ sites: ["kiel"], change }]);
    expect(broken(parse(line))).toEqual([]);
  });
  test.each([
    ["for another site", { sites: ["aachen"], change }],
    ["of another new value", { sites: ["kiel"], change: "retention 90d -> 11d" }],
    ["of another old value", { sites: ["kiel"], change: "retention 30d -> 10d" }],
    ["of the way back", { sites: ["kiel"], change: "retention 10d -> 90d" }],
    ["of a part of it", { sites: ["kiel"], change: "retention 90d -> 1" }],
  ])("is not confirmed by a confirmation %s", (_, confirmation) =>
    expect(broken([confirmation])).toHaveLength(1),
  );
});

describe("a confirmation", () => {
  const confirm = [{ sites: ["kiel", "aachen"], change }];
  const unused = (changesAt: [string, typeof shorter][]) =>
    unusedConfirmations({ confirm }, new Map(changesAt)).map(({ message }) => message);

  test("is used while its change is to come at one of its sites", () =>
    expect(
      unused([
        ["kiel", []],
        ["aachen", shorter],
      ]),
    ).toEqual([]));
  test("must go once its change is done at all of them", () =>
    expect(
      unused([
        ["kiel", []],
        ["aachen", []],
      ]),
    ).toEqual([`confirm[0] is for ${change}, which none of its sites has before it: remove it`]));
  test("is not judged while one of its sites was not looked at", () =>
    expect(unused([["kiel", []]])).toEqual([]));
});

describe("purge", () => {
  const turnedOn = dataChanges(site("90d", [volume(true)]), site("90d", [volume(false)]));

  test("is to be confirmed for a stack of its own", () =>
    expect(unconfirmed("kiel", turnedOn, {}).map((one) => one.change)).toEqual([
      "purge false -> true",
    ]));
  test("is judged by the volumes in a fleet", () =>
    expect(changeViolations("kiel", turnedOn, {})).toEqual([]));
});

test("a site of before 0.2, which has not written down what it stores, is compared by its tables", () => {
  const former = (text: string) => text.replaceAll(/^# stores .*\n/gm, "");
  expect(dataChanges(site("90d", [], former), site("90d"))).toEqual([]);
  const changes = dataChanges(
    site("90d", [], (text) =>
      former(text).replaceAll('"voltage","type":"float64"', '"voltage","type":"int64"'),
    ),
    site("10d"),
  );
  expect(changes.map((one) => one.change)).toEqual([
    "retention 90d -> 10d",
    "type battery.voltage int -> float",
  ]);
});

test("a site that stores nothing yet loses nothing", () =>
  expect(dataChanges(storedBy([]), site("10d"))).toEqual([]));
