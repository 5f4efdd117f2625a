import { loadModel } from "../../configs/model";
import { Pipeline } from "../support/pipeline";
import { until } from "../support/programs";

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
const numbered = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => battery({ soc: (from + i) / 100 }));
const socs = (pipeline: Pipeline) =>
  new Set(pipeline.endpoint.table("battery").map((point) => point.fields.soc));

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await Pipeline.start(model);
});
afterAll(() => pipeline.stop());
beforeEach(() => {
  pipeline.endpoint.points.length = 0;
});

const arrives = async (table: string, count = 1) => {
  await until(`${count} points in ${table}`, () => pipeline.endpoint.table(table).length >= count);
  return pipeline.endpoint.table(table)[0];
};
/** Waits for a later good message: what came before it has then been decided. */
const decided = async () => {
  await pipeline.publish("battery/marker/status", [battery({ id: "marker" })]);
  await until("the marker", () =>
    pipeline.endpoint.table("battery").some((point) => point.tags.id === "marker"),
  );
};

describe("a message as the fleet sends it", () => {
  test("arrives with every field typed and scaled, its tags and its own time", async () => {
    await pipeline.publish("battery/b1/status", [battery()]);
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
        field.path,
        field.type === "string" ? "charging" : 4321,
      ]),
      [measurement.time.path, at],
    ]);
    await pipeline.publish(measurement.topic.replace("+", "x1"), [JSON.stringify(payload)]);
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
      await pipeline.publish("battery/b1/status", [battery({ timestamp })]);
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
    await pipeline.publish("battery/b1/status", [battery({ timestamp })]);
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
    await pipeline.publish("battery/b1/status", [battery({ soc })]);
    expect((await arrives("battery")).fields).toEqual({ current: "-1.234", voltage: "732.105" });
  });

  test("keeps a number that came as text", async () => {
    await pipeline.publish("battery/b1/status", [battery({ soc: "-55.25" })]);
    expect((await arrives("battery")).fields.soc).toBe("-55.25");
  });

  test("is stored without a field that it lacks", async () => {
    await pipeline.publish("battery/b1/status", [battery({ soc: undefined })]);
    expect((await arrives("battery")).fields).toEqual({ current: "-1.234", voltage: "732.105" });
  });

  test.each([
    ["malformed", '{"id":"b1","soc":'],
    ["empty", ""],
    ["an array", "[1,2]"],
    ["no object", "NaN"],
    ["without the unit's id", battery({ id: undefined })],
  ])("is dropped when it is %s, and its neighbours are stored", async (_, payload) => {
    await pipeline.publish("battery/b1/status", [payload]);
    await decided();
    expect(
      pipeline.endpoint.table("battery").filter((point) => point.tags.id !== "marker"),
    ).toEqual([]);
  });
});

describe("an outage loses nothing", () => {
  test("when Telegraf is stopped", async () => {
    await pipeline.telegraf.stop();
    await pipeline.publish("battery/b1/status", numbered(1, 2500));
    await pipeline.startTelegraf();
    await until("all of the backlog", () => socs(pipeline).size === 2500);
  });

  test("when Telegraf is killed while InfluxDB fails", async () => {
    pipeline.endpoint.status = 503;
    await pipeline.publish("battery/b1/status", numbered(1, 1500));
    await pipeline.telegraf.stop("SIGKILL");
    pipeline.endpoint.status = 204;
    await pipeline.startTelegraf();
    await until("all of the backlog", () => socs(pipeline).size === 1500);
  });

  test("when the broker is killed with a queue", async () => {
    await pipeline.telegraf.stop();
    await pipeline.publish("battery/b1/status", numbered(1, 500));
    await pipeline.queueOnDisk();
    await pipeline.broker.stop("SIGKILL");
    await pipeline.startBroker();
    await pipeline.startTelegraf();
    await until("all of the queue", () => socs(pipeline).size === 500);
  });

  test("when InfluxDB is down and comes back", async () => {
    await pipeline.endpoint.stop();
    await pipeline.publish("battery/b1/status", numbered(1, 3000));
    await new Promise((resolve) => setTimeout(resolve, 2000));
    await pipeline.endpoint.start();
    await until("all that came meanwhile", () => socs(pipeline).size === 3000, 30);
  });
});

describe("the broker's rights", () => {
  const refused = (publishing: Promise<void>) =>
    expect(publishing).rejects.toThrow(/Not authorized/);

  test("a wrong password is refused", () =>
    expect(pipeline.connect("gateway", "wrong")).rejects.toThrow(/Not authorized/));
  test("nobody publishes without credentials", async () => {
    const mqtt = (await import("mqtt")).default;
    await expect(
      mqtt.connectAsync(`mqtt://127.0.0.1:${pipeline.port}`, {
        protocolVersion: 5,
        reconnectPeriod: 0,
      }),
    ).rejects.toThrow(/Not authorized/);
  });
  test("telegraf publishes nothing", () =>
    refused(pipeline.publish("battery/b1/status", [battery()], "telegraf")));
  test("monitor publishes nothing", () =>
    refused(pipeline.publish("battery/b1/status", [battery()], "monitor")));
  test("gateway publishes in no other topic", () =>
    refused(pipeline.publish("battery/b1/command", [battery()])));
});
