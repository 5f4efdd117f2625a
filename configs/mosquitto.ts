import { pbkdf2Sync } from "node:crypto";
import type { Model } from "./model";
import { outageSeconds, type Profile } from "./profiles";

/** Ports inside the broker's container. */
export const ports = { mqtt: 1883, websocket: 9001, tls: 8883 } as const;

/** The broker's users. Each has a generated password, and its own rights in the ACL. */
export const users = ["gateway", "telegraf", "monitor"] as const;
/** One user of the broker. */
export type User = (typeof users)[number];

/** Paths inside the broker's container. */
export const paths = {
  config: "/mosquitto/config/mosquitto.conf",
  passwords: "/mosquitto/config/passwords",
  acl: "/mosquitto/config/acl",
  certificate: "/mosquitto/config/server.crt",
  key: "/mosquitto/config/server.key",
  data: "/mosquitto/data",
  /** Options of the health check's mosquitto_sub, which finds them by XDG_CONFIG_HOME. */
  clientConfig: "/mosquitto/config/client",
  clientOptions: "/mosquitto/config/client/mosquitto_sub",
} as const;

/** What a stack decides about the broker. */
export interface BrokerOptions {
  profile: Profile;
  /** Whether a client without a password may publish the model's topics. */
  anonymous: boolean;
  websocket: boolean;
  tls: boolean;
  /** Where the files lie; the container's paths by default. */
  paths?: Record<"passwords" | "acl" | "certificate" | "key" | "data", string>;
  /** Where it listens; on every address of the container at {@link ports} by default. */
  listen?: { address: string; ports: Record<keyof typeof ports, number> };
}

/** Renders mosquitto.conf, accepted by Mosquitto 2.0.11 and later. */
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
    "# What a reader has not acknowledged survives a killed broker, " +
      "but for what came since the last write.",
    "persistence true",
    `persistence_location ${at.data}/`,
    `autosave_interval ${options.profile.autosave}`,
    "",
    "# A day's outage of the reader fits in the queue, and drains at once: " +
      "20 in flight would pass 20 per flush.",
    `max_queued_messages ${options.profile.messageRate * outageSeconds}`,
    "max_inflight_messages 1000",
    "# The queue holds a day, so a session nobody came back to for two is given up.",
    "persistent_client_expiration 2d",
    "",
    "sys_interval 10",
    "log_dest stdout",
    "log_type error",
    "log_type warning",
    "log_type notice",
    "connection_messages false",
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
    "",
  ].join("\n");
}

/** Renders the ACL: who may publish and read which of the model's topics. */
export function mosquittoAcl(model: Model, anonymous: boolean): string {
  const topics = model.measurements.map((m) => m.topic);
  const rights = (access: "read" | "write") => topics.map((topic) => `topic ${access} ${topic}`);
  return [
    ...(anonymous ? rights("write").concat("") : []),
    "user gateway",
    ...rights("write"),
    "",
    "user telegraf",
    ...rights("read"),
    "",
    "user monitor",
    "topic read $SYS/#",
    "",
  ].join("\n");
}

/**
 * One line of Mosquitto's password file (`$7$`, PBKDF2 with SHA-512).
 * @param salt 12 bytes, kept with the password: the line changes only when the password does.
 */
export function passwordLine(user: User, password: string, salt: Buffer): string {
  // Mosquitto's default: the password is random, so more iterations would only slow logins.
  const iterations = 101;
  const hash = pbkdf2Sync(password, salt, iterations, 64, "sha512");
  return `${user}:$7$${iterations}$${salt.toString("base64")}$${hash.toString("base64")}\n`;
}

/** Options of the health check's `mosquitto_sub`; a file keeps them off its command line. */
export const clientOptions = (user: User, password: string) => `-u ${user}\n-P ${password}\n`;

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
