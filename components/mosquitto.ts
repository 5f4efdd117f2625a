import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import * as mosquitto from "../configs/mosquitto";
import type { Model } from "../configs/model";
import { holdOf, sessions } from "../configs/telegraf";
import type { Profile } from "../configs/profiles";
import { bridgeConf, type Bridges, keepalivesOf } from "../configs/bridges";
import type { everyUser, Gateways, User } from "../configs/broker-users";
import { password } from "./secrets";
import type { LateValues } from "./site-values";
import { dataVolume, type File, type PublishedPort, Service, type ServiceContext } from "./service";

/** What a stack decides about its broker. */
export interface MosquittoArgs extends ServiceContext {
  /**
   * Telemetry model of the site: its topics are what the broker's users may publish and read.
   * @example
   * ```ts
   * { model: loadModel("configs/telemetry.yaml") }
   * ```
   */
  model: Model;
  /**
   * Size of the host, which the broker's queue is sized for.
   * @example
   * ```ts
   * { profile: profiles.pi }
   * ```
   */
  profile: Profile;
  /**
   * The listeners that the host opens, and whether a gateway needs a password.
   * @example
   * ```ts
   * {
   *   mqtt: {
   *     address: "0.0.0.0",
   *     port: 1883,
   *     anonymous: false,
   *     websocket: { enabled: false, port: 9001 },
   *   },
   * }
   * ```
   */
  mqtt: LateValues["mqtt"];
  /**
   * What each gateway with a user of its own may publish, by its name.
   * @default none: all use the user `gateway`
   * @example
   * ```ts
   * { gateways: { bms: { measurements: ["battery"] } } }
   * ```
   */
  gateways?: Gateways | undefined;
  /**
   * Brokers that this one fetches from, by a name.
   * @default none
   * @example
   * ```ts
   * { bridge: { victron: { address: "192.168.1.30", topics: ["N/+/battery/#"] } } }
   * ```
   */
  bridge?: Bridges | undefined;
  /**
   * Whether the data volume is deleted with the stack.
   * @example
   * ```ts
   * { purge: false }
   * ```
   */
  purge: boolean;
  /**
   * A new value at a user gives that user a new password.
   * @example
   * ```ts
   * { rotate: { gateway: "2026-11" } }
   * ```
   */
  rotate: LateValues["rotate"];
  /**
   * Name of the Docker network of the broker's clients on the site.
   * @example
   * ```ts
   * { network: "kiel-1-field" }
   * ```
   */
  network: pulumi.Input<string>;
}

/** A value that is known later, or not there. */
type Late = pulumi.Input<string> | undefined;

/** A user of the broker, and the line of the password file that stands for it. */
interface BrokerUser {
  name: string;
  password: pulumi.Output<string>;
  line: pulumi.Output<string>;
}

/** Password of each user of the broker. */
type Passwords = Record<(typeof everyUser)[number], pulumi.Output<string>> &
  Partial<Record<User, pulumi.Output<string>>>;

/** Eclipse Mosquitto: takes what the battery's gateway publishes, and keeps it until it is read. */
export class Mosquitto extends pulumi.ComponentResource {
  /** Password of each user of the broker; secret. */
  readonly passwords: Passwords;
  /** Password of each of `mqtt.gateways`; secret. */
  readonly gatewayPasswords: Record<string, pulumi.Output<string>>;
  /** Its container. */
  readonly service: Service;
  /** Name of its data volume. */
  readonly volume: pulumi.Output<string>;
  /** Where the site's containers reach the broker. */
  readonly url = `tcp://mosquitto:${mosquitto.ports.mqtt}`;

  constructor(name: string, args: MosquittoArgs, opts: pulumi.ComponentResourceOptions) {
    super("bess:index:Mosquitto", name, {}, opts);
    const own = mosquitto
      .usersOf(args.model, args.bridge)
      .map((user) => this.createUser(name, user, { rotation: rotationOf(user, args) }));
    const gateways = Object.entries(args.mqtt.gateways ?? {}).map(([user, given]) =>
      this.createUser(name, user, given),
    );
    this.passwords = passwordsOf(own) as Passwords;
    this.gatewayPasswords = passwordsOf(gateways);
    const users = [...own, ...gateways];
    const volume = dataVolume(`${name}-data`, { ...args, service: "mosquitto" }, this);
    this.volume = volume.name;
    this.service = new Service(
      name,
      {
        ...args,
        service: "mosquitto",
        networks: [args.network],
        user: "1883:1883",
        entrypoints: ["/bin/sh", mosquitto.paths.start],
        environment: [`XDG_CONFIG_HOME=${mosquitto.paths.clientConfig}`],
        files: this.files(args, users),
        volumes: [{ name: this.volume, path: mosquitto.paths.data }],
        ports: ports(args.mqtt),
        healthCheck: mosquitto.healthCheck,
        // The first start may take over a queue of the former kind: a day's on a Raspberry Pi.
        waitSeconds: 900,
      },
      { parent: this },
    );
    this.registerOutputs({ passwords: this.passwords });
  }

