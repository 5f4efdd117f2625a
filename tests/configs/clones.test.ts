import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { delimiter, join } from "node:path";
import { startScript as grafanaStart } from "../../configs/grafana";
import { asIs } from "../../configs/clones";
import { compareVersions, imageVersion } from "../../configs/images";
import * as influxdb from "../../configs/influxdb";
import { loadModel } from "../../configs/model";
import { database } from "../../configs/mosquitto";
import { Broker } from "../support/broker";
import { retentionOf } from "../../configs/retention";
import * as made from "../support/influxdb-files";
import {
  freePort,
  influxdb3,
  influxdbMissing,
  program,
  Running,
  temporaryFolder,
  until,
} from "../support/programs";

const folder = temporaryFolder();
afterAll(() => folder.remove());
const at = (file: string) => join(folder.path, file);
const data = at("data");
const clones = join(data, ".clones");
const bin = at("bin");
const { names } = made;

/** Puts a program of a container in the place of this machine's. */
function standIn(name: string, lines: string): void {
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, name), `#!/bin/bash\n${lines}\n`);
  chmodSync(join(bin, name), 0o755);
}

/** What is no data: clones, and what the start script writes itself. */
const notData = /^\.(clones|set-aside|admin-token|synced|catalog|retention)\b/;

/** Every file of the data by its name: its content, and the second of its last change. */
function tree(root = data): Record<string, string> {
  const files = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(root.length + 1))
    .filter((name) => !notData.test(name))
    .sort();
  return Object.fromEntries(
    files.map((name) => {
      const path = join(root, name);
      const content = createHash("sha256").update(readFileSync(path)).digest("hex");
      return [name, `${content} ${Math.floor(statSync(path).mtimeMs / 1000)}`];
    }),
  );
}

const paths = {
  data,
  seed: at("seed"),
  adminToken: join(data, ".admin-token"),
  size: join(data, ".size"),
  relay: at("relay.pl"),
  snapshots: at("snapshots.pl"),
};

/** How a start script ended. */
interface Ended {
  code: number | null;
  output: string;
}

/** The start scripts on files, with stand-ins for the programs that they start. */
const services = {
  influxdb: {
    script(image: string): string[] {
      const listen = { address: "127.0.0.1", port: 1, writePort: 1 };
      const options = { node: "kiel-1", paths, listen, image };
      writeFileSync(at("start.sh"), influxdb.startScript(options));
      return ["bash", at("start.sh")];
    },
    /** What a version leaves, and what the next one makes of it: links must not follow. */
    fill(): void {
      made.put(data, names.catalog, made.catalogFile(2), 100);
      for (const log of [1, 2, 3]) made.put(data, names.log(log), made.catalogFile(log), 100);
      for (const wal of [1, 2, 3]) made.put(data, names.wal(wal), made.walFile(), 100);
      made.put(data, names.parquet(1), made.parquetFile(), 60);
      made.put(
        data,
        names.snapshot(1),
        made.snapshotFile(1, [{ path: names.parquet(1), size: 500 }]),
        60,
      );
      made.put(data, "kiel-1/db-indices/1/1/index.info.json", "{}", 60);
      made.put(data, ".retention", `${90 * 86_400}\n`, 50);
      made.put(data, ".synced", "", 10);
    },
    change(): void {
      made.put(data, names.catalog, made.catalogFile(9, "newer"));
      made.put(data, names.wal(4), made.walFile("newer rows"));
      rmSync(join(data, names.parquet(1)));
      writeFileSync(join(data, "kiel-1/db-indices/1/1/index.info.json"), '{"newer":1}');
    },
  },
  grafana: {
    script(image: string): string[] {
      const places = {
        data,
        secretKey: join(data, ".secret-key"),
        seed: at("seed"),
        password: at("seed"),
      };
      writeFileSync(at("start.sh"), grafanaStart({ site: "kiel-1", image }, places));
      return [program("busybox"), "sh", at("start.sh")];
    },
    fill(): void {
      made.put(data, "grafana.db", "tables".repeat(10_000), 100);
      made.put(data, "plugins/a b/plugin.json", "{}", 100);
      made.put(data, ".secret-key", "key", 100);
    },
    change(): void {
      made.put(data, "grafana.db", "migrated".repeat(10_000));
      made.put(data, "grafana.db-wal", "of the newer one");
    },
  },
} as const;
type Cloned = keyof typeof services;
const imageOf = { influxdb: "influxdb", grafana: "grafana/grafana" } as const;

