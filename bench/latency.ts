import { setTimeout as sleep } from "node:timers/promises";
import { program } from "commander";
import { profiles } from "../configs/profiles";
import { diskMissing } from "../tests/support/machine/disk";
import { Gateway } from "../tests/support/machine/gateway";
import { Machine } from "../tests/support/machine/machine";
import { inDatabase } from "../tests/support/machine/under-load";
import { influxdb3, until } from "../tests/support/programs";
import { median, secondsOf } from "./measuring";

interface Options {
  messages: number;
  rate: number;
  seconds: number;
}

/** From a message's publication until a query finds it, in seconds; one message after the other. */
async function latencies(machine: Machine, messages: number): Promise<number[]> {
  const stored = inDatabase(machine);
  const gateway = new Gateway(machine);
  const found: number[] = [];
  // Besides the measured ones, some messages a second come as they do at a site.
  await gateway.start(6);
  for (let i = 0; i < messages; i++) {
    // At no certain moment between two flushes.
    await sleep(1000 * Math.random());
    const began = performance.now();
    const time = gateway.publish();
    while (!(await stored(time)).has(time)) await sleep(10);
    found.push((performance.now() - began) / 1000);
  }
  await gateway.stop();
  return found;
}

/** How many rows the site has stored since then, in ms. To count them costs less than to read them. */
async function count(machine: Machine, since: number): Promise<number> {
  const from = `'${new Date(since).toISOString()}'`;
  const tables = machine.model.measurements.map(({ name }) =>
    machine.query<{ rows: number }>(`SELECT count(*) AS rows FROM "${name}" WHERE time >= ${from}`),
  );
  return (await Promise.all(tables)).flat().reduce((sum, { rows }) => sum + rows, 0);
}

/** Publishes as fast as is asked, and waits for all. @returns how many are stored, and after how long. */
async function flood(machine: Machine, { rate, seconds }: Options) {
  const gateway = new Gateway(machine);
  const began = Date.now();
  await gateway.start(rate);
  await sleep(seconds * 1000);
  const publishing = await secondsOf(() => gateway.stop());
  const { acknowledged } = gateway;
  let stored = 0;
  const storing = await secondsOf(() =>
    until(
      () => `all of ${acknowledged.size} messages are stored, not ${stored}`,
      async () => {
        stored = await count(machine, began);
        return stored >= acknowledged.size;
      },
      120,
    ),
  );
  return { stored, of: acknowledged.size, after: seconds + publishing + storing };
}

async function measure(profile: keyof typeof profiles, options: Options): Promise<void> {
  const services = ["mosquitto", "telegraf", "influxdb"] as const;
  const machine = await Machine.make({ services, profile, mebibytes: 1024 });
  try {
    await machine.deploy();
    const seconds = (await latencies(machine, options.messages)).sort((a, b) => a - b);
    const worst = seconds[Math.ceil(0.99 * seconds.length) - 1] ?? Number.NaN;
    console.log(
      `${profile}: a message is found after ${(1000 * median(seconds)).toFixed(0)} ms (median), ` +
        `${(1000 * worst).toFixed(0)} ms (p99 of ${seconds.length})`,
    );
    const { stored, of, after } = await flood(machine, options);
    console.log(
      `${profile}: ${options.rate} messages/s for ${options.seconds} s: ${stored} of ${of} ` +
        `stored, the last after ${after.toFixed(1)} s`,
    );
  } finally {
    await machine.close();
  }
}

program
  .name("npm run bench:latency --")
  .description(
    "Measures how long a message takes until a query finds it, and how many a second the data path " +
      "takes, with the real Mosquitto, Telegraf and InfluxDB 3, started as deployed. Needs root; " +
      "InfluxDB 3 on the PATH or at BESS_INFLUXDB3.",
  )
  .argument("[profiles...]", "the sites', one after the other", Object.keys(profiles))
  .option("--messages <n>", "whose time is measured", Number, 100)
  .option("--rate <n>", "messages a second that the data path is flooded with", Number, 5000)
  .option("--seconds <n>", "how long", Number, 15)
  .action(async (names: (keyof typeof profiles)[], options: Options) => {
    const missing = diskMissing() ?? (influxdb3() ? undefined : "InfluxDB 3 is missing");
    if (missing) throw new Error(`nothing can be measured here: ${missing}`);
    for (const name of names) await measure(name, options);
    process.exit(0);
  })
  .parseAsync()
  .catch((error: Error) => (console.error(error.message), process.exit(1)));
