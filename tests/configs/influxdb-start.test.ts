import { spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import * as influxdb from "../../configs/influxdb";
import { retentionOf } from "../../configs/retention";
import * as made from "../support/influxdb-files";
import { freePort, temporaryFolder, until } from "../support/programs";

const folder = temporaryFolder();
const at = (file: string) => join(folder.path, file);
const data = at("data");
const paths = {
  data,
  seed: at("seed"),
  adminToken: join(data, ".admin-token"),
  size: join(data, ".size"),
  relay: at("relay.pl"),
  snapshots: at("snapshots.pl"),
};
const { names } = made;

/** The answers of a server that is up, and the points that were written to it. */
let api: Server;
let written: { url: string; body: string; authorization: string | undefined }[] = [];
const listen = { address: "127.0.0.1", port: 0, writePort: 0 };

beforeAll(async () => {
  [listen.port, listen.writePort] = [await freePort(), await freePort()];
  api = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    if (request.method === "POST")
      written.push({ url: request.url ?? "", body, authorization: request.headers.authorization });
    response.writeHead(200).end();
  });
  await new Promise<void>((resolve) => api.listen(listen.port, "127.0.0.1", resolve));
  mkdirSync(at("bin"));
  // Stands in for the server: it says how it was started, and ends as it is told.
  const standIn = `#!/bin/bash\necho "$@" > ${at("arguments")}\ntrap 'exit 7' TERM\n[ "$1" != dies ] || exit 3\nwhile :; do sleep 0.05; done\n`;
  writeFileSync(at("bin/influxdb3"), standIn);
  chmodSync(at("bin/influxdb3"), 0o755);
});
afterAll(() => {
  api.close();
  folder.remove();
});
beforeEach(() => {
  rmSync(data, { recursive: true, force: true });
  mkdirSync(data);
  written = [];
  writeFileSync(paths.seed, '{"token":"apiv3_admin","name":"_admin"}');
});

const options = { node: "kiel-1", paths, listen };

/** A running start script, as the container has it. */
function start(args = ["serve"], choices: { measureAfter?: number; sync?: number } = {}) {
  writeFileSync(at("start.sh"), influxdb.startScript({ ...options, ...choices }));
  writeFileSync(paths.relay, influxdb.relayProgram(options));
  // Of a few where a deployed site makes one of a thousand.
  const merge = { untouched: 20, group: 10 };
  writeFileSync(paths.snapshots, influxdb.snapshotsProgram({ ...options, merge }));
  const child = spawn("bash", [at("start.sh"), ...args], {
    env: { ...process.env, PATH: `${at("bin")}:${process.env.PATH}` },
  });
  const running = { output: "", child, ended: Promise.resolve<number | null>(null) };
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (text: Buffer) => (running.output += text.toString()));
  running.ended = new Promise((resolve) => child.once("close", resolve));
  return running;
}

/** Starts, waits until the server is up, and stops it. */
async function startAndStop(): Promise<string> {
  const began = Date.now();
  rmSync(at("arguments"), { force: true });
  const running = start();
  await until("the server is started", () => existsSync(at("arguments")));
  await until("the start's report", () => running.output.includes("InfluxDB answers"));
  const synced = () => statSync(join(data, ".synced"), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  await until("a sync", () => synced() > began - 2000);
  running.child.kill("SIGTERM");
  await running.ended;
  return running.output;
}

/** Runs the health check's script. The API is this process's, so it must not block. */
async function health(): Promise<{ code: number | null; output: string }> {
  const child = spawn("bash", [at("health.sh")]);
  let output = "";
  child.stdout.on("data", (text: Buffer) => (output += text.toString()));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, output };
}