/**
 * Starts a version of a service.
 * @param env with one, by a shell that finds every program on the PATH, also where it has its own.
 */
function start(service: Cloned, version: string, env?: Record<string, string>): Ended {
  const command = services[service].script(`${imageOf[service]}:${version}`);
  const [file = "", ...args] =
    env && service === "grafana" ? ["dash", ...command.slice(-1)] : command;
  const { status, stdout, stderr } = spawnSync(file, args, {
    env: { ...process.env, PATH: [bin, process.env.PATH].join(delimiter), ...env },
    encoding: "utf8",
    timeout: 20_000,
  });
  return { code: status, output: stdout + stderr };
}

beforeEach(() => {
  for (const path of [data, bin]) rmSync(path, { recursive: true, force: true });
  mkdirSync(data);
  writeFileSync(at("seed"), '{"token":"apiv3_admin","name":"_admin"}');
  writeFileSync(paths.relay, "sleep 1");
  // Ends at once: what comes before it is looked at.
  standIn("influxdb3", `touch ${at("started")}; exit 3`);
  standIn("grafana", `touch ${at("started")}`);
});

const request = (name: string) => symlinkSync(name, join(clones, ".requested"));
const listed = () =>
  existsSync(clones) ? readdirSync(clones).filter((name) => !name.startsWith(".")) : [];
/** The exit code of a start that got past the guard: the server's, or that of a shell without `/run.sh`. */
const passed = { influxdb: 3, grafana: 127 } as const;
const asideOf = () => readdirSync(join(data, ".set-aside"));

