import { setTimeout as sleep } from "node:timers/promises";
import { writtenSeconds } from "../../configs/mosquitto";
import { diskMissing } from "../support/machine/disk";
import { type DataService, Machine } from "../support/machine/machine";
import { Reader } from "../support/machine/reader";
import { inDatabase, SiteUnderLoad } from "../support/machine/under-load";
import { influxdbMissing, until } from "../support/programs";

const noDisk = diskMissing();
const noSite = noDisk ?? influxdbMissing;
if (noSite) console.warn(`not all of a full disk can be tested here: ${noSite}`);
const ifPossible = (missing?: string) => (missing ? describe.skip : describe);

/** A disk that holds the broker's reserve. */
const makeMachine = (services: DataService[]) =>
  Machine.make({ services, profile: "dev", mebibytes: 700 });

/** Seconds on a full disk: the broker writes its queue several times. */
const secondsFull = 6;

ifPossible(noDisk)("a broker whose disk is filled to the last byte", () => {
  const rate = 200;
  let machine: Machine;
  let reader: Reader;
  let site: SiteUnderLoad;
  beforeAll(async () => {
    machine = await makeMachine(["mosquitto"]);
    reader = new Reader(machine);
    const stored = async () => {
      await reader.connect();
      return reader.received;
    };
    site = new SiteUnderLoad(machine, stored, rate);
    await site.deploy(() => reader.settle());
  });
  afterAll(async () => {
    await site.stop();
    await reader.leave();
    await machine.close();
  });

  /**
   * Fills the disk while nobody reads, and does something to the broker on the full disk.
   * @returns how many messages it took meanwhile, and how many acknowledged ones are lost.
   */
  const onFullDisk = async (work?: () => Promise<void>) => {
    let taken = 0;
    await reader.leave();
    const { lost } = await site.through(async () => {
      machine.disk.fill();
      const before = site.acknowledged;
      await sleep(secondsFull * 1000);
      taken = site.acknowledged - before;
      await work?.();
      machine.disk.clear();
    });
    return { taken, lost };
  };
  const restart = async (signal: NodeJS.Signals) => {
    const broker = machine.container("mosquitto");
    await broker.stop(signal);
    broker.start();
    await until("the broker waits", () => broker.output.includes("The disk is full"));
  };

  test("goes on taking messages, and loses none", async () => {
    const { taken, lost } = await onFullDisk();
    expect(taken).toBeGreaterThan(0.8 * secondsFull * rate);
    expect(lost).toBe(0);
  });

  test("loses none if it is stopped, and starts by itself once there is room", async () => {
    expect((await onFullDisk(() => restart("SIGTERM"))).lost).toBe(0);
  });

  test("loses what it had yet to write if it is killed, and nothing older", async () => {
    const { lost } = await onFullDisk(() => restart("SIGKILL"));
    expect(lost).toBeLessThanOrEqual((writtenSeconds(machine.profile) + 0.2) * rate);
  });
});

ifPossible(noSite)("a site whose disk is filled to the last byte", () => {
  let machine: Machine;
  let site: SiteUnderLoad;
  const services: DataService[] = ["mosquitto", "telegraf", "influxdb"];
  beforeAll(async () => {
    machine = await makeMachine(services);
    site = new SiteUnderLoad(machine, inDatabase(machine), 50);
    await site.deploy();
  });
  afterAll(async () => {
    await site.stop();
    await machine.close();
  });

  test.each<[string, DataService[]]>([
    ["nothing", []],
    ["the database", ["influxdb"]],
    ["every service", services],
  ])(
    "stores all that it acknowledged once there is room, with %s restarted before",
    async (_, restarted) => {
      const { lost, of } = await site.through(async () => {
        machine.disk.fill();
        // InfluxDB tries for ten seconds, then refuses.
        await sleep(15_000);
        await Promise.all(restarted.map((service) => machine.container(service).stop()));
        for (const service of restarted) machine.container(service).start();
        await sleep(3000);
        machine.disk.clear();
      });
      expect([lost, machine.setAside()]).toEqual([0, []]);
      expect(of).toBeGreaterThan(500);
    },
  );
});
