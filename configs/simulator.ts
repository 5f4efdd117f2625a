import * as z from "zod";
import { scenarioNames } from "./scenarios";

/** Paths inside the simulator's container. */
export const paths = {
  program: "/opt/simulator/main.js",
  config: "/opt/simulator/config.json",
  password: "/run/secrets/mqtt_password",
  /** What `bess simulate` asks for; it goes with the container. */
  order: "/tmp/order.json",
} as const;

/** No fault, whatever the site's configuration says. */
export const normal = "normal";

/** What a running simulator is asked for. */
export const orderSchema = z.strictObject({
  scenario: z.enum([normal, ...scenarioNames]),
  /** Number of the unit that it befalls, from 1. */
  unit: z.int().min(1),
  /** When it ends, in ms since 1970; null: never. Then what the site's configuration says holds again. */
  until: z.number().nullable(),
});

/** What a running simulator is asked for. */
export type Order = z.output<typeof orderSchema>;

/** Shell line that puts an order, given on standard input, where the simulator reads it, whole or not at all. */
export const orderLine = `cat > ${paths.order}.new && mv ${paths.order}.new ${paths.order}`;

/**
 * Proves that the simulator publishes: it touches a file whenever the broker has acknowledged a
 * message.
 * @param intervalMs time between two messages of one unit.
 */
export function healthCheck(intervalMs: number): string[] {
  const age = `Date.now()-require("fs").statSync("/tmp/alive").mtimeMs`;
  return ["CMD", "node", "-e", `process.exit(${age}<${intervalMs * 5 + 5000}?0:1)`];
}
