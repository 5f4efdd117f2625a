import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { writtenSeconds } from "../../../configs/mosquitto";
import { until } from "../programs";
import type { DiskCache } from "./disk";
import { Gateway } from "./gateway";
import type { Machine } from "./machine";

/** What a power cut did to a site under load. */
export interface Cut {
  cache: DiskCache;
  /** Seconds since the site was made. */
  age: number;
  /** Seconds since the boot before. */
  up: number;
  /** Messages that were acknowledged since then. */
  acknowledged: number;
  /** Seconds from the boot until every health check passed. */
  healthy: number;
  /** Seconds from the boot until what was published after it was stored. */
  storing: number;
  /** Acknowledged messages that are gone. */
  lost: number;
  /** How long before the cut the oldest of them was acknowledged, in seconds; 0 if none is gone. */
  oldest: number;
  /** How often a service ended by itself after the boot. */
  restarts: number;
  /** Files that were set aside at the boot. */
  setAside: string[];
}

/** Times of the messages that the site has stored, from `since` on; in ms. */
export type Stored = (since: number) => Promise<Set<number>>;

/** What is in the tables of a machine's database. */
export const inDatabase =
  (machine: Machine): Stored =>
  async (since) => {
    const from = `'${new Date(since).toISOString()}'`;
    const tables = machine.model.measurements.map(({ name }) =>
      machine.query<{ time: string }>(`SELECT time FROM "${name}" WHERE time >= ${from}`),
    );
    return new Set((await Promise.all(tables)).flat().map(({ time }) => Date.parse(`${time}Z`)));
  };

/** Numbers from 0 to 1 that look random. @returns a function that gives the next one. */
export function random(seed: number): () => number {
  let count = 0;
  return () => createHash("sha256").update(`${seed} ${count++}`).digest().readUInt32BE() / 2 ** 32;
}

/** A site that a gateway publishes to, for faults of every kind. */
export class SiteUnderLoad {
  private gateway: Gateway;
  private made = 0;
  private booted = 0;
  private setAside = new Set<string>();

  /** @param rate messages a second. */
  constructor(
    private readonly machine: Machine,
    private readonly stored: Stored,
    private readonly rate: number,
  ) {
    this.gateway = new Gateway(machine);
  }

  /** How many messages the broker has acknowledged. */
  get acknowledged(): number {
    return this.gateway.acknowledged.size;
  }

  /**
   * Makes the site anew on an empty disk, and begins to publish.
   * @param prepare what else is to be there before the first message.
   */
  async deploy(prepare?: () => Promise<void>): Promise<void> {
    this.gateway.cutOff();
    await this.machine.renew();
    this.gateway = new Gateway(this.machine);
    this.setAside = new Set();
    await this.machine.deploy();
    await prepare?.();
    this.made = this.booted = Date.now();
    await this.gateway.start(this.rate);
  }

  /**
   * Cuts the power after some seconds, boots, and looks for every message that was acknowledged.
   * @throws Error if the site does not start, or does not store what is published after the boot.
   */
  async cutPower(cache: DiskCache, seconds: number): Promise<Cut> {
    await sleep(seconds * 1000);
    this.gateway.cutOff();
    const moment = await this.machine.cut(cache);
    const acknowledged = [...this.gateway.acknowledged.values()].filter((at) => at > this.booted);
    const [age, up] = [moment - this.made, moment - this.booted];
    const { healthy, storing } = await this.boot();
    const lost = await this.lost(moment);
    return {
      cache,
      age: age / 1000,
      up: up / 1000,
      acknowledged: acknowledged.length,
      healthy,
      storing,
      lost: lost.length,
      oldest: lost.length === 0 ? 0 : (moment - Math.min(...lost)) / 1000,
      restarts: this.machine.restarts(),
      setAside: this.newlySetAside(),
    };
  }

  /**
   * Does something to the site while messages come, and stops publishing after it.
   * @returns how many acknowledged messages are gone, of how many.
   */
  async through(fault: () => Promise<void> | void): Promise<{ lost: number; of: number }> {
    const { acknowledged } = this.gateway;
    const before = acknowledged.size;
    // A new session is on the disk as late as a message is.
    await sleep(writtenSeconds(this.machine.profile) * 1000);
    await fault();
    await this.machine.healthy();
    await this.stores(Date.now());
    await this.stop();
    const of = acknowledged.size - before;
    const { length } = await this.lost(Date.now());
    await this.gateway.start(this.rate);
    return { lost: length, of };
  }

  /** Stops publishing, once all is acknowledged. */
  async stop(): Promise<void> {
    await this.gateway.stop();
  }

  /** Boots, and publishes again. @returns seconds until the site was healthy, and until it stored. */
  private async boot(): Promise<Pick<Cut, "healthy" | "storing">> {
    await this.machine.boot();
    this.booted = Date.now();
    const seconds = () => (Date.now() - this.booted) / 1000;
    await this.machine.healthy();
    const healthy = seconds();
    await this.gateway.start(this.rate);
    await this.stores(this.booted);
    return { healthy, storing: seconds() };
  }

  /** Waits until messages are stored that were published since then, one of each measurement. */
  private async stores(since: number): Promise<void> {
    const kinds = this.machine.model.measurements.length;
    await until(
      () => `new messages are stored:\n${this.machine.output()}`,
      async () => {
        const fresh = [...this.gateway.acknowledged.keys()].filter((time) => time > since);
        const stored = await this.stored(since).catch(() => new Set());
        // Measurements take turns.
        return fresh.some(
          (_, i) =>
            i + kinds <= fresh.length &&
            fresh.slice(i, i + kinds).every((time) => stored.has(time)),
        );
      },
      60,
    );
  }

  /** When each message was acknowledged that was so before the cut, and is not stored. */
  private async lost(moment: number): Promise<number[]> {
    const { acknowledged } = this.gateway;
    const before = [...acknowledged].filter(([, at]) => at <= moment);
    const missing = async () => {
      const stored = await this.answer();
      return before.filter(([time]) => !stored.has(time));
    };
    let lost = await missing();
    // What was queued comes with what is new, and a part of it may be a flush behind.
    for (let i = 0; i < 5 && lost.length > 0; i++) {
      await sleep(500);
      lost = await missing();
    }
    for (const [time] of lost) acknowledged.delete(time);
    return lost.map(([, at]) => at);
  }

  /** What is stored. A service that is just started again answers a little later. */
  private async answer(): Promise<Set<number>> {
    let stored: Set<number> | undefined;
    let refused = "";
    await until(
      () => `what is stored can be read: ${refused}\n${this.machine.output()}`,
      async () => {
        stored = await this.stored(this.made).catch(
          (error: Error) => void (refused = String(error.cause ?? error)),
        );
        return stored !== undefined;
      },
    );
    return stored ?? new Set();
  }

  private newlySetAside(): string[] {
    const found = this.machine.setAside().filter((file) => !this.setAside.has(file));
    for (const file of found) this.setAside.add(file);
    return found;
  }
}
