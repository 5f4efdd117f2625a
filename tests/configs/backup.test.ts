import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ExactSum } from "../../configs/exact-sum";
import { loadModel } from "../../configs/model";
import { retentionOf } from "../../configs/retention";
import { tierNames, tiers, windowOf } from "../../configs/rollups";
import { BackedUpSite, sqlite, Writer } from "../support/backup";
import * as made from "../support/influxdb-files";
import { RolledSite } from "../support/rolled-site";
import { Sshd } from "../support/sshd";
import {
  freePort,
  listens,
  influxdbMissing,
  optionalProgram,
  Running,
  temporaryFolder,
  until,
} from "../support/programs";

const { names } = made;
type Choices = ConstructorParameters<typeof BackedUpSite>[0];

jest.setTimeout(180_000);

const sites: BackedUpSite[] = [];
afterEach(async () => {
  for (const site of sites.splice(0)) await site.remove();
});

function emptySite(choices: Choices = {}): BackedUpSite {
  const site = new BackedUpSite(choices);
  sites.push(site);
  return site;
}

/** A site with files as InfluxDB makes them, a queue that is written, and a database of Grafana's. */
function filledSite(choices: Choices = {}): BackedUpSite {
  const site = emptySite(choices);
  const put = (name: string, content: Buffer | string) =>
    made.put(site.at.influxdb, name, content, 100);
  put(".admin-token", '{"token":"apiv3_of-the-site","name":"_admin"}');
  put(names.log(1), made.catalogFile(1));
  put(names.log(2), made.catalogFile(2));
  put(names.catalog, made.catalogFile(1));
  for (let n = 1; n <= 3; n++) {
    put(names.parquet(n), made.parquetFile());
    put(names.snapshot(n), made.snapshotFile(n, [{ path: names.parquet(n), size: 500 }]));
    put(names.wal(n), made.walFile(`rows ${n}`));
  }
  // What is not whole, and what is made anew at a start.
  put(`${names.wal(4)}#1`, "half");
  put(names.checkpoint(3), "{}");
  sqlite(
    queueOf(site),
    "PRAGMA page_size = 1024",
    "PRAGMA journal_mode = WAL",
    "CREATE TABLE messages (id, payload)",
    "INSERT INTO messages VALUES (1, 'waits')",
    "CREATE TABLE room (filling)",
    "INSERT INTO room VALUES (zeroblob(1000000))",
    "DROP TABLE room",
  );
  sqlite(
    grafanaOf(site),
    "CREATE TABLE dashboard (title)",
    "INSERT INTO dashboard VALUES ('Overview')",
  );
  writeFileSync(join(site.at.grafana, ".secret-key"), "key-of-grafana");
  site.own();
  return site;
}

const queueOf = ({ at }: BackedUpSite) => join(at.mosquitto, "mosquitto.sqlite3");
const grafanaOf = ({ at }: BackedUpSite) => join(at.grafana, "grafana.db");

/** Adds Parquet files that no compression makes smaller. */
function addParquet(site: BackedUpSite, count: number, bytes: number): void {
  for (let n = 100; n < 100 + count; n++)
    made.put(site.at.influxdb, names.parquet(n), randomBytes(bytes));
  site.own();
}

/** Digests of what InfluxDB needs of its files. */
const digests = ({ at }: BackedUpSite) =>
  execFileSync(
    "sh",
    [
      "-c",
      'cd "$0" && find kiel-1 .admin-token -type f ! -name "*#*" ! -path "*checkpoints*" -exec sha256sum {} + | sort -k 2',
      at.influxdb,
    ],
    { encoding: "utf8" },
  );

/** The newest backup's id. */
const newest = async (site: BackedUpSite) => (await site.snapshots()).at(-1)?.id ?? "none";

