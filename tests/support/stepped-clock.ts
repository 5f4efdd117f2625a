import { setImmediate } from "node:timers/promises";
import type { Clock } from "../../fleet/rollout/rollout";

/** A clock that goes on to the next moment somebody waits for, as soon as nobody does anything else. */
export class SteppedClock implements Clock {
  private readonly sleepers: { at: number; wake: () => void }[] = [];

  /** @param time ms since 1970. */
  constructor(private time: number) {}

  now = (): number => this.time;

  async sleep(seconds: number, stop?: AbortSignal): Promise<void> {
    if (stop?.aborted) return;
    await new Promise<void>((done) => {
      const end = () => {
        const index = this.sleepers.indexOf(sleeper);
        if (index >= 0) this.sleepers.splice(index, 1);
        stop?.removeEventListener("abort", end);
        done();
      };
      const sleeper = { at: this.time + seconds * 1000, wake: end };
      this.sleepers.push(sleeper);
      stop?.addEventListener("abort", end);
    });
  }

  /** Goes on until the work is done. */
  async during<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const end = () => void (isDone = true);
    work.then(end, end);
    while (!isDone) {
      // What was woken does all that it can do without waiting for the clock.
      for (let i = 0; i < 10; i++) await setImmediate();
      const next = Math.min(...this.sleepers.map(({ at }) => at));
      if (next === Infinity) continue;
      this.time = Math.max(this.time, next);
      for (const { wake } of this.sleepers.filter(({ at }) => at <= next)) wake();
    }
    return work;
  }
}
