import { loadModel } from "../../configs/model";
import {
  checkHost,
  evaluatePreflight,
  type HostRequirements,
  parsePreflight,
  preflightErrorMessage,
  type PreflightResult,
  preflightScript,
} from "../../configs/preflight";
import { profiles } from "../../configs/profiles";
import { retentionOf } from "../../configs/retention";
import { type Storage, storage } from "../../configs/storage";
import { hostAnswer } from "../support/host";

const now = 1_764_000_000;
const requirements: HostRequirements = {
  site: "pi",
  ports: [
    { key: "mqtt.port", address: "0.0.0.0", port: 1883 },
    { key: "grafana.port", address: "127.0.0.1", port: 3000 },
  ],
  storage: storage(
    loadModel("configs/telemetry.yaml"),
    profiles.pi,
    retentionOf({ profile: "pi" }),
  ),
  budget: 10e9,
  images: [],
  memoryMiB: 2816,
  preparing: false,
};

const answer = (change: object = {}) => hostAnswer({ clock: String(now + 1), ...change });
const check = (change: object, asked: Partial<HostRequirements> = {}): PreflightResult =>
  checkHost(parsePreflight(answer(change)), { ...requirements, ...asked }, now);

describe("a host that can carry the site is taken:", () => {
  test.each<[string, object]>([
    ["a Raspberry Pi", {}],
    [
      "an amd64 Debian 13",
      { machine: "x86_64", system: "debian 13 Debian GNU/Linux 13 (trixie)", throttled: "" },
    ],
    ["Debian's own Docker", { docker: "20.10.24+dfsg1" }],
    ["one whose time service cannot be asked, with a right clock", { synchronised: "" }],
    ["a file system that makes inodes as it needs them", { disk: "52000000000 0 0" }],
    [
      "its own container on a port",
      { listens: ["0.0.0.0:1883"], container: ["pi|pi-mosquitto|0.0.0.0:1883->1883/tcp"] },
    ],
    ["another address on a loopback port", { listens: ["10.0.0.5:3000"] }],
    ["a port that is taken for IPv6 alone", { listens: ["[::]:1883", "[::1]:3000"] }],
  ])("%s", (_, change) => {
    expect(check(change)).toEqual({ errors: [], warnings: [] });
  });
});

