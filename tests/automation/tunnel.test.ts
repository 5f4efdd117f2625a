import { spawnSync } from "node:child_process";
import { createServer, type Server } from "node:http";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkHost, parsePreflight, preflightScript } from "../../configs/preflight";
import {
  destination,
  forwardArguments,
  type SshTarget,
  remoteLine,
  sharedOptions,
  sshLine,
  unreachableMessage,
} from "../../configs/ssh";
import { openTunnel, shareTunnel, withTunnel } from "../../automation/tunnel";
import { freePort, listens, temporaryFolder, until } from "../support/programs";
import { Sshd } from "../support/sshd";

/** A page behind the far loopback address. */
async function page(): Promise<{ port: number; close(): void }> {
  const server: Server = createServer((_, response) => response.end("the site's page"));
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return { port, close: () => server.close() };
}

const shell = (line: string, input = "") =>
  spawnSync("/bin/sh", ["-c", line], { input, encoding: "utf8", timeout: 30000 });
const get = async (port: number) => (await fetch(`http://127.0.0.1:${port}/`)).text();
const closeShared = (reach: SshTarget) =>
  shell(sshLine([...sharedOptions(reach), "-O", "exit", ...destination(reach)]));

describe("a tunnel over a real SSH server", () => {
  let sshd: Sshd;
  let remote: Awaited<ReturnType<typeof page>>;
  let local: number;
  beforeEach(async () => {
    sshd = await Sshd.start();
    remote = await page();
    local = await freePort();
  });
  afterEach(async () => {
    remote.close();
    await sshd.stop();
  });
  const forwards = () => [{ local, remote: remote.port }];

  test("brings the far port here, and takes it away when it is closed", async () => {
    const tunnel = await openTunnel(sshd.reach(), forwards());
    expect(await get(local)).toBe("the site's page");
    tunnel.close();
    await tunnel.ended;
    expect(await listens(local)).toBe(false);
  });

  test("ends with a reason when the site vanishes", async () => {
    const tunnel = await openTunnel(sshd.reach(), forwards());
    sshd.vanish();
    expect(await tunnel.ended).toMatch(/closed by remote host|Connection reset|Broken pipe/);
    expect(await listens(local)).toBe(false);
  });

  test.each<[what: string, reach: () => SshTarget, message: RegExp]>([
    [
      "an unknown host key",
      () => sshd.reach({ knownHosts: "none" }),
      /its host key is not known here: run ssh \S+@127\.0\.0\.1 once, and compare the fingerprint/,
    ],
    [
      "another host key than the known one",
      () => sshd.reach({ knownHosts: "changed" }),
      /its host key is another than the known one/,
    ],
    [
      "a key that the site does not know",
      () => sshd.reach({ identity: "stranger" }),
      /Permission denied.*it takes no key of yours: run ssh-copy-id/,
    ],
    [
      "a host without an SSH server",
      () => ({ ...sshd.reach(), engine: "ssh://pi@127.0.0.1:1" }),
      /no SSH server answers on this port/,
    ],
    [
      "a name that nobody knows",
      () => ({ ...sshd.reach(), engine: "ssh://pi@no-such-host.invalid" }),
      /its name is not known: write its address/,
    ],
  ])("is refused, with what to do, for %s", async (_, reach, message) => {
    await expect(openTunnel(reach(), forwards())).rejects.toThrow(message);
  });

  test("is refused for a local port that another program has", async () => {
    local = remote.port;
    await expect(openTunnel(sshd.reach(), forwards())).rejects.toThrow(
      /the tunnel's local port is taken by another program/,
    );
  });
});

describe("the connection that an update shares", () => {
  let sshd: Sshd;
  let remote: Awaited<ReturnType<typeof page>>;
  beforeAll(async () => {
    sshd = await Sshd.start();
    remote = await page();
  });
  afterAll(async () => {
    remote.close();
    closeShared(sshd.reach());
    await sshd.stop();
  });

  test("is one for any number of commands, at once or in turn, and for the tunnel", async () => {
    const reach = sshd.reach();
    const local = await freePort();
    expect(shell(remoteLine(reach, "echo first")).stdout).toBe("first\n");
    const together = Array.from(
      { length: 6 },
      (_, i) => `${remoteLine(reach, `echo ${i}`)} < /dev/null &`,
    ).join("\n");
    expect(shell(`${together}\nwait`).stdout.trim().split("\n").sort()).toEqual([
      "0",
      "1",
      "2",
      "3",
      "4",
      "5",
    ]);
    const forward = sshLine(forwardArguments(reach, [{ local, remote: remote.port }]));
    expect(shell(`${forward} && ${forward}`)).toMatchObject({ status: 0, stderr: "" });
    expect(await get(local)).toBe("the site's page");
    expect([sshd.connections(), sshd.sessions()]).toEqual([1, 7]);
  });

  test("carries a command's standard input, output and exit code", () => {
    expect(
      shell(remoteLine(sshd.reach(), "bash -s"), 'echo "$((6 * 7)) it\'s"; exit 3'),
    ).toMatchObject({ status: 3, stdout: "42 it's\n" });
  });

  test("is opened anew once the site is back", async () => {
    const before = sshd.connections();
    sshd.vanish();
    await until("a new connection", () => shell(remoteLine(sshd.reach(), "true")).status === 0);
    expect(sshd.connections()).toBe(before + 1);
  });
});