describe.each(["influxdb", "grafana"] as const)("the data of %s", (service) => {
  const { fill, change } = services[service];
  /** Data of 3.11.2, which 3.12.2 has opened and changed. */
  function raised(): Record<string, string> {
    start(service, "3.11.2-core");
    fill();
    const before = tree();
    expect(start(service, "3.12.2-core").code).toBe(passed[service]);
    change();
    return before;
  }

  test("are cloned once for another version, and not for a new volume", () => {
    expect(start(service, "3.11.2-core").code).toBe(passed[service]);
    expect([listed(), readlinkSync(join(data, ".version"))]).toEqual([[], "3.11.2-core"]);
    fill();
    expect(start(service, "3.11.2-core").output).not.toMatch(/clone/);
    expect(start(service, "3.12.2-core").output).toMatch(
      new RegExp(`${service}: a clone of the data, as 3.11.2-core left them, was taken in \\d+ s`),
    );
    expect(start(service, "3.12.2-core").output).not.toMatch(/clone/);
    expect(listed()).toEqual(["3.11.2-core"]);
    expect(readFileSync(join(clones, "3.11.2-core/about"), "utf8")).toMatch(
      /^\S+Z 3\.12\.2-core\n$/,
    );
  });

  test("of before there were versions are cloned, too", () => {
    fill();
    start(service, "3.12.2-core");
    expect(listed()).toEqual(["unmarked"]);
  });

  test("are refused to an older version, which is told the remedy, and not touched", () => {
    raised();
    const now = tree();
    const { code, output } = start(service, "3.11.2-core");
    expect(code).toBe(78);
    expect(output).toMatch(
      new RegExp(
        `^${service}: refused: 3.12.2-core has opened these data last, and 3.11.2-core may not read .*\n` +
          `${service}: clone that 3.11.2-core reads: 3.11.2-core of \\S+Z\n` +
          `${service}: next: set images.${service} back to 3.12.2-core, and run up; or go back with the data: ` +
          `npx bess rollback-data --stack kiel-1 --service ${service} gives it the clone 3.11.2-core\n$`,
      ),
    );
    expect(tree()).toEqual(now);
    expect(start(service, "3.12.2-core").code).toBe(passed[service]);
  });

  test("come back as they were, and the newer ones are kept aside", () => {
    const before = raised();
    const now = tree();
    request("3.11.2-core");
    // The newer version goes on with its own data while it is there.
    expect(start(service, "3.12.2-core").code).toBe(passed[service]);
    expect(tree()).toEqual(now);
    const { code, output } = start(service, "3.11.2-core");
    expect(code).toBe(passed[service]);
    expect(tree()).toEqual(before);
    expect(asideOf()).toEqual([expect.stringMatching(/Z-3\.12\.2-core$/)]);
    expect(tree(join(data, ".set-aside", asideOf()[0] ?? ""))).toEqual(now);
    expect(output).toMatch(
      /the data of 3.11.2-core are back, as they were before 3.12.2-core opened/,
    );
    expect(readlinkSync(join(clones, ".returned"))).toBe("3.11.2-core");
    // The clone stays: what changes the data now must not change it.
    change();
    start(service, "3.12.2-core");
    request("3.11.2-core");
    expect(listed()).toEqual(["3.11.2-core"]);
  });

  test("are opened as they are by an older version that is asked to, once they are cloned", () => {
    raised();
    const now = tree();
    request(asIs);
    expect(start(service, "3.11.2-core").code).toBe(passed[service]);
    expect([tree(), listed().sort()]).toEqual([now, ["3.11.2-core", "3.12.2-core"]]);
    expect(existsSync(join(clones, ".requested"))).toBe(false);
  });

  test("are refused for a clone that is gone, or newer than what asks", () => {
    raised();
    request("3.10.0-core");
    expect(start(service, "3.11.2-core")).toMatchObject({
      code: 78,
      output: expect.stringContaining("the clone 3.10.0-core that was asked for is not there"),
    });
    rmSync(join(clones, ".requested"));
    request("3.11.2-core");
    expect(start(service, "3.11.1-core")).toMatchObject({
      code: 78,
      output: expect.stringContaining("the clone 3.11.2-core that was asked for is of a newer"),
    });
  });

  test("are refused for another version where there is no room, but older clones give way", () => {
    raised();
    standIn("df", "echo; echo x x x 1000 99% /");
    expect(start(service, "3.13.0-core", {})).toMatchObject({
      code: 78,
      output: expect.stringMatching(
        /the clone of 3.11.2-core is removed: another one needs its room\n.*refused: the volume has no room .*, and 1000 KiB are free/,
      ),
    });
    expect(readlinkSync(join(data, ".version"))).toBe("3.12.2-core");
    rmSync(join(bin, "df"));
    expect(start(service, "3.13.0-core").code).toBe(passed[service]);
    expect(listed()).toEqual(["3.12.2-core"]);
  });

  test("have two clones, and none of more than 30 days", () => {
    start(service, "3.9.0-core");
    fill();
    const since = (version: string, minutes: number) =>
      writeFileSync(
        join(clones, version, "about"),
        `${new Date(Date.now() - minutes * 60_000).toISOString().slice(0, 19)}Z next\n`,
      );
    for (const [from, to, minutes] of [
      ["3.9.0-core", "3.10.0-core", 3],
      ["3.10.0-core", "3.11.0-core", 2],
      ["3.11.0-core", "3.12.0-core", 1],
    ] as const) {
      start(service, to);
      since(from, minutes);
    }
    start(service, "3.12.0-core");
    expect(listed().sort()).toEqual(["3.10.0-core", "3.11.0-core"]);
    writeFileSync(join(clones, "3.10.0-core/about"), "2020-01-01T00:00:00Z 3.11.0-core\n");
    expect(start(service, "3.12.0-core").output).toMatch(/the clone of 3.10.0-core is removed/);
    expect(listed()).toEqual(["3.11.0-core"]);
  });

  /** Has the power fail before the nth of the commands that change anything, until the server starts. */
  function cutPower(): void {
    for (const name of ["mkdir", "mv", "ln", "rm", "sync", "perl", "tar"]) {
      const real = spawnSync("which", [name], { encoding: "utf8" }).stdout.trim();
      const [counted, count] = [`$(($(cat ${at("count")}) + 1))`, at("count")];
      standIn(
        name,
        `[ -e ${at("started")} ] || { n=${counted}; echo $n > ${count}; [ "$n" != "$CUT" ] || kill -9 $PPID; }\n` +
          (name === "sync" ? "" : `exec ${real} "$@"`),
      );
    }
  }

  test.each([
    ["a clone", false],
    ["a return", true],
  ])("outlive a power cut before any step of %s", (_, returning) => {
    const before = returning ? raised() : (start(service, "3.11.2-core"), fill(), tree());
    const now = tree();
    if (returning) request("3.11.2-core");
    const version = returning ? "3.11.2-core" : "3.12.2-core";
    spawnSync("cp", ["-a", data, at("saved")]);
    cutPower();
    const run = (cut: number) => {
      writeFileSync(at("count"), "0");
      rmSync(at("started"), { force: true });
      start(service, version, { CUT: String(cut) });
      return Number(readFileSync(at("count"), "utf8"));
    };
    let cut = 1;
    for (; run(cut) >= cut; cut++) {
      run(0);
      const left = readdirSync(clones).filter((name) => /^\.(?!returned)/.test(name));
      expect([cut, tree(), left, listed()]).toEqual([cut, before, [], ["3.11.2-core"]]);
      expect(readlinkSync(join(data, ".version"))).toBe(version);
      if (returning)
        expect(asideOf().map((one) => tree(join(data, ".set-aside", one)))).toEqual([now]);
      rmSync(data, { recursive: true });
      spawnSync("cp", ["-a", at("saved"), data]);
    }
    rmSync(at("saved"), { recursive: true });
    expect(cut).toBeGreaterThan(8);
  });
});

