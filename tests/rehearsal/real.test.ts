import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { command } from "../../rehearsal/command";
import { docker } from "../../rehearsal/docker";
import { grafana } from "../../rehearsal/grafana";
import { random } from "../../rehearsal/random";
import { deployedStack } from "../../automation";
import { environment } from "../../automation/programs";
import { localBackend } from "../../automation/backend";
import { images } from "../../configs/images";
import { failureReason } from "../../fleet/rollout/session";
import { engineAnswers } from "../support/docker";
import { modelWithField } from "../support/models";
import { freePort, temporaryFolder } from "../support/programs";
import { stepsOf } from "../support/rehearsal";

const providers = [docker, random, command, grafana];
const run = (command: string, ...args: string[]) =>
  spawnSync(command, args, {
    env: environment(),
    encoding: "utf8",
    maxBuffer: 1 << 28,
    timeout: 60_000,
  });

/** Installed plugins. Where a provider's plugin is missing, the tests that need it are skipped. */
const plugins = (
  JSON.parse(run("pulumi", "plugin", "ls", "--json").stdout || "[]") as {
    name: string;
    version: string;
  }[]
).map(({ name, version }) => `${name} ${version}`);
const pluginsInstalled = providers.every((provider) =>
  plugins.includes(`${provider.package} ${provider.version}`),
);

(pluginsInstalled ? describe : describe.skip)("beside the real providers' schemas", () => {
  // The schema of the random provider marks no input, although each replaces its resource.
  const marked = providers.filter((provider) => provider !== random);

  test.each(marked)(
    "$package replaces for what its schema says, and for nothing else",
    (provider) => {
      const schema = JSON.parse(
        run("pulumi", "package", "get-schema", `${provider.package}@${provider.version}`).stdout,
      );
      for (const [token, type] of Object.entries(provider.types)) {
        const inputs = Object.entries(
          schema.resources[token].inputProperties as Record<
            string,
            { willReplaceOnChanges?: boolean; replaceOnChanges?: boolean }
          >,
        );
        const replacing = inputs
          .filter(([, input]) => input.willReplaceOnChanges || input.replaceOnChanges)
          .map(([name]) => name);
        const planned =
          type.replaceOnChanges === "all"
            ? inputs.map(([name]) => name)
            : [...type.replaceOnChanges];
        expect({ token, replaces: planned.sort() }).toEqual({ token, replaces: replacing.sort() });
      }
    },
  );
});

(pluginsInstalled && engineAnswers ? describe : describe.skip)(
  "beside a site that the real providers deployed",
  () => {
    const folder = temporaryFolder();
    const stateOfHealth = { name: "soh", path: "soh", type: "float", meaning: "State of health." };
    let model: string;
    let base: Record<string, unknown>;
    const stack = (change: object, offline = false) =>
      deployedStack("beside", {
        offline,
        create: true,
        config: { "bess-telemetry:site": { ...base, ...change } },
        workDir: join(folder.path, "work"),
        environment: {
          ...localBackend(folder.path),
          ...(process.env.PULUMI_HOME && { PULUMI_HOME: process.env.PULUMI_HOME }),
        },
      });
    const preview = (change: object, offline: boolean) =>
      stepsOf((options) => stack(change, offline).preview(options));

    beforeAll(async () => {
      mkdirSync(join(folder.path, "work"), { recursive: true });
      model = modelWithField(folder.path, stateOfHealth);
      base = {
        name: "beside",
        purge: true,
        mqtt: { port: await freePort() },
        grafana: { port: await freePort() },
        explorer: { port: await freePort() },
        simulator: { enabled: true },
      };
      await stack({}).up();
    }, 300_000);

    afterAll(async () => {
      await stack({}).destroy();
      folder.remove();
    }, 120_000);

    test.each<[string, () => object]>([
      ["nothing", () => ({})],
      ["a field in the model", () => ({ model })],
      ["another image", () => ({ images: { explorer: "influxdata/influxdb3-ui:1.9.1" } })],
      ["a token rotated", () => ({ rotate: { influxTelegraf: "a" } })],
      ["a password rotated", () => ({ rotate: { gateway: "a" } })],
      ["another profile", () => ({ profile: "pi" })],
      ["a port moved", () => ({ mqtt: { port: 1 } })],
      ["the Explorer off", () => ({ explorer: { enabled: false } })],
      [
        "WebSocket on",
        () => ({ mqtt: { ...(base.mqtt as object), websocket: { enabled: true } } }),
      ],
      ["another retention", () => ({ retention: "60d" })],
      ["panels embedded", () => ({ grafana: { ...(base.grafana as object), embedding: true } })],
      ["the site renamed", () => ({ name: "renamed" })],
    ])("%s: an offline preview plans what the real one does", async (_, change) => {
      expect(await preview(change(), true)).toEqual(await preview(change(), false));
    });

    test("a container that dies at once fails the update with its log, and the next one mends it", async () => {
      const began = Date.now();
      // An image that lacks the Explorer's own program.
      const failing = stack({ images: { explorer: images.mosquitto } }).up();
      const error = await failing.then(
        () => new Error("the update did not fail"),
        (reason: Error) => reason,
      );
      expect(failureReason(error)).toMatch(
        /^explorer does not come up: .* exit code 127, restarts: \d+\n[^]*\n {4}.*entrypoint\.sh: not found\n/,
      );
      expect(Date.now() - began).toBeLessThan(60_000);
      const mended = await stepsOf((options) => stack({}).up(options));
      expect(mended).toContain("replace Container:beside-explorer");
      expect(await preview({}, false)).toEqual([]);
    }, 180_000);
  },
);
