import { pbkdf2Sync } from "node:crypto";
import { everyUser, type Gateways, rightsOf, type User } from "./broker-users";
import { type Bridges, type Keepalive, keepalivesOf, localTopics } from "./bridges";
import { clonePlaceholders } from "./clones";
import { images } from "./images";
import { first, type Model, topicsOf } from "./model";
import { clockTopic, hearsClock, subscriptionsOf } from "./plan";
import { outageSeconds, type Profile } from "./profiles";
import { renderScript } from "./scripts";
import { quoted } from "./ssh";
import { queueBytes } from "./storage";
import type { Session } from "./telegraf";

/** Ports inside the broker's container. */
export const ports = { mqtt: 1883, websocket: 9001, tls: 8883 } as const;
/** Port of the loopback address in its container, while a queue of the former kind is taken over. */
const migrationPort = 1884;

/** Whether the broker tells its time: a model has messages without a time of their own. */
const hasClock = (model: Model): boolean => subscriptionsOf(model).some(hearsClock);

/** The users of a model's broker. */
export const usersOf = (model: Model, bridges: Bridges = {}): User[] => [
  ...everyUser,
  ...(hasClock(model) || keepalivesOf(bridges).length > 0 ? (["clock"] as const) : []),
];

/** Paths inside the broker's container. */
export const paths = {
  config: "/mosquitto/config/mosquitto.conf",
  passwords: "/mosquitto/config/passwords",
  acl: "/mosquitto/config/acl",
  certificate: "/mosquitto/config/server.crt",
  key: "/mosquitto/config/server.key",
  data: "/mosquitto/data",
  /** Entrypoint of the container, made by {@link startScript}. */
  start: "/mosquitto/config/start.sh",
  /** Configuration of {@link trialConf}. */
  trial: "/mosquitto/config/trial.conf",
  /** Removes a session; made by {@link sessionScript}. */
  session: "/mosquitto/config/session.sh",
  /** Options of that script's clients, in a folder that they find by XDG_CONFIG_HOME. */
  sessionClients: "/mosquitto/config/sessions",
  /** Options of the client that tells the time, in such a folder. */
  clockClients: "/mosquitto/config/clock",
  /** Configuration of bridges, made by {@link bridgeConf}. */
  bridges: "/mosquitto/config/bridges",
  /** Keeps the queue in a SQLite database; part of the image. */
  plugin: "/usr/lib/mosquitto_persist_sqlite.so",
  /** Options of the health check's mosquitto_sub, which finds them by XDG_CONFIG_HOME. */
  clientConfig: "/mosquitto/config/client",
} as const;

/** The plugin's database, in the folder of the data. */
export const database = "mosquitto.sqlite3";

/** Seconds after which an idle broker is woken, for it writes its queue only then. */
const wakeSeconds = 0.5;

/** Seconds between two writes of the queue, so that each is on the disk within `sync`. */
const flushSeconds = ({ sync }: Profile): number => sync - 1;

/** Most seconds after which the queue with an acknowledged message is written. */
export const writtenSeconds = (profile: Profile): number => flushSeconds(profile) + wakeSeconds;

/** Who publishes at a broker besides the site's own users. */
export interface Others {
  gateways?: Gateways | undefined;
  bridge?: Bridges | undefined;
}

/** Where the broker finds its files. */
export type Places = Record<
  | "config"
  | "trial"
  | "sessionClients"
  | "clockClients"
  | "bridges"
  | "passwords"
  | "acl"
  | "certificate"
  | "key"
  | "data"
  | "plugin",
  string
>;

/** What a stack decides about the broker. */
export interface BrokerOptions {
  profile: Profile;
  /** Whether a client without a password may publish the model's topics. */
  anonymous: boolean;
  websocket: boolean;
  tls: boolean;
  /** Whether it has bridges to other brokers. Default: none. */
  bridged?: boolean;
  /** Where the files lie; the container's paths by default. */
  paths?: Places;
  /** Where it listens; on every address of the container at {@link ports} by default. */
  listen?: { address: string; ports: Record<keyof typeof ports, number> };
}

/** Bytes of a page of the database. A write takes several of them: small ones spare an SD card. */
const pageBytes = 1024;

/**
 * Bytes of the log that the database is written through. It begins anew after 1,000 pages; a write that
 * is larger, of thousands of messages at once, fits too.
 */
const logBytes = 16 * 2 ** 20;

