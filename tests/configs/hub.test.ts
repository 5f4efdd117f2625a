import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { hubServiceImages, parseHub, uplinkUrl } from "../../configs/hub";
import {
  databaseOf,
  insertArguments,
  selectArguments,
  singleArguments,
} from "../../configs/victoria-metrics";
import { hubDedup, sampleTime } from "../../configs/uplink";
import { backupMetric, startScript } from "../../configs/vmbackup";
import { usersConfig } from "../../configs/vmauth";
import { RunningHub, Sender } from "../support/hub";
import { program, Running, temporaryFolder, until } from "../support/programs";
import { VictoriaMetrics } from "../support/victoria-metrics";

const tokens = { "kiel-1": "token-of-kiel-1-0123456789", "kiel-2": "token-of-kiel-2-0123456789" };

/** Every path of VictoriaMetrics by which something is read, changed or told. */
const otherPaths = [
  "/",
  "/api/v1/query?query=bess_soc",
  "/api/v1/query_range?query=bess_soc&start=0",
  "/api/v1/export?match[]=bess_soc",
  "/api/v1/series?match[]=bess_soc",
  "/api/v1/labels",
  "/api/v1/label/site/values",
  "/api/v1/status/tsdb",
  "/api/v1/read",
  "/api/v1/import/prometheus",
  "/api/v1/admin/tsdb/delete_series?match[]=bess_soc",
  "/api/v1/write/../query?query=bess_soc",
  "/api/v1/write/%2e%2e/query?query=bess_soc",
  "/api/v1/write%2f..%2fquery?query=bess_soc",
  "//api/v1/query?query=bess_soc",
  "/api/v1/writer",
  "/write?db=x",
  "/snapshot/create",
  "/internal/force_flush",
  "/vmui/",
  "/federate?match[]=bess_soc",
  "/metrics",
  "/flags",
  "/health",
  "/-/reload",
  "/debug/pprof/heap",
];

