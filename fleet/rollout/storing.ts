import { setTimeout as sleep } from "node:timers/promises";
import type { SiteRecord } from "./record";

/** What a {@link StoringWatch} does at a site. */
export interface Watched {
  /** Publishes a marked message, by its number from 0; throws where the broker does not take it. */
  publish(n: number): Promise<void>;
  /** How many marked messages are stored; throws where that cannot be asked. */
  stored(): Promise<number>;
}

/** Marked messages at most: a broken update must not publish for ever. */
const mostMessages = 1500;

/**
 * Watches whether a site stores what is published while it is updated. As a gateway does, it keeps a
 * message until the broker has taken it.
 */
export class StoringWatch {
  private readonly stop = new AbortController();
  private readonly publishing: Promise<void>;
  private readonly looking: Promise<void>;
  private sent = 0;
  private stored = 0;
  private longest = 0;
  private grown = performance.now();

  /** @param seconds between two messages, and between two looks. */
  constructor(
    private readonly site: Watched,
    private readonly seconds = 1,
  ) {
    this.publishing = this.each(async () => {
      if (this.sent >= mostMessages) return;
      await this.site.publish(this.sent);
      this.sent++;
    });
    this.looking = this.each(() => this.look());
  }

  /**
   * Publishes no more, and waits until all is stored that the broker has taken.
   * @param limitSeconds for how long.
   * @returns undefined where the broker took nothing.
   */
  async end(limitSeconds: number): Promise<Pick<SiteRecord, "downtime" | "messages"> | undefined> {
    this.stop.abort();
    await Promise.all([this.publishing, this.looking]);
    const deadline = performance.now() + limitSeconds * 1000;
    for (;;) {
      await this.look().catch(() => undefined);
      if (this.stored >= this.sent || performance.now() >= deadline) break;
      await sleep(this.seconds * 1000);
    }
    if (this.sent === 0) return undefined;
    return {
      downtime: { seconds: Math.round(this.longest * 10) / 10 },
      messages: { sent: this.sent, lost: Math.max(0, this.sent - this.stored) },
    };
  }

  private async look(): Promise<void> {
    const found = await this.site.stored();
    if (found <= this.stored) return;
    const now = performance.now();
    // Before the first one nothing is known of it.
    if (this.stored > 0) this.longest = Math.max(this.longest, (now - this.grown) / 1000);
    this.stored = found;
    this.grown = now;
  }

  /** Does it again and again until it is stopped; what fails is done again. */
  private async each(work: () => Promise<void>): Promise<void> {
    const { signal } = this.stop;
    while (!signal.aborted) {
      await work().catch(() => undefined);
      await sleep(this.seconds * 1000, undefined, { signal }).catch(() => undefined);
    }
  }
}