describe("a host is refused, with a remedy, for", () => {
  const reflash = "write Raspberry Pi OS Lite (64-bit) or Debian 12 or 13 to the card";
  test.each<[what: string, change: object, message: string]>([
    [
      "a processor without images",
      { machine: "armv7l" },
      `its processor is run as armv7l, for which there are no images: ${reflash}`,
    ],
    [
      "32-bit programs under a 64-bit kernel",
      { bits: "32" },
      `its programs are of 32 bits under a kernel of 64: ${reflash}`,
    ],
    [
      "an old system",
      { system: "debian 11 Debian GNU/Linux 11 (bullseye)" },
      `its system is Debian GNU/Linux 11 (bullseye), which is not tested: ${reflash}`,
    ],
    [
      "pages of 16 KiB",
      { page: "16384" },
      "its kernel has pages of 16 KiB, with which InfluxDB 3 aborts: add the line " +
        "kernel=kernel8.img to /boot/firmware/config.txt and reboot",
    ],
    [
      "no memory cgroup",
      { controllers: "cpuset cpu io pids" },
      "its kernel has no memory cgroup, so memory limits would do nothing: add " +
        "cgroup_enable=memory cgroup_memory=1 to the line in /boot/firmware/cmdline.txt and " +
        "reboot",
    ],
    [
      "a clock that is not synchronised",
      { synchronised: "no" },
      "its clock is not synchronised, and messages without a time of their own would be " +
        "stored wrongly: run sudo timedatectl set-ntp true there and check timedatectl on both",
    ],
    [
      "a clock that is wrong",
      { clock: String(now - 3600) },
      "its clock is 3600 s behind this machine's, and messages without a time of their own " +
        "would be stored wrongly: run sudo timedatectl set-ntp true there and check " +
        "timedatectl on both",
    ],
    [
      "no Docker",
      { docker: "timeout: failed to run command 'docker': No such file or directory" },
      "it has no Docker: set host.prepare: true, or install it (docs/raspberry-pi.md)",
    ],
    [
      "a Docker that is stopped",
      {
        docker:
          "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the " +
          "docker daemon running?",
      },
      "its Docker Engine does not answer (Cannot connect to the Docker daemon at " +
        "unix:///var/run/docker.sock. Is the docker daemon running?): check sudo systemctl " +
        "status docker there",
    ],
    [
      "a user outside Docker's group",
      {
        docker:
          "permission denied while trying to connect to the Docker daemon socket at " +
          "unix:///var/run/docker.sock",
        listens: ["*:1883"],
      },
      "pi may not use its Docker Engine: run sudo usermod -aG docker pi there, and log in anew",
    ],
    [
      "an old Docker",
      { docker: "19.03.13" },
      "its Docker Engine is 19.03.13, older than 20.10: remove it, and install Docker's " +
        "own package (docs/raspberry-pi.md)",
    ],
    [
      "a small disk",
      { disk: "3000000000 3800000 3650000" },
      "its disk has 3.0 GB free, and 90 days of this model need 11.7 GB: shorten " +
        "retention, or use a larger disk",
    ],
    [
      "too few inodes",
      { disk: "52000000000 200000 60000" },
      "its disk has 60000 inodes free, and 90 days of this model need 167800: shorten " +
        "retention, or use a larger disk, or make the file system with more of them " +
        "(mkfs.ext4 -T news)",
    ],
    [
      "a port that a program has",
      { listens: ["*:1883"] },
      "its port 1883 is taken: stop what listens there (sudo ss -ltnp 'sport = :1883'), or " +
        "change mqtt.port",
    ],
    [
      "a port that another site's container has",
      { listens: ["127.0.0.1:3000"], container: ["other|other-grafana|127.0.0.1:3000->3000/tcp"] },
      "its port 3000 is taken by the container other-grafana: stop what listens there " +
        "(sudo ss -ltnp 'sport = :3000'), or change grafana.port",
    ],
    [
      "images that must be there",
      { lacks: ["telegraf:1.39.3-alpine", "grafana/grafana:13.1.1"] },
      "its engine lacks telegraf:1.39.3-alpine, grafana/grafana:13.1.1, and images.pull is " +
        "never: run npx bess images load --stack with this site's stack",
    ],
    [
      "too low a voltage now",
      { throttled: "0x50005" },
      "its supply voltage is too low now, which damages what is written to a card: use the " +
        "Raspberry Pi's own supply and a short cable",
    ],
  ])("%s", (_, change, message) => {
    expect(check(change)).toEqual({ errors: [message], warnings: [] });
  });

  test("all of its faults at once", () => {
    expect(
      check({
        page: "16384",
        controllers: "cpu",
        docker: "19.03.13",
        synchronised: "no",
        listens: ["*:1883", "*:3000"],
      }).errors,
    ).toHaveLength(6);
  });
});

test("a Docker that does not wait for the clock is told, unless prepare is to see to it", () => {
  expect(check({ ordered: "no" })).toEqual({
    errors: [],
    warnings: [expect.stringMatching(/^its Docker does not wait .*: set host\.prepare: true/)],
  });
  expect(check({ ordered: "no" }, { preparing: true }).warnings).toEqual([]);
});

describe("what prepare mends is no error:", () => {
  test.each<[string, object]>([
    ["pages of 16 KiB", { page: "16384" }],
    ["no memory cgroup", { controllers: "cpu" }],
    [
      "no Docker",
      {
        docker: "timeout: failed to run command 'docker': No such file or directory",
        lacks: ["telegraf:1.39.3-alpine"],
      },
    ],
    ["a clock that is not synchronised", { synchronised: "no" }],
    ["a user outside Docker's group", { docker: "permission denied while trying to connect" }],
  ])("%s", (_, change) => {
    expect(check(change, { preparing: true }).errors).toEqual([]);
  });

  test("but it needs sudo, and cannot make room", () => {
    const { errors } = check(
      { sudo: "no", disk: "1000000000 3800000 3650000" },
      { preparing: true },
    );
    expect(errors).toEqual([
      expect.stringMatching(/^its disk has 1\.0 GB free/),
      expect.stringMatching(
        /^pi may not use sudo without a password, which host\.prepare needs: run echo/,
      ),
    ]);
  });
});

