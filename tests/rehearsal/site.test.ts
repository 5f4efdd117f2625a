import { parseFault } from "../../rehearsal";
import { Engine } from "../../rehearsal/engine";
import { Faults } from "../../rehearsal/faults";
import { changes, reveal, secret, unknown } from "../../rehearsal/wire";
import { temporaryFolder } from "../support/programs";

const folder = temporaryFolder();
afterAll(() => folder.remove());

const wanted = {
  image: "sha256:a",
  healthy: true,
  networks: ["field"],
  ports: ["127.0.0.1:1883"],
  volumes: ["data"],
  aliases: ["broker"],
};
const files = { readOnly: false, uploads: 0 };

describe("a simulated engine refuses what Docker refuses", () => {
  let engine: Engine;
  beforeEach(() => {
    engine = Engine.open(folder.path, `unix:///${Math.random()}`);
    engine.createNetwork("field");
    engine.run("broker", wanted, files);
  });

  test.each<[string, () => void, RegExp]>([
    [
      "a name that is taken",
      () => engine.run("broker", { ...wanted, ports: [] }, files),
      /Conflict.*"\/broker" is already in use/,
    ],
    [
      "a port that is taken",
      () => engine.run("other", wanted, files),
      /Bind for 127.0.0.1:1883 failed: port is already allocated/,
    ],
    [
      "a port of all addresses beside one of one",
      () => engine.run("other", { ...wanted, ports: ["0.0.0.0:1883"] }, files),
      /0.0.0.0:1883 failed/,
    ],
    [
      "an unknown network",
      () => engine.run("other", { ...wanted, ports: [], networks: ["fild"] }, files),
      /network fild not found/,
    ],
    [
      "an upload to a read-only container",
      () => engine.run("other", { ...wanted, ports: [] }, { readOnly: true, uploads: 1 }),
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
    const before = JSON.stringify(engine.held);
    expect(attempt).toThrow(message);
    expect(JSON.stringify(engine.held)).toBe(before);
  });

  test("and takes the same port on another address", () => {
    expect(() =>
      engine.run("other", { ...wanted, ports: ["192.168.0.2:1883"] }, files),
    ).not.toThrow();
  });

  test("what it holds outlives the process, by host", () => {
    expect(Engine.open(folder.path, engine.held.host).held).toEqual(engine.held);
    expect(Engine.open(folder.path, "ssh://pi@elsewhere").held.containers).toEqual({});
  });
});

describe("faults", () => {
  const counter = () => {
    const asked: Record<string, number> = {};
    return (name: string) => (asked[name] = (asked[name] ?? -1) + 1);
  };

  test("a flapping resource fails every other time, the first one too", async () => {
    const faults = new Faults([parseFault("dev-grafana=flap")], counter());
    await expect(faults.meet("Container:dev-grafana")).rejects.toThrow(
      "Container:dev-grafana fails",
    );
    await faults.meet("Container:dev-grafana");
    await expect(faults.meet("Container:dev-grafana")).rejects.toThrow();
  });

  test("a fault meets the resources that it names, and no others", async () => {
    const faults = new Faults([parseFault("Container:dev-*=fail")], counter());
    await expect(faults.meet("Container:dev-grafana")).rejects.toThrow();
    await faults.meet("RemoteImage:dev-grafana");
    await faults.meet("Container:pi-grafana");
  });

  test("what hangs ends when the operation is cancelled", async () => {
    const faults = new Faults([parseFault("*=hang")], counter());
    const hanging = faults.meet("Network:dev-field");
    faults.cancel();
    await expect(hanging).rejects.toThrow("cancelled");
  });

  test("a slow resource takes as long as told, and then goes on", async () => {
    const faults = new Faults([parseFault("dev-field=slow:0.05")], counter());
    const start = performance.now();
    await faults.meet("Network:dev-field");
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
  test("are told by path, secrets by what they hold", () => {
    const before = { uploads: [{ file: "/a", content: secret("one") }], labels: ["x"] };
    expect(
      changes(before, { uploads: [{ file: "/a", content: secret("two") }], labels: ["x", "y"] }),
    ).toEqual([
      { path: "uploads[0].content", input: "uploads", kind: "update" },
      { path: "labels[1]", input: "labels", kind: "add" },
    ]);
    expect(changes(before, { uploads: [{ file: "/a", content: "one" }], labels: ["x"] })).toEqual(
      [],
    );
  });

  test("do not count what a real provider filled in, or an empty list beside none", () => {
    const filled = {
      name: "a",
      start: true,
      __defaults: ["start"],
      healthcheck: { startInterval: "0s", __defaults: ["startInterval"], retries: 3 },
      envs: [],
    };
    expect(changes(filled, { name: "a", healthcheck: { retries: 3 } })).toEqual([]);
    expect(changes(filled, { name: "a", start: false, healthcheck: { retries: 3 } })).toEqual([
      { path: "start", input: "start", kind: "update" },
    ]);
  });

  test("an unknown value counts as a change", () => {
    expect(changes({ image: "sha256:a" }, { image: unknown })).toEqual([
      { path: "image", input: "image", kind: "update" },
    ]);
    expect(reveal(secret({ token: secret("a") }))).toEqual({ token: "a" });
  });
});
