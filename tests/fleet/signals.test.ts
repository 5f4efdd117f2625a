import { compareSignals, type Signals } from "../../fleet/rollout/signals";
import { StoringWatch } from "../../fleet/rollout/storing";
import { until } from "../support/programs";

const before: Signals = {
  rates: { bess: 120, battery: 60, weather: 1, rare: 6, silent: 0 },
  rows: { bess: 600, battery: 300, weather: 6, rare: 3, silent: 0 },
  drops: 2,
  alerts: ["High temperature"],
  settleSeconds: 5,
};

test.each<[string, Partial<Signals>, string[]]>([
  ["all that came before", {}, []],
  [
    "a third of a measurement",
    { rates: { ...before.rates, bess: 40 } },
    ["bess comes 40 times a minute, and came 120 times before"],
  ],
  [
    "a measurement twice and more",
    { rates: { ...before.rates, battery: 130 } },
    ["battery comes 130 times a minute, and came 60 times before"],
  ],
  [
    "nothing of a measurement of which too few rows are due",
    { rates: { bess: 120, battery: 60 } },
    [],
  ],
  ["one more dropped message", { drops: 4 }, []],
  ["many more", { drops: 20 }, ["20 messages a minute are dropped, and 2 were before"]],
  ["an alert that fired before", { alerts: ["High temperature"] }, []],
  ["a new one", { alerts: ["High temperature", "Silent"] }, ["alerts that began: Silent"]],
])("after an update comes %s", (_, change, findings) => {
  const after = { ...before, ...change };
  expect(compareSignals(before, after, 15).findings).toEqual(findings);
});

test("a slow measurement that stays away is seen once its rows are due", () => {
  const after = { ...before, rates: { ...before.rates, weather: 0 } };
  expect(compareSignals(before, after, 60).findings).toEqual([]);
  expect(compareSignals(before, after, 600).findings).toEqual([
    "weather comes 0 times a minute, and came 1 times before",
  ]);
});

describe("while a site is updated", () => {
  /** A stand-in site: what the broker has taken is stored once the database is back. */
  const site = () => {
    const taken = new Set<number>();
    const state = { broker: true, database: true, seen: 0, lost: 0, taken };
    return Object.assign(state, {
      publish: async (n: number) => {
        if (!state.broker) throw new Error("connection refused");
        taken.add(n);
      },
      stored: async () => {
        if (!state.database) throw new Error("no such container");
        return (state.seen = Math.max(0, taken.size - state.lost));
      },
    });
  };

  test("no message is lost that the broker kept, and the time without storing is told", async () => {
    const stub = site();
    const watch = new StoringWatch(stub, 0.01);
    await until("messages that are stored", () => stub.seen > 3);
    stub.database = false;
    const begun = performance.now();
    const sent = stub.taken.size;
    await until("more messages", () => stub.taken.size > sent + 20);
    stub.broker = false;
    await until("more messages", () => performance.now() - begun > 300);
    const down = (performance.now() - begun) / 1000;
    Object.assign(stub, { database: true, broker: true });
    const now = stub.taken.size;
    await until("more messages", () => stub.taken.size > now + 2);
    const ended = await watch.end(5);
    expect(ended?.messages?.lost).toBe(0);
    expect(ended?.messages?.sent).toBe(stub.taken.size);
    // As a gateway does, it publishes again what the broker did not take: no number is left out.
    expect([...stub.taken]).toEqual([...stub.taken.keys()].map((_, n) => n));
    expect(ended?.downtime?.seconds).toBeGreaterThanOrEqual(Math.floor(down * 10) / 10);
  });

  test("one that is never stored is told after the limit", async () => {
    const stub = site();
    stub.lost = 1;
    const watch = new StoringWatch(stub, 0.01);
    await until("more messages", () => stub.taken.size > 5);
    expect((await watch.end(0.1))?.messages?.lost).toBe(1);
  });
});