/** How the queue is kept. */
const persistence = (profile: Profile, at: Places) => [
  "# What a reader has not acknowledged is in a database, which survives a power cut.",
  `global_plugin ${at.plugin}`,
  "plugin_opt_sync full",
  `plugin_opt_flush_period ${flushSeconds(profile)}`,
  `plugin_opt_page_size ${pageBytes}`,
  `persistence_location ${at.data}/`,
];

const logTypes = ["log_type error", "log_type warning", "log_type notice"];

/** Renders the configuration that reads the whole queue, and serves nobody. */
export const trialConf = (profile: Profile, at: Places = paths): string =>
  [
    `listener 0 ${at.data}/.trial.sock`,
    "allow_anonymous true",
    ...persistence(profile, at),
    // A queue over its limit would look like a damaged one.
    "max_queued_messages 0",
    "log_dest stdout",
    ...logTypes,
    // Names what it has read, and what it could not.
    "log_type information",
    "",
  ].join("\n");

/**
 * Renders the entrypoint, for busybox's shell.
 * @param profile its message rate decides how large a new queue is.
 * @param sessions of Telegraf's, which are taken over from a queue of the former kind.
 * @param options where the files lie, and the port of `127.0.0.1` that this uses; the container's
 * by default. `site` and `image`: what the data are cloned for. `reserve`: bytes of a new queue; a day's by default. `hold`: the host's uptime, in
 * seconds, up to which a wrong clock is not told; none by default. `keepalives`: what is published
 * regularly; nothing by default.
 */
export const startScript = (
  profile: Pick<Profile, "messageRate">,
  sessions: Session[],
  options: {
    site: string;
    image?: string;
    at?: Places;
    migrationPort?: number;
    reserve?: number;
    hold?: number;
    keepalives?: Keepalive[];
  },
): string => {
  const { config, trial, data, clockClients } = options.at ?? paths;
  const { site, image = images.mosquitto } = options;
  const { keepalives = [] } = options;
  const clock = {
    data,
    clients: clockClients,
    topic: quoted(clockTopic),
    holdSeconds: options.hold ?? 0,
  };
  const reservePages = Math.ceil((options.reserve ?? queueBytes(profile)) / pageBytes);
  return renderScript("mosquitto-start.sh", {
    ...clonePlaceholders("mosquitto", { site, image }),
    config,
    trial,
    data,
    database,
    wakeSeconds,
    reservePages,
    reserveBytes: reservePages * pageBytes,
    pageSize: pageBytes,
    logBytes,
    migrationPort: options.migrationPort ?? migrationPort,
    // One that hears the clock never was in a queue of the former kind.
    sessions: sessions.filter((session) => !hearsClock(session)).map(quotedSession),
    clock: sessions.some(hearsClock) ? [clock] : [],
    bridged: keepalives.length > 0 ? [{ clients: clockClients }] : [],
    keepalives: keepalives.map(({ topic, payload, seconds }) => ({
      seconds,
      topic: quoted(topic),
      payload: quoted(payload),
    })),
  });
};

const quotedSession = ({ id, formerId, topics }: Session) => ({
  id: quoted(id),
  formerId: quoted(formerId),
  topic: quoted(first(topics)),
});

/** Renders the script that removes a session, unless it is one of these. */
export const sessionScript = (
  profile: Profile,
  sessions: Session[],
  at: Places = paths,
): string => {
  const { data, sessionClients: clients } = at;
  return renderScript("mosquitto-session.sh", {
    data,
    clients,
    clockTopic,
    sessions: sessions.map(({ id }) => ({ id: quoted(id) })),
    writtenSeconds: writtenSeconds(profile),
  });
};

/** Command lines that run {@link sessionScript} beside the engine of a site. */
export function sessionLines(site: string, { id, formerId, topics }: Session) {
  const container = `${site}-mosquitto`;
  const line = (...args: string[]) =>
    `docker exec ${container} sh ${paths.session} ${args.map(quoted).join(" ")}`;
  const stopped = `[ "$(docker inspect -f '{{.State.Running}}' ${container} 2> /dev/null)" != true ]`;
  return {
    // Telegraf had another client id until 0.1; its session of today has had all since, and is written
    // when this ends.
    create: line("drop", formerId),
    // A stack may go after its broker did.
    delete: `${line("remove", id, ...topics)} || ${stopped}`,
  };
}

