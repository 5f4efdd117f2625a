import { execFileSync } from "node:child_process";
import { createServer } from "node:http";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { program } from "commander";
import { buildMessages } from "../configs/message";
import { loadModel, type Model } from "../configs/model";
import { profiles } from "../configs/profiles";
import { secrets, type TelegrafOptions } from "../configs/telegraf";
import { Broker } from "../tests/support/broker";
import { program as pathOf, Running, until } from "../tests/support/programs";

interface Options {
  former?: string;
  model: string;
  queued: number;
  rate: number;
  seconds: number;
}

/** What a version renders for Telegraf; 0.1.0 had another name for its program. */
interface Renderer {
  telegrafConf: (model: Model, options: TelegrafOptions) => string;
  readingProgram?: (model: Model) => string;
  fieldsProgram?: (model: Model) => string;
}

/** A stand-in for InfluxDB: it counts the rows that it is given, and keeps none. */
async function startCounter(tables: string[]) {
  const begins = new RegExp(`^(?:${tables.join("|")}),`);
  let rows = 0;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks);
      const text = request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body;
      for (const line of text.toString().split("\n")) if (begins.test(line)) rows += 1;
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, rows: () => rows, stop: () => server.close() };
}

/** Messages of all measurements in turn, one ms apart. */
function messagesOf(model: Model, count: number, from: number) {
  return Array.from({ length: count }, (_, i) => {
    const measurement = model.measurements[i % model.measurements.length];
    if (!measurement) throw new Error("the model has no measurement");
    const [message] = buildMessages(measurement, {
      time: from + i,
      tag: ({ name }) => `${name}-${i % 10}`,
      level: `${i % 10}`,
      fields: measurement.fields.map((field) => [
        field,
        field.type === "string" ? "charging" : field.type === "bool" ? true : 4321 + (i % 1000),
      ]),
    });
    if (!message) throw new Error(`${measurement.name} has no message`);
    return message;
  });
}

/** Resident memory of a process at its most, in MiB. */
const peakMiB = ({ pid }: Running): number =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;

/** Processor time of a process, in s. */
function processorSeconds({ pid }: Running): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Measures one version's Telegraf, as deployed, at a real broker. */
async function measure(name: string, checkout: string, options: Options) {
  const folder = mkdtempSync(join(tmpdir(), "bess-ingest-"));
  // oxlint-disable-next-line typescript/no-require-imports -- another checkout is known at run time only
  const renderer = require(join(checkout, "configs/telegraf")) as Renderer;
  const model = loadModel(options.model);
  // oxlint-disable-next-line typescript/no-require-imports -- as above
  const own = require(join(checkout, "configs/model")) as { loadModel: typeof loadModel };
  const read = own.loadModel(join(checkout, options.model));
  const broker = await Broker.start(model);
  const counter = await startCounter(model.measurements.map((measurement) => measurement.name));
  try {
    mkdirSync(join(folder, "secrets"));
    const passwords = { mqtt: broker.passwords.telegraf, monitor: broker.passwords.monitor };
    writeFileSync(join(folder, "secrets", secrets.mqtt), passwords.mqtt);
    writeFileSync(join(folder, "secrets", secrets.monitor), passwords.monitor);
    writeFileSync(join(folder, "secrets", secrets.influxdb), "apiv3_bench");
    const paths = { program: join(folder, "program.star"), secrets: join(folder, "secrets") };
    const config = renderer.telegrafConf(read, {
      site: "bench",
      broker: `tcp://127.0.0.1:${broker.ports.mqtt}`,
      influxdb: counter.url,
      profile: profiles.server,
      paths,
      healthPort: 0,
    });
    writeFileSync(join(folder, "telegraf.conf"), config);
    const starlark = renderer.readingProgram ?? renderer.fieldsProgram;
    if (!starlark) throw new Error(`${checkout} renders no program of Telegraf`);
    writeFileSync(paths.program, starlark(read));
    const start = async () => {
      const telegraf = new Running(pathOf("telegraf"), ["--config", join(folder, "telegraf.conf")]);
      const connected = () => telegraf.output.match(/mqtt_consumer\] Connected/g)?.length ?? 0;
      await until(
        () => `Telegraf has subscribed:\n${telegraf.output}`,
        () => connected() >= model.measurements.length,
      );
      return telegraf;
    };
    // Its sessions are there from now on.
    await (await start()).stop();
    const client = await broker.connect("gateway");
    const queued = messagesOf(model, options.queued, Date.now() - 3_600_000);
    for (let i = 0; i < queued.length; i += 5000)
      await Promise.all(
        queued
          .slice(i, i + 5000)
          .map(({ topic, payload }) => client.publishAsync(topic, payload, { qos: 1 })),
      );
    const began = performance.now();
    const telegraf = await start();
    await until("the queue is drained", () => counter.rows() >= options.queued, 600);
    const drained = (performance.now() - began) / 1000;
    const processor = processorSeconds(telegraf);
    const total = options.rate * options.seconds;
    const live = messagesOf(model, total, Date.now() - 1_800_000);
    const before = counter.rows();
    const tick = 20;
    const opened = performance.now();
    const pending: Promise<unknown>[] = [];
    for (let sent = 0; sent < total;) {
      const due = Math.min(total, Math.ceil(((performance.now() - opened) / 1000) * options.rate));
      for (; sent < due; sent += 1) {
        const message = live[sent];
        if (message) pending.push(client.publishAsync(message.topic, message.payload, { qos: 1 }));
      }
      await sleep(tick);
    }
    await Promise.all(pending);
    const published = (performance.now() - opened) / 1000;
    await until("all are stored", () => counter.rows() - before >= total, 600);
    const stored = (performance.now() - opened) / 1000;
    await client.endAsync();
    const figures = {
      perSecond: options.queued / drained,
      processor: (processor / options.queued) * 1e6,
      peak: peakMiB(telegraf),
    };
    console.log(
      `${name}: ${options.queued} queued messages drained at ${figures.perSecond.toFixed(0)}/s, ` +
        `${figures.processor.toFixed(0)} µs of processor each; ${options.rate}/s for ` +
        `${options.seconds} s: ${counter.rows() - before} of ${total} stored, the last ` +
        `${(stored - published).toFixed(1)} s after it was acknowledged; Telegraf ` +
        `${figures.peak.toFixed(0)} MiB at most`,
    );
    await telegraf.stop();
    return figures;
  } finally {
    counter.stop();
    await broker.stop();
    rmSync(folder, { recursive: true });
  }
}

program
  .description("Messages a second through the deployed broker and Telegraf.")
  .option("--former <folder>", "checkout of another version, measured before and after this one")
  .option("--model <file>", "telemetry model", "configs/telemetry.yaml")
  .option("--queued <count>", "messages that wait for Telegraf", Number, 60_000)
  .option("--rate <count>", "messages a second after that", Number, 5000)
  .option("--seconds <count>", "for how long", Number, 15)
  .action(async (options: Options) => {
    const here = resolve(__dirname, "..");
    const { former } = options;
    const load = execFileSync("cat", ["/proc/loadavg"]).toString().trim();
    console.log(`load at the start: ${load}`);
    const before = former === undefined ? [] : [await measure("former", resolve(former), options)];
    const now = await measure("this version", here, options);
    if (former !== undefined) before.push(await measure("former again", resolve(former), options));
    for (const each of before)
      console.log(
        `ratio to the former: rate ${(now.perSecond / each.perSecond).toFixed(2)}, ` +
          `processor ${(now.processor / each.processor).toFixed(2)}`,
      );
  });

program.parseAsync().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
