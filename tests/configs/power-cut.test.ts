import { setTimeout as sleep } from "node:timers/promises";
import { writtenSeconds } from "../../configs/mosquitto";
import { diskMissing } from "../support/machine/disk";
import { Machine } from "../support/machine/machine";
import { inDatabase, random, SiteUnderLoad } from "../support/machine/under-load";
import { Reader } from "../support/machine/reader";
import { influxdb3, until } from "../support/programs";

const noDisk = diskMissing();
const noSite =
  noDisk ?? (influxdb3() ? undefined : "InfluxDB 3 is missing: BESS_INFLUXDB3 names it");
if (noSite) console.warn(`not all faults can be tested here: ${noSite}`);
const ifPossible = (missing?: string) => (missing ? describe.skip : describe);

const seed = Date.now() % 1e6;
const next = random(seed);
/** An acknowledgement is counted when it arrives, a moment after it was sent; in seconds. */
const arrival = 0.2;
/** Seconds under load, beyond the second in which anything may be lost; different in each run. */
const someSeconds = () => 1 + 3 * next();

ifPossible(noDisk)(`a power cut of the broker under load, seed ${seed},`, () => {
  let machine: Machine;
  let reader: Reader;
  let site: SiteUnderLoad;
  beforeAll(async () => {
    machine = await Machine.make({ services: ["mosquitto"], profile: "dev", mebibytes: 64 });
    reader = new Reader(machine);
    const stored = async () => {
      await reader.connect();
      return reader.received;
    };
    site = new SiteUnderLoad(machine, stored, 200);
    await site.deploy(() => reader.settle());
  });
  afterAll(async () => {
    await site.stop();
    await reader.leave();
    await machine.close();
  });

  test.each([
    ["kept", "away"],
    ["lost", "away"],
    ["kept", "there"],
    ["lost", "there"],
  ] as const)("with the disk's cache %s and the reader %s", async (cache, place) => {
    await reader.connect();
    if (place === "away") await reader.leave();
    const cut = await site.cutPower(cache, someSeconds());
    expect(cut.acknowledged).toBeGreaterThan(100);
    expect(cut.oldest).toBeLessThan(writtenSeconds(machine.profile) + arrival);
    expect([cut.restarts, cut.setAside]).toEqual([0, []]);
  });
});

ifPossible(noSite)(`a site under load, seed ${seed},`, () => {
  let machine: Machine;
  let site: SiteUnderLoad;
  beforeAll(async () => {
    const services = ["mosquitto", "telegraf", "influxdb"] as const;
    machine = await Machine.make({ services, profile: "dev" });
    site = new SiteUnderLoad(machine, inDatabase(machine), 50);
    await site.deploy();
  });
  afterAll(async () => {
    await site.stop();
    await machine.close();
  });

  test.each([
    ["mosquitto", "mosquitto"],
    ["telegraf", "telegraf"],
    ["influxdb", "influxdb3"],
  ] as const)("loses nothing when %s is killed", async (service, program) => {
    const container = machine.container(service);
    const { lost, of } = await site.through(async () => {
      const killed = container.processes(program);
      expect(killed).toHaveLength(1);
      for (const pid of killed) process.kill(pid, "SIGKILL");
      await until(`${service} is started again`, () => container.restarts === 1);
    });
    expect(lost).toBe(0);
    expect(of).toBeGreaterThan(100);
  });

  test("loses nothing over a reboot", async () => {
    const { lost, of } = await site.through(async () => {
      await machine.shutDown();
      machine.start();
    });
    expect(lost).toBe(0);
    expect(of).toBeGreaterThan(100);
  });

  test.each(["kept", "lost"] as const)(
    "starts by itself after a power cut with the disk's cache %s",
    async (cache) => {
      const cut = await site.cutPower(cache, someSeconds());
      expect(cut.oldest).toBeLessThan(machine.profile.sync + arrival);
      expect([cut.restarts, cut.setAside]).toEqual([0, []]);
    },
  );

  test.each(["kept", "lost"] as const)(
    "loses nothing that had waited at the broker, with the disk's cache %s",
    async (cache) => {
      const telegraf = machine.container("telegraf");
      await telegraf.stop();
      await sleep(3000);
      telegraf.start();
      await until("Telegraf reads again", () => telegraf.healthy());
      // The broker forgets what has waited in the seconds after it was stored.
      const cut = await site.cutPower(cache, 1.5 * next());
      expect(cut.oldest).toBeLessThan(machine.profile.sync + arrival);
    },
  );
});