/** Checks that a restored site has all that another one had. */
async function expectAll(restored: BackedUpSite, of: string): Promise<void> {
  expect(digests(restored)).toBe(of);
  expect(sqlite(queueOf(restored), "SELECT * FROM messages")).toBe('[[1, "waits"]]');
  expect(sqlite(grafanaOf(restored), "SELECT * FROM dashboard")).toBe('[["Overview"]]');
  expect(restored.text("grafana/.secret-key")).toBe("key-of-grafana");
}

/** Checks that a site's last backup gives all of it to a bare one. */
async function expectRestorable(site: BackedUpSite, of = digests(site)): Promise<void> {
  const bare = emptySite();
  const restored = await bare.restoreFrom(site, { snapshot: await newest(site) });
  expect(restored.output).toContain("every volume has its data");
  await expectAll(bare, of);
}

describe("a backup", () => {
  test("brings a site back on bare volumes, to the byte, with what belongs to it", async () => {
    const site = filledSite();
    const before = digests(site);
    site.start();
    await site.logged(/ done in /);
    expect(site.output).not.toContain(" failed ");
    const bare = emptySite();
    const { code, output } = await bare.restoreFrom(site, { snapshot: await newest(site) });
    expect([code, output]).toEqual([0, expect.stringContaining("every volume has its data")]);
    await expectAll(bare, before);
    expect(readdirSync(bare.at.influxdb).sort()).toEqual([".admin-token", "kiel-1"]);
    if (process.getuid?.() === 0) {
      const owner = (file: string) => [statSync(file).uid, statSync(file).gid];
      expect(
        [join(bare.at.influxdb, names.wal(1)), queueOf(bare), grafanaOf(bare)].map(owner),
      ).toEqual([
        [1500, 1500],
        [1883, 1883],
        [472, 0],
      ]);
    }
    console.log(`the drill:\n${site.output}${output}${before}`);
  });

  test("tells InfluxDB's container of each run by a row of the pipeline's database", async () => {
    const site = filledSite();
    site.start();
    await site.logged(/ done in /);
    await until("its row", () => site.rows().length > 0);
    expect(site.rows()).toEqual([
      expect.stringMatching(
        /^backup age=\d+i,ok=1i,seconds=\d+i,bytes=[1-9]\d+i,size=[1-9]\d+i,files=16i,message="16 files, \d+ bytes, of which \d+ new" \d{19}$/,
      ),
    ]);
  });

  test("has no free pages of the queue; a restore makes room for a day again", async () => {
    const site = filledSite();
    site.start();
    await site.logged(/ done in /);
    expect(statSync(join(site.at.state, "copies/mosquitto/mosquitto.sqlite3")).size).toBeLessThan(
      10_000,
    );
    const bare = emptySite();
    await bare.restoreFrom(site, { snapshot: await newest(site) });
    // 0.001 messages a second for a day, 600 bytes each.
    expect(statSync(queueOf(bare)).size).toBeGreaterThanOrEqual(51_840);
  });

  test("of databases that are written meanwhile is of one moment, and lets each write through", async () => {
    const site = filledSite();
    for (const database of [queueOf(site), grafanaOf(site)])
      sqlite(database, "CREATE TABLE pairs (one, two, text)");
    const writing = startWriters(site);
    site.start();
    await site.logged(/ done in /);
    await site.now();
    const { slowest, count } = await writing.stop();
    const bare = emptySite();
    await bare.restoreFrom(site, { snapshot: await newest(site) });
    for (const database of [queueOf(bare), grafanaOf(bare)]) {
      const [[rows, torn]] = JSON.parse(
        sqlite(database, "SELECT count(*), sum(one != two) FROM pairs"),
      ) as [[number, number]];
      expect(rows).toBeGreaterThan(10);
      expect(torn).toBe(0);
    }
    console.log(`${count} writes during two backups, the slowest took ${slowest} ms`);
    expect(slowest).toBeLessThan(5000);
  });

  test("is made anew where files were deleted while it read them", async () => {
    const site = filledSite();
    addParquet(site, 2000, 30_000);
    site.start();
    await until("it reads", () => packs(site) > 0);
    for (let n = 2099; n > 1900; n--) rmSync(join(site.at.influxdb, names.parquet(n)));
    await site.logged(/ done in /);
    expect(site.output).toContain(
      "199 files were deleted while they were read: it is done again (1)",
    );
    const before = digests(site);
    await expectRestorable(site, before);
  });

  test("holds what an interface keeps; one made before the interface gives the rest", async () => {
    const site = filledSite({ interface: true });
    const file = (name: string) => join(site.at.interface, name);
    mkdirSync(file("keys/old"), { recursive: true });
    writeFileSync(file("keys/one.xml"), "a key");
    writeFileSync(file("keys/old/two.xml"), "another");
    sqlite(
      file("interface.db"),
      "PRAGMA journal_mode = WAL",
      "CREATE TABLE pairs (one, two, text)",
    );
    const writer = new Writer(file("interface.db"), 0);
    site.start();
    await site.logged(/ done in /);
    rmSync(file("keys/old"), { recursive: true });
    expect((await site.now()).code).toBe(0);
    await writer.stop();
    const bare = emptySite({ interface: true });
    const { code, output } = await bare.restoreFrom(site, { snapshot: await newest(site) });
    expect([code, output]).toEqual([0, expect.stringContaining("every volume has its data")]);
    expect(readdirSync(bare.at.interface).sort()).toEqual(["interface.db", "keys"]);
    expect(readdirSync(join(bare.at.interface, "keys"))).toEqual(["one.xml"]);
    expect(bare.text("interface/keys/one.xml")).toBe("a key");
    const halves = "SELECT (SELECT count(*) FROM pairs WHERE one <> two)";
    expect(sqlite(join(bare.at.interface, "interface.db"), halves)).toBe("[[0]]");

    const former = filledSite();
    former.start();
    await former.logged(/ done in /);
    const other = emptySite({ interface: true });
    const restored = await other.restoreFrom(former, {
      snapshot: await newest(former),
      interface: true,
    });
    expect(restored.output).toContain("the backup has nothing of the interface");
    await expectAll(other, digests(former));
  });
});

