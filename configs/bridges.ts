import * as z from "zod";
import { topicPattern } from "./broker-users";
import { isPlaceholder } from "./secret-placeholders";
import { durationPattern, durationSeconds, durationUnit, durationWithin } from "./units";

/** Text of one line of mosquitto.conf. */
const line = (most: number) =>
  z
    .string()
    .refine(
      (text) =>
        isPlaceholder(text) ||
        (text.length <= most && /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(text)),
      `write 1 to ${most} letters, digits, signs and inner spaces`,
    );

/** A bridge's topics stand in a line of words. */
const bridged = topicPattern.regex(/^\S+$/, "write a topic pattern without spaces");

const bridgeSchema = z
  .strictObject({
    address: z
      .string()
      .regex(
        /^[A-Za-z0-9][\w.-]*(:\d{1,5})?$/,
        "write a host name or IPv4 address, with :port if needed",
      )
      .meta({
        description:
          "Host and port of the other broker. Default of the port: 1883, or 8883 where `ca` is given.",
        examples: ["192.168.1.30", "plant.example:8883"],
      }),
    topics: z
      .array(bridged)
      .min(1)
      .meta({ description: "Topic patterns that are fetched.", examples: [["N/+/battery/#"]] }),
    prefix: z
      .string()
      .regex(/^[^$\s#+][^\s#+]*\/$/, "write levels that end with /, such as north/")
      .optional()
      .meta({
        description: "What is put before the topics at the site's broker. Default: nothing.",
        examples: ["north/"],
      }),
    username: line(128)
      .optional()
      .meta({ description: "User at the other broker. Default: none.", examples: ["telemetry"] }),
    password: line(256)
      .optional()
      .meta({
        description: "Its password. Set it with `pulumi config set --secret`.",
        examples: ["made-by-the-plant"],
      }),
    ca: z
      .string()
      .regex(/-----BEGIN CERTIFICATE-----[^]+-----END CERTIFICATE-----/, "paste it in PEM form")
      .optional()
      .meta({
        description:
          "Certificate in PEM form by which the other broker's is checked. Without it: no TLS.",
        examples: ["-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----"],
      }),
    keepalive: z
      .strictObject({
        topic: bridged
          .refine((topic) => !/[+#]/.test(topic), "write a topic without + and #")
          .meta({
            description: "Topic of the message that the device wants, at its own broker.",
            examples: ["R/c0619ab12345/keepalive"],
          }),
        payload: z
          .string()
          .regex(/^[^\p{Cc}]*$/u, "write it in one line")
          .default("")
          .meta({ description: "Its text.", examples: ['{ "keepalive-options": [] }'] }),
        interval: z
          .string()
          .regex(durationPattern, "write a duration such as 30s")
          .refine(durationWithin("1s", "1d"), "write 1s to 1d")
          .default("30s")
          .meta({
            description: "Time between two of them.",
            unit: durationUnit,
            examples: ["50s"],
          }),
      })
      .optional()
      .describe("A message that the device wants regularly, or it ends to publish."),
  })
  .refine(({ username, password }) => username !== undefined || password === undefined, {
    path: ["username"],
    error: "a password goes with a user; write it too",
  });

/** Brokers of devices or plants that the site's broker fetches from, by a name. */
export const bridgesSchema = z.record(
  z.string().regex(/^[a-z][a-z0-9-]{0,30}$/, "write lower case letters, digits and -, at most 31"),
  bridgeSchema,
);

/** Bridges of a site, by their names. */
export type Bridges = z.output<typeof bridgesSchema>;

/** The topics of a bridge as the site's broker has them. */
export const localTopics = ({ prefix = "", topics }: Bridges[string]): string[] =>
  topics.map((topic) => `${prefix}${topic}`);

/** A message that is published regularly at the site's broker, and goes over a bridge. */
export interface Keepalive {
  topic: string;
  payload: string;
  seconds: number;
}

/** What is published regularly at the site's broker. */
export const keepalivesOf = (bridges: Bridges): Keepalive[] =>
  Object.values(bridges).flatMap(({ prefix = "", keepalive }) =>
    keepalive
      ? [
          {
            topic: `${prefix}${keepalive.topic}`,
            payload: keepalive.payload,
            seconds: durationSeconds(keepalive.interval),
          },
        ]
      : [],
  );

/**
 * Renders the configuration of a bridge, which Mosquitto includes. It holds the password.
 * @param ca path of the file with its `ca`.
 */
export function bridgeConf(
  site: string,
  name: string,
  bridge: Bridges[string],
  ca: string,
): string {
  const { address, topics, prefix = '""', username, password, keepalive } = bridge;
  const port = bridge.ca === undefined ? 1883 : 8883;
  return [
    `connection ${name}`,
    `address ${address.includes(":") ? address : `${address}:${port}`}`,
    // The other broker keeps the session over a cut of the link.
    `remote_clientid bess-${site}-${name}`,
    "cleansession false",
    ...(username === undefined ? [] : [`remote_username ${username}`]),
    ...(password === undefined ? [] : [`remote_password ${password}`]),
    ...(bridge.ca === undefined ? [] : [`bridge_cafile ${ca}`]),
    // Other brokers than Mosquitto do not know its mark of a bridge.
    "try_private false",
    "notifications false",
    "keepalive_interval 15",
    "restart_timeout 2 30",
    ...topics.map((topic) => `topic ${topic} in 1 ${prefix}`),
    ...(keepalive ? [`topic ${keepalive.topic} out 0 ${prefix}`] : []),
    "",
  ].join("\n");
}
