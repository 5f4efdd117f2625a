import { readFileSync, writeFileSync } from "node:fs";
import mqtt from "mqtt";
import { first, loadModel, pathOf, topicsOf } from "../../configs/model";
import { Pipeline } from "../support/pipeline";
import { until } from "../support/programs";
import type { Point } from "../support/recorder";

const model = loadModel("configs/telemetry.yaml");
const at = "2026-04-13T12:00:00.250Z";
const nanoseconds = (iso: string) => `${BigInt(Date.parse(iso)) * 1_000_000n}`;
const battery = (extra: object = {}) =>
  JSON.stringify({
    id: "b1",
    group_id: "u1",
    soc: 55.5,
    current: -1234,
    voltage: 732105,
    timestamp: at,
    ...extra,
  });
/** Messages of one unit, each with a value of its own. */
const numbered = (id: string, count: number) =>
  Array.from({ length: count }, (_, i) => battery({ id, soc: (i + 1) / 100 }));
/** How many of a unit's messages are stored. One that was delivered twice counts once. */
const stored = (id: string) => {
  const points = pipeline.endpoint.table("battery").filter((point) => point.tags.id === id);
  return new Set(points.map((point) => point.fields.soc)).size;
};

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await Pipeline.start(model);
});
afterAll(() => pipeline.stop());
beforeEach(() => {
  pipeline.endpoint.points.length = 0;
});

/** The first point that arrives in a table. */
const arrives = async (table: string): Promise<Point> => {
  await until(`a point in ${table}`, () => pipeline.endpoint.table(table).length > 0);
  const [point] = pipeline.endpoint.table(table);
  if (!point) throw new Error(`${table} lost its point`);
  return point;
};
/** Waits for a later good message: what came before it has then been decided. */
const decided = async () => {
  await pipeline.broker.publish("battery/marker/status", [battery({ id: "marker" })]);
  await until("the marker", () =>
    pipeline.endpoint.table("battery").some((point) => point.tags.id === "marker"),
  );
};

describe("a message as the fleet sends it", () => {
  test("arrives with every field typed and scaled, its tags and its own time", async () => {
    await pipeline.broker.publish("battery/b1/status", [battery()]);
    expect(await arrives("battery")).toEqual({
      table: "battery",
      tags: { id: "b1", group_id: "u1" },
      fields: { soc: "55.5", current: "-1.234", voltage: "732.105" },
      time: nanoseconds(at),
    });
    expect(pipeline.endpoint.tokens).toEqual(new Set([`Bearer ${pipeline.token}`]));
  });

  test.each(model.measurements)("of $name arrives whole", async (measurement) => {
    const payload = Object.fromEntries([
      ...measurement.tags.map((tag) => [tag.path, "x1"]),
      ...measurement.fields.map((field) => [
        pathOf(field),
        field.type === "string" ? "charging" : 4321,
      ]),
      ["timestamp", at],
    ]);
    await pipeline.broker.publish(first(topicsOf(measurement)).replace("+", "x1"), [
      JSON.stringify(payload),
    ]);
    const point = await arrives(measurement.name);
    const expected = measurement.fields.map((field) => [
      field.name,
      field.type === "string" ? '"charging"' : String(field.scale === 1 ? 4321 : 4.321),
    ]);
    expect(point.fields).toEqual(Object.fromEntries(expected));
    expect(point.time).toBe(nanoseconds(at));
  });

  test.each(["2026-04-13 12:00:00.25", "2026-04-13T12:00:00.250", "2026-04-13T14:00:00.25+02:00"])(
    "has its own time when it is %s",
    async (timestamp) => {
      await pipeline.broker.publish("battery/b1/status", [battery({ timestamp })]);
      expect((await arrives("battery")).time).toBe(nanoseconds(at));
    },
  );
});

