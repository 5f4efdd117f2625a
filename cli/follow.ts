import { performance } from "node:perf_hooks";
import { SingleBar } from "cli-progress";
import { isWatched } from "../automation";

/** Time between two lines of progress where there is no terminal, in ms. */
const reportInterval = 5000;

/**
 * Shows on a terminal how far work is, or prints it every few seconds where there is none.
 * @param share how much is done, 0 to 1.
 * @param text what is done, in words.
 * @returns what ends that.
 */
export function followWork(share: () => number, text: () => string): () => void {
  if (!isWatched()) {
    const timer = setInterval(
      () => console.error(`${Math.floor(share() * 100)} %: ${text()}`),
      reportInterval,
    );
    return () => clearInterval(timer);
  }
  const bar = new SingleBar({
    format: "{bar} {percentage} %: {text}",
    gracefulExit: false,
    clearOnComplete: true,
  });
  const update = () => bar.update(share(), { text: text() });
  bar.start(1, 0, { text: text() });
  const timer = setInterval(update, 100);
  return () => {
    clearInterval(timer);
    update();
    bar.stop();
  };
}

/** Rows a second since a moment of the monotonic clock. */
export const rate = (rows: number, began: number): number =>
  Math.round((rows * 1000) / Math.max(1, performance.now() - began));
