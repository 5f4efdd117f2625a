import * as z from "zod";
import { isPlaceholder } from "./secret-placeholders";
import { type Model, topicsOf, topicsOverlap } from "./model";

/** The users of every broker. Each has a generated password, and its own rights in the ACL. */
export const everyUser = ["gateway", "telegraf", "monitor", "sessions"] as const;
/**
 * A user of the broker that is the site's own. `sessions` and `clock` are scripts' in its container,
 * unknown elsewhere.
 */
export type User = (typeof everyUser)[number] | "clock";

const ownUsers: readonly string[] = [...everyUser, "clock"];

const isPattern = (text: string): boolean =>
  text
    .split("/")
    .every((level, i, levels) =>
      level === "#" ? i === levels.length - 1 : level === "+" || !/[#+]/.test(level),
    );

/** A topic pattern that a site's broker takes of others. */
export const topicPattern = z
  .string()
  .min(1)
  .regex(
    /^[^$\s\p{Cc}][^\p{Cc}]*(?<!\s)$/u,
    "write an MQTT topic pattern that does not begin with $",
  )
  .refine(isPattern, "write + or # as a level of its own, and # as the last one");

const gatewaySchema = z
  .strictObject({
    measurements: z
      .array(z.string())
      .min(1)
      .optional()
      .meta({
        description: "Measurements of the model whose topics it may publish.",
        examples: [["battery"]],
      }),
    topics: z
      .array(topicPattern)
      .min(1)
      .optional()
      .meta({
        description:
          "Topic patterns that it may publish. Without these and `measurements`: all of the model's.",
        examples: [["battery/b1/status"]],
      }),
    password: z
      .string()
      .refine(
        (text) => /^[\x21-\x7e]{12,64}$/.test(text) || isPlaceholder(text),
        "write 12 to 64 letters, digits and signs, without spaces",
      )
      .optional()
      .meta({
        description:
          "Its password, where it has one already. Set it with `pulumi config set --secret`. " +
          "Without it: a generated one.",
        examples: ["made-by-the-bms"],
      }),
    rotation: z
      .string()
      .min(1)
      .optional()
      .meta({
        description: "A new value makes a new password, where it is a generated one.",
        examples: ["2026-11"],
      }),
  })
  .refine(({ password, rotation }) => password === undefined || rotation === undefined, {
    path: ["rotation"],
    message: "a given password is changed by another one; leave rotation away",
  });

/** Gateways with a password of their own, by the name of their user at the broker. */
export const gatewaysSchema = z.record(
  z
    .string()
    .regex(/^[a-z][a-z0-9_-]{0,30}$/, "write lower case letters, digits, _ and -, at most 31")
    .refine(
      (name) => !ownUsers.includes(name),
      `the site has ${ownUsers.join(", ")} itself: choose another name`,
    ),
  gatewaySchema,
);

/** Gateways of a site, by their names. */
export type Gateways = z.output<typeof gatewaysSchema>;

/** What a gateway may publish. */
export interface GatewayRights {
  name: string;
  topics: string[];
  /** What is others' and it may not publish; it may publish all else. Undefined: its topics alone. */
  denied: string[] | undefined;
}

const modelTopics = ({ measurements }: Model): string[] => [
  ...new Set(measurements.flatMap(topicsOf)),
];

function topicsOfGateway(model: Model, { measurements, topics }: Gateways[string]): string[] {
  if (!measurements && !topics) return modelTopics(model);
  const chosen = model.measurements.filter(({ name }) => measurements?.includes(name));
  return [...new Set([...chosen.flatMap(topicsOf), ...(topics ?? [])])];
}

/**
 * What each gateway may publish: never another's, nor what is the model's and not its own.
 * @param fetched topics that come over bridges. Default: none.
 */
export function rightsOf(
  model: Model,
  gateways: Gateways,
  fetched: string[] = [],
): GatewayRights[] {
  const own = Object.entries(gateways).map(([name, gateway]) => ({
    name,
    topics: topicsOfGateway(model, gateway),
  }));
  const all = new Set([...modelTopics(model), ...own.flatMap(({ topics }) => topics), ...fetched]);
  return own.map(({ name, topics }) => {
    const others = [...all].filter((other) => !topics.includes(other));
    // Mosquitto obeys a denial first: one that covers its own topics too would shut it out.
    const apart = !others.some((other) => topics.some((mine) => topicsOverlap(other, mine)));
    return { name, topics, denied: apart ? others : undefined };
  });
}

/**
 * What is wrong with the gateways of a site with this model.
 * @param fetched topics that come over bridges. Default: none.
 */
export function gatewayFindings(
  model: Model,
  gateways: Gateways,
  fetched: string[] = [],
): string[] {
  const known = model.measurements.map(({ name }) => name);
  const unknown = Object.entries(gateways).flatMap(([name, { measurements = [] }]) =>
    measurements
      .filter((measurement) => !known.includes(measurement))
      .map(
        (measurement) =>
          `mqtt.gateways.${name}.measurements has "${measurement}": ` +
          `the model ${model.name} has ${known.join(", ")}`,
      ),
  );
  const rights = rightsOf(model, gateways);
  const shared = rights.flatMap(({ name, topics }, i) =>
    rights
      .slice(0, i)
      .flatMap((earlier) =>
        topics.flatMap((topic) =>
          earlier.topics
            .filter((other) => topicsOverlap(topic, other))
            .map(
              (other) =>
                `mqtt.gateways.${name} may publish ${topic}, and mqtt.gateways.${earlier.name} ${other}: ` +
                "a topic belongs to one gateway; give each measurements or topics of its own",
            ),
        ),
      ),
  );
  const twice = rights.flatMap(({ name, topics }) =>
    topics.flatMap((topic) =>
      fetched
        .filter((other) => topicsOverlap(topic, other))
        .map(
          (other) =>
            `mqtt.gateways.${name} may publish ${topic}, and mqtt.bridge fetches ${other}: ` +
            "give the gateway other topics, or the bridge a prefix",
        ),
    ),
  );
  return [...unknown, ...shared, ...twice];
}
