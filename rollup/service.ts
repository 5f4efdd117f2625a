import { port, type RollupConfig } from "../configs/rollups";
import { Database } from "./database";
import { Reader } from "./reader";
import { Roller } from "./roller";
import { makeServer } from "./server";

/** How the service is told to stop, and tells what it does. */
export interface RollupHooks {
  signal: AbortSignal;
  log: (line: string) => void;
  /** Seconds of rest for each second of work on what has long been over. Default: 1. */
  rest?: number;
}

/** Seconds without a complete pass after which the service is not healthy. */
const longestPass = 1800;

/** Rolls up, and answers queries, until it is told to stop. */
export async function runRollup(
  config: RollupConfig,
  token: string,
  { signal, log, rest }: RollupHooks,
): Promise<void> {
  const began = Date.now() / 1000;
  const database = new Database(config.influxdb, config.relay);
  const authorization = `Bearer ${token}`;
  const roller = new Roller({ config, database, authorization, log, rest });
  const server = makeServer({
    model: config.model,
    database,
    reader: new Reader(database, roller, config.retention),
    figures: () => ({ columns: roller.columns.day, zone: config.zone ?? "UTC" }),
    healthy: () => Date.now() / 1000 - Math.max(began, roller.alive) < longestPass,
    log,
  });
  const { address, port: at } = config.listen ?? { address: "0.0.0.0", port };
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(at, address, resolve);
  });
  await roller.run(signal);
  server.close();
  server.closeAllConnections();
}
