import { spawn, type ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { secret } from "@pulumi/pulumi";
import { LocalWorkspace } from "@pulumi/pulumi/automation";
import { loadModel } from "../../configs/model";
import { environment } from "../../automation/programs";
import { localBackend } from "../../automation/backend";
import { until } from "../support/programs";
import { Broker, type Reader } from "../support/broker";

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
      /^20000 rows read, 20000 acknowledged by the broker in \d+\.\d s \(\d+\/s\)\n$/,
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
    expect([code, stdout]).toEqual([0, expect.stringContaining("5 rows read, 5 acknowledged")]);
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
    const other = file(
      "battery.csv",
      ["2023-04-13 00:00:00,battery-1,bess-1,50"],
      "timestamp,id,group_id,soc",
    );
    const { code, stdout, stderr } = await replay(
      other,
      "--model",
      "configs/telemetry.yaml",
      "--measurement",
      "battery",
    );
    expect(stdout).toMatch(/^1 rows read, 0 acknowledged/);
    expect(stderr).toContain(
      "row 1 to battery/1/status was refused: Publish error: Not authorized\nrows sent but not acknowledged: 1; resume with --from 1\n",
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
    expect([code, stdout]).toEqual([1, expect.stringContaining("4 rows read, 4 acknowledged")]);
    expect(stderr).toContain("row 5 of ");
    expect(stderr).toContain(
      'SOC is "full": write a number\nrows sent but not acknowledged: 0; resume with --from 5\n',
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
      "Invalid Record Length",
    ],
    ["a missing file", () => ["/nowhere/day.csv"], "there is no such file"],
    [
      "another ending",
      () => ["/etc/passwd"],
      "the ending is unknown: .csv, .ndjson and .jsonl are read, each also with .gz",
    ],
    ["a file without rows", () => [file("day.csv", [])], "it has no row 1"],
    [
      "a .gz that is none",
      () => (writeFileSync(broker.at("x.csv.gz"), "text"), [broker.at("x.csv.gz")]),
      "incorrect header check",
    ],
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
