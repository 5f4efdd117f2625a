import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { loadModel, modelSchema } from "../../configs/model";
import { profiles } from "../../configs/profiles";
import { Pipeline } from "../support/pipeline";
import { until } from "../support/programs";

/** A good message of the default model, by its number. */
const good = (number: number) =>
  JSON.stringify({
    id: `g${number}`,
    timestamp: new Date(1_795_161_600_000 + number).toISOString(),
    soc: 50,
  });

const list = (length: number) => Array.from({ length }, (_, i) => i);

/** The message of 928 bytes that made 884,736 points: lists where a number is declared. */
const bomb = JSON.stringify({
  id: "bomb",
  timestamp: "2026-11-20T08:00:00Z",
  soc: list(96),
  current: list(96),
  voltage: list(96),
});

const megabyte = 1_000_000;

describe("a site runs on, and stores every good message, between", () => {
  const model = loadModel("configs/telemetry.yaml");
  let pipeline: Pipeline;
  beforeAll(async () => {
    pipeline = await Pipeline.start(model, "90d");
  });
  afterAll(() => pipeline.stop());
  let published = 0;

  /** Publishes good messages between bad ones, and waits until all good ones are stored. */
  async function between(bad: (string | Buffer)[]): Promise<void> {
    const client = await pipeline.broker.connect("gateway");
    const topic = "battery/b1/status";
    const first = published;
    for (const payload of bad) {
      await client.publishAsync(topic, good(published), { qos: 1 });
      published += 1;
      await client.publishAsync(topic, payload, { qos: 1 });
    }
    await client.endAsync();
    const stored = () =>
      new Set(
        pipeline.endpoint
          .table("battery")
          .map(({ tags: { id = "" } }) => Number(id.slice(1)))
          .filter((number) => number >= first && number < published),
      ).size;
    await until(
      () => `${stored()} of ${published - first} are stored:\n${pipeline.log}`,
      () => stored() === published - first,
      60,
    );
  }

  /** Resident memory of Telegraf at its most, in MiB. */
  const peak = () =>
    Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pipeline.pid}/status`, "utf8"))?.[1]) / 1024;

  test("lists where numbers are declared", () => between([bomb, bomb, bomb]));

  test("messages of a megabyte", () =>
    between([
      `{"id":"big","soc":"${"9".repeat(megabyte)}"}`,
      `{"id":"big","soc":[${"1,".repeat(megabyte / 2)}1]}`,
      "[".repeat(megabyte),
      '{"a":'.repeat(megabyte / 5),
      "x".repeat(megabyte),
      `"${"\\".repeat(megabyte)}"`,
      `{"id":"${"i".repeat(megabyte)}","timestamp":"${"t".repeat(megabyte / 2)}","soc":1e${"0".repeat(megabyte / 4)}}`,
    ]));

  test(
    "10,000 random payloads",
    () =>
      between(
        fc.sample(
          fc.oneof(
            fc.json({ maxDepth: 4 }),
            fc.string({ maxLength: 200 }),
            fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
            fc
              .tuple(fc.nat({ max: 80 }), fc.uint8Array({ minLength: 1, maxLength: 3 }))
              .map(([at, bytes]) => {
                const text = Buffer.from(good(0));
                Buffer.from(bytes).copy(text, Math.min(at, text.length - 3));
                return text;
              }),
          ),
          { numRuns: 10_000, seed: 1 },
        ),
      ),
    120_000,
  );

  test("within the memory of the smallest profile, and without a fault of the program", () => {
    expect(peak()).toBeLessThan(profiles.pi.memory.telegraf * 0.8);
    expect(pipeline.log).not.toMatch(/fault of the program|Traceback/);
  });
});

describe("a message of several rows is acknowledged once all of them are stored", () => {
  const rows = 40;
  const model = modelSchema.parse({
    name: "modules",
    title: "Modules",
    measurements: [
      {
        name: "module",
        title: "Module",
        meaning: "A module.",
        topic: "pack/+/modules",
        interval: "1s",
        time: { path: "$.t", format: "unix_ms" },
        each: "modules",
        tags: [{ name: "id", path: "id", meaning: "Module." }],
        fields: [{ name: "soc", type: "float", meaning: "State of charge." }],
      },
    ],
  });
  const message = (number: number) =>
    JSON.stringify({
      t: 1_795_161_600_000 + number,
      modules: list(rows).map((id) => ({ id, soc: number })),
    });

  test("over a time without InfluxDB, in which more rows come than Telegraf is flushed", async () => {
    const pipeline = await Pipeline.start(model);
    try {
      const count = 600;
      await pipeline.endpoint.stop();
      await pipeline.broker.publish("pack/a/modules", list(count).map(message));
      await sleep(3000);
      await pipeline.endpoint.restart();
      const stored = () => pipeline.endpoint.table("module").length;
      await until(
        () => `${stored()} of ${count * rows} rows`,
        () => stored() >= count * rows,
        60,
      );
      expect(pipeline.log).not.toMatch(/dropped|overflow/);
    } finally {
      await pipeline.stop();
    }
  }, 120_000);

  test("over kills of Telegraf and failures of InfluxDB", async () => {
    const pipeline = await Pipeline.start(model);
    try {
      const count = 1500;
      const client = await pipeline.broker.connect("gateway");
      const publishing = (async () => {
        for (let i = 0; i < count; i += 10) {
          await Promise.all(
            list(10).map((j) => client.publishAsync("pack/a/modules", message(i + j), { qos: 1 })),
          );
          await sleep(20);
        }
      })();
      for (let round = 0; round < 3; round += 1) {
        await sleep(700);
        // From now on each write may fail: a message's rows lie in several.
        pipeline.endpoint.status = 503;
        await sleep(300);
        pipeline.endpoint.status = 204;
        await sleep(50);
        await pipeline.stopTelegraf("SIGKILL");
        await pipeline.startTelegraf();
      }
      await publishing;
      await client.endAsync();
      const stored = () =>
        new Set(pipeline.endpoint.table("module").map(({ tags, time }) => `${tags.id} ${time}`))
          .size;
      await until(
        () => `${stored()} of ${count * rows} rows`,
        () => stored() === count * rows,
        60,
      );
    } finally {
      await pipeline.stop();
    }
  }, 120_000);
});