describe("the schedule", () => {
  test("makes a missed backup up at the start, and none that is not due", async () => {
    const site = filledSite({ keep: { daily: 1, weekly: 0, monthly: 0, yearly: 0 } });
    site.start();
    await site.logged(/ done in /);
    await site.stop();
    site.start();
    await sleep(4000);
    expect(site.running.output).not.toContain("a backup begins");
    await site.stop();
    const state = site.text("state/state") ?? "";
    writeFileSync(
      join(site.at.state, "state"),
      state.replace(/good=\d+/, `good=${Math.floor(Date.now() / 1000) - 90_000}`),
    );
    site.start();
    await site.logged(/ done in /);
    // Of one day the last is kept.
    expect(await site.snapshots()).toHaveLength(1);
  });

  test("comes again and again, and a backup can be asked for", async () => {
    const site = filledSite({ everySeconds: 5, keep: { daily: 1 } });
    site.start();
    await site.logged(/(done in [^]*){2}/, 90);
    expect(await site.now()).toMatchObject({
      code: 0,
      output: expect.stringContaining("16 files"),
    });
  });
});

describe("what goes wrong is said, loses nothing, and the next backup succeeds:", () => {
  /** The reason of the last backup, and that no row called it a success. */
  async function failure(site: BackedUpSite): Promise<string> {
    await site.logged(/ failed after /);
    const [, reason = ""] = / failed after \d+ s: (.*)/.exec(site.running.output) ?? [];
    await until("its row", () => site.rows().length > 0);
    expect(site.rows().at(-1)).toContain("ok=0i");
    return reason;
  }

  test("a backup that is killed", async () => {
    const site = filledSite();
    site.start();
    await site.logged(/ done in /);
    const first = digests(site);
    addParquet(site, 60, 2_000_000);
    const asked = site.now().catch(() => undefined);
    await until("it writes", () => packs(site) > 40_000_000, 60);
    await site.stop("SIGKILL");
    void asked;
    expect(await site.snapshots()).toHaveLength(1);
    const old = emptySite();
    await old.restoreFrom(site, { snapshot: await newest(site) });
    await expectAll(old, first);
    const before = digests(site);
    site.start();
    expect(await site.now()).toMatchObject({ code: 0 });
    await expectRestorable(site, before);
  });

  test("another password than the repository's", async () => {
    const site = filledSite();
    site.start();
    await site.logged(/ done in /);
    await site.stop();
    const right = site.text("secrets/password") ?? "";
    writeFileSync(join(site.at.secrets, "password"), "another password");
    rmSync(join(site.at.state, "password"));
    site.start();
    const { code, output } = await site.now();
    expect([code, output]).toEqual([
      1,
      expect.stringContaining("the password does not open the repository at"),
    ]);
    expect(site.output + output).not.toContain(right);
    writeFileSync(join(site.at.secrets, "password"), right);
    expect(await site.now()).toMatchObject({ code: 0 });
  });

  test("a password that was changed: both open the repository", async () => {
    const site = filledSite();
    site.start();
    await site.logged(/ done in /);
    const first = site.text("secrets/password") ?? "";
    writeFileSync(join(site.at.secrets, "password"), "the password after it");
    expect(await site.now()).toMatchObject({ code: 0 });
    expect(await site.snapshots()).toHaveLength(2);
    writeFileSync(join(site.at.secrets, "password"), first);
    expect(await site.snapshots()).toHaveLength(2);
  });

  test("a target that is full", async () => {
    if (process.getuid?.() !== 0) return;
    const disk = temporaryFolder();
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", disk.path]);
    try {
      const site = filledSite({ target: disk.path, sameDisk: false });
      addParquet(site, 10, 2_000_000);
      site.start();
      expect(await failure(site)).toMatch(/ is full: free space there, or keep fewer backups/);
      execFileSync("mount", ["-o", "remount,size=80m", disk.path]);
      expect(await site.now()).toMatchObject({ code: 0 });
      await expectRestorable(site);
    } finally {
      await Promise.all(sites.map((site) => site.stop("SIGKILL")));
      execFileSync("umount", ["-l", disk.path]);
      disk.remove();
    }
  });

  test("a folder on the site's own disk, because the other one is not mounted: it stays empty", async () => {
    const site = filledSite({ sameDisk: false });
    site.start();
    expect(await failure(site)).toMatch(/is on the disk of the site itself: mount the disk/);
    expect(readdirSync(site.at.target)).toEqual([]);
  });

  test("a repository that is gone since the last backup: none is begun unasked", async () => {
    const site = filledSite();
    site.start();
    await site.logged(/ done in /);
    renameSync(site.at.target, `${site.at.target}-unplugged`);
    mkdirSync(site.at.target);
    expect(await site.now()).toMatchObject({ code: 1, output: expect.stringContaining("is gone") });
    expect(readdirSync(site.at.target)).toEqual([]);
    expect(await site.now("new")).toMatchObject({ code: 0 });
  });

  test("a server that is not reached", async () => {
    const sshd = await Sshd.start();
    const place = temporaryFolder();
    try {
      const { engine, ssh } = sshd.reach();
      const site = filledSite({
        to: `${engine.replace("ssh:", "sftp:")}/${place.path}/kiel-1`,
        ssh: {
          key: readFileSync(ssh.identity ?? "", "utf8"),
          knownHosts: readFileSync(ssh.knownHosts ?? "", "utf8"),
        },
      });
      await sshd.halt();
      site.start();
      expect(await failure(site)).toMatch(/is not reached: /);
      await sshd.resume();
      expect(await site.now()).toMatchObject({ code: 0 });
      await expectRestorable(site);
    } finally {
      await Promise.all(sites.map((site) => site.stop("SIGKILL")));
      await sshd.stop();
      place.remove();
    }
  });

  test("a repository that has lost a file is told by the weekly check", async () => {
    const site = filledSite();
    site.start();
    await site.logged(/ done in /);
    await site.stop();
    const data = join(site.at.target, "data");
    const pack = readdirSync(data, { recursive: true, encoding: "utf8" }).find(
      (name) => name.length > 60,
    );
    rmSync(join(data, pack ?? ""));
    const state = site.text("state/state") ?? "";
    writeFileSync(join(site.at.state, "state"), state.replace(/checked=\d+/, "checked=0"));
    site.start();
    expect(await site.now()).toMatchObject({ code: 1, output: expect.stringContaining("damaged") });
  });

  test("a database of Grafana's that is damaged: all else is backed up", async () => {
    const site = filledSite();
    writeFileSync(grafanaOf(site), "no database".repeat(1000));
    site.start();
    expect(await failure(site)).toMatch(
      /^grafana's data could not be copied: .*not a database; all else/,
    );
    const bare = emptySite();
    expect(await bare.restoreFrom(site, { snapshot: await newest(site) })).toMatchObject({
      code: 0,
    });
    expect(digests(bare)).toBe(digests(site));
  });

  test("a copier that does not answer", async () => {
    const site = filledSite({ copySeconds: 2 });
    site.start(false);
    await site.logged(/ failed after .*: the copier does not answer/);
  });
});

