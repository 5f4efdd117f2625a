import { once } from "node:events";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { root, stateFile } from "../../automation";
import * as rollout from "../rollout";
import type { StackState } from "../state";
import type { Found, Look } from "./look";
import type { LookData } from "./look-thread";
import { hash } from "./plans";
import type { Rendering, SiteRender } from "./render";

/** Sites that a thread looks at in one go. */
const batch = 8;

/** A state is some MB; without limits Node.js keeps garbage of many of them. */
const resourceLimits = { maxOldGenerationSizeMb: 160, maxYoungGenerationSizeMb: 16 };

/** What has a thread of its own look at states. */
class Thread {
  private readonly worker: Worker;

  constructor(data: LookData) {
    const script =
      `require(${JSON.stringify(join(root, "typescript.js"))});` +
      `require(${JSON.stringify(join(__dirname, "look-thread.ts"))});`;
    this.worker = new Worker(script, { eval: true, workerData: data, resourceLimits });
  }

  async look(at: Look[]): Promise<Found[]> {
    this.worker.postMessage(at);
    const [found] = (await once(this.worker, "message")) as [Found[]];
    return found;
  }

  close = () => this.worker.terminate();
}

/** A site, before and after. */
export interface Compared {
  head: SiteRender;
  base: SiteRender | undefined;
}

/**
 * Looks at the states of sites, on all cores.
 * @returns what each says, in the order of the sites.
 */
export async function lookAt(
  sites: readonly Compared[],
  { store: { folder }, code, workers }: Rendering,
): Promise<Found[]> {
  const current = rollout.workingTree();
  const openStack = rollout.deployedStacks({ workers });
  const readState = async ({ name, stack, wave }: SiteRender): Promise<string | StackState> =>
    stateFile(stack) ??
    rollout.withSession({ name, stack, wave }, current, openStack, (session) => session.state());
  const found: Found[] = [];
  const look = async (thread: Thread, part: readonly Numbered[]) => {
    const readable: { i: number; at: Look }[] = [];
    for (const { head, base, i } of part)
      try {
        readable.push({ i, at: lookOf({ head, base }, await readState(head)) });
      } catch (error) {
        found[i] = unread(rollout.failureReason(error as Error));
      }
    const results = await thread.look(readable.map(({ at }) => at));
    for (const [k, { i }] of readable.entries()) found[i] = results[k] ?? unread("no answer");
  };
  // Sites with the same plans one after the other: a thread keeps the last plans that it has read.
  const waiting = sites
    .map(({ head, base }, i): Numbered => ({ head, base, i }))
    .sort((a, b) => order(a).localeCompare(order(b)));
  const size = Math.min(availableParallelism(), Math.ceil(sites.length / batch));
  const threads = Array.from({ length: size }, () => new Thread({ folder, code }));
  try {
    await Promise.all(
      threads.map(async (thread) => {
        while (waiting.length > 0) await look(thread, waiting.splice(0, batch));
      }),
    );
    return found;
  } finally {
    for (const thread of threads) void thread.close();
  }
}

type Numbered = Compared & { i: number };

const order = ({ head, base }: Compared) => `${base?.plan} ${head.plan}`;

const lookOf = ({ head, base }: Compared, state: string | StackState): Look => ({
  names: head.names,
  stack: head.stack,
  engine: head.engine,
  base: base && { plan: base.plan, shared: base.shared, names: base.names },
  head: { plan: head.plan, shared: head.shared },
  state,
});

/** A site whose state cannot be read is apart from all others; its preview says why. */
const unread = (reason: string): Found => ({ apart: hash(reason), differs: [reason] });