/** What was set aside, below the folder of its time. */
function setAside(): string[] {
  const all = join(data, ".set-aside");
  if (!existsSync(all)) return [];
  const entries = readdirSync(all, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(all.length)
        .replace(/^\/[^/]+\//, ""),
    )
    .sort();
}
const isThere = (name: string) => existsSync(join(data, name));

/** A site that was synced ten seconds ago, and whole until then. */
function syncedSite(): void {
  made.put(data, names.catalog, made.catalogFile(2), 100);
  for (const log of [1, 2, 3]) made.put(data, names.log(log), made.catalogFile(log), 100 - log);
  for (const wal of [1, 2, 3]) made.put(data, names.wal(wal), made.walFile(), 100 - wal);
  made.put(data, names.parquet(1), made.parquetFile(), 60);
  const listed = [{ path: names.parquet(1), size: 500 }];
  made.put(data, names.snapshot(1), made.snapshotFile(1, listed), 60);
  made.put(data, names.checkpoint(1), "{}", 50);
  made.put(data, ".synced", "", 10);
  made.put(data, ".retention", "all\n", 50);
}

describe("InfluxDB's start script", () => {
  test("starts the server, passes on its arguments, its signals and its exit code", async () => {
    const running = start(["serve", "--node-id=kiel-1"]);
    await until("the server", () => existsSync(at("arguments")));
    running.child.kill("SIGTERM");
    expect(await running.ended).toBe(7);
    expect(readFileSync(at("arguments"), "utf8")).toBe("serve --node-id=kiel-1\n");
    expect(await start(["dies"]).ended).toBe(3);
  });

  test("gives a new volume the generated token, and lets an old one keep its own", async () => {
    await startAndStop();
    writeFileSync(paths.seed, "another");
    await startAndStop();
    expect(readFileSync(paths.adminToken, "utf8")).toContain("apiv3_admin");
    expect(statSync(paths.adminToken).mode & 0o777).toBe(0o600);
  });

  test("syncs again and again, and is unhealthy once that has stopped", async () => {
    writeFileSync(at("health.sh"), influxdb.healthScript(options));
    const running = start(["serve"], { sync: 1 });
    const synced = () => statSync(join(data, ".synced")).mtimeMs;
    await until("the first sync", () => isThere(".synced") && synced() > Date.now() - 60_000);
    const first = synced();
    await until("another sync", () => synced() > first);
    expect(await health()).toEqual({ code: 0, output: "" });
    running.child.kill("SIGSTOP");
    const long = Date.now() / 1000 - 122;
    utimesSync(join(data, ".synced"), long, long);
    expect(await health()).toEqual({
      code: 1,
      output: expect.stringMatching(/^the volume was last synced 12\d s ago\n$/),
    });
    running.child.kill("SIGCONT");
    running.child.kill("SIGTERM");
    await running.ended;
  });

  test("tells the pipeline's database of a start, but not of the first one", async () => {
    expect(await startAndStop()).toMatch(/InfluxDB answers after \d+ ms; 0 files set aside/);
    expect(written).toEqual([]);
    syncedSite();
    made.put(data, names.wal(4), Buffer.alloc(0));
    await startAndStop();
    await until("the point", () => written.length > 0);
    expect(written).toEqual([
      {
        url: "/api/v3/write_lp?db=pipeline",
        body: expect.stringMatching(/^influxdb_start set_aside=1i,milliseconds=\d+i$/),
        authorization: "Bearer apiv3_admin",
      },
    ]);
  });

  test("measures the volume, for the dashboard and the host check", async () => {
    writeFileSync(join(data, "rows"), Buffer.alloc(1_000_000));
    const running = start(["serve"], { measureAfter: 0 });
    const size = () => written.find(({ body }) => body.startsWith("influxdb_size"));
    await until("the size is reported", () => size() !== undefined);
    running.child.kill("SIGTERM");
    await running.ended;
    const bytes = Number(readFileSync(paths.size, "utf8"));
    expect(bytes).toBeGreaterThanOrEqual(1_000_000);
    expect(bytes).toBeLessThan(2_000_000);
    expect(size()?.body).toBe(`influxdb_size bytes=${bytes}i`);
  });
});

describe("what Telegraf writes", () => {
  const write = (body: string) =>
    fetch(`http://127.0.0.1:${listen.writePort}/api/v2/write`, { method: "POST", body });
  let running: ReturnType<typeof start>;
  beforeEach(async () => {
    mkdirSync(join(data, names.wal(1), ".."), { recursive: true });
    running = start();
    await until("the relay", () =>
      write("").then(
        () => true,
        () => false,
      ),
    );
    written = [];
  });
  afterEach(async () => {
    running.child.kill("SIGTERM");
    await running.ended;
  });

  test("comes to InfluxDB, however much at once, and is answered", async () => {
    const bodies = Array.from({ length: 20 }, (_, i) => String(i).repeat(200_000));
    made.put(data, names.wal(1), made.walFile());
    const answers = await Promise.all(bodies.map(write));
    expect(answers.map(({ status }) => status)).toEqual(bodies.map(() => 200));
    expect(new Set(written.map(({ body }) => body))).toEqual(new Set(bodies));
  });

  test("is not answered unless it can be put on the disk, and the service starts again", async () => {
    // The kernel has no disk for this file.
    symlinkSync("/proc/version", join(data, names.wal(2)));
    await expect(write("a value=1")).rejects.toThrow();
    expect(await running.ended).toBe(7);
    expect(running.output).toMatch(/relay: cannot sync .*2\.wal: Invalid argument/);
  });
});

describe("what a power cut has left half written is set aside", () => {
  beforeEach(syncedSite);

  test("nothing is, at a site that is whole", async () => {
    const young = [
      [names.wal(4), made.walFile()],
      [names.log(4), made.catalogFile(4)],
      [names.parquet(2), made.parquetFile(700)],
      [names.snapshot(2), made.snapshotFile(2, [{ path: names.parquet(2), size: 700 }])],
    ] as const;
    for (const [name, content] of young) made.put(data, name, content);
    await startAndStop();
    expect(setAside()).toEqual([]);
  });

  test("nothing is, whose format is another", async () => {
    const young = [names.wal(4), names.log(4)];
    for (const name of young) made.put(data, name, `idb9.999${"x".repeat(99)}`);
    await startAndStop();
    expect(setAside()).toEqual([]);
  });

  test.each([
    ["empty", () => Buffer.alloc(0)],
    ["cut off", () => made.walFile().subarray(0, 300)],
    ["zeros", () => Buffer.alloc(612)],
    [
      "zeros from a block on",
      () => Buffer.concat([made.walFile().subarray(0, 400), Buffer.alloc(212)]),
    ],
  ])("a file of the write-ahead log that is %s, alone", async (_, content) => {
    made.put(data, names.wal(4), content());
    made.put(data, names.wal(5), made.walFile());
    const output = await startAndStop();
    expect(setAside()).toEqual([names.wal(4)]);
    expect(output).toContain(`set aside ${names.wal(4)}: half written\n`);
  });

  test.each([
    ["empty", ""],
    ["cut off", made.snapshotFile(2, []).slice(0, -20)],
    ["zeros", "\0".repeat(300)],
    ["zeros in the middle", made.snapshotFile(2, []).replace("databases", "\0".repeat(9))],
    ["without its Parquet file", made.snapshotFile(2, [{ path: names.parquet(9), size: 5 }])],
  ])("a snapshot that is %s, and younger ones", async (_, content) => {
    made.put(data, names.snapshot(2), content);
    made.put(data, names.snapshot(3), made.snapshotFile(3, []));
    await startAndStop();
    expect(setAside()).toEqual([names.snapshot(3), names.snapshot(2)].sort());
    expect(isThere(names.snapshot(1))).toBe(true);
  });

  test("a snapshot whose Parquet file is half written", async () => {
    made.put(data, names.parquet(2), Buffer.concat([made.parquetFile(300), Buffer.alloc(400)]));
    made.put(
      data,
      names.snapshot(2),
      made.snapshotFile(2, [{ path: names.parquet(2), size: 700 }]),
    );
    await startAndStop();
    expect(setAside()).toEqual([names.snapshot(2)]);
  });

  test("an entry of the catalog, and what was written after it", async () => {
    made.put(data, names.wal(4), made.walFile(), 6);
    made.put(data, names.log(4), "", 5);
    made.put(data, names.wal(5), made.walFile(), 4);
    made.put(data, names.log(5), made.catalogFile(5), 3);
    await startAndStop();
    expect(setAside()).toEqual([names.log(4), names.log(5), names.wal(5)].sort());
  });

  test("not an entry of the catalog that the catalog has taken in", async () => {
    made.put(data, names.log(4), "", 5);
    made.put(data, names.catalog, made.catalogFile(4), 4);
    await startAndStop();
    expect(setAside()).toEqual([]);
  });

  test("the catalog, for which its last synced copy stands in", async () => {
    const kept = readFileSync(join(data, names.catalog));
    await startAndStop();
    made.put(data, names.catalog, Buffer.alloc(0));
    await startAndStop();
    expect(setAside()).toEqual([names.catalog]);
    expect(readFileSync(join(data, names.catalog))).toEqual(kept);
  });

  test("the catalog without such a copy, for which an empty one makes the whole log count", async () => {
    made.put(data, names.catalog, Buffer.alloc(0));
    await startAndStop();
    expect(setAside()).toEqual([names.catalog]);
    const [log, written] = [names.log(1), names.catalog].map((name) =>
      readFileSync(join(data, name)),
    );
    expect(written).toHaveLength(64);
    expect(written?.subarray(16, 32)).toEqual(log?.subarray(16, 32));
  });

  test("a database as a whole, of whose catalog nothing is left", async () => {
    made.put(data, names.catalog, Buffer.alloc(0));
    made.put(data, names.log(1), Buffer.alloc(0));
    expect(await startAndStop()).toContain("the database starts anew, run up again");
    expect(isThere("kiel-1/wal")).toBe(false);
    expect(setAside()).toContain(names.wal(1));
  });

  test("an index of retention, with the marker of what it holds", async () => {
    made.put(data, "kiel-1/table-index-conversion-completed", '{"last_sequence_number":1}', 50);
    made.put(data, "kiel-1/db-indices/1/1/index.info.json", "{");
    await startAndStop();
    expect(setAside()).toEqual([
      "kiel-1/db-indices/1/1/index.info.json",
      "kiel-1/table-index-conversion-completed",
    ]);
  });
});

describe("the snapshots", () => {
  /** A file that a snapshot lists, and whose rows are still there. */
  const file = (number: number, db = 1, table = 1) => {
    const path = `kiel-1/dbs/${db}/${table}/2026-11-27/10-00/${String(number).padStart(10, "0")}.parquet`;
    return { path, size: 500 };
  };
  const there = (number: number, db = 1, table = 1) => {
    const written = file(number, db, table);
    made.put(data, written.path, made.parquetFile(), 90);
    return written;
  };
  const snapshotNumbers = () =>
    readdirSync(join(data, "kiel-1/snapshots"))
      .map((name) => Number(2n ** 64n - 1n - BigInt(name.replace(".info.json", ""))))
      .sort((a, b) => a - b);
  interface Listed {
    snapshot_sequence_number: number;
    databases: [number, { tables: [number, { path: string }[]][] }][];
    removed_files: unknown[];
  }
  const read = (number: number) =>
    JSON.parse(readFileSync(join(data, names.snapshot(number)), "utf8")) as Listed;
  const listed = (number: number) =>
    read(number).databases.flatMap(([db, { tables }]) =>
      tables.flatMap(([table, files]) =>
        files.map(({ path }) => ({ path, below: `kiel-1/dbs/${db}/${table}/` })),
      ),
    );
  const pathsOf = (number: number) => listed(number).map(({ path }) => path);
  const numbers = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i);

  /** 50 snapshots, each with a file of a tier that is there and one that has expired. */
  function fiftySnapshots(): void {
    syncedSite();
    for (const number of numbers(1, 50))
      made.put(
        data,
        names.snapshot(number),
        made.snapshotFile(number, [there(number, 2, number % 3), file(number, 3)]),
        1000 - number,
      );
  }

  test("of long ago become few, which list what is still there", async () => {
    fiftySnapshots();
    expect(await startAndStop()).toContain("26 snapshots merged");
    // Ten each, but for the newest 20 and those whose ten are not complete.
    expect(snapshotNumbers()).toEqual([9, 19, 29, ...numbers(30, 50)]);
    expect(pathsOf(19).sort()).toEqual(
      numbers(10, 19)
        .map((number) => file(number, 2, number % 3).path)
        .sort(),
    );
    for (const { path, below } of listed(19)) expect(path.startsWith(below)).toBe(true);
    expect(read(19)).toMatchObject({ snapshot_sequence_number: 19, removed_files: [] });
    expect(pathsOf(30)).toHaveLength(2);
    expect(setAside()).toEqual([]);
  });

  test("that were merged are looked at again after a month, for what has expired meanwhile", async () => {
    fiftySnapshots();
    await startAndStop();
    for (const number of numbers(10, 19)) rmSync(join(data, file(number, 2, number % 3).path));
    rmSync(join(data, file(5, 2, 2).path));
    await startAndStop();
    expect(pathsOf(19)).toHaveLength(10);
    const longAgo = Date.now() / 1000 - 31 * 86_400;
    utimesSync(join(data, ".snapshots-looked"), longAgo, longAgo);
    await startAndStop();
    expect(snapshotNumbers()).toEqual([9, 29, ...numbers(30, 50)]);
    expect(pathsOf(9)).toHaveLength(8);
  });

  test("are merged by the next run where a power cut has left some", async () => {
    fiftySnapshots();
    const left = numbers(10, 14).map((number): [string, string] => {
      const name = names.snapshot(number);
      return [name, readFileSync(join(data, name), "utf8")];
    });
    await startAndStop();
    const before = pathsOf(19);
    for (const [name, content] of left) made.put(data, name, content, 1000);
    made.put(data, `${names.snapshot(19)}#1`, "{", 1000);
    await startAndStop();
    expect(snapshotNumbers().slice(0, 3)).toEqual([9, 19, 29]);
    expect(pathsOf(19)).toEqual(before);
  });

  test("keep their time, so that no power cut makes them suspect", async () => {
    fiftySnapshots();
    const time = () => statSync(join(data, names.snapshot(19))).mtimeMs;
    const before = time();
    await startAndStop();
    expect(time()).toBeCloseTo(before, -4);
  });

  test("of another format stay, and the server starts", async () => {
    fiftySnapshots();
    const other = readFileSync(join(data, names.snapshot(12)), "utf8").replace(
      '"databases"',
      '"by_table": [], "databases"',
    );
    made.put(data, names.snapshot(12), other, 900);
    expect(await startAndStop()).toMatch(/snapshots stay as they are: .* has another format/);
    expect(snapshotNumbers()).toEqual([9, ...numbers(10, 50)]);
    expect(readFileSync(join(data, names.snapshot(12)), "utf8")).toBe(other);
  });

  test("are all read by InfluxDB, and their index is made anew once they are merged", async () => {
    fiftySnapshots();
    await startAndStop();
    expect(isThere(names.checkpoint(1))).toBe(false);
    made.put(data, names.checkpoint(50), "{}");
    await startAndStop();
    expect(isThere(names.checkpoint(50))).toBe(true);
    const args = influxdb.serveArguments({
      ...options,
      retention: retentionOf({ profile: "pi" }),
      profile: { flush: 1 },
      memoryMiB: 1024,
    });
    expect(args).toContain("--gen1-lookback-duration=36500d");
  });
});

describe("the index of the snapshots", () => {
  beforeEach(syncedSite);

  test("is set aside once, if a former version made it", async () => {
    made.put(data, ".retention", "7776000\n", 50);
    expect(await startAndStop()).toContain("made from few of the snapshots");
    expect(setAside()).toEqual([names.checkpoint(1)]);
    made.put(data, names.checkpoint(2), "{}");
    await startAndStop();
    expect(isThere(names.checkpoint(2))).toBe(true);
  });

  test("is set aside if it is half written", async () => {
    made.put(data, names.checkpoint(2), '{"databases":');
    await startAndStop();
    expect(setAside()).toEqual([names.checkpoint(1), names.checkpoint(2)].sort());
  });
});