describe("a restore", () => {
  let site: BackedUpSite;
  beforeEach(async () => {
    site = filledSite();
    addParquet(site, 40, 2_000_000);
    site.start();
    await site.logged(/ done in /);
    await site.stop();
  });

  test("refuses volumes with data, unless they are to be set aside", async () => {
    const other = filledSite();
    rmSync(other.at.grafana, { recursive: true });
    mkdirSync(other.at.grafana);
    const snapshot = await newest(site);
    const before = digests(other);
    expect(await other.restoreFrom(site, { snapshot })).toEqual({
      code: 1,
      output: expect.stringContaining("there is data already, of: influxdb mosquitto. "),
    });
    expect(digests(other)).toBe(before);
    expect(await other.restoreFrom(site, { snapshot, overwrite: true })).toMatchObject({ code: 0 });
    await expectAll(other, digests(site));
    const [aside = ""] = readdirSync(join(other.at.influxdb, ".set-aside"));
    expect(existsSync(join(other.at.influxdb, ".set-aside", aside, names.wal(1)))).toBe(true);
  });

  test("that is killed anywhere goes on when it is run again", async () => {
    const bare = emptySite();
    const snapshot = await newest(site);
    for (let ms = 300; ms < 6000; ms *= 1.5) {
      const ended = await Promise.race([
        bare.restoreFrom(site, { snapshot }).then(() => true),
        sleep(ms).then(() => false),
      ]);
      if (ended) break;
      bare.killRuns();
    }
    expect(await bare.restoreFrom(site, { snapshot, overwrite: true })).toMatchObject({ code: 0 });
    await expectAll(bare, digests(site));
  });

  test("under another name leaves the files as they are: they name each other by the first one", async () => {
    const bare = emptySite();
    expect(
      await bare.restoreFrom(site, { snapshot: await newest(site), as: "look" }),
    ).toMatchObject({ code: 0 });
    expect(existsSync(join(bare.at.influxdb, "look", "catalog"))).toBe(true);
    await expectAll(bare, digests(site));
  });
});

