import { readFileSync, writeFileSync } from "node:fs";
import { simulate, type SimulatorConfig } from ".";

/** The container's health check reads the age of this file. */
const aliveFile = "/tmp/alive";

const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());

// oxlint-disable-next-line typescript/no-non-null-assertion -- the container passes the path
const config = JSON.parse(readFileSync(process.argv[2]!, "utf8")) as SimulatorConfig;
const password = readFileSync(config.passwordFile, "utf8").trimEnd();

void simulate(config, password, {
  signal: stop.signal,
  alive: () => writeFileSync(aliveFile, `${new Date().toISOString()}\n`),
  log: (line) => console.log(`${new Date().toISOString()} ${line}`),
});
