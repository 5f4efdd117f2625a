import { spawnSync } from "node:child_process";
import {
  type ContainerStatus,
  labels,
  parseStatus,
  readyScript,
  statusScript,
} from "../../configs/containers";
import { images } from "../../configs/images";
import { hasImage } from "../support/docker";

// The smallest image of a site; its shell is the one of most.
const image = images.mosquitto;
const site = `test-${process.pid}`;

const run = (command: string, args: string[], input = "") =>
  spawnSync(command, args, { input, encoding: "utf8", timeout: 60_000 });
const docker = (...args: string[]) => run("docker", args);

/** Runs a container as a site does, with a health check each second. */
function start(
  service: string,
  command: string,
  healthCheck: string,
  options: string[] = [],
): string {
  const name = `${site}-${service}`;
  const health = ["--health-cmd", healthCheck, "--health-interval", "1s", "--health-retries", "1"];
  const label = ["--label", `${labels.site}=${site}`, "--label", `${labels.revision}=ab12`];
  const identity = ["--name", name, "--hostname", service, "--restart", "unless-stopped"];
  const made = [...identity, ...label, ...health, ...options, "--entrypoint", "sh"];
  const started = docker("run", "--detach", ...made, image, "-c", command);
  expect(started).toMatchObject({ status: 0, stderr: "" });
  return name;
}

/** Waits for a container as an update does. */
function awaitReady(name: string, seconds: number) {
  const began = Date.now();
  const { status, stdout, stderr } = run("sh", ["-s", "--", name, `${seconds}`], readyScript());
  return { status, stdout, stderr, seconds: (Date.now() - began) / 1000 };
}

(hasImage(image) ? describe : describe.skip)("beside a real engine", () => {
  afterEach(() => {
    const ids = docker("ps", "-aq", "--filter", `label=${labels.site}=${site}`).stdout;
    docker("rm", "--force", "--volumes", ...ids.split(/\s+/).filter(Boolean));
  });

  test("a service that is healthy is waited for", () => {
    const name = start("good", "sleep 2; touch /tmp/ok; sleep 600", "test -e /tmp/ok");
    expect(awaitReady(name, 30)).toMatchObject({ status: 0, stdout: "", stderr: "" });
  });

  test("one that dies at once is told within seconds, with its last words", () => {
    const name = start("bad", "echo starting; echo 'the catalog is empty' >&2; exit 101", "true");
    const { status, stderr, seconds } = awaitReady(name, 180);
    expect(status).toBe(1);
    expect(seconds).toBeLessThan(10);
    expect(stderr).toMatch(
      new RegExp(
        `^bad does not come up: the container ${name} is \\w+.*, exit code 101, restarts: \\d`,
      ),
    );
    expect(stderr).toMatch(/^ {4}the catalog is empty$/m);
  });

  test("one that dies after a while is told when it does, with its exit code", () => {
    const name = start("late", "sleep 3; exit 7", "false");
    const { stderr, seconds } = awaitReady(name, 180);
    expect(stderr).toMatch(/^late does not come up: .*, exit code 7, restarts: 1$/m);
    expect(seconds).toBeLessThan(12);
  });

  test("one that spends its memory is told as that", () => {
    const name = start("fat", "sleep 1; tail /dev/zero", "false", [
      "--memory",
      "16m",
      "--memory-swap",
      "16m",
    ]);
    expect(awaitReady(name, 180).stderr).toMatch(
      /, out of memory, restarts: \d\n[^]*choose a profile with more/,
    );
  });

  test("one that never answers is told at the end, with its last health check", () => {
    const name = start("dumb", "sleep 600", "echo no answer from the port; exit 3");
    const { status, stderr } = awaitReady(name, 3);
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^dumb is not healthy after 3 s: the container \S+ is running and unhealthy/,
    );
    expect(stderr).toMatch(/^ {2}last health check: exit code 3: no answer from the port$/m);
  });

  test("one that was dead is started again, once what it died of is mended", () => {
    const name = start("mended", "test -e /tmp/ok || exit 4; sleep 600", "true", [
      "--restart",
      "no",
    ]);
    expect(awaitReady(name, 30).stderr).toMatch(/is exited .*, exit code 4/);
    expect(docker("cp", __filename, `${name}:/tmp/ok`).status).toBe(0);
    expect(awaitReady(name, 30)).toMatchObject({ status: 0, stderr: "" });
  });

  test("one that is not there is named", () => {
    expect(awaitReady(`${site}-none`, 180)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining(`No such object: ${site}-none`),
    });
  });

  test("the containers of a site are read at once, and told where they are not well", () => {
    const good = start("good", "sleep 600", "true");
    start("bad", "echo 'no such file' >&2; exit 2", "true");
    awaitReady(good, 30);
    const read = () => parseStatus(run("sh", ["-s"], statusScript(site)).stdout);
    const found = new Map(
      read().map((status): [string, ContainerStatus] => [status.service, status]),
    );
    expect(found.size).toBe(2);
    expect(found.get("good")).toMatchObject({
      state: "running",
      health: "healthy",
      restarts: 0,
      revision: "ab12",
      report: "",
    });
    expect(Date.parse(found.get("good")?.since ?? "")).toBeGreaterThan(Date.now() - 60_000);
    expect(found.get("bad")?.report).toMatch(/^bad is not well: .*\n[^]*\n {4}no such file\n/);
  });

  test("a site without containers has none", () => {
    expect(parseStatus(run("sh", ["-s"], statusScript("nowhere")).stdout)).toEqual([]);
  });
});
