import { setTimeout as sleep } from "node:timers/promises";
import { program } from "commander";
import { profiles } from "../configs/profiles";
import { Link, RunningHub } from "../tests/support/hub";
import { diskMissing } from "../tests/support/machine/disk";
import { Gateway } from "../tests/support/machine/gateway";
import { Machine } from "../tests/support/machine/machine";
import { inDatabase } from "../tests/support/machine/under-load";
import { freePort, influxdb3, until } from "../tests/support/programs";
import { median, secondsOf } from "./measuring";

interface Options {
  messages: number;
  rate: number;
  seconds: number;
  uplink?: boolean;
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
    await tellLatencies(profile, machine, options.messages);
    const { stored, of, after } = await flood(machine, options);
    console.log(
      `${profile}: ${options.rate} messages/s for ${options.seconds} s: ${stored} of ${of} ` +
        `stored, the last after ${after.toFixed(1)} s`,
    );
  } finally {
    await machine.close();
  }
}

/** How soon messages are stored at a site with an uplink, while its hub is well, and while it is not. */
async function measureUplink(profile: keyof typeof profiles, messages: number): Promise<void> {
  const token = "token-of-dev-0123456789";
  const hub = await RunningHub.start({ dev: token });
  const uplink = { port: await freePort(), token, ca: hub.certificate };
  const services = ["mosquitto", "telegraf", "influxdb", "rollup"] as const;
  const machine = await Machine.make({ services, profile, mebibytes: 1024, uplink });
  const link = await Link.open(hub, machine.outside, uplink.port);
  try {
    await machine.deploy();
    for (const state of ["up", "refused", "silent"] as const) {
      link.change(state);
      await tellLatencies(`${profile}, the way to the hub is ${state}`, machine, messages);
    }
  } finally {
    link.close();
    await machine.close();
    await hub.remove();
  }
}

async function tellLatencies(of: string, machine: Machine, messages: number): Promise<void> {
  const seconds = (await latencies(machine, messages)).sort((a, b) => a - b);
  const worst = seconds[Math.ceil(0.99 * seconds.length) - 1] ?? Number.NaN;
  console.log(
    `${of}: a message is found after ${(1000 * median(seconds)).toFixed(0)} ms (median), ` +
      `${(1000 * worst).toFixed(0)} ms (p99 of ${seconds.length})`,
  );
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
  .option("--uplink", "instead: with an uplink, whose hub is well, refuses, and answers nothing")
  .action(async (names: (keyof typeof profiles)[], options: Options) => {
    const missing = diskMissing() ?? (influxdb3() ? undefined : "InfluxDB 3 is missing");
    if (missing) throw new Error(`nothing can be measured here: ${missing}`);
    for (const name of names)
      await (options.uplink ? measureUplink(name, options.messages) : measure(name, options));
    process.exit(0);
  })
  .parseAsync()
  .catch((error: Error) => (console.error(error.message), process.exit(1)));
