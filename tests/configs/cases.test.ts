import { setTimeout as sleep } from "node:timers/promises";
import { Pipeline } from "../support/pipeline";
import { until } from "../support/programs";
import { rowOf } from "../support/recorder";
import {
  type Case,
  type CaseMessage,
  caseModel,
  cases,
  casesAreHere,
  findings,
} from "../support/cases";

/** Cases whose messages must keep their distance in time: the reader is away between some. */
const timed = ["20", "21"];
/** A replay is the command line's: tests/cli/replay. */
const elsewhere = ["36"];

const startsWith =
  (prefixes: string[]) =>
  ({ name }: Case) =>
    prefixes.some((prefix) => name.startsWith(prefix));

/** What a case gave on the real broker and Telegraf. */
async function seen(given: Case): Promise<string[]> {
  const several = given.messages.some(({ model }) => model !== undefined);
  // A second model is one that is refused: its messages come all the same.
  const model = caseModel(given, several || given.name.startsWith("26") ? 1 : undefined);
  const fitting = given.name.startsWith("26") ? given.messages.slice(0, 1) : given.messages;
  const pipeline = await Pipeline.start(model, "90d", given.messages[0]?.reader !== "new");
  try {
    const start = Date.now();
    const published = new Map<CaseMessage, number>();
    let running = given.messages[0]?.reader !== "new";
    for (const message of fitting) {
      if (timed.some((prefix) => given.name.startsWith(prefix)))
        await sleep(Math.max(0, start + message.at - Date.now()));
      const wanted = message.reader === undefined;
      if (wanted !== running) await (wanted ? pipeline.startTelegraf() : pipeline.stopTelegraf());
      running = wanted;
      published.set(message, Date.now());
      await pipeline.broker.send("gateway", message);
    }
    await told(pipeline);
    const rows = pipeline.endpoint.points
      .filter(({ table }) => model.measurements.some(({ name }) => name === table))
      .map(rowOf);
    const drops = pipeline.endpoint.points
      .filter(({ table }) => table === "mqtt_drops" || table === "mqtt_strays")
      .map(rowOf)
      .map(({ tags, fields }) => ({
        topic: tags.topic ?? "",
        field: tags.field ?? "",
        count: Number(fields.count),
      }));
    return findings(given, rows, drops, (message) => published.get(message) ?? start);
  } finally {
    await pipeline.stop();
  }
}

/** Waits until Telegraf has told what it dropped, which it does with what it tells of itself. */
async function told({ endpoint }: Pipeline): Promise<void> {
  const reports = () => endpoint.table("internal_agent").length;
  // By then it has read the messages.
  await sleep(1500);
  const before = reports();
  await until("Telegraf tells of itself", () => reports() > before, 30);
  await sleep(500);
}

/** Runs tasks, so many at once: each has a broker and a Telegraf. */
function limited(atOnce: number): <T>(task: () => Promise<T>) => Promise<T> {
  let free = atOnce;
  const waiting: (() => void)[] = [];
  return async (task) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await task();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free += 1;
    }
  };
}

(casesAreHere ? describe : describe.skip)("on the real broker and Telegraf, case", () => {
  const all = casesAreHere ? cases() : [];
  const results = new Map<string, Promise<string[]>>();
  beforeAll(() => {
    const run = limited(6);
    for (const given of all.filter((one) => !startsWith(elsewhere)(one))) {
      const result = run(() => seen(given));
      result.catch(() => undefined);
      results.set(given.name, result);
    }
  });

  test.each(all.filter((one) => !startsWith(elsewhere)(one)))(
    "$name",
    async ({ name }) => {
      expect(await results.get(name)).toEqual([]);
    },
    180_000,
  );
});
