import type { RollupConfig } from "../configs/rollups";
import { Database } from "./database";
import { Roller } from "./roller";

/** How the service is told to stop, and tells what it does. */
export interface RollupHooks {
  signal: AbortSignal;
  log: (line: string) => void;
  /** Seconds of rest for each second of work on what has long been over. Default: 1. */
  rest?: number;
}

/** Rolls up, and answers queries, until it is told to stop. */
export async function runRollup(
  config: RollupConfig,
  token: string,
  hooks: RollupHooks,
): Promise<void> {
  const database = new Database(config.influxdb, config.relay);
  const roller = new Roller({
    config,
    database,
    authorization: `Bearer ${token}`,
    log: hooks.log,
    ...(hooks.rest !== undefined && { rest: hooks.rest }),
  });
  await roller.run(hooks.signal);
}
