import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { buildSync } from "esbuild";
import type { Model } from "../configs/model";
import type { SiteConfig } from "../configs/site";
import { durationSeconds } from "../configs/units";
import { Service, type ServiceContext } from "./service";

/** What the simulated BESS publishes, and where. */
export interface SimulatorArgs extends ServiceContext {
  model: Model;
  simulator: SiteConfig["simulator"];
  network: pulumi.Input<string>;
  broker: pulumi.Input<string>;
  /** Password of the broker's user `gateway`. */
  password: pulumi.Input<string>;
}

const paths = {
  program: "/opt/simulator/main.js",
  config: "/opt/simulator/config.json",
  password: "/run/secrets/mqtt_password",
};

/** A simulated BESS, in the place of the battery's gateway. */
export class Simulator extends pulumi.ComponentResource {
  readonly service: Service;

  constructor(name: string, args: SimulatorArgs, opts: pulumi.ComponentResourceOptions) {
    super("bess:index:Simulator", name, {}, opts);
    const intervalMs = Math.round(durationSeconds(args.simulator.interval) * 1000);
    const config = pulumi.jsonStringify({
      url: args.broker,
      username: "gateway",
      passwordFile: paths.password,
      model: args.model,
      units: args.simulator.units,
      intervalMs,
      seed: 1,
    });
    this.service = new Service(
      name,
      {
        ...args,
        service: "simulator",
        networks: [args.network],
        user: "1000:1000",
        entrypoints: ["node"],
        command: [paths.program, paths.config],
        files: [
          { path: paths.program, content: bundle() },
          { path: paths.config, content: config },
          { path: paths.password, content: args.password, secret: true },
        ],
        // The simulator touches the file whenever the broker has acknowledged what it published.
        healthCheck: [
          "CMD",
          "node",
          "-e",
          `process.exit(Date.now()-require("fs").statSync("/tmp/alive").mtimeMs<${intervalMs * 5 + 5000}?0:1)`,
        ],
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}

let bundled: string | undefined;

/** The simulator and the libraries it uses, as one file that plain Node runs; made once for all sites of a process. */
function bundle(): string {
  if (bundled !== undefined) return bundled;
  const root = join(__dirname, "..");
  const built = buildSync({
    entryPoints: [join(root, "simulator/main.ts")],
    absWorkingDir: root,
    bundle: true,
    minify: true,
    platform: "node",
    target: "node22",
    write: false,
    legalComments: "none",
  });
  return (bundled = built.outputFiles[0].text);
}
