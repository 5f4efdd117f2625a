import { readFileSync } from "node:fs";
import { port, type RollupConfig } from "../configs/rollups";
import type { LogbookConfig } from "../configs/logbook";
import type { UplinkConfig } from "../configs/uplink";
import { Database } from "./database";
import { Logbook } from "./logbook";
import { Reader } from "./reader";
import { type Hub, RemoteWrite } from "./remote-write";
import { Roller } from "./roller";
import { makeServer } from "./server";
import { Uplink } from "./uplink";
import { DatabaseSource } from "./uplink-source";

/** What the container's program is told: of the rollups, of the logbook, and of the way to a hub. */
export interface ServiceConfig extends RollupConfig {
  logbook?: LogbookConfig;
  uplink?: UplinkConfig;
}

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
  config: ServiceConfig,
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
  const uplinkOf = (all: RollupConfig, own: UplinkConfig, to: RemoteWrite) =>
    new Uplink({
      ...own,
      model: all.model,
      source: new DatabaseSource(database, authorization, all, own),
      hub: to,
      log,
      rest,
    });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(at, address, resolve);
  });
  const hub = config.uplink && new RemoteWrite(hubOf(config.uplink));
  const uplink = hub && config.uplink && uplinkOf(config, config.uplink, hub);
  const logbook =
    config.logbook &&
    new Logbook({ config, logbook: config.logbook, database, authorization, log });
  // A hub or a Grafana that is away has no effect on the rollups.
  await Promise.all([roller.run(signal), uplink?.run(signal), logbook?.run(signal)]);
  hub?.close();
  server.close();
  server.closeAllConnections();
}

/** Where samples are sent. */
function hubOf({ url, user, tokenFile, ca }: UplinkConfig): Hub {
  const token = readFileSync(tokenFile, "utf8").trimEnd();
  const authorization =
    user === undefined
      ? `Bearer ${token}`
      : `Basic ${Buffer.from(`${user}:${token}`).toString("base64")}`;
  return { url, authorization, ca };
}
