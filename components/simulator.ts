import * as pulumi from "@pulumi/pulumi";
import type { Model } from "../configs/model";
import { healthCheck, paths } from "../configs/simulator";
import type { SiteConfig } from "../configs/site";
import { durationSeconds } from "../configs/units";
import { bundleOf } from "./bundles";
import { type File, Service, type ServiceContext } from "./service";

/** What the simulated BESS publishes, and where. */
export interface SimulatorArgs extends ServiceContext {
  /**
   * Telemetry model of the site: the topics and payloads of its messages.
   * @example
   * ```ts
   * { model: loadModel("configs/telemetry.yaml") }
   * ```
   */
  model: Model;
  /**
   * How many units are simulated, and the time between two messages of one.
   * @example
   * ```ts
   * { simulator: { enabled: true, units: 2, interval: "1s" } }
   * ```
   */
  simulator: SiteConfig["simulator"];
  /**
   * Name of the Docker network of the broker's clients.
   * @example
   * ```ts
   * { network: "kiel-1-field" }
   * ```
   */
  network: pulumi.Input<string>;
  /**
   * URL of the broker, as the container reaches it.
   * @example
   * ```ts
   * { broker: "tcp://mosquitto:1883" }
   * ```
   */
  broker: pulumi.Input<string>;
  /**
   * Password of the broker's user `gateway`; secret.
   * @example
   * ```ts
   * { password: mosquitto.passwords.gateway }
   * ```
   */
  password: pulumi.Input<string>;
}

/** A simulated BESS, in the place of the battery's gateway. */
export class Simulator extends pulumi.ComponentResource {
  /** Its container. */
  readonly service: Service;

  constructor(name: string, args: SimulatorArgs, opts: pulumi.ComponentResourceOptions) {
    super("bess:index:Simulator", name, {}, opts);
    const intervalMs = Math.round(durationSeconds(args.simulator.interval) * 1000);
    this.service = new Service(
      name,
      {
        ...args,
        service: "simulator",
        networks: [args.network],
        user: "1000:1000",
        entrypoints: ["node"],
        command: [paths.program, paths.config],
        files: files(args, intervalMs),
        healthCheck: healthCheck(intervalMs),
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}

function files({ broker, model, simulator, password }: SimulatorArgs, intervalMs: number): File[] {
  const config = pulumi.jsonStringify({
    url: broker,
    username: "gateway",
    passwordFile: paths.password,
    model,
    units: simulator.units,
    intervalMs,
    seed: 1,
    fault: simulator.scenario && { scenario: simulator.scenario, unit: 1 },
  });
  return [
    { path: paths.program, content: bundleOf("simulator") },
    { path: paths.config, content: config },
    { path: paths.password, content: password, secret: true },
  ];
}