test.each([
  ["3.11.2-core", "3.12.2-core"],
  ["3.9.0-core", "3.11.0-core"],
  ["13.1.1", "13.1.1-ubuntu"],
  ["2.1.2-alpine", "2.1-alpine"],
  ["v1.0", "1.0.1"],
  ["sha256-0123456789ab", "3.12.2"],
  ["unmarked", "3.12.2"],
])("the start scripts order %s and %s as the policy does", (a, b) => {
  for (const [former, version] of [
    [a, b],
    [b, a],
  ] as const) {
    rmSync(data, { recursive: true });
    mkdirSync(data);
    services.grafana.fill();
    symlinkSync(former, join(data, ".version"));
    const isOlder = (compareVersions(imageVersion(`x:${version}`), former) ?? 0) < 0;
    expect([version, start("grafana", version).code]).toEqual([version, isOlder ? 78 : 127]);
  }
});

test("a version is an image's tag, or the beginning of its digest", () => {
  const digest = `sha256:${"ab".repeat(32)}`;
  expect(
    ["influxdb:3.12.2-core", `influxdb:3.12.2-core@${digest}`, `a.lan:5000/x@${digest}`].map(
      imageVersion,
    ),
  ).toEqual(["3.12.2-core", "3.12.2-core", "sha256-abababababab"]);
});

describe("the queue of a real broker", () => {
  const model = loadModel("configs/telemetry.yaml");
  const [reader, topic] = ["telegraf-test", "battery/b1/status"];
  // The broker is 2.1.2 each time: a newer one is not to be had, and its image's tag stands for it.
  const newer = { image: "eclipse-mosquitto:2.2.0-alpine" };
  let broker: Broker;
  beforeEach(async () => {
    broker = await Broker.start(model);
    await broker.leaveSession(reader, topic);
  });
  afterEach(() => broker.stop());
  const inClones = (name: string) => broker.at(`data/.clones/${name}`);

  test("is cloned before an update, refused to an older broker, and given back if asked for", async () => {
    await broker.publish(topic, ["one", "two"]);
    await broker.terminate();
    broker.configure(model, newer);
    await broker.run();
    expect(broker.output).toMatch(/mosquitto: a clone of the data, as 2.1.2-alpine left them/);
    expect(statSync(inClones("2.1.2-alpine/data/data.tar.gz")).size).toBeLessThan(20_000);
    await broker.publish(topic, ["three"]);
    await broker.terminate();
    broker.configure(model);
    const refused = broker.launch();
    await until("it is refused", () => refused.exitCode !== null);
    expect([refused.exitCode, refused.output]).toEqual([
      78,
      expect.stringMatching(/mosquitto: refused: 2.2.0-alpine has opened these data last/),
    ]);
    symlinkSync("2.1.2-alpine", inClones(".requested"));
    await broker.run();
    expect(await broker.takeSession(reader, 2)).toEqual(["one", "two"]);
    const aside = readdirSync(broker.at("data/.set-aside"));
    expect(readdirSync(broker.at(`data/.set-aside/${aside.join()}`))).toContain(database);
  });

  test("is not rolled back where it can be read as it is", async () => {
    await broker.terminate();
    broker.configure(model, newer);
    await broker.run();
    await broker.publish(topic, ["kept"]);
    await broker.terminate();
    broker.configure(model);
    symlinkSync(asIs, inClones(".requested"));
    await broker.run();
    expect(await broker.takeSession(reader, 1)).toEqual(["kept"]);
  });
});

