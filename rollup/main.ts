import { readFileSync } from "node:fs";
import { runRollup, type ServiceConfig } from ".";

const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());

// oxlint-disable-next-line typescript/no-non-null-assertion -- the container passes the path
const config = JSON.parse(readFileSync(process.argv[2]!, "utf8")) as ServiceConfig;
const token = readFileSync(config.tokenFile, "utf8").trimEnd();

void runRollup(config, token, {
  signal: stop.signal,
  log: (line) => console.log(`${new Date().toISOString()} ${line}`),
});
