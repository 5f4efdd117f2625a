import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { stringify } from "yaml";
import { loadModel } from "../../configs/model";
import { clockTopic } from "../../configs/plan";
import { sessions } from "../../configs/telegraf";
import { Pipeline } from "../support/pipeline";
import { temporaryFolder, until } from "../support/programs";

const folder = temporaryFolder();
const file = join(folder.path, "model.yaml");
writeFileSync(
  file,
  stringify({
    name: "bare",
    title: "Bare values",
    measurements: [
      {
        name: "battery",
        title: "Battery",
        meaning: "What a gateway without a clock sends.",
        topic: "site/+/soc/state",
        interval: "1s",
        tags: [{ name: "id", segment: 1, meaning: "Identifier of the unit." }],
        fields: [{ name: "soc", type: "float", path: "@", unit: "%", meaning: "State of charge." }],
      },
    ],
  }),
);
const model = loadModel(file);
const [session = { id: "", topics: [] }] = sessions("test", model);

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await Pipeline.start(model);
});
afterAll(async () => {
  await pipeline.stop();
  folder.remove();
});

/** When the broker got each value of a unit, by this machine's clock, in ms. */
const sent = new Map<number, number>();
beforeEach(() => {
  sent.clear();
  pipeline.endpoint.points.length = 0;
});
const send = async (unit: string, soc: number) => {
  await pipeline.broker.publish(`site/${unit}/soc/state`, [String(soc)]);
  sent.set(soc, Date.now());
};
const stored = (unit: string) =>
  pipeline.endpoint.table("battery").filter(({ tags }) => tags.id === unit);
/** Waits for all values of a unit. @returns the most that one's time differs from when it came, in ms. */
const farthest = async (unit: string): Promise<number> => {
  await until(
    () => `${sent.size} values, of which ${stored(unit).length} are stored:\n${pipeline.log}`,
    () => stored(unit).length >= sent.size,
  );
  expect(stored(unit)).toHaveLength(sent.size);
  return Math.max(
    ...stored(unit).map(({ fields, time }) =>
      Math.abs(Number(BigInt(time) / 1_000_000n) - (sent.get(Number(fields.soc)) ?? 0)),
    ),
  );
};
/** Waits until the broker has told its time, or that nobody knows it. */
const clockTells = async (what = /^\d+$/, cause = () => {}) => {
  const reader = await pipeline.broker.read(clockTopic);
  cause();
  await until(`the broker tells ${what}`, () =>
    reader.received.some(({ payload }) => what.test(payload)),
  );
  await reader.client.endAsync();
};
/** Waits until Telegraf has heard it too. */
const clockHeard = async () => {
  await clockTells();
  await sleep(1500);
};

describe("a value without a time of its own is stored when the broker got it,", () => {
  test("while Telegraf runs, and while it does not", async () => {
    await clockHeard();
    await send("a", 50.1);
    await until("it is stored", () => stored("a").length === 1);
    await pipeline.stopTelegraf();
    for (let i = 1; i <= 4; i++) {
      await sleep(2000);
      await send("a", 50.1 + i);
    }
    await sleep(1000);
    await pipeline.startTelegraf();
    await send("a", 56);
    expect(await farthest("a")).toBeLessThan(2000);
  });

  test.each(["SIGKILL", "SIGTERM"] as const)(
    "also right after a downtime of the broker's that began with %s",
    async (signal) => {
      await clockHeard();
      await pipeline.stopTelegraf();
      await send("b", 1);
      await pipeline.broker.queueOnDisk();
      await (signal === "SIGKILL" ? pipeline.broker.kill() : pipeline.broker.terminate());
      await sleep(5000);
      await pipeline.broker.run();
      await send("b", 2);
      await sleep(4000);
      await send("b", 3);

      await pipeline.startTelegraf();
      expect(await farthest("b")).toBeLessThan(2000);
    },
  );

  test("or when it is read, where nothing tells the time: never when it was told last", async () => {
    await clockTells();
    await pipeline.stopTelegraf();
    await clockTells(/^\?$/, () => pipeline.broker.endClock());
    pipeline.broker.lockClockOut();
    await sleep(4000);
    await send("c", 1);
    await sleep(2000);
    await send("c", 2);
    const read = BigInt(Date.now()) * 1_000_000n;
    await pipeline.startTelegraf();
    await farthest("c");
    expect(stored("c").filter(({ time }) => BigInt(time) < read)).toEqual([]);
    pipeline.broker.configure(model);
    await clockTells();
  });
});

describe("a retained value", () => {
  test("of before the subscription is not stored, and one that comes now is", async () => {
    await pipeline.stopTelegraf();
    const gone = await pipeline.broker.connect("telegraf", { clientId: session.id });
    await gone.endAsync();
    const gateway = await pipeline.broker.connect("gateway");
    const retain = (unit: string, soc: number) =>
      gateway.publishAsync(`site/${unit}/soc/state`, String(soc), { qos: 1, retain: true });
    await retain("dead", 41.5);
    await pipeline.startTelegraf();
    await retain("alive", 60.5);
    await gateway.endAsync();
    await until("what comes now is stored", () => stored("alive").length === 1);
    expect(stored("dead")).toEqual([]);
  });
});

describe("the session of such values", () => {
  test("is removed with all that it holds, each with the time at which it came", async () => {
    await clockHeard();
    await pipeline.stopTelegraf();
    await send("d", 1);
    await sleep(3000);
    await send("d", 2);
    pipeline.broker.configure({ ...model, measurements: [] });
    const { output, exitCode } = await pipeline.broker.session(
      "remove",
      session.id,
      ...session.topics,
    );
    expect([exitCode, output]).toEqual([
      0,
      expect.stringMatching(/^2 messages of site\/\+\/soc\/state, /),
    ]);
    const lines = readFileSync(output.trim().split(": ").at(-1) ?? "", "utf8")
      .trimEnd()
      .split("\n");
    const kept = lines.map((line) => JSON.parse(line) as { tst: string; payload: string });
    expect(kept.map(({ payload }) => payload)).toEqual(["1", "2"]);
    for (const { tst, payload } of kept)
      expect(Math.abs(Date.parse(tst) - (sent.get(Number(payload)) ?? 0))).toBeLessThan(2000);
  });
});