describe("what should be known, but keeps no site from running:", () => {
  test.each<[string, object, string]>([
    [
      "a voltage that was too low",
      { throttled: "0x50000", uptime: "7300" },
      "its supply voltage was too low since it started 2 h ago: use the Raspberry Pi's own " +
        "supply and a short cable",
    ],
    [
      "a start just now",
      { uptime: "45" },
      "it started 45 s ago; if nobody restarted it, look at journalctl -b -1 -e",
    ],
    [
      "less memory than the limits",
      { memory: "1918976" },
      "it has 1874 MiB of memory, and the profile's limits add up to 2816 MiB: choose a " +
        "smaller profile",
    ],
    [
      "a disk that is filling",
      { disk: "19500000000 3800000 3650000 80500000000" },
      "its disk takes 80.5 GB of 100.0 GB, 80 %: shorten retention, or use a larger disk",
    ],
    [
      "a disk that is nearly full",
      { disk: "9900000000 3800000 3650000 90100000000" },
      "its disk takes 90.1 GB of 100.0 GB, 90 %: act now, for nothing is stored on a full disk: " +
        "shorten retention, or use a larger disk",
    ],
    [
      "data that nears its budget",
      { data: "7900000000" },
      "the data of pi takes 8.4 GB of 10.0 GB, 84 %: shorten retention, or use a larger disk",
    ],
  ])("%s", (_, change, warning) => {
    expect(check({ since: [String(now)], ...change })).toEqual({ errors: [], warnings: [warning] });
  });
});

describe("the room for the data", () => {
  test("is the model's rate over the retention", () => {
    const model = loadModel("configs/telemetry.yaml");
    const [thirty, sixty, ninety] = ["30d", "60d", "90d"].map((raw) =>
      storage(model, profiles.pi, retentionOf({ profile: "pi", retention: raw })),
    ) as [Storage, Storage, Storage];
    const rows = ninety.telemetry - sixty.telemetry;
    expect(rows / (sixty.telemetry - thirty.telemetry)).toBeCloseTo(1, 5);
    // Measured: 35 bytes a message. A quarter is added; folders and blocks half filled come on top.
    const messages = (10 * ninety.retention) / 3;
    expect(rows / messages).toBeGreaterThan(35 * 1.25);
    expect(rows / messages).toBeLessThan(35 * 1.5);
    expect(ninety.inodes - sixty.inodes).toBe(4320 * 3 * 2 * 1.25);
  });

  test("shrinks as a site fills it", () => {
    const full = { disk: "2000000000 3800000 3650000" };
    expect(check(full).errors).toHaveLength(1);
    expect(check({ ...full, since: [String(now - 85 * 86400)] }).errors).toEqual([]);
  });
});

describe("a host's answer", () => {
  const target = { engine: "ssh://pi@bess-pi.local", ssh: {} };
  const evaluate = (stdout: string, stderr = "") =>
    evaluatePreflight({ stdout, stderr }, target, requirements, now).errors;

  test("is checked", () => {
    expect(evaluate(answer({ page: "16384" }))).toEqual([
      expect.stringContaining("pages of 16 KiB"),
    ]);
  });

  test("that did not come is explained by ssh's own message", () => {
    expect(evaluate("ssh\t255\n", "Host key verification failed.\r\n")).toEqual([
      expect.stringContaining("its host key is not known here: run ssh pi@bess-pi.local once"),
    ]);
  });

  test("that broke off is no answer", () => {
    const half = answer().split("\n").slice(0, 10).join("\n");
    expect(evaluate(half)).toEqual([expect.stringContaining("its answer broke off")]);
  });

  test("is reported in one message", () => {
    expect(preflightErrorMessage(target.engine, "pi", ["one: do this", "two: do that"])).toBe(
      "The host ssh://pi@bess-pi.local cannot carry the site pi, and no container was touched:\n" +
        "  - one: do this\n  - two: do that",
    );
  });
});

test("the script names the site's own volume and the images it must find", () => {
  const script = preflightScript({ site: "pi", images: ["telegraf:1.39.3-alpine"] });
  expect(script).toContain("pi-influxdb-data");
  expect(script).toContain("engine image inspect --format x telegraf:1.39.3-alpine");
});
