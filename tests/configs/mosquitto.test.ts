import { once } from "node:events";
import {
  appendFileSync,
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { first, loadModel, type Model } from "../../configs/model";
import { database } from "../../configs/mosquitto";
import { sessions } from "../../configs/telegraf";
import { Broker, reserve } from "../support/broker";
import { until } from "../support/programs";

const model = loadModel("configs/telemetry.yaml");
const topic = "battery/b1/status";
const reader = "telegraf-test";
const payloads = (count: number) =>
  Array.from({ length: count }, (_, i) => JSON.stringify({ n: i, text: "x".repeat(200) }));

let broker: Broker;
beforeEach(async () => {
  broker = await Broker.start(model);
  await broker.leaveSession(reader, topic);
});
afterEach(() => broker.stop());

/** Path of a file of the queue. */
const queue = (suffix = "") => broker.at(`data/${database}${suffix}`);

/** Overwrites a part of a file. */
function overwrite(file: string, at: number, bytes: Buffer): void {
  const handle = openSync(file, "r+");
  writeSync(handle, bytes, 0, bytes.length, at);
  closeSync(handle);
}

/** Files that were set aside. */
function setAside(): string[] {
  const folder = broker.at("data/.set-aside");
  return existsSync(folder)
    ? readdirSync(folder).flatMap((at) => readdirSync(`${folder}/${at}`))
    : [];
}

describe("the broker's queue", () => {
  test("is on the disk when an idle broker has been killed", async () => {
    await broker.publish(topic, ["first"]);
    // The second comes within the flush period of the first, and nothing wakes the broker then.
    await sleep(300);
    await broker.publish(topic, ["second"]);
    await broker.queueOnDisk();
    await broker.kill();
    await broker.run();
    expect(await broker.takeSession(reader, 2)).toEqual(["first", "second"]);
  });

  test("keeps what a gateway sends at QoS 0, too, in its order", async () => {
    const gateway = await broker.connect("gateway");
    await gateway.publishAsync(topic, "first", { qos: 0 });
    await gateway.publishAsync(topic, "second", { qos: 1 });
    await gateway.publishAsync(topic, "third", { qos: 0 });
    await gateway.publishAsync(topic, "fourth", { qos: 1 });
    await gateway.endAsync();
    await broker.queueOnDisk();
    await broker.kill();
    await broker.run();
    expect(await broker.takeSession(reader, 4)).toEqual(["first", "second", "third", "fourth"]);
  });

  test("has its room from the beginning, and uses that", async () => {
    expect(statSync(queue()).size).toBe(reserve);
    await broker.publish(topic, payloads(100));
    await broker.terminate();
    expect(statSync(queue()).size).toBe(reserve);
  });

  test("is whole, in its order, after a stop that ends with the broker's own exit code", async () => {
    await broker.publish(topic, payloads(3000));
    expect(await broker.terminate()).toBe(0);
    expect(readdirSync(broker.at("data"))).toEqual([".version", database]);
    await broker.run();
    expect(await broker.takeSession(reader, 3000)).toEqual(payloads(3000));
  });

  test("is left alone by a broker that cannot start, and the container ends", async () => {
    await broker.publish(topic, ["waits"]);
    await broker.terminate();
    const occupant = createServer();
    await once(occupant.listen(broker.ports.mqtt, "127.0.0.1"), "listening");
    const running = broker.launch();
    await until("it ends", () => running.exitCode !== null);
    expect(running.exitCode).toBeGreaterThan(0);
    expect(setAside()).toEqual([]);
    await new Promise((resolve) => occupant.close(resolve));
    await broker.run();
    expect(await broker.takeSession(reader, 1)).toEqual(["waits"]);
  });
});

describe("a queue that the broker cannot read", () => {
  const half = () => Math.floor(statSync(queue()).size / 2 / 4096) * 4096;
  test.each<[string, () => void]>([
    ["zeros", () => overwrite(queue(), 0, Buffer.alloc(statSync(queue()).size))],
    ["no database", () => writeFileSync(queue(), "hello".repeat(1000))],
    ["cut off", () => truncateSync(queue(), half())],
    ["cut off within a page", () => truncateSync(queue(), half() + 77)],
    ["zeros in the middle", () => overwrite(queue(), half(), Buffer.alloc(40 * 4096))],
    ["garbage in the middle", () => overwrite(queue(), half(), Buffer.alloc(40 * 4096, 0xa5))],
    ["without its table of messages", () => overwrite(queue(), 4096, Buffer.alloc(4096))],
  ])("because it is %s is set aside, and the broker serves with a new one", async (_, damage) => {
    await broker.publish(topic, payloads(3000));
    await broker.terminate();
    damage();
    await broker.run();
    expect(setAside()).toEqual([database]);
    expect(broker.output).toMatch(/start: The broker's queue is damaged, and was set aside in /);
    await broker.leaveSession(reader, topic);
    await broker.publish(topic, ["new"]);
    await broker.queueOnDisk();
    await broker.kill();
    await broker.run();
    expect(await broker.takeSession(reader, 1)).toEqual(["new"]);
    expect(setAside()).toEqual([database]);
  });

  test("does not count an empty file, which a broker leaves that is cut off at its first start", async () => {
    await broker.terminate();
    truncateSync(queue());
    await broker.run();
    expect(setAside()).toEqual([]);
  });

  test.each<[string, () => void]>([
    [
      "garbage in the index of its log",
      () => overwrite(queue("-shm"), 0, Buffer.alloc(32768, 0xa5)),
    ],
    [
      "a log that was never finished",
      () => appendFileSync(queue("-wal"), Buffer.alloc(9999, 0xa5)),
    ],
  ])("does not count %s", async (_, damage) => {
    await broker.publish(topic, payloads(100));
    await broker.queueOnDisk();
    await broker.kill();
    damage();
    await broker.run();
    expect(await broker.takeSession(reader, 100)).toEqual(payloads(100));
    expect(setAside()).toEqual([]);
  });
});

describe("a queue of the former kind", () => {
  const former = () => broker.at("data/mosquitto.db");
  const read = sessions("test", model).slice(0, 3);
  const [one = { id: "", formerId: "", topics: [] }] = read;
  /** Texts with what a shell or a line-based tool would spoil. */
  const texts = Array.from({ length: 2000 }, (_, i) => `{"n":${i}}\n\r\t\\ '"$(date) \u0001ä\n`);
  const topicOf = (pattern: string) => pattern.replace("+", "b1");

  beforeEach(async () => {
    await broker.terminate();
    rmSync(queue());
    await broker.runFormer();
    for (const { formerId, topics } of read) await broker.leaveSession(formerId, first(topics));
    await Promise.all(
      read.map(({ topics, id }) =>
        broker.publish(topicOf(first(topics)), [...texts, `last of ${id}`]),
      ),
    );
    await broker.terminate();
  });

  const expectWhole = async () => {
    for (const { id } of read)
      expect(await broker.takeSession(id, texts.length + 1)).toEqual([...texts, `last of ${id}`]);
    expect(existsSync(former())).toBe(false);
    expect(setAside()).toEqual(["mosquitto.db"]);
  };

  test("is taken over whole, in its order, and kept", async () => {
    await broker.run();
    await expectWhole();
  });

  test.each(["SIGKILL", "SIGTERM"] as const)("is whole after %s at any moment", async (signal) => {
    const stages = [".migrating", ".migrating/empty.log", ".migrating/ended", ".set-aside"];
    for (const stage of stages) {
      const running = broker.launch();
      await until(`it makes ${stage}`, () => existsSync(broker.at(`data/${stage}`)));
      await running.stop(signal);
    }
    await broker.run();
    await expectWhole();
  });

  test("is set aside where it cannot be read, and the broker serves", async () => {
    overwrite(former(), 0, Buffer.alloc(statSync(former()).size));
    await broker.run();
    expect(setAside()).toEqual(["mosquitto.db"]);
    expect(broker.output).toMatch(/start: The queue of the former kind could not be taken over: /);
  });

  test("is added to the database, where a site went back to it for a time", async () => {
    await broker.run();
    await broker.terminate();
    await broker.runFormer();
    await broker.leaveSession(one.formerId, first(one.topics));
    await broker.publish(topicOf(first(one.topics)), ["later"]);
    await broker.terminate();
    await broker.run();
    const count = texts.length + 2;
    expect(await broker.takeSession(one.id, count)).toEqual([
      ...texts,
      `last of ${one.id}`,
      "later",
    ]);
  });
});

describe("a session", () => {
  const pattern = "battery/+/status";
  const [battery = { id: "", formerId: "", topics: [] }] = sessions("test", model).filter(
    ({ topics }) => topics.includes(pattern),
  );
  /** The model without the measurement of that session. */
  const without: Model = {
    ...model,
    measurements: model.measurements.filter((m) => m.topic !== pattern),
  };
  const messages = Array.from({ length: 1500 }, (_, i) =>
    JSON.stringify({ n: i, big: "1234567890123456789", text: "ä \\ \" \u0001 '" }, null, i % 2),
  );
  const kept = () => {
    const folder = broker.at("data/.set-aside");
    return existsSync(folder)
      ? readdirSync(folder).map((at) => readFileSync(`${folder}/${at}/messages.ndjson`, "utf8"))
      : [];
  };
  const exists = (id: string) => broker.resumes(id);

  beforeEach(async () => {
    await broker.leaveSession(battery.id, pattern);
  });

  test("that the site no longer has is removed, and what it holds is kept for a replay", async () => {
    await broker.publish(topic, messages);
    await broker.terminate();
    broker.configure(without);
    await broker.run();
    const { output, exitCode } = await broker.session("remove", battery.id, pattern);
    expect([exitCode, output]).toEqual([
      0,
      expect.stringMatching(/^1500 messages of battery\/\+\/status, .* \S+messages\.ndjson\n$/),
    ]);
    const [text = ""] = kept();
    expect(
      text
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual(messages.map((payload) => expect.objectContaining({ topic, payload })));
    expect(await exists(battery.id)).toBe(false);
  });

  test("that holds nothing leaves no file", async () => {
    broker.configure(without);
    expect(await broker.session("remove", battery.id, pattern)).toEqual({
      output: "",
      exitCode: 0,
    });
    expect([kept(), await exists(battery.id)]).toEqual([[], false]);
  });

  test("that the site has stays with all it holds, when the stack goes", async () => {
    await broker.publish(topic, ["kept"]);
    await broker.session("remove", battery.id, pattern);
    expect(await broker.takeSession(battery.id, 1)).toEqual(["kept"]);
  });

  test("under the client id that Telegraf had before is dropped", async () => {
    await broker.leaveSession(battery.formerId, pattern);
    expect((await broker.session("drop", battery.formerId)).exitCode).toBe(0);
    expect(await exists(battery.formerId)).toBe(false);
    expect(await exists(battery.id)).toBe(true);
  });
});
