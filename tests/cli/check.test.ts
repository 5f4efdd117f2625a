import { chmodSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { gzipSync } from "node:zlib";
import { bess } from "../../cli/program";
import { Messages, readRecorded } from "../../cli/recording";
import { loadModel } from "../../configs/model";
import { heardAt } from "../../fleet";
import { Broker } from "../support/broker";
import { program, temporaryFolder, until } from "../support/programs";

const folder = temporaryFolder();
afterAll(() => folder.remove());

const file = (name: string, text: string | Buffer): string => {
  writeFileSync(join(folder.path, name), text);
  return join(folder.path, name);
};

/** What `bess check` prints, and its exit code. */
async function check(...args: string[]) {
  const printed: string[] = [];
  const write = (text: unknown) => printed.push(String(text));
  const spies = [
    jest.spyOn(console, "log").mockImplementation(write),
    jest.spyOn(console, "error").mockImplementation(write),
  ];
  await bess()
    .parseAsync(["check", ...args], { from: "user" })
    .finally(() => spies.forEach((spy) => spy.mockRestore()));
  const code = process.exitCode;
  process.exitCode = 0;
  return { text: printed.join("\n"), code };
}

const time = "2026-11-20T08:00:00.5Z";
const message = (payload: object) => [
  "--topic",
  "battery/1/status",
  "--payload",
  JSON.stringify(payload),
];

test("a message is shown as its points, with the unit, the type and the path of each value", async () => {
  expect(
    await check(...message({ id: "b1", timestamp: time, soc: 55.5, voltage: 732_100 })),
  ).toEqual({
    code: 0,
    text: [
      "battery/1/status",
      "  battery at 2026-11-20T08:00:00.500Z, from timestamp",
      '    id       "b1"     tag    id',
      "    soc      55.5 %   float  soc",
      "    voltage  732.1 V  float  voltage",
    ].join("\n"),
  });
});

test("what is not stored is shown with its reason and its path", async () => {
  const { code, text } = await check(
    ...message({ id: "b1", timestamp: time, soc: "high", current: 5 }),
  );
  expect(code).toBe(1);
  expect(text).toContain('\n  not stored: battery.soc: not a number: "high", from soc');
  const stray = await check("--topic", "batery/1/status", "--payload", "{}");
  expect(stray.code).toBe(1);
  expect(stray.text).toContain("no measurement has this topic: the model has bess/+/status");
});

test("lists, topics, keys and defaults are named as the origin of a value", async () => {
  const model = file(
    "racks.yaml",
    `name: racks
title: Racks
measurements:
  - name: module
    title: Module
    meaning: One module.
    topic: rack/+/#
    interval: 1s
    each: [racks, modules]
    tags:
      - { name: rack, key: true, of: 0, meaning: Rack. }
      - { name: number, index: 1, meaning: Module. }
      - { name: plant, segment: 1, meaning: Plant. }
      - { name: room, segment: "#", split: "-", part: 1, meaning: Room. }
      - { name: maker, path: ^.^.maker, default: nobody, meaning: Maker. }
    fields:
      - { name: soc, path: state.soc, type: float, unit: "%", meaning: Charge. }
`,
  );
  const payload = JSON.stringify({ racks: { "r.1": { modules: [{}, { state: { soc: 5 } }] } } });
  const { text } = await check("--model", model, "--topic", "rack/kiel/a-b", "--payload", payload);
  expect(
    text
      .split("\n")
      .slice(2)
      .map((line) => line.trim().split(/ {2,}/)),
  ).toEqual([
    ["rack", '"r.1"', "tag", "key of racks.r\\.1"],
    ["number", '"2"', "tag", "number of racks.r\\.1.modules.1"],
    ["plant", '"kiel"', "tag", "topic segment 1"],
    ["room", '"b"', "tag", "topic from segment 2 on, part 1 of it"],
    ["maker", '"nobody"', "tag", "the default"],
    ["soc", "5 %", "float", "racks.r\\.1.modules.1.state.soc"],
  ]);
});

describe("a recording", () => {
  const line = (topic: string, payload: string, more: object = {}) =>
    JSON.stringify({ tst: "2026-11-20T09:00:01.004410+0000", topic, payload, ...more });
  const battery = (id: string, more: object) =>
    line("battery/1/status", JSON.stringify({ id, timestamp: time, ...more }));

  test("is shown once a kind, and summed up with what was passed over", async () => {
    const lines = [
      battery("b1", { soc: 5 }),
      "Error: Message payload is not valid JSON on topic gw/lwt.",
      "",
      battery("b2", { soc: 6 }),
      battery("b1", { soc: "off" }),
      battery("b1", { soc: "off" }),
      line("hall/door", "ON"),
      line("hall/door", "OFF"),
    ];
    const { code, text } = await check(
      "--recording",
      file("all.ndjson.gz", gzipSync(lines.join("\n"))),
    );
    expect(code).toBe(1);
    expect(text.match(/^battery\/1\/status$/gm)).toHaveLength(2);
    expect(text).toContain(
      "6 messages: 2 stored whole, 0 in part, 2 not, 2 on topics of no measurement; " +
        "lines that are no recorded messages: 1\n" +
        "bess: no rows\n" +
        "battery: 2 rows of 2 units (id=b1; id=b2); never sent: current, voltage\n",
    );
    expect(text).toContain('2  battery.soc  not a number  battery/1/status  "off"');
    expect(text).toContain('2  hall/door  "ON"');
  });

  test("is refused if it is not there, and nothing else is", async () => {
    expect(await check("--recording", "nowhere.ndjson")).toEqual({
      code: 1,
      text: "nowhere.ndjson is refused:\n  - there is no such file",
    });
    expect((await check()).text).toContain("give one of --topic with --payload, --recording");
    expect((await check("--topic", "a")).text).toContain("--topic and --payload go together");
    expect((await check("--listen")).text).toContain("--stack is missing");
  });

  test.each<[what: string, line: string, payload: string | undefined]>([
    ["a text of %j", '{"topic":"a","payloadlen":2,"payload":"ON"}', "ON"],
    ["JSON of a text of %J", '{"topic":"a","payloadlen":4,"payload":"ON"}', '"ON"'],
    ["an object of %j", '{"topic":"a","payloadlen":7,"payload":"{\\"v\\":3}"}', '{"v":3}'],
    [
      "an object of %J, with all digits",
      '{"topic":"a","payload":{"id":12345678901234567890}}',
      '{"id":12345678901234567890}',
    ],
    ["an empty payload", '{"topic":"a","payloadlen":0,"payload":null}', ""],
    ["null", '{"topic":"a","payloadlen":4,"payload":null}', "null"],
    ["a key before others", '{"payload":{"a":1},"topic":"a"}', '{"a":1}'],
    ["a row of a file", '{"id":"b1","soc":5}', undefined],
    ["a cut line", '{"topic":"a","payl', undefined],
  ])("holds %s", (_, text, payload) => expect(readRecorded(text)?.payload).toBe(payload));

  test.each([
    ["2026-11-20T10:00:01.004410Z+0100", 1795165201004410000n],
    ["2026-11-20T09:00:01.004410+0000", 1795165201004410000n],
    [1795165201, 1795165201000000000n],
    ["soon", undefined],
  ])("has the time %s", (tst, expected) =>
    expect(readRecorded(JSON.stringify({ tst, topic: "a", payload: "1" }))?.time).toBe(expected),
  );
});

describe("a site's broker", () => {
  let broker: Broker;
  const path = process.env.PATH;
  beforeAll(async () => {
    broker = await Broker.start(loadModel("configs/telemetry.yaml"));
    // A stand-in for docker's client: the container's program runs here, with the container's options.
    const docker = file(
      "docker",
      `#!/bin/sh\nshift 5\nXDG_CONFIG_HOME=${broker.at("sessions")} exec ${program("mosquitto_sub")} "$@"\n`,
    );
    chmodSync(docker, 0o755);
    process.env.PATH = [folder.path, path].join(delimiter);
  });
  afterAll(async () => {
    process.env.PATH = path;
    await broker.stop();
  });

  test("is heard until the time is over or somebody ends it", async () => {
    const interrupt = new AbortController();
    const heard: string[] = [];
    const listening = (async () => {
      for await (const text of heardAt({ name: "kiel", ssh: {} }, 60, interrupt.signal)) {
        const { topic, payload } = readRecorded(text) ?? {};
        heard.push(`${topic} ${payload}`);
      }
    })();
    await until(
      () => `a message was heard: ${heard.join()}`,
      async () => {
        await broker.publish("battery/1/status", ['{"soc": 5.0}']);
        return heard.includes('battery/1/status {"soc": 5.0}');
      },
    );
    interrupt.abort();
    await listening;
    for await (const _ of heardAt({ name: "kiel", ssh: {} }, 1, new AbortController().signal));
  });

  test("that is not reached is told", async () => {
    file("docker", "#!/bin/sh\necho 'No such container: kiel-mosquitto' >&2\nexit 1\n");
    const messages = heardAt({ name: "kiel", ssh: {} }, 1, new AbortController().signal);
    await expect(messages.next()).rejects.toThrow("No such container: kiel-mosquitto");
  });
});

test("lines that are no messages are counted", async () => {
  const messages = new Messages({
    recording: file("mixed.ndjson", 'x\n{"topic":"a","payload":"1"}\n\n{}\n'),
    stack: "",
    for: 1,
  });
  const topics: string[] = [];
  for await (const { topic } of messages.read()) topics.push(topic);
  expect([topics, messages.foreign]).toEqual([["a"], 2]);
});
