import { readdirSync } from "node:fs";
import { join } from "node:path";
import { Messages, type Recorded } from "../../cli/recording";
import { loadModel, type Model } from "../../configs/model";
import { type Drop, readerOf, type StoredPoint } from "../../configs/reading";
import { Pipeline } from "../support/pipeline";
import { until } from "../support/programs";
import { rowOf } from "../support/recorder";

const folder = join(__dirname, "../../configs/models");

/** A ready model, and what is recorded of its gateway: the values are invented. */
interface Ready {
  model: Model;
  messages: Recorded[];
  points: StoredPoint[];
  drops: Drop[];
  strays: string[];
}

async function ready(name: string): Promise<Ready> {
  const model = loadModel(join(folder, `${name}.yaml`));
  const read = readerOf(model, "90d");
  const recording = new Messages({
    recording: join(folder, "recordings", `${name}.ndjson`),
    stack: "",
    for: 0,
  });
  const found: Ready = { model, messages: [], points: [], drops: [], strays: [] };
  for await (const message of recording.read()) {
    const { points, drops, subscriptions } = read(
      message.topic,
      message.payload,
      message.time ?? 0n,
    );
    found.messages.push(message);
    found.points.push(...points);
    found.drops.push(...drops);
    if (subscriptions.length === 0) found.strays.push(message.topic);
  }
  expect(recording.foreign).toBe(0);
  return found;
}

const names = readdirSync(join(folder, "recordings")).map((file) => file.replace(".ndjson", ""));

test("every field of a ready model is in its recording", async () => {
  for (const name of names) {
    const { model, points } = await ready(name);
    const missing = model.measurements.flatMap(({ name: table, fields }) =>
      fields
        .filter((field) => !points.some((p) => p.table === table && field.name in p.fields))
        .map((field) => `${name}: ${table}.${field.name}`),
    );
    expect(missing).toEqual([]);
  }
});

test("nothing that a ready model's gateway says of a declared field is dropped, but no value", async () => {
  const dropped = new Map<string, string[]>();
  for (const name of names) {
    const { drops } = await ready(name);
    const told = drops.map(
      ({ table, field, reason, example }) => `${table}.${field} ${reason}: ${example}`,
    );
    dropped.set(
      name,
      [...new Set(told)].filter((text) => !text.includes("none of the declared fields")),
    );
  }
  expect(Object.fromEntries(dropped)).toEqual({
    "esphome-bms": ["battery. empty payload: ", "battery.temperature not a number: nan"],
    "scada-list": [],
    seed: [],
    "solar-assistant": ["battery.current not a number: unavailable"],
    victron: ["battery.time_to_go wrong type: […]", "battery. empty payload: "],
  });
});

test.each<[string, StoredPoint]>([
  [
    "seed",
    {
      table: "pcs",
      tags: { id: "2", group_id: "1" },
      fields: expect.objectContaining({
        dc_voltage: 391.272,
        dc_current: -6.35,
        ac_b_current: 64.1,
      }),
      time: 1795161601000000000n,
    },
  ],
  [
    "victron",
    {
      table: "battery",
      tags: { portal: "c0ffee51b001", id: "512" },
      fields: { current: 12.25 },
      time: undefined,
    },
  ],
  [
    "victron",
    {
      table: "battery",
      tags: { portal: "c0ffee51b001", id: "513" },
      fields: { time_to_go: 30360 / 3600 },
      time: undefined,
    },
  ],
  [
    "victron",
    {
      table: "system",
      tags: { portal: "c0ffee51b001" },
      fields: { battery_state: "discharging" },
      time: undefined,
    },
  ],
  [
    "scada-list",
    {
      table: "rack",
      tags: { id: "R1" },
      fields: {
        soc: 55.5,
        voltage: 732.1,
        current: -18.5,
        temperature_max: 24.5,
        cell_voltage_min: 3.251,
        contactor: true,
        alarm: false,
      },
      time: 1795161600000000000n,
    },
  ],
  [
    "scada-list",
    {
      table: "pcs",
      tags: { id: "PCS1" },
      fields: { power: 0, mode: "standby" },
      time: 1795161603000000000n,
    },
  ],
  [
    "esphome-bms",
    { table: "battery", tags: { id: "jk-bms" }, fields: { discharging: false }, time: undefined },
  ],
  [
    "solar-assistant",
    {
      table: "inverter",
      tags: { id: "inverter_1" },
      fields: { mode: "Solar first" },
      time: undefined,
    },
  ],
])("%s gives the row that its gateway means", async (name, expected) => {
  expect((await ready(name)).points).toContainEqual(expected);
});

test.each(names)(
  "%s: the broker and Telegraf store what is read here",
  async (name) => {
    const { model, messages, points, strays } = await ready(name);
    const pipeline = await Pipeline.start(model);
    const sorted = (rows: Pick<StoredPoint, "table" | "tags" | "fields">[]) =>
      rows
        .map(({ table, tags, fields }) => JSON.stringify([table, sort(tags), sort(fields)]))
        .sort();
    try {
      for (const { topic, payload } of messages)
        if (!strays.includes(topic)) await pipeline.broker.send("gateway", { topic, payload });
      const stored = () =>
        pipeline.endpoint.points.filter(({ table }) =>
          model.measurements.some((m) => m.name === table),
        );
      await until(
        () => `${points.length} points are stored:\n${pipeline.log}`,
        () => stored().length >= points.length,
      );
      expect(sorted(stored().map(rowOf))).toEqual(sorted(points));
    } finally {
      await pipeline.stop();
    }
  },
  60_000,
);

const sort = (record: Record<string, unknown>) =>
  Object.entries(record)
    .map(([key, value]) => `${key}=${String(value)}`)
    .sort();
