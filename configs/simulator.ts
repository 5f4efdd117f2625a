/** Paths inside the simulator's container. */
export const paths = {
  program: "/opt/simulator/main.js",
  config: "/opt/simulator/config.json",
  password: "/run/secrets/mqtt_password",
} as const;

/**
 * Proves that the simulator publishes: it touches a file whenever the broker has acknowledged a
 * message.
 * @param intervalMs time between two messages of one unit.
 */
export function healthCheck(intervalMs: number): string[] {
  const age = `Date.now()-require("fs").statSync("/tmp/alive").mtimeMs`;
  return ["CMD", "node", "-e", `process.exit(${age}<${intervalMs * 5 + 5000}?0:1)`];
}
