import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer, request, type Server } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { blockSeconds, noting, relayProgram } from "../../configs/influxdb";
import { freePort, listens, Running, temporaryFolder, until } from "../support/programs";

const folder = temporaryFolder();
const at = (file: string) => join(folder.path, file);
const listen = { address: "127.0.0.1", port: 0, writePort: 0 };
/** Stands in for InfluxDB: it takes what comes, and keeps it. */
let server: Server;
let bodies: Buffer[] = [];
let relay: Running;

beforeAll(async () => {
  for (const name of ["data", "notes"]) mkdirSync(at(name));
  [listen.port, listen.writePort] = [await freePort(), await freePort()];
  server = createServer(async (incoming, response) => {
    const parts: Buffer[] = [];
    for await (const part of incoming) parts.push(part as Buffer);
    bodies.push(Buffer.concat(parts));
    response.writeHead(204).end();
  });
  await new Promise<void>((ready) => server.listen(listen.port, "127.0.0.1", ready));
  await startRelay();
});
afterAll(async () => {
  await relay.stop();
  server.close();
  folder.remove();
});
beforeEach(() => {
  bodies = [];
});

async function startRelay(): Promise<void> {
  const paths = { data: at("data"), notes: at("notes") };
  writeFileSync(at("relay.pl"), relayProgram({ node: "kiel-1", paths, listen }));
  relay = new Running("perl", [at("relay.pl")]);
  await until("the relay listens", () => listens(listen.writePort));
}

const today = () => at(`notes/${new Date().toISOString().slice(0, 10)}`);
const notes = () => (existsSync(today()) ? readFileSync(today(), "utf8").split("\n") : []);

/** A block that nothing was written into yet. */
let block = 1_764_000_000;
const nextBlock = () => (block += blockSeconds);

/** What is noted of some blocks, without its time. */
const notedOf = (...blocks: number[]) =>
  notes()
    .filter((line) => blocks.some((start) => line.endsWith(` ${start}`)))
    .map((line) => line.replace(/^\d+ /, ""));

interface Write {
  query?: string;
  headers?: Record<string, string>;
}

/** Writes as Telegraf does. @returns the status, once the relay has passed it on. */
const write = (body: string | Buffer, { query = "db=bess", headers = {} }: Write = {}) =>
  new Promise<number>((resolve, reject) => {
    const url = `http://127.0.0.1:${listen.writePort}/api/v3/write_lp?${query}`;
    request(url, { method: "POST", headers }, (response) => {
      response.resume().on("end", () => resolve(response.statusCode ?? 0));
    })
      .on("error", reject)
      .end(body);
  });

