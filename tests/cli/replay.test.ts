import { spawn, type ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { stringify } from "yaml";
import { secret } from "@pulumi/pulumi";
import { LocalWorkspace } from "@pulumi/pulumi/automation";
import { loadModel, modelSchema } from "../../configs/model";
import { environment } from "../../automation/programs";
import { localBackend } from "../../automation/backend";
import { until } from "../support/programs";
import { Broker, type Reader } from "../support/broker";
import { Pipeline } from "../support/pipeline";
import { Checkout } from "../support/checkout";
import { Sshd } from "../support/sshd";

const root = join(__dirname, "../..");
const m5batFile = "configs/models/m5bat.yaml";
const m5bat = loadModel(join(root, m5batFile));

/** How a replay ended. */
interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A running `bess replay …`. */
class Replay {
  readonly ended: Promise<Ended>;
  private readonly child: ChildProcess;

  constructor(args: string[], env: NodeJS.ProcessEnv = {}) {
    const { MQTT_PASSWORD: _, ...inherited } = process.env;
    const command = ["cli/bess.js", "replay", ...args];
    const child = spawn(process.execPath, command, {
      cwd: root,
      env: { ...inherited, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    const text = { stdout: "", stderr: "" };
    child.stdout.on("data", (data: Buffer) => (text.stdout += data.toString()));
    child.stderr.on("data", (data: Buffer) => (text.stderr += data.toString()));
    this.ended = new Promise((resolve) =>
      this.child.once("close", (code) => resolve({ code, ...text })),
    );
  }

  interrupt(): void {
    this.child.kill("SIGINT");
  }
}

/** Row `i` of a file, counted from 1: its state of charge tells which it is. */
const row = (i: number) =>
  `${new Date(Date.UTC(2023, 3, 13) + i * 1000).toISOString().slice(0, 19).replace("T", " ")},${i}`;
const rows = (count: number) => Array.from({ length: count }, (_, i) => row(i + 1));
const numbers = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);
const received = (reader: Reader) =>
  reader.received.map(({ payload }) => (JSON.parse(payload) as { SOC: number }).SOC);

describe("bess replay", () => {
  let broker: Broker;
  let reader: Reader;

  beforeEach(async () => {
    broker = await Broker.start(m5bat);
    reader = await broker.read("m5bat/+/evaluation");
  });
  afterEach(() => broker?.stop());

  function file(name: string, lines: string[], header = "DateAndTime,SOC"): string {
    const text = [header, ...lines, ""].join("\n");
    writeFileSync(broker.at(name), name.endsWith(".gz") ? gzipSync(text) : text);
    return broker.at(name);
  }
  const start = (
    args: string[],
    env: NodeJS.ProcessEnv = { MQTT_PASSWORD: broker.passwords.gateway },
  ) => new Replay(["--model", m5batFile, "--url", broker.url, ...args], env);
  const replay = (...args: string[]) => start(args).ended;

  test("publishes every row of a gzipped CSV in its order, and exits 0 once all are acknowledged", async () => {
    const { code, stdout, stderr } = await replay(file("day.csv.gz", rows(20_000)), "--unit", "10");
    expect(stdout).toMatch(
      /^20000 rows sent, 20000 acknowledged by the broker in \d+\.\d s \(\d+\/s\)\n$/,
    );
    expect(stderr).toMatch(
      /^\S+day\.csv\.gz has no column for these fields of unit, which stay empty: P_AC_Set, [^\n]*\n(\d+ %: .*\n)*$/,
    );
    expect(code).toBe(0);
    await until("all rows have arrived", () => reader.received.length >= 20_000);
    expect(received(reader)).toEqual(numbers(1, 20_000));
    expect(new Set(reader.received.map(({ topic }) => topic))).toEqual(
      new Set(["m5bat/10/evaluation"]),
    );
  });

  test("sends the rows that --from and --limit choose", async () => {
    const { code, stdout } = await replay(
      file("day.csv", rows(50)),
      "--from",
      "11",
      "--limit",
      "5",
      "--inflight",
      "1",
    );
    expect([code, stdout]).toEqual([0, expect.stringContaining("5 rows sent, 5 acknowledged")]);
    await until("the rows have arrived", () => reader.received.length >= 5);
    expect(received(reader)).toEqual(numbers(11, 15));
  });

  test("replays recorded NDJSON to the recorded topics", async () => {
    const line = (i: number) =>
      JSON.stringify({
        topic: `m5bat/${i}/evaluation`,
        payload: { DateAndTime: "2023-04-13 00:00:00", SOC: i },
      });
    writeFileSync(broker.at("fleet.ndjson"), [line(1), "", line(2)].join("\n"));
    expect(await replay(broker.at("fleet.ndjson"))).toMatchObject({ code: 0, stderr: "" });
    await until("the lines have arrived", () => reader.received.length >= 2);
    expect(reader.received.map(({ topic }) => topic)).toEqual([
      "m5bat/1/evaluation",
      "m5bat/2/evaluation",
    ]);
  });

  test("goes on at a bad row where it may, and keeps it", async () => {
    const day = file("day.csv", [...rows(2), "2023-04-13 00:00:03,full", row(4)]);
    const ended = await replay(day, "--skip-bad", broker.at("bad.csv"));
    expect(ended.stdout).toMatch(
      /^3 rows sent, 3 acknowledged by the broker in [^,]*, 1 skipped\n$/,
    );
    expect(ended.stderr).toContain(
      `Skipped rows, kept in ${broker.at("bad.csv")}:\n  1: SOC is "full": write a number (row 3)\n`,
    );
    expect(ended.code).toBe(0);
    await until("the rows have arrived", () => reader.received.length >= 3);
    expect(received(reader)).toEqual([1, 2, 4]);
  });

  test("keeps the pace of --speed", async () => {
    const began = Date.now();
    expect(await replay(file("day.csv", rows(41)), "--speed", "20")).toMatchObject({ code: 0 });
    expect(Date.now() - began).toBeGreaterThanOrEqual(2000);
  });

  test("says that nobody has subscribed", async () => {
    await reader.client.endAsync();
    const { code, stderr } = await replay(file("day.csv", rows(3)));
    expect([code, stderr]).toEqual([
      0,
      expect.stringContaining("3 of them reached nobody: no client has subscribed to their topic."),
    ]);
  });

  test("exits 1 at a row that the broker's ACL refuses, and says which", async () => {
    const args = [file("day.csv", rows(1)), "--username", "telegraf"];
    const env = { MQTT_PASSWORD: broker.passwords.telegraf };
    const { code, stdout, stderr } = await start(args, env).ended;
    expect(stdout).toMatch(/^1 rows sent, 0 acknowledged/);
    expect(stderr).toContain(
      "row 1 to m5bat/1/evaluation was refused: Publish error: Not authorized\nrows sent but not acknowledged: 1; resume with --from 1\n",
    );
    expect(code).toBe(1);
  });

  test("exits 1 when the connection is lost, and resumes at the row that it names without a gap", async () => {
    const day = file("day.csv", rows(300));
    const first = start([day, "--speed", "100"]);
    await until("some rows have arrived", () => reader.received.length >= 20);
    await broker.kill();
    const { code, stderr } = await first.ended;
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/the connection to the broker (was lost|failed: read ECONNRESET)/),
    ]);
    const resumeAt = Number(/resume with --from (\d+)/.exec(stderr)?.[1]);
    expect(resumeAt).toBeGreaterThan(1);
    await broker.run();
    await until("the reader is back", () => reader.client.connected);
    expect(await replay(day, "--from", String(resumeAt))).toMatchObject({ code: 0 });
    await until("the rest has arrived", () => received(reader).includes(300));
    expect([...new Set(received(reader))]).toEqual(numbers(1, 300));
  });

  test("stops at an interrupt, and says where to resume", async () => {
    const running = start([file("day.csv", rows(300)), "--speed", "50"]);
    await until("some rows have arrived", () => reader.received.length >= 5);
    running.interrupt();
    const { code, stderr } = await running.ended;
    await until("what was acknowledged has arrived", () =>
      stderr.includes(
        `interrupted\nrows sent but not acknowledged: 0; resume with --from ${reader.received.length + 1}\n`,
      ),
    );
    expect(code).toBe(1);
  });

  test("stops at a bad row after those before it, and says where to resume", async () => {
    const { code, stdout, stderr } = await replay(
      file("day.csv", [...rows(4), "2023-04-13 00:00:05,full"]),
    );
    expect([code, stdout]).toEqual([1, expect.stringContaining("4 rows sent, 4 acknowledged")]);
    expect(stderr).toContain("row 5 of ");
    expect(stderr).toContain(
      'SOC is "full": write a number\n  - --skip-bad FILE keeps such rows in a file, and goes on\nrows sent but not acknowledged: 0; resume with --from 5\n',
    );
  });

  test.each([
    [
      "an undeclared column",
      () => [file("day.csv", rows(1), "DateAndTime,Soc")],
      'column 2 is "Soc", which unit does not declare; allowed: DateAndTime, P_AC_Set',
    ],
    [
      "a row of another length",
      () => [file("day.csv", ["2023-04-13 00:00:00"])],
      "it has 1 cells, and the header has 2",
    ],
    ["a missing file", () => ["/nowhere/day.csv"], "there is no such file"],
    [
      "another ending",
      () => ["/etc/passwd"],
      "the ending is unknown: .csv, .tsv, .txt, .ndjson and .jsonl are read, each also with .gz",
    ],
    [
      "a delimiter of two characters",
      () => ["day.csv", "--delimiter", ";;"],
      "Write one character, such as ';', or tab.",
    ],
    [
      "an encoding that nobody knows",
      () => ["day.csv", "--encoding", "latin-99"],
      "Write an encoding such as utf-8, utf-16le, windows-1252.",
    ],
    [
      "a recording of other topics",
      () => (
        writeFileSync(broker.at("x.ndjson"), '{"topic":"a/b","payload":{}}'),
        [broker.at("x.ndjson")]
      ),
      "Skipped rows:\n  1: no measurement has the topic a/b (row 1)\n",
    ],
    ["a file without rows", () => [file("day.csv", [])], "it has no row 1"],
    [
      "a model that is missing",
      () => [file("day.csv", rows(1)), "--model", "no.yaml"],
      "no.yaml is refused",
    ],
    [
      "a speed of 0",
      () => ["day.csv", "--speed", "0"],
      "Write a number over 0, such as 60, or max.",
    ],
    [
      "too many in flight",
      () => ["day.csv", "--inflight", "70000"],
      "Write a whole number from 1 to 65535.",
    ],
    ["a unit of two levels", () => ["day.csv", "--unit", "a/b"], "Write one topic level"],
    [
      "a tag without a value",
      () => ["day.csv", "--tag", "id"],
      "Write NAME=VALUE, such as group_id=bess-1.",
    ],
    [
      "a URL of another kind",
      () => ["day.csv", "--url", "http://host"],
      "Write mqtt://, mqtts://, ws:// or wss://",
    ],
  ])("sends nothing of %s", async (_, args, message) => {
    const { code, stdout, stderr } = await replay(...args());
    expect([code, stdout, stderr]).toEqual([1, "", expect.stringContaining(message)]);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(reader.received).toEqual([]);
  });

  test.each([
    [
      "a wrong password",
      { MQTT_PASSWORD: "wrong" },
      "as user gateway: Connection refused: Not authorized",
    ],
    ["no password", {}, "without a password: Connection refused: Not authorized"],
  ])("is not let in with %s", async (_, env, message) => {
    const { code, stderr } = await start([file("day.csv", rows(1))], env).ended;
    expect([code, stderr]).toEqual([1, expect.stringContaining(message)]);
  });

  test("says that nobody listens", async () => {
    await broker.kill();
    const { code, stderr } = await replay(file("day.csv", rows(1)));
    expect([code, stderr]).toEqual([1, expect.stringContaining("ECONNREFUSED")]);
  });

  test("takes the password from a file, or from the stack's output, and never shows it", async () => {
    const password = broker.passwords.gateway;
    writeFileSync(broker.at("password"), `${password}\n`);
    const env = localBackend(broker.at("state"));
    const program = async () => ({ gatewayPassword: secret(password) });
    process.env.PATH = environment().PATH;
    const stack = await LocalWorkspace.createStack(
      { stackName: "dev", projectName: "bess-telemetry", program },
      { envVars: env },
    );
    await stack.up();
    const day = file("day.csv", rows(2));
    for (const args of [
      ["--password-file", broker.at("password")],
      ["--stack", "dev"],
    ]) {
      const ended = await start([day, ...args], env).ended;
      expect(ended).toMatchObject({ code: 0, stdout: expect.stringContaining("2 acknowledged") });
      expect(ended.stdout + ended.stderr).not.toContain(password);
    }
    const refusals = await Promise.all(
      ["kiel-1", "kiel-9"].map((other) => start([day, "--stack", other], env).ended),
    );
    expect(refusals.map(({ code, stderr }) => [code, stderr])).toEqual([
      [1, expect.stringMatching(/--stack is kiel-1: .*no stack named 'kiel-1' found/s)],
      [1, expect.stringMatching(/^Stack kiel-9 has no site in .* kiel-1, kiel-2, dev\.\n$/)],
    ]);
  });

  test("goes to the stack's broker: beside this machine, and through a tunnel to a site behind SSH", async () => {
    const checkout = new Checkout();
    const sshd = await Sshd.start();
    try {
      const mqtt = { port: broker.ports.mqtt };
      const sites = { near: { mqtt }, far: { mqtt, ...sshd.reach() } };
      for (const [name, site] of Object.entries(sites))
        writeFileSync(
          checkout.at(`Pulumi.${name}.yaml`),
          stringify({ config: { "bess-telemetry:site": { name, model: m5batFile, ...site } } }),
        );
      writeFileSync(broker.at("password"), broker.passwords.gateway);
      const day = file("day.csv", rows(3));
      for (const stack of ["near", "far"]) {
        const args = ["--stack", stack, "--password-file", broker.at("password")];
        const { code, stdout, stderr } = await checkout.bess("replay", day, ...args);
        expect([code, stdout]).toEqual([0, expect.stringContaining("3 acknowledged")]);
        expect(stderr).not.toContain(broker.passwords.gateway);
        expect(stderr).toContain(`row 1 is of 2023-04-13T00:00:01.000Z, and ${stack} keeps 30d: `);
      }
      expect(sshd.connections()).toBe(1);
      await sshd.stop();
      const args = ["--stack", "far", "--password-file", broker.at("password")];
      expect(await checkout.bess("replay", day, ...args)).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(
          /the site far at ssh:\S+ is refused:\n  - it is not reached: .*no SSH server answers/,
        ),
      });
    } finally {
      await sshd.stop();
      checkout.remove();
    }
  });

  test("teaches by --help", async () => {
    const { code, stdout } = await replay("--help");
    expect(code).toBe(0);
    for (const text of [
      "--stack <name>",
      "--speed <n>",
      "MQTT_PASSWORD",
      "Examples:",
      "Exit code 0",
    ])
      expect(stdout).toContain(text);
  });
});