  private createUser(
    name: string,
    user: string,
    { rotation, password: given }: { rotation?: Late; password?: Late },
  ): BrokerUser {
    const secret =
      given === undefined
        ? password(`${name}-${user}`, rotation, this)
        : pulumi.secret(pulumi.output(given));
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

  private files(args: MosquittoArgs, users: BrokerUser[]): File[] {
    const { site, model, profile, mqtt, engine, gateways, bridge = {}, images } = args;
    const { anonymous, websocket, tls } = mqtt;
    const config = mosquitto.mosquittoConf({
      profile,
      anonymous,
      websocket: websocket.enabled,
      tls: tls !== undefined,
      bridged: Object.keys(bridge).length > 0,
    });
    const passwordFile = pulumi.concat(...users.map((user) => user.line));
    const read = pulumi.output(site).apply((name) => sessions(name, model));
    /** Options of clients in the container, in a folder of their own. */
    const clients = (user: User, folder: string, names: string[]): File[] => {
      const content = this.passwords[user]?.apply((secret) =>
        mosquitto.clientOptions(user, secret),
      );
      return content
        ? names.map((name) => ({ path: `${folder}/${name}`, content, secret: true }))
        : [];
    };
    return [
      { path: mosquitto.paths.config, content: config },
      {
        path: mosquitto.paths.acl,
        content: mosquitto.mosquittoAcl(model, anonymous, { gateways, bridge }),
      },
      {
        path: mosquitto.paths.start,
        content: pulumi.all([read, site, images.mosquitto]).apply(([now, name, image]) =>
          mosquitto.startScript(profile, now, {
            site: name,
            image,
            hold: holdOf(engine),
            keepalives: keepalivesOf(bridge),
          }),
        ),
        executable: true,
      },
      { path: mosquitto.paths.trial, content: mosquitto.trialConf(profile) },
      {
        path: mosquitto.paths.session,
        content: read.apply((now) => mosquitto.sessionScript(profile, now)),
        executable: true,
      },
      { path: mosquitto.paths.passwords, content: passwordFile, secret: true },
      ...clients("monitor", mosquitto.paths.clientConfig, ["mosquitto_sub"]),
      ...clients("sessions", mosquitto.paths.sessionClients, ["mosquitto_sub", "mosquitto_pub"]),
      ...Object.entries(bridge).flatMap(([peer, chosen]) => bridgeFiles(site, peer, chosen, mqtt)),
      ...clients("clock", mosquitto.paths.clockClients, ["mosquitto_pub"]),
      ...(tls
        ? [
            { path: mosquitto.paths.certificate, content: tls.certificate },
            { path: mosquitto.paths.key, content: tls.key, secret: true },
          ]
        : []),
    ];
  }
}

/** A script's own user never needs another password: it does not leave the container. */
const rotationOf = (user: User, { rotate }: MosquittoArgs) =>
  user === "sessions" || user === "clock" ? undefined : rotate[user];

/** Files of a bridge; its password is in its configuration, for Mosquitto takes it from nowhere else. */
function bridgeFiles(
  site: pulumi.Input<string>,
  name: string,
  bridge: Bridges[string],
  { bridge: late }: LateValues["mqtt"],
): File[] {
  const path = (file: string) => `${mosquitto.paths.bridges}/${name}.${file}`;
  const content = pulumi
    .all([site, late?.[name]?.password])
    .apply(([prefix, password]) =>
      bridgeConf(prefix, name, { ...bridge, password: password ?? bridge.password }, path("crt")),
    );
  return [
    { path: path("conf"), content, secret: true },
    ...(bridge.ca === undefined ? [] : [{ path: path("crt"), content: bridge.ca }]),
  ];
}

const passwordsOf = (users: BrokerUser[]) =>
  Object.fromEntries(users.map((user) => [user.name, user.password]));

const ports = ({ address, port, websocket, tls }: LateValues["mqtt"]): PublishedPort[] => [
  { internal: mosquitto.ports.mqtt, external: port, address },
  ...(websocket.enabled
    ? [{ internal: mosquitto.ports.websocket, external: websocket.port, address }]
    : []),
  ...(tls ? [{ internal: mosquitto.ports.tls, external: tls.port, address }] : []),
];