describe("a message that is not as it should be", () => {
  test.each([
    ["missing", undefined],
    ["no time", "yesterday"],
    ["a number", 12],
  ])("is stored at its arrival when its time is %s", async (_, timestamp) => {
    const before = BigInt(Date.now()) * 1_000_000n;
    await pipeline.broker.publish("battery/b1/status", [battery({ timestamp })]);
    const point = await arrives("battery");
    expect(point.fields).toEqual({ soc: "55.5", current: "-1.234", voltage: "732.105" });
    expect(BigInt(point.time)).toBeGreaterThanOrEqual(before);
  });

  test.each([
    ["a word", "full"],
    ["a boolean", true],
    ["an object", { value: 1 }],
    ["nothing", null],
  ])("loses only the field that is %s", async (_, soc) => {
    await pipeline.broker.publish("battery/b1/status", [battery({ soc })]);
    expect((await arrives("battery")).fields).toEqual({ current: "-1.234", voltage: "732.105" });
  });

  test("keeps a number that came as text", async () => {
    await pipeline.broker.publish("battery/b1/status", [battery({ soc: "-55.25" })]);
    expect((await arrives("battery")).fields.soc).toBe("-55.25");
  });

  test("is stored without a field that it lacks", async () => {
    await pipeline.broker.publish("battery/b1/status", [battery({ soc: undefined })]);
    expect((await arrives("battery")).fields).toEqual({ current: "-1.234", voltage: "732.105" });
  });

  test.each([
    ["malformed", '{"id":"b1","soc":'],
    ["empty", ""],
    ["an array", "[1,2]"],
    ["no object", "NaN"],
    ["without the unit's id", battery({ id: undefined })],
  ])("is dropped when it is %s, and its neighbours are stored", async (_, payload) => {
    await pipeline.broker.publish("battery/b1/status", [payload]);
    await decided();
    expect(
      pipeline.endpoint.table("battery").filter((point) => point.tags.id !== "marker"),
    ).toEqual([]);
  });
});

describe("Telegraf's log, at the level that is deployed,", () => {
  /** Lines that it logs from now on. */
  const later = () => {
    const before = pipeline.log.length;
    return () => pipeline.log.slice(before).split("\n").filter(Boolean);
  };

  test.each([
    [
      "a field of the wrong type",
      battery({ soc: "full" }),
      /W! .*battery\.soc dropped from battery\/.*\/status, 1 times: not a number: "full"/,
    ],
    ["a message that is malformed", '{"id":"b1","soc":', /W! .*battery dropped .*: not JSON/],
    [
      "a message without the unit's id",
      battery({ id: undefined }),
      /W! .*battery\.id .*no identity/,
    ],
    [
      "a time that cannot be read",
      battery({ timestamp: "yesterday" }),
      /W! .*battery\.time dropped .*time not readable: "yesterday"/,
    ],
  ])("tells of %s", async (what, payload, expected) => {
    const lines = later();
    // The log repeats a kind of fault of one topic only after an hour.
    await pipeline.broker.publish(`battery/${what}/status`, [payload]);
    await decided();
    expect(lines().filter((line) => expected.test(line))).toHaveLength(1);
  });

  test("is silent about messages that are as they should be, and about flushes", async () => {
    const lines = later();
    for (let i = 0; i < 3; i++) {
      await pipeline.broker.publish("battery/b1/status", numbered(`unit${i}`, 10));
      await until("they are stored", () => stored(`unit${i}`) === 10);
    }
    expect(lines()).toEqual([]);
  });
});

describe("an outage loses nothing", () => {
  test("when Telegraf is stopped", async () => {
    await pipeline.stopTelegraf();
    await pipeline.broker.publish("battery/b1/status", numbered("b1", 2500));
    await pipeline.startTelegraf();
    await until("all of the backlog", () => stored("b1") === 2500);
  });

  test("when Telegraf is killed while InfluxDB fails", async () => {
    pipeline.endpoint.status = 503;
    await pipeline.broker.publish("battery/b1/status", numbered("b2", 1500));
    await pipeline.stopTelegraf("SIGKILL");
    pipeline.endpoint.status = 204;
    await pipeline.startTelegraf();
    await until("all of the backlog", () => stored("b2") === 1500);
  });

  test("when the broker is killed with a queue", async () => {
    await pipeline.stopTelegraf();
    await pipeline.broker.publish("battery/b1/status", numbered("b3", 500));
    await pipeline.broker.queueOnDisk();
    await pipeline.broker.kill();
    await pipeline.broker.run();
    await pipeline.startTelegraf();
    await until("all of the queue", () => stored("b3") === 500);
  });

  test("when InfluxDB is down and comes back", async () => {
    await pipeline.endpoint.stop();
    await pipeline.broker.publish("battery/b1/status", numbered("b4", 3000));
    await new Promise((resolve) => setTimeout(resolve, 2000));
    await pipeline.endpoint.restart();
    await until("all that came meanwhile", () => stored("b4") === 3000, 30);
  });
});

