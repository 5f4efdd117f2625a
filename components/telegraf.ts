import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { sessionLines } from "../configs/mosquitto";
import { engineEnvironment, engineLine } from "../configs/ssh";
import * as telegraf from "../configs/telegraf";
import type { Model } from "../configs/model";
import { type Subscription, subscriptionsOf } from "../configs/plan";
import type { Profile } from "../configs/profiles";
import { type File, Service, type ServiceContext } from "./service";

/** What Telegraf reads from, and writes to. */
export interface TelegrafArgs extends ServiceContext {
  /**
   * Telemetry model of the site: its topics, and the type of each field.
   * @example
   * ```ts
   * { model: loadModel("configs/telemetry.yaml") }
   * ```
   */
  model: Model;
  /**
   * How long rows are kept. A message whose time is older is not believed.
   * @example
   * ```ts
   * { retention: "90d" }
   * ```
   */
  retention: string;
  /**
   * Size of the host: how long messages are gathered for a write.
   * @example
   * ```ts
   * { profile: profiles.pi }
   * ```
   */
  profile: Profile;
  /**
   * Names of the Docker networks that it joins: the broker's and InfluxDB's.
   * @example
   * ```ts
   * { networks: ["kiel-1-field", "kiel-1-data"] }
   * ```
   */
  networks: pulumi.Input<string>[];
  /**
   * URL of the broker, as the container reaches it.
   * @example
   * ```ts
   * { broker: "tcp://mosquitto:1883" }
   * ```
   */
  broker: pulumi.Input<string>;
  /**
   * URL of InfluxDB's API, as the container reaches it.
   * @example
   * ```ts
   * { influxdb: "http://influxdb:8182" }
   * ```
   */
  influxdb: pulumi.Input<string>;
  /**
   * Passwords of the broker's users `telegraf` and `monitor`; secret.
   * @example
   * ```ts
   * { passwords: mosquitto.passwords }
   * ```
   */
  passwords: Record<"telegraf" | "monitor", pulumi.Input<string>>;
  /**
   * Telegraf's token for InfluxDB; secret.
   * @example
   * ```ts
   * { token: influxdb.token("telegraf", undefined) }
   * ```
   */
  token: pulumi.Input<string>;
}

/** Telegraf: turns each message into a typed point, and acknowledges it once InfluxDB has it. */
export class Telegraf extends pulumi.ComponentResource {
  /** Its container. */
  readonly service: Service;

  constructor(name: string, args: TelegrafArgs, opts: pulumi.ComponentResourceOptions) {
    super("bess:index:Telegraf", name, {}, opts);
    this.service = new Service(
      name,
      {
        ...args,
        service: "telegraf",
        user: "telegraf",
        entrypoints: ["/bin/sh", telegraf.paths.start],
        command: ["telegraf", "--config", telegraf.paths.config],
        files: files(args),
        healthCheck: telegraf.healthCheck,
      },
      { parent: this },
    );
    for (const subscription of subscriptionsOf(args.model)) this.session(name, subscription, args);
    this.registerOutputs({});
  }

  /**
   * The session at the broker that a subscription's messages wait in. It goes with the resource, which
   * is after Telegraf came up without it.
   */
  private session(name: string, subscription: Subscription, args: TelegrafArgs): void {
    const lines = pulumi
      .output(args.site)
      .apply((site) => sessionLines(site, telegraf.sessionOf(site, subscription)));
    new command.local.Command(
      `${name}-session-${subscription.id}`,
      {
        create: lines.apply((line) => engineLine(args, line.create)),
        delete: lines.apply((line) => engineLine(args, line.delete)),
        environment: engineEnvironment(args),
      },
      { parent: this, dependsOn: [this.service.ready] },
    );
  }
}

function files(args: TelegrafArgs): File[] {
  const { site, broker, influxdb, model, retention, profile, passwords, token, engine } = args;
  const config = pulumi
    .output({ site, broker, influxdb })
    .apply((neighbours) => telegraf.telegrafConf(model, { ...neighbours, profile }));
  const secret = (name: string, content: pulumi.Input<string>): File => ({
    path: `${telegraf.paths.secrets}/${name}`,
    content,
    secret: true,
  });
  return [
    { path: telegraf.paths.config, content: config },
    { path: telegraf.paths.program, content: telegraf.readingProgram(model, retention) },
    {
      path: telegraf.paths.start,
      content: telegraf.startScript(telegraf.holdOf(engine)),
      executable: true,
    },
    { path: telegraf.paths.voltage, content: telegraf.voltageConf() },
    secret(telegraf.secrets.mqtt, passwords.telegraf),
    secret(telegraf.secrets.monitor, passwords.monitor),
    secret(telegraf.secrets.influxdb, token),
  ];
}