describe("what Pulumi does while the tunnel to Grafana is open", () => {
  const folder = temporaryFolder();
  let sshd: Sshd;
  let remote: Awaited<ReturnType<typeof page>>;
  let local: number;
  let told: string;
  beforeEach(async () => {
    sshd = await Sshd.start();
    remote = await page();
    local = await freePort();
    told = "";
    jest.spyOn(console, "error").mockImplementation((text: string) => void (told += text));
    stackOf(sshd.reach());
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    remote.close();
    closeShared(sshd.reach());
    await sshd.stop();
  });
  afterAll(() => folder.remove());

  function stackOf({ engine, ssh }: SshTarget): void {
    const site = {
      name: "pi",
      engine,
      ssh,
      grafana: { port: remote.port, url: `http://127.0.0.1:${local}` },
    };
    writeFileSync(
      join(folder.path, "Pulumi.pi.yaml"),
      JSON.stringify({ config: { "bess-telemetry:site": site } }),
    );
  }

  test("reaches Grafana, and nobody does afterwards", async () => {
    let seen = "";
    const run = async () => ((seen = await get(local)), 3);
    expect([await withTunnel("pi", run, folder.path), seen, await listens(local), told]).toEqual([
      3,
      "the site's page",
      false,
      "",
    ]);
  });

  test("takes the tunnel that an update has left a moment ago", async () => {
    const reach = sshd.reach();
    const forward = { local, remote: remote.port };
    await shareTunnel(reach, forward);
    const again = await shareTunnel(reach, forward);
    expect([await get(local), await again.close(), await listens(local)]).toEqual([
      "the site's page",
      true,
      false,
    ]);
  });

  test("is told to be tried again if the site vanished meanwhile", async () => {
    const run = async () => (
      sshd.vanish(),
      await until("the tunnel's end", async () => !(await listens(local))),
      255
    );
    expect(await withTunnel("pi", run, folder.path)).toBe(255);
    expect(told).toMatch(
      /^The connection to ssh:\/\/\S+ was lost on the way\. .* run the same command again once the site is back\.$/,
    );
  });

  test("does not begin if the site is not reached", async () => {
    stackOf(sshd.reach({ identity: "stranger" }));
    const run = jest.fn(() => 0);
    expect(await withTunnel("pi", run, folder.path)).toBe(1);
    expect([run.mock.calls, told]).toEqual([
      [],
      expect.stringContaining("it takes no key of yours"),
    ]);
  });
});

describe("the preflight over a real SSH server, with stand-ins for the host's own programs", () => {
  const now = () => Date.now() / 1000;
  const required = {
    site: "pi",
    ports: [{ key: "mqtt.port", address: "0.0.0.0", port: 1883 }],
    storage: { telemetry: 0, queue: 0, inodes: 0, retention: 86400 },
    budget: 1,
    images: ["telegraf:1.39.3-alpine", "grafana/grafana:13.1.1"],
    memoryMiB: 1,
    preparing: false,
  };
  const engine = `case "$*" in
  version*) echo 28.5.1 ;;
  info*) echo / ;;
  ps*) echo 'other|other-mosquitto|0.0.0.0:1883->1883/tcp' ;;
  "image inspect --format x telegraf"*) echo x ;;
  *) exit 1 ;;
esac`;
  const standIns = {
    docker: engine,
    uname: "echo aarch64",
    getconf: "[ $1 = LONG_BIT ] && echo 64 || echo 16384",
    timedatectl: "echo no",
    vcgencmd: "echo throttled=0x50005",
    ss: "echo 'LISTEN 0 4096 0.0.0.0:1883 0.0.0.0:*'",
  };
  let sshd: Sshd;
  beforeAll(async () => {
    sshd = await Sshd.start(standIns);
  });
  afterAll(async () => {
    closeShared(sshd.reach());
    await sshd.stop();
  });

  test("reads every fault in one session", () => {
    const { stdout, status } = shell(
      remoteLine(sshd.reach(), "bash -s"),
      preflightScript(required),
    );
    expect(status).toBe(0);
    const { errors } = checkHost(parsePreflight(stdout), required, now());
    const told = errors.join("\n");
    expect(told).toContain("pages of 16 KiB");
    expect(told).toContain("its clock is not synchronised");
    expect(told).toContain("its port 1883 is taken by the container other-mosquitto");
    expect(told).toContain("its engine lacks grafana/grafana:13.1.1, and");
    expect(told).toContain("its supply voltage is too low now");
    expect([sshd.connections(), sshd.sessions()]).toEqual([1, 1]);
  });

  test("says why there was no answer", () => {
    const reach = sshd.reach({ knownHosts: "none" });
    closeShared(sshd.reach());
    const { stderr } = shell(remoteLine(reach, "bash -s"), preflightScript(required));
    expect(unreachableMessage(reach, stderr)).toContain("its host key is not known here");
  });
});