/** Renders mosquitto.conf, accepted by Mosquitto 2.1.2 and later. */
export function mosquittoConf(options: BrokerOptions): string {
  const at = options.paths ?? paths;
  const listener = (kind: keyof typeof ports) =>
    options.listen
      ? `listener ${options.listen.ports[kind]} ${options.listen.address}`
      : `listener ${ports[kind]}`;
  return [
    "# Made by bess-telemetry from the telemetry model.",
    `allow_anonymous ${options.anonymous}`,
    `password_file ${at.passwords}`,
    `acl_file ${at.acl}`,
    "",
    ...persistence(options.profile, at),
    "",
    "# A day's outage of the reader fits in the queue, and drains at once: " +
      "20 in flight would pass 20 per flush.",
    `max_queued_messages ${options.profile.messageRate * outageSeconds}`,
    "max_inflight_messages 1000",
    "# What a device sends at QoS 0 waits for its reader like the rest. queue_qos0_messages would keep " +
      "it without its text: the plugin could not restore the queue.",
    "upgrade_outgoing_qos true",
    "# Sessions do not expire: the plugin does not renew the time of one that came back, so a " +
      "start days later would drop it with its queue.",
    "",
    "sys_interval 10",
    "log_dest stdout",
    "# For Telegraf, which counts refused log-ins and clients that take another's session.",
    "log_dest topic",
    ...logTypes,
    "",
    listener("mqtt"),
    ...(options.websocket ? ["", listener("websocket"), "protocol websockets"] : []),
    ...(options.tls
      ? [
          "",
          listener("tls"),
          `certfile ${at.certificate}`,
          `keyfile ${at.key}`,
          "tls_version tlsv1.2",
        ]
      : []),
    ...(options.bridged ? ["", `include_dir ${at.bridges}`] : []),
    "",
  ].join("\n");
}

/**
 * Renders the ACL. The gateway may publish in any topic but those with `$`, which `#` does not match:
 * MQTT 3.1.1 does not tell a client that it is refused, and so a wrong topic is let in, for `monitor` to
 * show. That user reads all that is not the model's, for a denial goes before any right.
 * @param others who publishes besides the site's own users. Default: nobody.
 */
export function mosquittoAcl(
  model: Model,
  anonymous: boolean,
  { gateways = {}, bridge = {} }: Others = {},
): string {
  const topics = [...new Set(model.measurements.flatMap(topicsOf))];
  const clockRights = (access: "read" | "write") =>
    hasClock(model) ? [`topic ${access} ${clockTopic}`] : [];
  const timed = [
    ...clockRights("write"),
    ...keepalivesOf(bridge).map(({ topic }) => `topic write ${topic}`),
  ];
  const rights = (access: "read" | "write" | "deny") =>
    topics.map((topic) => `topic ${access} ${topic}`);
  return [
    ...(anonymous ? rights("write").concat("") : []),
    "user gateway",
    "topic write #",
    "",
    ...rightsOf(model, gateways, Object.values(bridge).flatMap(localTopics)).flatMap(
      ({ name, topics: own, denied }) => [
        `user ${name}`,
        ...(denied
          ? [...denied.map((topic) => `topic deny ${topic}`), "topic write #"]
          : own.map((topic) => `topic write ${topic}`)),
        "",
      ],
    ),
    "user telegraf",
    ...rights("read"),
    ...clockRights("read"),
    "",
    "user monitor",
    ...rights("deny"),
    "topic read #",
    "topic read $SYS/#",
    "",
    "# A session that nobody reads any more may be of any topic.",
    "user sessions",
    "topic readwrite #",
    ...clockRights("read"),
    "",
    ...(timed.length > 0 ? ["user clock", ...timed, ""] : []),
  ].join("\n");
}

/**
 * One line of Mosquitto's password file (`$7$`, PBKDF2 with SHA-512).
 * @param salt 12 bytes, kept with the password: the line changes only when the password does.
 */
export function passwordLine(user: string, password: string, salt: Buffer): string {
  // Mosquitto's default: the password is random, so more iterations would only slow logins.
  const iterations = 101;
  const hash = pbkdf2Sync(password, salt, iterations, 64, "sha512");
  return `${user}:$7$${iterations}$${salt.toString("base64")}$${hash.toString("base64")}\n`;
}

/**
 * Options of a client in the container; a file keeps them off its command line.
 * @param port where the broker listens. Default: {@link ports}`.mqtt`.
 */
export const clientOptions = (user: User, password: string, port: number = ports.mqtt) =>
  `-h 127.0.0.1\n-p ${port}\n-u ${user}\n-P ${password}\n`;

/** Proves that the broker answers a login and a subscription: its uptime is a retained message. */
export const healthCheck = [
  "CMD",
  "mosquitto_sub",
  "-h",
  "127.0.0.1",
  "-p",
  String(ports.mqtt),
  "-t",
  "$SYS/broker/uptime",
  "-C",
  "1",
  "-W",
  "4",
];
