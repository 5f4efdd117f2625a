import * as pulumi from "@pulumi/pulumi";
import * as telegraf from "../configs/telegraf";
import type { Model } from "../configs/model";
import { Service, type ServiceContext } from "./service";

/** What Telegraf reads from, and writes to. */
export interface TelegrafArgs extends ServiceContext {
  model: Model;
  networks: pulumi.Input<string>[];
  broker: pulumi.Input<string>;
  influxdb: pulumi.Input<string>;
  /** Passwords of the broker's users `telegraf` and `monitor`. */
  passwords: Record<"telegraf" | "monitor", pulumi.Input<string>>;
  /** Telegraf's token for InfluxDB. */
  token: pulumi.Input<string>;
}

/** Telegraf: turns each message into a typed point in InfluxDB, and acknowledges it only then. */
export class Telegraf extends pulumi.ComponentResource {
  readonly service: Service;

  constructor(name: string, args: TelegrafArgs, opts: pulumi.ComponentResourceOptions) {
    super("bess:index:Telegraf", name, {}, opts);
    const config = pulumi
      .output({ site: args.site, broker: args.broker, influxdb: args.influxdb })
      .apply((neighbours) => telegraf.telegrafConf(args.model, neighbours));
    const secret = (file: string, content: pulumi.Input<string>) => ({
      path: `${telegraf.paths.secrets}/${file}`,
      content,
      secret: true,
    });
    this.service = new Service(
      name,
      {
        ...args,
        service: "telegraf",
        user: "telegraf",
        files: [
          { path: telegraf.paths.config, content: config },
          secret(telegraf.secrets.mqtt, args.passwords.telegraf),
          secret(telegraf.secrets.monitor, args.passwords.monitor),
          secret(telegraf.secrets.influxdb, args.token),
        ],
        healthCheck: telegraf.healthCheck,
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}