describe("a recording of a whole broker", () => {
  const battery = {
    name: "battery",
    title: "Battery",
    meaning: "One battery, of two gateways.",
    interval: "1s",
    time: { path: "timestamp", format: "iso8601" },
    tags: [{ name: "id", path: "id", meaning: "Identifier of the battery." }],
    fields: [{ name: "soc", type: "float", unit: "%", meaning: "State of charge." }],
    sources: [
      { topic: "battery/+/status" },
      {
        topic: "solar/+/state_of_charge/state",
        time: "arrival",
        tags: { id: { segment: 1 } },
        fields: { soc: "$" },
      },
    ],
  };
  const at = (second: string) => `2026-11-20T09:00:${second}`;
  const line = (second: string, topic: string, payload: unknown, payloadlen: number) =>
    JSON.stringify({ tst: `${at(second)}Z+0000`, topic, qos: 1, retain: 0, payloadlen, payload });
  const solar = "solar/b3/state_of_charge/state";
  const recording = [
    line("00.500067", "gw/lwt", "online", 6),
    line("00.512004", "battery/b1/status", { id: "b1", timestamp: at("00Z"), soc: 55.5 }, 57),
    line("01.004410", "hall/thermostat/set", 21.5, 4),
    "(message on gw/lwt left out: its payload is no JSON)",
    "",
    line("01.250000", solar, 61.25, 5),
    line("02.000000", "battery/b2/status", null, 0),
    line("02.512050", "battery/b1/status", { id: "b1", soc: 55.125 }, 24),
    line("03.250000", solar, 61.5, 4),
    '{"tst":"2026-11-20T09:0',
  ].join("\n");

  let pipeline: Pipeline;
  beforeAll(async () => {
    const model = { name: "two", title: "Two gateways", measurements: [battery] };
    pipeline = await Pipeline.start(modelSchema.parse(model));
    writeFileSync(pipeline.broker.at("model.yaml"), stringify(model));
    writeFileSync(pipeline.broker.at("recording.ndjson"), recording);
  });
  afterAll(() => pipeline?.stop());

  test("goes to its end by itself, and each row without a time gets that of its recording", async () => {
    const { broker, endpoint } = pipeline;
    const args = ["--model", broker.at("model.yaml"), "--url", broker.url];
    const env = { MQTT_PASSWORD: broker.passwords.gateway };
    const ended = await new Replay([broker.at("recording.ndjson"), ...args], env).ended;
    expect(ended).toEqual({
      code: 0,
      stdout: expect.stringMatching(
        /^4 rows sent, 4 acknowledged by the broker in [^,]*, 5 skipped\n$/,
      ),
      stderr: [
        "Skipped rows:",
        "  1: no measurement has the topic gw/lwt (row 1)",
        "  1: no measurement has the topic hall/thermostat/set (row 3)",
        "  2: not a recorded message (row 4 first)",
        "  1: battery/b2/status: battery: empty payload (row 6)",
        "",
      ].join("\n"),
    });
    await until("all are stored", () => endpoint.table("battery").length >= 4);
    const stored = endpoint
      .table("battery")
      .map(({ tags, fields, time }) => [tags.id, fields.soc, time]);
    const nanoseconds = (second: string, micro = 0) =>
      `${BigInt(Date.parse(at(`${second}Z`))) * 1_000_000n + BigInt(micro) * 1000n}`;
    expect(stored.sort()).toEqual([
      ["b1", "55.125", nanoseconds("02.512", 50)],
      ["b1", "55.5", nanoseconds("00")],
      ["b3", "61.25", nanoseconds("01.250")],
      ["b3", "61.5", nanoseconds("03.250")],
    ]);
  });
});
