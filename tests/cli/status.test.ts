import { mkdirSync, writeFileSync } from "node:fs";
import { delimiter } from "node:path";
import { stringify } from "yaml";
import { Checkout } from "../support/checkout";
import { askingForFacts, containerFacts, standInForDocker } from "../support/docker";
import { Sshd } from "../support/sshd";

const checkout = new Checkout();
const path = process.env.PATH;
beforeAll(() => {
  mkdirSync(checkout.at("bin"));
  process.env.PATH = [checkout.at("bin"), path].join(delimiter);
});
afterAll(() => {
  process.env.PATH = path;
  checkout.remove();
});

const services = ["mosquitto", "telegraf", "influxdb", "rollup", "grafana"];
const facts = (site: string, changes: Record<string, object> = {}) =>
  services.map((service) => containerFacts(`${site}-${service}`, changes[service])).join("\n");

/** Answers of a stand-in for docker, at a site whose services are well but for these changes. */
const answers = (site: string, changes?: Record<string, object>) => ({
  "ps -aq": "echo a b",
  [askingForFacts]: `echo '${facts(site, changes)}'`,
  "inspect --format {{with": "printf '\\fexit code 7: no answer\\n'",
  logs: "echo 'thread main panicked' >&2",
});

/** Writes the stack of a site without the Explorer. */
const configure = (stack: string, site: object = {}) =>
  writeFileSync(
    checkout.at(`Pulumi.${stack}.yaml`),
    stringify({
      config: { "bess-telemetry:site": { name: stack, explorer: { enabled: false }, ...site } },
    }),
  );
const status = (...args: string[]) => checkout.bess("status", ...args);

describe("the status of a site", () => {
  beforeAll(() => configure("near"));

  test("is a line for each service", async () => {
    standInForDocker(checkout.at("bin"), answers("near"));
    const { code, stdout } = await status("--stack", "near");
    expect(stdout.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["SITE", "SERVICE", "STATE", "HEALTH", "RESTARTS", "EXIT", "SINCE", "REVISION"],
      ...services.map((service) => [
        "near",
        service,
        "running",
        "healthy",
        "0",
        "-",
        "2026-11-27T12:00:00Z",
        "ab12",
      ]),
      [""],
    ]);
    expect(code).toBe(0);
  });

  const restarting = {
    influxdb: { state: "restarting", health: "unhealthy", restarts: 3, exitCode: 101 },
  };

  test("has the log of one that is not well, and exit code 2", async () => {
    standInForDocker(checkout.at("bin"), answers("near", restarting));
    const { code, stdout } = await status("--stack", "near");
    expect(stdout).toMatch(/^near +influxdb +restarting +unhealthy +3 +101 /m);
    expect(stdout).toContain(
      "near: influxdb is not well: the container near-influxdb is restarting " +
        "since 2026-11-27T12:00:00Z, exit code 101, restarts: 3\n" +
        "  last health check: exit code 7: no answer\n" +
        "  last lines of its log:\n    thread main panicked\n",
    );
    expect(code).toBe(2);
  });

  test("is data for a script", async () => {
    standInForDocker(checkout.at("bin"), answers("near", restarting));
    const [found] = JSON.parse((await status("--stack", "near", "--json")).stdout);
    expect(found).toMatchObject({ stack: "near", site: "near" });
    expect(found.services[0]).toEqual({
      service: "mosquitto",
      container: "near-mosquitto",
      state: "running",
      health: "healthy",
      restarts: 0,
      outOfMemory: false,
      since: "2026-11-27T12:00:00Z",
      revision: "ab12",
      report: "",
    });
    expect(found.services[2]).toMatchObject({
      exitCode: 101,
      restarts: 3,
      report: expect.stringContaining("\n    thread main panicked\n"),
    });
  });

  test("names a container that is missing", async () => {
    const { [askingForFacts]: all = "", ...others } = answers("near");
    standInForDocker(checkout.at("bin"), { ...others, [askingForFacts]: `${all} | head -n 3` });
    const { code, stdout } = await status("--stack", "near");
    expect(stdout).toContain("near: grafana is missing: there is no container near-grafana\n");
    expect(code).toBe(2);
  });

  test("that was never deployed is one line", async () => {
    standInForDocker(checkout.at("bin"), {});
    const { code, stdout } = await status("--stack", "near");
    expect(stdout).toMatch(/\n\nnear: no container is there: run up\n$/);
    expect(code).toBe(2);
  });
});

describe("the status of several sites", () => {
  let sshd: Sshd;
  beforeAll(async () => {
    configure("near");
    configure("nowhere", { engine: "ssh://pi@127.0.0.1:1" });
    sshd = await Sshd.start({
      docker: `case "$*" in "ps -aq"*) echo a ;; *) echo '${facts("far")}' ;; esac`,
    });
    configure("far", sshd.reach());
    standInForDocker(checkout.at("bin"), answers("near"));
  });
  afterAll(() => sshd.stop());

  test("is asked in one round trip at each, and a site that is not reached hides no other", async () => {
    const stacks = ["near", "far", "nowhere"].flatMap((stack) => ["--stack", stack]);
    const { code, stdout } = await status(...stacks);
    expect(stdout.match(/^(near|far) +\w+ +running +healthy /gm)).toHaveLength(2 * services.length);
    expect(stdout).toMatch(/^nowhere: it is not reached: ssh: .*Connection refused/m);
    expect(code).toBe(2);
    expect([sshd.connections(), sshd.sessions()]).toEqual([1, 1]);
  });
});