describe("the relay", () => {
  test("notes each table and block before the answer, and passes the body on unchanged", async () => {
    const [one, two] = [nextBlock(), nextBlock()];
    const body =
      `battery,id=a soc=1,mode="on" ${one}000000001\n` +
      `battery,id=b soc=2 ${one + 599}999999999\n` +
      `pcs,id=a v=1i ${two}000000000\n`;
    const before = Math.floor(Date.now() / 1000);
    expect(await write(body)).toBe(204);
    expect(notedOf(one, two)).toEqual([`bess battery ${one}`, `bess pcs ${two}`]);
    expect(bodies.map(String)).toEqual([body]);
    const [time] = /^\d+/.exec(notes().find((line) => line.endsWith(` ${one}`)) ?? "") ?? [];
    expect(Number(time)).toBeGreaterThanOrEqual(before);
  });

  test("notes a block once within half a minute, and no other database", async () => {
    const start = nextBlock();
    for (const query of ["db=bess", "db=bess", "db=pipeline", "db=bess_minute"])
      await write(`battery v=1 ${start}000000000\n`, { query });
    expect(notedOf(start)).toEqual([`bess battery ${start}`]);
    expect(noting.seconds).toBe(30);
  });

  test.each([
    ["gzip", (text: string) => gzipSync(text), { "content-encoding": "gzip" }],
    ["a known length", (text: string) => text, { "content-length": "" }],
  ])("reads %s", async (_, encode, headers) => {
    const start = nextBlock();
    const body = encode(`battery v=1 ${start}000000000\npcs v=1 ${start}000000000\n`);
    const length = { "content-length": String(Buffer.byteLength(body)) };
    expect(await write(body, { headers: { ...headers, ...length } })).toBe(204);
    expect(notedOf(start)).toEqual([`bess battery ${start}`, `bess pcs ${start}`]);
    expect(bodies[0]?.equals(Buffer.from(body))).toBe(true);
  });

  test.each([
    ["second", ""],
    ["s", ""],
    ["millisecond", "123"],
    ["ms", "123"],
    ["us", "123456"],
    ["microsecond", "123456"],
    ["ns", "123456789"],
    ["auto", "123456789"],
    ["auto", ""],
  ])("reads times of the precision %s", async (precision, fraction) => {
    const start = nextBlock();
    await write(`battery v=1 ${start + 5}${fraction}\n`, {
      query: `precision=${precision}&db=bess`,
    });
    expect(notedOf(start)).toEqual([`bess battery ${start}`]);
  });

  test("reads texts with line breaks, and lines without a time or a last break", async () => {
    const start = nextBlock();
    const now = Math.floor(Date.now() / 1000 / blockSeconds) * blockSeconds;
    await write(
      `# a comment\n\nbattery,id=a t="one\nfake,id=b x=1 ${start + 600}000000000\n",u="\\"" ${start}000000000\n` +
        `alarms,id=a t="a = b"\r\npcs v=1 ${start}000000000`,
    );
    expect(notedOf(start)).toEqual([`bess battery ${start}`, `bess pcs ${start}`]);
    expect(notedOf(start + 600)).toEqual([]);
    expect(notes().map((line) => line.replace(/^\d+ /, ""))).toContain(`bess alarms ${now}`);
  });

  test("reads requests that come byte by byte, several on one connection", async () => {
    const starts = [nextBlock(), nextBlock()];
    const socket = connect(listen.writePort, "127.0.0.1").setNoDelay(true);
    let answers = "";
    socket.on("data", (data) => (answers += String(data)));
    for (const [i, start] of starts.entries()) {
      const lines = `battery v=1 ${start}000000000\nbattery v=2 ${start}000000001\n`;
      const chunks = [lines.slice(0, 9), lines.slice(9)]
        .map((part) => `${part.length.toString(16)}\r\n${part}\r\n`)
        .join("");
      const head =
        "POST /api/v3/write_lp?db=bess HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
      for (const byte of `${head}${chunks}0\r\n\r\n`) {
        socket.write(byte);
        await new Promise(setImmediate);
      }
      await until("the answer", () => answers.split("204 No Content").length === i + 2);
    }
    socket.destroy();
    expect(notedOf(...starts)).toEqual(starts.map((start) => `bess battery ${start}`));
    expect(bodies).toHaveLength(2);
  });

  test("passes on what is no write", async () => {
    const answer = await fetch(`http://127.0.0.1:${listen.writePort}/health`);
    expect(answer.status).toBe(204);
  });

  test("leaves a line that a power cut has broken, and removes notes of more than a month ago", async () => {
    await relay.stop();
    writeFileSync(today(), "17640");
    const [old, recent] = [at("notes/2020-01-01"), at("notes/2020-02-01")];
    const days = (count: number) => Date.now() / 1000 - count * 86_400;
    writeFileSync(old, "");
    utimesSync(old, days(32), days(32));
    writeFileSync(recent, "");
    utimesSync(recent, days(30), days(30));
    await startRelay();
    const start = nextBlock();
    await write(`battery v=1 ${start}000000000\n`);
    expect(readFileSync(today(), "utf8")).toMatch(
      new RegExp(`^17640\n\\d+ bess battery ${start}\n$`),
    );
    expect(readdirSync(at("notes"))).not.toContain("2020-01-01");
    expect(readdirSync(at("notes"))).toContain("2020-02-01");
  });

  test("gives no answer to what it cannot note", async () => {
    await relay.stop();
    await startRelay();
    const start = nextBlock();
    const file = today();
    renameSync(file, `${file}.kept`);
    mkdirSync(file);
    await expect(write(`battery v=1 ${start}000000000\n`)).rejects.toThrow("socket hang up");
    rmSync(file, { recursive: true });
    renameSync(`${file}.kept`, file);
    expect(await write(`battery v=1 ${start}000000000\n`)).toBe(204);
    expect(notedOf(start)).toEqual([`bess battery ${start}`]);
  });
});
