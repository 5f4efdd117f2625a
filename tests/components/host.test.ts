import { execFileSync } from "node:child_process";
import * as pulumi from "@pulumi/pulumi";
import { Site } from "../../components/site";
import { destination, type SshTarget, sharedOptions, sshLine } from "../../configs/ssh";
import { hostAnswer } from "../support/host";
import { until } from "../support/programs";
import { Sshd } from "../support/sshd";

/** Inputs of a resource that are texts: all that these tests look at. */
type Texts = Partial<Record<string, string>> & { environment?: Record<string, string> };

interface Registered {
  type: string;
  name: string;
  inputs: Texts;
}

/** What the program runs to read its host. */
interface HostRead {
  command: string;
  stdin: string;
}

let registered: Registered[] = [];
let hostReads: HostRead[] = [];
let tableReads: HostRead[] = [];

/** What was made on the host when it was read first. */
let touchedBefore: string[] = [];

/** Mocks with a host that answers with these, in turn; the last again and again. */
function mockHost(answers: { stdout: string; stderr?: string }[]): void {
  registered = [];
  hostReads = [];
  tableReads = [];
  touchedBefore = [];
  pulumi.runtime.setMocks({
    call: async ({ token, inputs }) => {
      if (token !== "command:local:run") return { ...inputs, id: `sha256:${inputs.name}` };
      if (inputs.stdin.includes("tables-read")) {
        tableReads.push(inputs);
        return { stdout: "", stderr: "" };
      }
      hostReads.push(inputs);
      await new Promise((resolve) => setTimeout(resolve, 50));
      if (hostReads.length === 1) touchedBefore = touched();
      const { stdout = "", stderr = "" } = answers[hostReads.length - 1] ?? answers.at(-1) ?? {};
      // Its clock is read now: to make all before may take a slow machine a minute.
      const clock = `clock\t${Math.floor(Date.now() / 1000)}`;
      return { stderr, stdout: stdout.replace(/^clock\t.*$/m, clock) };
    },
    newResource: (resource) => {
      registered.push(resource);
      const state = {
        stdout: "x",
        result: "x",
        base64: "AAAA",
        hex: "ab12",
        imageId: `sha256:${resource.name}`,
        name: resource.name,
        ...resource.inputs,
      };
      return { id: `${resource.name}-id`, state };
    },
  });
}

/** Deploys a site whose host answers with these. */
async function deploy(config: object, answers: { stdout: string }[]): Promise<void> {
  mockHost(answers);
  new Site("pi", { name: "pi", engine: "ssh://pi@bess-pi.local", profile: "pi", ...config });
  await pulumi.runtime.disconnect();
}

const ofType = (type: string) => registered.filter((resource) => resource.type === type);
const commands = () => ofType("command:local:Command");
const createOf = (name: string) =>
  commands().find((command) => command.name === name)?.inputs.create ?? "";
const touched = () =>
  registered.filter(({ type }) => /^(docker|command|grafana):/.test(type)).map(({ name }) => name);

describe("a site that is reached over SSH", () => {
  beforeAll(() => deploy({}, [{ stdout: hostAnswer() }]));

  test("has its host read once, with the script on standard input, and the tunnel opened", () => {
    expect(hostReads).toEqual([
      expect.objectContaining({
        command: expect.stringMatching(
          /HostKeyChecking=yes .* 'bash -s' && ssh .* -O forward -L [\d.]+:23208:[\d.]+:3000 /,
        ),
        stdin: expect.stringContaining("report page"),
      }),
    ]);
  });

  test("is not touched before its host has answered", () => {
    expect([touchedBefore, touched().length > 10]).toEqual([[], true]);
  });

  test("shares one connection between the Docker provider and every command", () => {
    const options = sharedOptions({ engine: "ssh://pi@bess-pi.local", ssh: {} });
    expect(ofType("pulumi:providers:docker").map(({ inputs }) => inputs)).toEqual([
      expect.objectContaining({
        host: "ssh://pi@bess-pi.local",
        sshOpts: JSON.stringify(options),
      }),
    ]);
    for (const { inputs } of commands()) expect(inputs.create).toContain(sshLine(options));
  });

  test("has its databases made by its own docker, and needs none here", () => {
    expect(commands().map(({ name, inputs }) => [name, inputs.environment?.DOCKER_HOST])).toEqual(
      expect.arrayContaining([["pi-influxdb-schema", undefined]]),
    );
    expect(createOf("pi-influxdb-token-grafana")).toMatch(
      / 'TOKEN_NAME=grafana-ab12 docker exec -i -e TOKEN_NAME pi-influxdb bash -s'$/,
    );
  });

  test("has Grafana's API at the tunnel's stable port", () => {
    expect(ofType("pulumi:providers:grafana").map(({ inputs }) => inputs.url)).toEqual([
      "http://127.0.0.1:23208",
    ]);
  });

  test("has Telegraf wait for its clock for half a day of its uptime", () => {
    const [telegraf] = ofType("docker:index/container:Container").filter(
      ({ name }) => name === "pi-telegraf",
    );
    expect(JSON.stringify(telegraf?.inputs)).toContain("limit=43200\\n");
  });

  test("is prepared by nothing", () => {
    expect(commands().filter(({ name }) => name.startsWith("pi-host"))).toEqual([]);
  });
});

