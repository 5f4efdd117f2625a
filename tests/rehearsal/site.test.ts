import { parseFault } from "../../rehearsal";
import { command } from "../../rehearsal/command";
import { docker } from "../../rehearsal/docker";
import { Engine } from "../../rehearsal/engine";
import { Faults } from "../../rehearsal/faults";
import { propertyChanges, reveal, secret, unknown } from "../../rehearsal/wire";
import { keyPair, type Pair } from "../support/key-pairs";
import { temporaryFolder } from "../support/programs";

const folder = temporaryFolder();
afterAll(() => folder.remove());

const container = {
  image: "sha256:a",
  healthy: true,
  networks: ["field"],
  ports: ["127.0.0.1:1883"],
  volumes: ["data"],
  aliases: ["broker"],
};
const files = { readOnly: false, uploads: 0 };

describe("a simulated broker", () => {
  const faults = new Faults([], () => 0);
  const engine = Engine.open(folder.path, "unix:///broker.sock");
  const context = { config: {}, engine: () => engine, faults };
  const start = (name: string, { certificate, key }: Pair) =>
    docker.types["docker:index/container:Container"]?.create(
      {
        name,
        image: "sha256:a",
        uploads: [
          { file: "/mosquitto/config/server.crt", content: certificate },
          { file: "/mosquitto/config/server.key", content: key },
        ],
      },
      context,
      `Container:${name}`,
    );
  const ready = (name: string) =>
    command.types["command:local:Command"]?.create(
      { create: `sh -c ready -- ${name} 180` },
      context,
      `Command:${name}-ready`,
    );
  const pair = keyPair();

  test("serves a certificate with its key", () => {
    start("good", pair);
    expect(() => ready("good")).not.toThrow();
  });
  test("ends for another's key, as the real one does, and the wait for it says why", () => {
    start("bad", { ...pair, key: keyPair().key });
    expect(() => ready("bad")).toThrow(
      /the container bad is not healthy: its TLS key is refused: it is not the key of mqtt\.tls\.cert/,
    );
    expect(() => ready("bad")).toThrow(/is not healthy/);
  });
});

describe("a simulated engine refuses what Docker refuses", () => {
  let engine: Engine;
  beforeEach(() => {
    engine = Engine.open(folder.path, `unix:///${Math.random()}`);
    engine.createNetwork("field");
    engine.runContainer("broker", container, files);
  });

  test.each<[string, () => void, RegExp]>([
    [
      "a name that is taken",
      () => engine.runContainer("broker", { ...container, ports: [] }, files),
      /Conflict.*"\/broker" is already in use/,
    ],
    [
      "a port that is taken",
      () => engine.runContainer("other", container, files),
      /Bind for 127.0.0.1:1883 failed: port is already allocated/,
    ],
    [
      "a port on all addresses beside one on a single address",
      () => engine.runContainer("other", { ...container, ports: ["0.0.0.0:1883"] }, files),
      /0.0.0.0:1883 failed/,
    ],
    [
      "an unknown network",
      () => engine.runContainer("other", { ...container, ports: [], networks: ["fild"] }, files),
      /network fild not found/,
    ],
    [
      "an upload to a read-only container",
      () =>
        engine.runContainer("other", { ...container, ports: [] }, { readOnly: true, uploads: 1 }),
      /read-only/,
    ],
    [
      "a network made twice",
      () => engine.createNetwork("field"),
      /network with name field already exists/,
    ],
    [
      "the removal of a network in use",
      () => engine.removeNetwork("field"),
      /active endpoints \(broker\)/,
    ],
    ["the removal of a volume in use", () => engine.removeVolume("data"), /volume is in use/],
  ])("%s", (_, attempt, message) => {
    const before = JSON.stringify(engine.state);
    expect(attempt).toThrow(message);
    expect(JSON.stringify(engine.state)).toBe(before);
  });

  test("the same port on another address is accepted", () => {
    expect(() =>
      engine.runContainer("other", { ...container, ports: ["192.168.0.2:1883"] }, files),
    ).not.toThrow();
  });

  test("its state outlives the process, for each host", () => {
    expect(Engine.open(folder.path, engine.state.host).state).toEqual(engine.state);
    expect(Engine.open(folder.path, "ssh://pi@elsewhere").state.containers).toEqual({});
  });
});

describe("faults", () => {
  const counter = () => {
    const attempts: Record<string, number> = {};
    return (name: string) => {
      const former = attempts[name] ?? 0;
      attempts[name] = former + 1;
      return former;
    };
  };

  test("a flapping resource fails every other time, the first one too", async () => {
    const faults = new Faults([parseFault("dev-grafana=flap")], counter());
    await expect(faults.inject("Container:dev-grafana")).rejects.toThrow(
      "Container:dev-grafana fails",
    );
    await faults.inject("Container:dev-grafana");
    await expect(faults.inject("Container:dev-grafana")).rejects.toThrow();
  });

  test("a fault meets the resources that it names, and no others", async () => {
    const faults = new Faults([parseFault("Container:dev-*=fail")], counter());
    await expect(faults.inject("Container:dev-grafana")).rejects.toThrow();
    await faults.inject("RemoteImage:dev-grafana");
    await faults.inject("Container:pi-grafana");
  });

  test("a hanging operation ends when it is cancelled", async () => {
    const faults = new Faults([parseFault("*=hang")], counter());
    const hanging = faults.inject("Network:dev-field");
    faults.cancel();
    await expect(hanging).rejects.toThrow("cancelled");
  });

  test("a slow resource takes the given seconds, and then goes on", async () => {
    const faults = new Faults([parseFault("dev-field=slow:0.05")], counter());
    const start = performance.now();
    await faults.inject("Network:dev-field");
    expect(performance.now() - start).toBeGreaterThan(45);
  });

  test.each(["dev-grafana", "dev-grafana=broken", "=fail", "dev-grafana=slow:soon"])(
    "%s is refused, with what is allowed",
    (text) => {
      expect(() => parseFault(text)).toThrow(`--fault ${text} is refused`);
    },
  );
});

describe("differences", () => {
  test("are found by path, and secrets compared by value", () => {
    const before = { uploads: [{ file: "/a", content: secret("one") }], labels: ["x"] };
    expect(
      propertyChanges(before, {
        uploads: [{ file: "/a", content: secret("two") }],
        labels: ["x", "y"],
      }),
    ).toEqual([
      { path: "uploads[0].content", input: "uploads", kind: "update" },
      { path: "labels[1]", input: "labels", kind: "add" },
    ]);
    expect(
      propertyChanges(before, { uploads: [{ file: "/a", content: "one" }], labels: ["x"] }),
    ).toEqual([]);
  });

  test("do not count what a real provider filled in, or an empty list beside none", () => {
    const filled = {
      name: "a",
      start: true,
      __defaults: ["start"],
      healthcheck: { startInterval: "0s", __defaults: ["startInterval"], retries: 3 },
      envs: [],
    };
    expect(propertyChanges(filled, { name: "a", healthcheck: { retries: 3 } })).toEqual([]);
    expect(
      propertyChanges(filled, { name: "a", start: false, healthcheck: { retries: 3 } }),
    ).toEqual([{ path: "start", input: "start", kind: "update" }]);
  });

  test("an unknown value counts as a change", () => {
    expect(propertyChanges({ image: "sha256:a" }, { image: unknown })).toEqual([
      { path: "image", input: "image", kind: "update" },
    ]);
    expect(reveal(secret({ token: secret("a") }))).toEqual({ token: "a" });
  });
});