const title = influxdbMissing ? `: ${influxdbMissing}` : "";
(influxdbMissing ? describe.skip : describe)(`a backup of the real database${title}`, () => {
  const user = process.getuid?.() === 0 ? 1500 : undefined;
  const model = loadModel("configs/telemetry.yaml");
  const retention = retentionOf({ profile: "pi", retention: "70d" });
  /** In the month before: its hours and days are rolled up. */
  const start = windowOf("day", Date.now() / 1000 - 300).start - 2 * 86_400;
  const minutes = 26 * 60;
  const units = 2;

  /** Rows of a minute each, from one minute to another. */
  const lines = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) =>
      Array.from({ length: units }, (__, unit) => {
        const at = from + i;
        const values = `soc=${50 + 40 * Math.sin(at + unit)},voltage=${700 + 0.1 * at}`;
        const mode = `operation_mode="${at % 50 < 20 ? "charging" : "idle"}"`;
        const time = start + at * 60;
        return [
          `battery,id=b${unit},group_id=g1 ${values},current=${-1 / (at + 3)} ${time}`,
          `bess,id=s${unit} ac_current_in=${100 * Math.cos(at)},${mode} ${time}`,
        ];
      }).flat(),
    ).flat();

  const iso = (minute: number) => new Date((start + minute * 60) * 1000).toISOString();

  /** What was there before the backup: each table's rows, and the sums of its columns. */
  async function contents(of: RolledSite) {
    const found = new Map<string, { rows: string[]; sums: Record<string, number> }>();
    for (const db of ["bess", ...tierNames.map((tier) => tiers[tier].database)]) {
      const listed = await of.sql(
        db,
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'iox' ORDER BY 1",
      );
      for (const { table_name: table } of listed) {
        const until = db === "bess" ? ` WHERE time < '${iso(minutes)}'` : "";
        const rows = await of.sql(db, `SELECT * FROM "${String(table)}"${until}`);
        if (rows.length === 0) continue;
        const numbers = rows.flatMap((row) =>
          Object.entries(row).filter(
            (entry): entry is [string, number] =>
              typeof entry[1] === "number" && entry[0] !== "_at",
          ),
        );
        const sums: Record<string, ExactSum> = {};
        for (const [name, value] of numbers) (sums[name] ??= new ExactSum()).add(value);
        found.set(`${db}.${String(table)}`, {
          rows: rows.map((row) => JSON.stringify(row)).sort(),
          sums: Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, sum.value])),
        });
      }
    }
    return found;
  }

  test("brings rows and rollups back on a bare volume, to the digit", async () => {
    const volumes = emptySite();
    const opened: RolledSite[] = [];
    try {
      const open = async (data: string) => {
        const site = await RolledSite.make(model, retention, {
          data,
          user,
          // So that there are files of every kind.
          options: { "--wal-snapshot-size": "10" },
        });
        opened.push(site);
        return site;
      };
      const site = await open(volumes.at.influxdb);
      for (let from = 0; from < minutes; from += 120) await site.write(lines(from, from + 120));
      const rollup = site.startRollup();
      const rolled = `SELECT count(*) AS n FROM battery WHERE _at >= 0`;
      await until(
        () => `the rows are rolled up: ${rollup.output}`,
        async () =>
          (await site.sql(tiers.minute.database, rolled))[0]?.n === minutes * units &&
          (await site.sql(tiers.hour.database, rolled))[0]?.n === (minutes / 60) * units &&
          (await site.sql(tiers.day.database, rolled))[0]?.n === 2 * units,
        120,
      );
      await site.stopRollup();
      const before = await contents(site);
      // Rows go on coming, through all of the backup.
      let [next, isOver] = [minutes, false];
      const coming = (async () => {
        while (!isOver) await site.write(lines(next, ++next));
      })();
      const began = Date.now();
      volumes.start();
      await volumes.logged(/ done in /);
      const [acknowledged, backedUp] = [next, Date.now()];
      isOver = true;
      await coming;
      expect(acknowledged).toBeGreaterThan(minutes);
      await site.killDatabase();

      const bare = emptySite();
      const begun = Date.now();
      expect(await bare.restoreFrom(volumes, { snapshot: await newest(volumes) })).toMatchObject({
        code: 0,
      });
      const restored = Date.now();
      const again = await open(bare.at.influxdb);
      const after = await contents(again);
      expect([...after.keys()]).toEqual([...before.keys()]);
      for (const [table, content] of before)
        expect([table, after.get(table)]).toEqual([table, content]);
      // It goes on where it was.
      await again.write(lines(next, next + 1));
      const counted = `SELECT count(*) AS n FROM battery WHERE time = '${iso(next)}'`;
      expect(await again.sql("bess", counted)).toEqual([{ n: units }]);
      const told = [...before].map(([table, { rows, sums }]) => {
        const [column = "", sum] =
          Object.entries(sums).find(([name]) => /^soc(_sum)?$/.test(name)) ?? [];
        return `${table} ${rows.length} rows${column && `, sum(${column}) ${sum}`}`;
      });
      const seconds = (ms: number) => (ms / 1000).toFixed(1);
      console.log(
        `backup ${seconds(backedUp - began)} s, restore ${seconds(restored - begun)} s; equal: ${told.join("; ")}`,
      );
    } finally {
      for (const site of opened) await site.close();
    }
  });
});

