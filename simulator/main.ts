import { readFileSync, statSync, writeFileSync } from "node:fs";
import { type Order, orderSchema, paths } from "../configs/simulator";
import { simulate, type SimulatorConfig } from ".";

/** The container's health check reads the age of this file. */
const aliveFile = "/tmp/alive";

const log = (line: string) => console.log(`${new Date().toISOString()} ${line}`);

let [order, read]: [Order | undefined, number | undefined] = [undefined, undefined];

/** What `bess simulate` asks for; the file is read once for each time that it is written. */
function currentOrder(): Order | undefined {
  const written = statSync(paths.order, { throwIfNoEntry: false })?.mtimeMs;
  if (written === read) return order;
  read = written;
  if (written === undefined) return (order = undefined);
  try {
    order = orderSchema.parse(JSON.parse(readFileSync(paths.order, "utf8")));
  } catch (error) {
    log(`${paths.order} is no order: ${(error as Error).message}`);
  }
  return order;
}

const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());

// oxlint-disable-next-line typescript/no-non-null-assertion -- the container passes the path
const config = JSON.parse(readFileSync(process.argv[2]!, "utf8")) as SimulatorConfig;
const password = readFileSync(config.passwordFile, "utf8").trimEnd();

void simulate(config, password, {
  signal: stop.signal,
  alive: () => writeFileSync(aliveFile, `${new Date().toISOString()}\n`),
  order: currentOrder,
  log,
});
