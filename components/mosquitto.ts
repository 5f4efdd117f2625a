import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import * as mosquitto from "../configs/mosquitto";
import type { Model } from "../configs/model";
import type { Profile } from "../configs/profiles";
import type { SiteConfig } from "../configs/site";
import { password } from "./secrets";
import { dataVolume, Service, type ServiceContext } from "./service";

/** What a stack decides about its broker. */
export interface MosquittoArgs extends ServiceContext {
  model: Model;
  profile: Profile;
  mqtt: SiteConfig["mqtt"];
  purge: boolean;
  /** A new value at a user makes that user a new password. */
  rotate: SiteConfig["rotate"];
  /** Network of the broker's clients on the site. */
  network: pulumi.Input<string>;
}

/** Eclipse Mosquitto: takes what the battery's gateway publishes, and keeps it until it is stored. */
export class Mosquitto extends pulumi.ComponentResource {
  /** Password of each user of the broker; secret. */
  readonly passwords: Record<mosquitto.User, pulumi.Output<string>>;
  readonly service: Service;
  /** Where the site's containers reach the broker. */
  readonly url = `tcp://mosquitto:${mosquitto.ports.mqtt}`;

  constructor(name: string, args: MosquittoArgs, opts: pulumi.ComponentResourceOptions) {
    super("bess:index:Mosquitto", name, {}, opts);
    const made = mosquitto.users.map((user) => this.user(name, user, args.rotate[user]));
    this.passwords = Object.fromEntries(
      made.map((user) => [user.name, user.password]),
    ) as typeof this.passwords;
    const volume = dataVolume(
      `${name}-data`,
      { site: args.site, service: "mosquitto", purge: args.purge },
      this,
    );
    this.service = new Service(
      name,
      {
        ...args,
        service: "mosquitto",
        networks: [args.network],
        user: "1883:1883",
        environment: [`XDG_CONFIG_HOME=${mosquitto.paths.clientConfig}`],
        files: this.files(args, pulumi.concat(...made.map((user) => user.line))),
        volumes: [{ name: volume.name, path: mosquitto.paths.data }],
        ports: this.ports(args.mqtt),
        healthCheck: mosquitto.healthCheck,
      },
      { parent: this },
    );
    this.registerOutputs({ passwords: this.passwords });
  }

  private user(name: string, user: mosquitto.User, rotation: string | undefined) {
    const secret = password(`${name}-${user}`, rotation, this);
    const salt = new random.RandomBytes(
      `${name}-${user}-salt`,
      { length: 12, keepers: { rotation: rotation ?? "" } },
      { parent: this },
    );
    const line = pulumi
      .all([secret, salt.base64])
      .apply(([password, salted]) =>
        mosquitto.passwordLine(user, password, Buffer.from(salted, "base64")),
      );
    return { name: user, password: secret, line };
  }

  private files({ model, profile, mqtt }: MosquittoArgs, passwordLines: pulumi.Output<string>) {
    const { anonymous, websocket, tls } = mqtt;
    return [
      {
        path: mosquitto.paths.config,
        content: mosquitto.mosquittoConf({
          profile,
          anonymous,
          websocket: websocket.enabled,
          tls: tls !== undefined,
        }),
      },
      { path: mosquitto.paths.acl, content: mosquitto.mosquittoAcl(model, anonymous) },
      { path: mosquitto.paths.passwords, content: passwordLines, secret: true },
      {
        path: mosquitto.paths.clientOptions,
        content: this.passwords.monitor.apply((secret) =>
          mosquitto.clientOptions("monitor", secret),
        ),
        secret: true,
      },
      ...(tls
        ? [
            { path: mosquitto.paths.certificate, content: tls.certificate },
            { path: mosquitto.paths.key, content: tls.key, secret: true },
          ]
        : []),
    ];
  }

  private ports({ address, port, websocket, tls }: SiteConfig["mqtt"]) {
    return [
      { internal: mosquitto.ports.mqtt, external: port, address },
      ...(websocket.enabled
        ? [{ internal: mosquitto.ports.websocket, external: websocket.port, address }]
        : []),
      ...(tls ? [{ internal: mosquitto.ports.tls, external: tls.port, address }] : []),
    ];
  }
}
