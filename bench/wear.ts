import { appendFileSync, existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Option, program } from "commander";
import { type Profile, profiles } from "../configs/profiles";
import { parseSite } from "../configs/site";
import { durationSeconds } from "../configs/units";
import { simulate } from "../simulator";
import { diskMissing } from "../tests/support/machine/disk";
import { type DataService, Machine } from "../tests/support/machine/machine";
import { influxdb3, temporaryFolder } from "../tests/support/programs";
import { CountedDisk, type Written } from "./counted-disk";

const services: readonly DataService[] = ["mosquitto", "telegraf", "influxdb"];

interface Options {
  profile: keyof typeof profiles;
  minutes: number;
  shared?: boolean;
  sync?: number;
  flush?: number;
}

/** Minutes until a new site writes as it will go on to: its tables and first files are made. */
const settling = 2;

/** Publishes the simulated units of the default site until it is stopped. */
function publish(machine: Machine, folder: string, signal: AbortSignal): Promise<void> {
  const { simulator } = parseSite({ name: "wear" });
  const passwordFile = join(folder, "password");
  writeFileSync(passwordFile, machine.password("gateway"));
  const config = {
    url: `mqtt://${machine.address}:1883`,
    username: "gateway",
    passwordFile,
    model: machine.model,
    units: simulator.units,
    intervalMs: durationSeconds(simulator.interval) * 1000,
    seed: 1,
  };
  const hooks = { signal, alive: () => undefined, log: () => undefined };
  return simulate(config, machine.password("gateway"), hooks);
}

/** Keeps what containers print as Docker's log driver json-file does, until it is stopped. */
async function keepLogs(machine: Machine, path: string, signal: AbortSignal): Promise<void> {
  const kept = new Map<DataService, number>();
  while (!signal.aborted) {
    for (const service of services) {
      const { output } = machine.container(service);
      const lines = output.slice(kept.get(service) ?? 0).split(/(?<=\n)/);
      kept.set(service, output.length);
      for (const log of lines.filter(Boolean)) {
        const line = { log, stream: "stdout", time: new Date().toISOString() };
        appendFileSync(join(path, `${service}-json.log`), `${JSON.stringify(line)}\n`);
      }
    }
    await sleep(100);
  }
}

/** What is written to: a service's volume, or the folder of all logs. */
interface Place {
  name: string;
  path: string;
}

/** Folder of the containers' logs. */
const logFolder = "logs";

/** As paths in the machine's namespace. */
function placesOf({ disk, namespace }: Machine): Place[] {
  const place = (name: string, folder: string) => ({ name, path: join(disk.path, folder) });
  const logs = place("logs", logFolder);
  mkdirSync(namespace.path(logs.path));
  const volumes = services.map((service) => place(service, `dev-${service}-data`));
  return [...volumes.filter(({ path }) => existsSync(namespace.path(path))), logs];
}

/** Gives each place a disk of its own. */
const mountEach = ({ namespace }: Machine, places: Place[], folder: string): CountedDisk[] =>
  places.map(({ name, path }) => new CountedDisk(name, namespace, path, join(folder, name)));

/** Puts all places on one disk, as a Raspberry Pi has them. */
function mountTogether({ namespace, disk }: Machine, places: Place[], folder: string) {
  const root = join(disk.path, "all");
  mkdirSync(namespace.path(root));
  const all = new CountedDisk("all", namespace, root, join(folder, "all"));
  for (const { name, path } of places) {
    const { uid, gid } = statSync(namespace.path(path));
    namespace.run("mkdir", join(root, name));
    namespace.run("chown", `${uid}:${gid}`, join(root, name));
    namespace.run("mount", "--bind", join(root, name), path);
  }
  return [all];
}

/** What each disk is given in a day, reckoned from some minutes. */
async function measure(disks: CountedDisk[], minutes: number): Promise<Map<string, Written>> {
  const before = disks.map((disk) => disk.written());
  await sleep(minutes * 60_000);
  const perDay = (from = 0, to = 0) => ((to - from) * 24 * 60) / minutes;
  return new Map(
    disks.map((disk, i) => {
      const { files, journal } = disk.written();
      return [
        disk.name,
        {
          files: perDay(before[i]?.files, files),
          journal: perDay(before[i]?.journal, journal),
        },
      ];
    }),
  );
}

function print(figures: Map<string, Written>): void {
  const line = (...cells: string[]) =>
    console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(12) : cell.padStart(10))).join(""));
  const row = (name: string, { files, journal }: Written) =>
    line(name, ...[files, journal, files + journal].map((bytes) => (bytes / 1e9).toFixed(3)));
  const sum = (key: keyof Written) =>
    [...figures.values()].reduce((total, written) => total + written[key], 0);
  line("GB a day", "files", "journal", "together");
  for (const [name, written] of figures) row(name, written);
  if (figures.size > 1) row("all", { files: sum("files"), journal: sum("journal") });
}

/** The chosen profile, with other values than its own where they are asked for. */
const profileOf = ({ profile, sync, flush }: Options): Profile =>
  Object.assign(profiles[profile], sync && { sync }, flush && { flush });

async function benchmark(options: Options): Promise<void> {
  const { sync, flush } = profileOf(options);
  const machine = await Machine.make({ services, profile: options.profile, mebibytes: 64 });
  const folder = temporaryFolder();
  const places = placesOf(machine);
  const disks = (options.shared ? mountTogether : mountEach)(machine, places, folder.path);
  const stop = new AbortController();
  try {
    await machine.deploy();
    const logs = machine.namespace.path(join(machine.disk.path, logFolder));
    const running = [
      publish(machine, folder.path, stop.signal),
      keepLogs(machine, logs, stop.signal),
    ];
    await sleep(settling * 60_000);
    const figures = await measure(disks, options.minutes);
    const { profile, minutes } = options;
    console.log(`profile ${profile}, sync ${sync} s, flush ${flush} s, ${minutes} minutes`);
    print(figures);
    stop.abort();
    await Promise.all(running);
  } finally {
    await machine.close();
    for (const disk of disks) disk.detach();
    folder.remove();
  }
}

program
  .name("npm run bench:wear --")
  .description(
    "Measures what a site writes to its disk: real Mosquitto, Telegraf and InfluxDB 3, started as " +
      "deployed, take the default site's simulated messages. The figures are the devices' own " +
      "counts, reckoned to a day. Not measured: Grafana, the Explorer, Docker and the system. " +
      "Needs root; InfluxDB 3 on the PATH or at BESS_INFLUXDB3.",
  )
  .addOption(
    new Option("--profile <name>", "the site's").choices(Object.keys(profiles)).default("pi"),
  )
  .option("--minutes <n>", "how long", Number, 30)
  .option("--shared", "one disk for all, as in the field, instead of one for each service")
  .option("--sync <seconds>", "another time until messages are safe than the profile's", Number)
  .option("--flush <seconds>", "another time to gather messages than the profile's", Number)
  .action(async (options: Options) => {
    const missing = diskMissing() ?? (influxdb3() ? undefined : "InfluxDB 3 is missing");
    if (missing) throw new Error(`nothing can be measured here: ${missing}`);
    await benchmark(options);
    process.exit(0);
  })
  .parseAsync()
  .catch((error: Error) => (console.error(error.message), process.exit(1)));
