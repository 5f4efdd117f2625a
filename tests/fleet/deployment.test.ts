import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { callScript, deploymentTags } from "../../configs/grafana";
import { parseSite } from "../../configs/site";
import { deploymentText, tellDeployment, who } from "../../fleet/grafana";
import { temporaryFolder } from "../support/programs";

const commit = "0123456789abcdef0123456789abcdef01234567";
const from = new Date("2026-11-28T03:00:00Z");

describe("a deployment's annotation", () => {
  test("names the commit, who ran it, and what was done, in the order of Pulumi", () => {
    expect(deploymentText({ from, commit, changes: { same: 56, replace: 1, create: 2 } })).toBe(
      `Deployed 0123456789ab by ${who()}: 2 created, 1 replaced`,
    );
    expect(deploymentText({ from, commit: undefined, changes: { delete: 3, update: 4 } })).toBe(
      `Deployed by ${who()}: 4 updated, 3 deleted`,
    );
  });

  test("is none where nothing has changed", () => {
    expect(deploymentText({ from, commit, changes: { same: 57, update: 0 } })).toBeUndefined();
  });
});

describe("telling it, by a stand-in for docker", () => {
  const folder = temporaryFolder();
  const at = (name: string) => join(folder.path, name);
  const { PATH, DOCKER_HOST } = process.env;
  const site = parseSite({ name: "kiel-1" });

  /** A docker that writes down how it is called, with which script, and answers. */
  const answering = (status: string, exit = 0) => {
    const script = `#!/bin/sh\nprintf '%s\\n' "$@" > '${at("args")}'\ncat > '${at("script")}'\nprintf '{}\\n${status}\\n'\nexit ${exit}\n`;
    writeFileSync(at("docker"), script);
    chmodSync(at("docker"), 0o755);
  };
  beforeAll(() => {
    process.env.PATH = [folder.path, PATH].join(delimiter);
    delete process.env.DOCKER_HOST;
  });
  afterAll(() => {
    process.env.PATH = PATH;
    if (DOCKER_HOST !== undefined) process.env.DOCKER_HOST = DOCKER_HOST;
    folder.remove();
  });

  test("is one call of Grafana's API within its container, from the beginning until now", async () => {
    answering("200");
    const before = Date.now();
    await tellDeployment(site, { from, commit, changes: { update: 1 } });
    expect(readFileSync(at("args"), "utf8").split("\n").slice(0, 3)).toEqual([
      "exec",
      "-i",
      "kiel-1-grafana",
    ]);
    const sent = readFileSync(at("script"), "utf8");
    const timeEnd = Number(/"timeEnd":(\d+)/.exec(sent)?.[1]);
    expect(timeEnd).toBeGreaterThanOrEqual(before);
    const text = `Deployed 0123456789ab by ${who()}: 1 updated`;
    const annotation = { time: from.getTime(), timeEnd, tags: deploymentTags, text };
    expect(sent).toBe(callScript("POST", "/api/annotations", annotation));
  });

  test("is left where nothing has changed, and where Grafana does not take it", async () => {
    answering("500", 1);
    await tellDeployment(site, { from, commit, changes: { update: 1 } });
    answering("200");
    writeFileSync(at("args"), "");
    await tellDeployment(site, { from, commit, changes: { same: 1 } });
    expect(existsSync(at("args")) && readFileSync(at("args"), "utf8")).toBe("");
  });
});
