import { type ChildProcessByStdio, spawn } from "node:child_process";
import { rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { buildSync } from "esbuild";
import { loadModel } from "../../configs/model";
import { until } from "../support/programs";
import { type Order, paths } from "../../configs/simulator";
import type { SimulatorConfig } from "../../simulator";
import { Broker, type Reader } from "../support/broker";

const root = join(__dirname, "../..");
const model = loadModel(join(root, "configs/telemetry.yaml"));
const alive = "/tmp/alive";
const age = () => Date.now() - (statSync(alive, { throwIfNoEntry: false })?.mtimeMs ?? 0);

/** The simulator as its container runs it: one bundled file without packages. */
class Simulator {
  output = "";
  readonly ended: Promise<number | null>;
  private readonly child: ChildProcessByStdio<null, Readable, Readable>;

  constructor(broker: Broker, more: Partial<SimulatorConfig> = {}) {
    const config: SimulatorConfig = {
      url: broker.url,
      username: "gateway",
      passwordFile: broker.at("password"),
      model,
      units: 2,
      intervalMs: 100,
      seed: 1,
      ...more,
    };
    buildSync({
      entryPoints: [join(root, "simulator/main.ts")],
      bundle: true,
      minify: true,
      platform: "node",
      target: "node20",
      outfile: broker.at("main.js"),
    });
    writeFileSync(broker.at("config.json"), JSON.stringify(config));
    this.child = spawn(process.execPath, [broker.at("main.js"), broker.at("config.json")], {
      cwd: "/",
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream.on("data", (data: Buffer) => (this.output += data.toString()));
    this.ended = new Promise((resolve) => this.child.once("close", resolve));
  }

  async stop(): Promise<number | null> {
    this.child.kill("SIGTERM");
    return this.ended;
  }
}

describe("the simulator", () => {
  let broker: Broker;
  let reader: Reader;
  let simulator: Simulator | undefined;

  beforeEach(async () => {
    rmSync(alive, { force: true });
    broker = await Broker.start(model);
    writeFileSync(broker.at("password"), broker.passwords.gateway);
    reader = await broker.read("+/+/status");
  });
  afterEach(async () => {
    await simulator?.stop();
    await broker?.stop();
    for (const file of [alive, paths.order]) rmSync(file, { force: true });
  });

  test("publishes all units without drift, and loses nothing at SIGTERM", async () => {
    simulator = new Simulator(broker);
    const topics = ["bess", "battery", "pcs"].flatMap((part) => [
      `${part}/${part}-1/status`,
      `${part}/${part}-2/status`,
    ]);
    const times = () =>
      reader.received
        .filter(({ topic }) => topic === topics[0])
        .map(({ payload }) => Date.parse((JSON.parse(payload) as { timestamp: string }).timestamp));
    await until("three seconds of messages have arrived", () => times().length >= 30);
    expect(new Set(reader.received.map(({ topic }) => topic))).toEqual(new Set(topics));
    const [firstTime = NaN, thirtiethTime = NaN] = [times().at(0), times().at(29)];
    expect(Math.abs(thirtiethTime - firstTime - 2900)).toBeLessThan(150);
    expect(age()).toBeLessThan(1000);
    expect(await simulator.stop()).toBe(0);
    const counts =
      /stopped: (\d+) published, (\d+) acknowledged by the broker, (\d+) skipped/.exec(
        simulator.output,
      ) ?? [];
    const [, published = NaN, acknowledged = NaN, skipped = NaN] = counts.map(Number);
    await until(
      "every acknowledged message has arrived",
      () => reader.received.length >= acknowledged,
    );
    expect([acknowledged, skipped, reader.received.length]).toEqual([published, 0, published]);
    expect(simulator.output.trim().split("\n")).toHaveLength(2);
    expect(simulator.output).not.toContain(broker.passwords.gateway);
  });

  test("shows no sign of life while the broker is gone, and goes on when it is back", async () => {
    const running = (simulator = new Simulator(broker));
    await until("messages arrive", () => reader.received.length > 0);
    await broker.kill();
    await until("the outage is logged", () =>
      running.output.includes("broker not reached, trying on: "),
    );
    await until("the sign of life is old", () => age() > 1500);
    await broker.run();
    await until("the sign of life is fresh", () => age() < 500);
    expect(
      running.output.match(/broker not reached, trying on: .*ECONN(REFUSED|RESET)/g),
    ).toHaveLength(1);
  });

  test("tries on, and is not alive, with a password that the broker does not take", async () => {
    writeFileSync(broker.at("password"), "wrong");
    const running = (simulator = new Simulator(broker));
    await until("the refusal is logged", () =>
      running.output.includes("broker not reached, trying on: Connection refused: Not authorized"),
    );
    expect(statSync(alive, { throwIfNoEntry: false })).toBeUndefined();
    expect(await simulator.stop()).toBe(0);
  });

  test("has a fault from its configuration, and takes an order for another while it runs", async () => {
    const running = (simulator = new Simulator(broker, {
      fault: { scenario: "pack-silent", unit: 1 },
    }));
    const batteries = () =>
      new Set(
        reader.received
          .splice(0)
          .flatMap(({ topic }) => (topic.startsWith("battery") ? [topic] : [])),
      );
    const order = (asked: Order | string) =>
      writeFileSync(paths.order, typeof asked === "string" ? asked : JSON.stringify(asked));
    const seen = async (what: string, ...topics: string[]) => {
      batteries();
      const all = new Set<string>();
      await until(what, () => {
        batteries().forEach((topic) => all.add(topic));
        return topics.every((topic) => all.has(topic));
      });
      return all;
    };
    const [first, second] = ["battery/battery-1/status", "battery/battery-2/status"];
    expect(await seen("the other unit", second)).toEqual(new Set([second]));
    order({ scenario: "pack-silent", unit: 2, until: Date.now() + 1500 });
    await until("it is told", () => running.output.includes("unit 2: pack-silent"));
    expect(await seen("the first unit", first)).toEqual(new Set([first]));
    await until("its end is told", () => /unit 2.*[^]*unit 1: pack-silent/.test(running.output));
    order("{");
    await until("a broken order is told", () => running.output.includes("is no order"));
    order({ scenario: "normal", unit: 1, until: null });
    await seen("both units", first, second);
    expect(running.output).toContain("no fault\n");
  });
});