/** Servers of the kinds that a site's backups may go to, which a test can do without. */
const servers = {
  // It keeps all in memory, and asks for no login: that a key is sent, not that it fits, is tried.
  gofakes3: {
    to: (port: number) => `s3:http://127.0.0.1:${port}/bess/kiel-1`,
    args: (port: number) => [
      "-backend",
      "memory",
      "-initialbucket",
      "bess",
      "-host",
      `127.0.0.1:${port}`,
    ],
  },
  "rest-server": {
    to: (port: number) => `rest:http://127.0.0.1:${port}/kiel-1`,
    args: (port: number, folder: string) => {
      const users = join(folder, "users");
      const digest = createHash("sha1").update(login.password).digest("base64");
      writeFileSync(users, `${login.user}:{SHA}${digest}\n`);
      const listen = ["--listen", `127.0.0.1:${port}`, "--private-repos"];
      return ["--path", join(folder, "data"), "--htpasswd-file", users, ...listen];
    },
  },
};
const login = { user: "kiel-1", password: "a password of the server" };

for (const name of ["gofakes3", "rest-server"] as const) {
  const found = optionalProgram(name);
  const skipped = found ? "" : `: ${name} is missing on the PATH`;
  (found ? test : test.skip)(`a backup at ${name} is restored from there${skipped}`, async () => {
    const { to, args } = servers[name];
    const port = await freePort();
    const folder = temporaryFolder();
    const running: Running[] = [];
    try {
      running.push(new Running(found ?? "", args(port, folder.path)));
      await until("the server listens", () => listens(port));
      const site = filledSite({ to: to(port), login });
      site.start();
      expect(await site.now()).toMatchObject({ code: 0 });
      await expectRestorable(site);
    } finally {
      await Promise.all(sites.map((site) => site.stop("SIGKILL")));
      for (const server of running) await server.stop();
      folder.remove();
    }
  });
}

/** Bytes of the repository's data. */
function packs({ at }: BackedUpSite): number {
  const folder = join(at.target, "data");
  if (!existsSync(folder)) return 0;
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).reduce((sum, name) => {
    const found = statSync(join(folder, name), { throwIfNoEntry: false });
    return sum + (found?.isFile() ? found.size : 0);
  }, 0);
}

/** Writes pairs of equal numbers into both databases, each pair in two statements of one transaction. */
function startWriters(site: BackedUpSite) {
  const writers = [new Writer(queueOf(site), 1883), new Writer(grafanaOf(site), 472)];
  return {
    async stop() {
      const results = await Promise.all(writers.map((writer) => writer.stop()));
      return {
        slowest: Math.max(...results.map(({ slowest }) => slowest)),
        count: results.reduce((sum, { count }) => sum + count, 0),
      };
    },
  };
}