if (influxdbMissing) console.warn(`the real database is not tested here: ${influxdbMissing}`);

(influxdbMissing ? describe.skip : describe)("the real InfluxDB", () => {
  const listen = { address: "127.0.0.1", port: 0, writePort: 0 };
  let server: Running;
  beforeAll(async () => {
    [listen.port, listen.writePort] = [await freePort(), await freePort()];
  });
  afterEach(() => server.stop());
  const url = (path: string) => `http://127.0.0.1:${listen.port}${path}`;
  const headers = { authorization: "Bearer apiv3_admin" };

  /** Starts it, as the container of an image does; it is the same program each time. */
  async function run(image: string): Promise<boolean> {
    standIn("influxdb3", `exec ${influxdb3()} "$@"`);
    const options = { node: "kiel-1", paths, listen, image, sync: 1 };
    writeFileSync(at("start.sh"), influxdb.startScript(options));
    writeFileSync(paths.relay, influxdb.relayProgram(options));
    const profile = { flush: 1 };
    const args = influxdb.serveArguments({
      ...options,
      retention: retentionOf({ profile: "pi" }),
      memoryMiB: 512,
      profile,
    });
    const env = { ...process.env, PATH: [bin, process.env.PATH].join(delimiter) };
    server = new Running("bash", [at("start.sh"), ...args], { env });
    const isUp = () =>
      fetch(url("/health")).then(
        (answer) => answer.ok,
        () => false,
      );
    await until(
      () => `it is up, or ends: ${server.output}`,
      async () => server.exitCode !== null || (await isUp()),
      60,
    );
    return server.exitCode === null;
  }
  async function write(from: number, count: number): Promise<void> {
    const rows = Array.from(
      { length: count },
      (_, i) => `m,id=b1 x=${from + i} ${1.7e9 + from + i}`,
    );
    const body = rows.join("\n");
    const path = url("/api/v3/write_lp?db=bess&precision=second");
    expect((await fetch(path, { method: "POST", headers, body })).status).toBe(204);
  }
  async function counted(): Promise<unknown> {
    const q = "SELECT count(x) AS n, sum(x) AS s FROM m";
    const answer = await fetch(url(`/api/v3/query_sql?db=bess&q=${encodeURIComponent(q)}`), {
      headers,
    });
    return answer.json();
  }

  // The binary is one version: the tag of its image stands for another.
  test("has its rows back, to the digit, after a newer version has written on", async () => {
    expect(await run("influxdb:3.11.2-core")).toBe(true);
    for (const part of [0, 1, 2]) await write(part * 1000, 1000);
    const before = await counted();
    expect(before).toEqual([{ n: 3000, s: 4_498_500 }]);
    await server.stop();
    expect(await run("influxdb:3.12.2-core")).toBe(true);
    expect(await counted()).toEqual(before);
    for (const part of [3, 4]) await write(part * 1000, 1000);
    await server.stop();
    expect(await run("influxdb:3.11.2-core")).toBe(false);
    expect([server.exitCode, server.output]).toEqual([78, expect.stringContaining("refused: ")]);
    request("3.11.2-core");
    expect(await run("influxdb:3.11.2-core")).toBe(true);
    expect(await counted()).toEqual(before);
    await write(9000, 1);
    await server.stop();
    // What the newer version had stored is whole, too.
    rmSync(join(data, "kiel-1"), { recursive: true });
    const aside = join(data, ".set-aside", asideOf()[0] ?? "", "kiel-1");
    spawnSync("mv", [aside, data]);
    rmSync(join(data, ".version"));
    expect(await run("influxdb:3.12.2-core")).toBe(true);
    expect(await counted()).toEqual([{ n: 5000, s: 12_497_500 }]);
  }, 120_000);
});