describe("a hub's entrance", () => {
  let hub: RunningHub;
  let senders: Sender[];
  beforeAll(async () => {
    hub = await RunningHub.start(tokens);
    senders = [];
  });
  afterAll(async () => {
    for (const sender of senders) await sender.remove();
    await hub.remove();
  });

  const sender = async (token: string, query?: string) => {
    const made = await Sender.start(hub, token, query);
    senders.push(made);
    return made;
  };
  const sitesOf = async (metric: string) => {
    await hub.database.flush();
    return (await hub.database.query(metric)).map(({ metric: { site } }) => site).sort();
  };

  test("stores what a site sends under the name of its token, whatever it says", async () => {
    const kiel = await sender(tokens["kiel-1"]);
    await kiel.send(
      [
        'bess_soc{site="kiel-2",id="1"} 50',
        'bess_soc{id="2"} 51',
        'bess_soc{site="",id="3"} 52',
      ].join("\n"),
    );
    const asOther = await sender(tokens["kiel-1"], "?extra_label=site=kiel-2");
    await asOther.send('bess_soc{site="kiel-2",id="4"} 53');
    await until("all four are stored", async () => (await sitesOf("bess_soc")).length === 4);
    expect(await sitesOf("bess_soc")).toEqual(["kiel-1", "kiel-1", "kiel-1", "kiel-1"]);
    const other = await sender(tokens["kiel-2"]);
    await other.send('bess_soc{id="1"} 60');
    await until("the other site's is stored", async () => (await sitesOf("bess_soc")).length === 5);
    expect((await sitesOf("bess_soc")).at(-1)).toBe("kiel-2");
  });

  test.each(otherPaths)("lets a site have nothing by %s", async (path) => {
    for (const method of ["GET", "POST"]) {
      const { status, text } = await hub.ask(method, path, tokens["kiel-1"]);
      expect([status, text]).toEqual([400, expect.stringContaining("missing route")]);
    }
  });

  test("takes values of nobody without a token, or with one that it does not know", async () => {
    for (const token of [undefined, "", "reader-toke", `${tokens["kiel-1"]}x`])
      expect((await hub.ask("POST", "/api/v1/write", token)).status).toBe(401);
  });

  test("lets the reader read all sites, and write nothing", async () => {
    // Without nocache VictoriaMetrics answers as of 30 s ago.
    const path = "/api/v1/query?nocache=1&query=count(bess_soc)by(site)";
    const { status, text } = await hub.ask("GET", path, hub.reader);
    expect([status, text]).toEqual([200, expect.stringMatching(/kiel-1.*kiel-2/)]);
    for (const write of ["/api/v1/write", "/api/v1/import", "/api/v1/admin/tsdb/delete_series"])
      expect((await hub.ask("POST", write, hub.reader)).status).toBe(400);
  });

  test("speaks no TLS below 1.2", () => {
    const connect = (...version: string[]) => {
      try {
        return execFileSync(
          "openssl",
          ["s_client", "-connect", hub.url.slice("https://".length), ...version],
          { input: "", encoding: "utf8", stdio: ["pipe", "pipe", "pipe"] },
        );
      } catch (error) {
        return (error as { stdout: string }).stdout;
      }
    };
    expect(connect("-tls1_2")).toMatch(/Cipher is ECDHE/);
    expect(connect("-tls1_1", "-cipher", "ALL:@SECLEVEL=0")).toMatch(/Cipher is \(NONE\)/);
  });

  test("tells the database how much each site sends", async () => {
    const counted = 'sum by (username) (vmauth_user_requests_total{username=~"kiel-.*"})';
    await until(
      "VictoriaMetrics has asked vmauth",
      async () => (await hub.database.query(counted)).length === 2,
      60,
    );
  }, 90_000);

  test("refuses a token that was revoked, and takes the other sites' still", async () => {
    const [kiel, , other] = senders;
    const began = Date.now();
    await hub.open({ "kiel-2": tokens["kiel-2"] });
    expect((await hub.ask("POST", "/api/v1/write", tokens["kiel-1"])).status).toBe(401);
    expect(Date.now() - began).toBeLessThan(60_000);
    await kiel?.send('bess_later{id="1"} 1');
    await other?.send('bess_later{id="1"} 1');
    await until("the other's is stored", async () => (await sitesOf("bess_later")).length > 0);
    await until("the revoked one is refused", async () => ((await kiel?.answered(401)) ?? 0) > 0);
    expect(await sitesOf("bess_later")).toEqual(["kiel-2"]);
  });

  test("takes a new token, and then what came in the meantime", async () => {
    await hub.open({ ...tokens, "kiel-1": "another-token-0123456789" });
    expect((await hub.ask("POST", "/api/v1/write", tokens["kiel-1"])).status).toBe(401);
    expect((await hub.ask("POST", "/api/v1/write", "another-token-0123456789")).status).toBe(204);
  });
});

test("a minute that was sent again has its last values at the hub", async () => {
  const [flag] = singleArguments(parseHub({})).filter((it) => it.startsWith("-dedup"));
  expect(flag).toBe(`-dedup.minScrapeInterval=${hubDedup}`);
  const database = await VictoriaMetrics.start([flag ?? ""]);
  const minute = Math.floor(Date.now() / 60_000) * 60 - 600;
  for (const [revision, value] of [9, 3, 5].entries())
    await database.importText(`bess_soc ${value} ${sampleTime(minute, revision)}`);
  const answer = await database.query("last_over_time(bess_soc[1m])", minute + 60);
  expect([
    answer.map(({ value }) => value[1]),
    await database.query("count_over_time(bess_soc[1m])", minute + 60),
  ]).toEqual([["5"], [expect.objectContaining({ value: [expect.anything(), "1"] })]]);
  await database.remove();
});