describe("a host that is to be prepared", () => {
  const udev = [{ symlink: "bms", vendor: "0403", product: "6001", serial: "A50285BI" }];
  const bare = hostAnswer({
    docker: "timeout: failed to run command 'docker': No such file or directory",
    page: "16384",
  });

  test("is prepared first, and judged again before anything is made on it", async () => {
    await deploy({ host: { prepare: true, udev } }, [{ stdout: bare }, { stdout: hostAnswer() }]);
    expect(hostReads).toHaveLength(2);
    expect(
      commands()
        .map(({ name }) => name)
        .slice(0, 4)
        .sort(),
    ).toEqual(["pi-host-boot", "pi-host-clock", "pi-host-docker", "pi-host-udev"]);
  });

  test("loses its udev rules and nothing else when it is destroyed", async () => {
    await deploy({ host: { prepare: true, udev, updates: true } }, [{ stdout: hostAnswer() }]);
    const prepared = commands().filter(({ name }) => name.startsWith("pi-host"));
    expect(
      prepared
        .filter(({ inputs }) => inputs.delete)
        .map(({ name, inputs }) => [name, /rm -f (\S+)/.exec(inputs.delete ?? "")?.[1]]),
    ).toEqual([["pi-host-udev", "/etc/udev/rules.d/99-bess-pi.rules"]]);
  });

  test.each([
    [false, "set host.reboot: true"],
    [true, "systemctl reboot"],
  ])("with reboot %s, its boot script ends in: %s", async (reboot, expected) => {
    await deploy({ host: { prepare: true, reboot } }, [{ stdout: hostAnswer() }]);
    const create = createOf("pi-host-boot");
    expect([create.includes("systemctl reboot"), create]).toEqual([
      reboot,
      expect.stringContaining(expected),
    ]);
  });
});

test("a site that may not pull asks whether its images are there", async () => {
  await deploy({ images: { pull: "never" } }, [{ stdout: hostAnswer() }]);
  expect(ofType("docker:index/remoteImage:RemoteImage")).toEqual([]);
  const [read] = hostReads.map(({ stdin }) => stdin);
  expect(read).toContain("image inspect --format x grafana/grafana:13.1.1");
  // The site has no backup.
  expect(read).not.toContain("restic");
});

describe("the link budget of an update, on a real SSH server with a stand-in for docker", () => {
  let sshd: Sshd;
  let reach: SshTarget;
  beforeAll(async () => {
    const healthy = "/pi-x|x|running|healthy|0|0|false|2026-11-27T12:00:00Z|ab";
    sshd = await Sshd.start({
      docker: `[ "$1" = inspect ] && echo "${healthy}" || { cat > /dev/null; echo apiv3_token; }`,
    });
    reach = sshd.reach();
    await deploy({ engine: reach.engine, ssh: reach.ssh }, [{ stdout: hostAnswer() }]);
  });
  afterAll(async () => {
    execFileSync("ssh", [...sharedOptions(reach), "-O", "exit", ...destination(reach)], {
      stdio: "ignore",
    });
    await sshd.stop();
  });

  test("is one connection, and a session for the preflight and each script", async () => {
    const run = (line: string, input: string, env: object = {}) =>
      execFileSync("/bin/sh", ["-c", line], {
        input,
        env: { ...process.env, ...env },
        encoding: "utf8",
      });
    for (const { command, stdin } of [...hostReads, ...tableReads]) run(command, stdin);
    for (const { inputs } of commands())
      run(inputs.create ?? "false", inputs.stdin ?? "", inputs.environment);
    // The preflight, InfluxDB's tables, its schema and four tokens, whether each of six services is ready, and
    // the former session of each of three measurements, and what Grafana's volume holds of before.
    await until("the server's log", () => sshd.sessions() >= 17);
    expect([sshd.connections(), sshd.sessions()]).toEqual([1, 17]);
  });
});