describe("while the host's clock is wrong", () => {
  beforeEach(async () => {
    await pipeline.stopTelegraf();
    pipeline.setClock("wrong");
  });
  afterEach(async () => {
    await pipeline.stopTelegraf();
    pipeline.setClock("right");
    await pipeline.startTelegraf();
  });
  const heldTelegraf = async () => {
    const telegraf = pipeline.beginTelegraf();
    await until("it says that it waits", () => /clock is not synchronised/.test(pipeline.log));
    return telegraf;
  };

  test("messages wait at the broker, and are stored at their release, none lost", async () => {
    const telegraf = await heldTelegraf();
    const messages = numbered("b5", 1500).map((text) =>
      JSON.stringify({ ...JSON.parse(text), timestamp: undefined }),
    );
    await pipeline.broker.publish("battery/b1/status", messages);
    expect(stored("b5")).toBe(0);
    const release = BigInt(Date.now()) * 1_000_000n;
    pipeline.setClock("right");
    await until("all that waited", () => stored("b5") === 1500);
    const points = pipeline.endpoint.table("battery").filter(({ tags }) => tags.id === "b5");
    expect(points.filter(({ time }) => BigInt(time) < release)).toEqual([]);
    expect(pipeline.log).toMatch(/Telegraf starts after \d+ s: the clock is right/);
    // It has taken the place of the script: a stop reaches it.
    expect(readFileSync(`/proc/${telegraf.pid}/comm`, "utf8")).toBe("telegraf\n");
  });

  test("a stop ends it at once", async () => {
    const telegraf = await heldTelegraf();
    const began = Date.now();
    await telegraf.stop();
    expect(Date.now() - began).toBeLessThan(1000);
  });

  test("a host that is up for longer than the queue can wait is not waited for", async () => {
    pipeline.beginTelegraf(1);
    await until("it starts", () => /Loaded inputs/.test(pipeline.log));
    expect(pipeline.log).not.toMatch(/\[hold\]/);
  });

  test("a machine without adjtimex is not waited for, which is said", async () => {
    writeFileSync(pipeline.broker.at("kernel/adjtimex"), "#!/bin/sh\nexit 127\n");
    pipeline.beginTelegraf();
    await until("it starts", () => /Loaded inputs/.test(pipeline.log));
    expect(pipeline.log).toMatch(/adjtimex does not tell whether the clock is synchronised/);
  });
});

describe("the broker's rights", () => {
  const refused = (publishing: Promise<void>) =>
    expect(publishing).rejects.toThrow(/Not authorized/);

  test("a wrong password is refused", () =>
    expect(pipeline.broker.connect("gateway", { password: "wrong" })).rejects.toThrow(
      /Not authorized/,
    ));
  test("nobody publishes without credentials", async () => {
    const options = { protocolVersion: 5, reconnectPeriod: 0 } as const;
    await expect(mqtt.connectAsync(pipeline.broker.url, options)).rejects.toThrow(/Not authorized/);
  });
  test("telegraf publishes nothing", () =>
    refused(pipeline.broker.publish("battery/b1/status", [battery()], "telegraf")));
  test("monitor publishes nothing", () =>
    refused(pipeline.broker.publish("battery/b1/status", [battery()], "monitor")));
  test("gateway publishes nothing about the broker", () =>
    refused(pipeline.broker.publish("$SYS/broker/uptime", [battery()])));
});