describe("the hub's backup", () => {
  test("is made of a snapshot, is told, and brings every value back", async () => {
    const folder = temporaryFolder();
    const database = await VictoriaMetrics.start();
    const target = join(folder.path, "target");
    mkdirSync(target);
    const now = Math.floor(Date.now() / 1000);
    const values = Array.from(
      { length: 2000 },
      (_, i) => `bess_soc{id="${i % 20}"} ${i} ${(now - i * 60) * 1000}`,
    );
    await database.importText(values.join("\n"));
    const sum = async (from: VictoriaMetrics) =>
      (await from.query("sum(sum_over_time(bess_soc[2d]))", now)).map(({ value }) => value[1]);
    const before = await sum(database);
    const { backup } = parseHub({ backup: { to: "/target" } });
    if (!backup) throw new Error("a hub with a backup has one");
    const script = join(folder.path, "start.sh");
    writeFileSync(
      script,
      startScript(backup, {
        at: {
          data: database.data,
          target,
          login: "",
          database: database.url,
          program: program("vmbackup"),
          alive: join(folder.path, "alive"),
        },
      }),
    );
    const running = new Running(program("busybox"), ["sh", script]);
    await until(
      () => `the hub is backed up; it printed:\n${running.output}`,
      () => running.output.includes("the hub is backed up"),
      30,
    );
    await until("the time of the backup is stored", async () => {
      await database.flush();
      return (await database.query(`time() - ${backupMetric} < 60`)).length === 1;
    });
    await running.stop("SIGKILL");
    await database.remove();
    const weekday = new Date().toLocaleDateString("en", { weekday: "short", timeZone: "UTC" });
    for (const copy of ["latest", weekday]) {
      const restored = join(folder.path, `restored-${copy}`);
      execFileSync(
        program("vmrestore"),
        [`-src=fs://${target}/${copy}`, `-storageDataPath=${restored}`, "-httpListenAddr="],
        { stdio: "pipe", timeout: 30_000 },
      );
      const again = await VictoriaMetrics.start([`-storageDataPath=${restored}`]);
      expect([copy, await sum(again)]).toEqual([copy, before]);
      await again.remove();
    }
    folder.remove();
  });
});

describe("a hub on several machines", () => {
  const storage = { nodes: ["ssh://bess@10.8.0.2", "ssh://bess@10.8.0.3"], replication: 2 };
  const hub = parseHub({ storage });

  test("writes each value to as many nodes as it says, and reads of all", () => {
    expect(hub.storage && insertArguments(hub.storage)).toEqual([
      "-storageNode=10.8.0.2:8400,10.8.0.3:8400",
      "-replicationFactor=2",
    ]);
    expect(hub.storage && selectArguments(hub.storage)).toEqual(
      expect.arrayContaining(["-storageNode=10.8.0.2:8401,10.8.0.3:8401", "-replicationFactor=2"]),
    );
  });

  test("lets sites in to vminsert, and asks vmselect", () => {
    const users = usersConfig({ sites: tokens, reader: "r", ...databaseOf(hub) });
    const urls = (parse(users) as { users: { url_map: { url_prefix: string }[] }[] }).users.map(
      ({ url_map: [map] }) => map?.url_prefix,
    );
    expect(urls).toEqual([
      "http://vminsert:8480/insert/0/prometheus?extra_label=site=kiel-1",
      "http://vminsert:8480/insert/0/prometheus?extra_label=site=kiel-2",
      "http://vmselect:8481/select/0/prometheus",
    ]);
  });
});

describe("a hub's configuration", () => {
  test.each<[string, object, string]>([
    [
      "a node that anybody reaches",
      { storage: { nodes: ["ssh://b@192.0.2.1", "ssh://b@10.0.0.2"] } },
      "storage.nodes[0]",
    ],
    ["one node", { storage: { nodes: ["ssh://b@10.0.0.2"] } }, "name two nodes at least"],
    [
      "a node twice",
      { storage: { nodes: ["ssh://b@10.0.0.2", "ssh://b@10.0.0.2"] } },
      "each node must differ",
    ],
    [
      "more copies than nodes",
      { storage: { nodes: ["ssh://b@10.0.0.2", "ssh://b@10.0.0.3"], replication: 3 } },
      "fewer nodes",
    ],
    [
      "a key without its certificate",
      { entrance: { key: "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----" } },
      "entrance.certificate",
    ],
    ["two services at one port", { grafana: { port: 8427 } }, "port 8427 is the entrance's"],
    [
      "storage of its own and elsewhere",
      {
        storage: { nodes: ["ssh://b@10.0.0.2", "ssh://b@10.0.0.3"] },
        external: { write: "http://a", query: "http://b" },
      },
      "leave one of the two away",
    ],
    ["a key that it does not know", { sites: ["kiel-1"] }, "sites is no known key"],
  ])("refuses %s", (_, settings, message) => {
    expect(() => parseHub(settings)).toThrow(message);
  });

  test("says where sites write to, and takes images from a mirror", () => {
    const hub = parseHub({
      entrance: { names: ["hub.example"], port: 443 },
      images: { mirror: "mirror.lan" },
    });
    expect([uplinkUrl(hub), hubServiceImages(hub).vmauth]).toEqual([
      "https://hub.example:443/api/v1/write",
      "mirror.lan/victoriametrics/vmauth:v1.145.0",
    ]);
  });
});
