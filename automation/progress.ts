import { SingleBar } from "cli-progress";

/** Time after which a person wonders whether anything happens, in ms. */
const patience = 2000;

/** Whether a person watches: a terminal, and no CI. */
export const isWatched = () => process.stderr.isTTY === true && !process.env.CI;

/** Shows on a terminal that work goes on, and for how long, once it has taken two seconds. */
export async function showProgress<T>(text: string, work: Promise<T>): Promise<T> {
  if (!isWatched()) return work;
  const bar = new SingleBar({
    format: "{text} … {seconds} s",
    stream: process.stderr,
    clearOnComplete: true,
    gracefulExit: false,
    hideCursor: true,
  });
  const began = Date.now();
  const timer = setInterval(() => {
    const elapsed = Date.now() - began;
    const payload = { text, seconds: Math.round(elapsed / 1000) };
    if (bar.isActive) bar.update(payload);
    else if (elapsed >= patience) bar.start(1, 0, payload);
  }, 500);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    if (bar.isActive) bar.stop();
  }
}
