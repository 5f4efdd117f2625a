import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { EngineEvent } from "@pulumi/pulumi/automation";
import { root } from "./backend";
import { environment } from "./programs";
import { errorOf, type Message, type ResultOf, StackError, type Task } from "./tasks";

/** What a pool of worker processes may take. */
export interface WorkerLimits {
  /** Most worker processes at once. Default: as many as there are cores, at least two. */
  size?: number;
  /** Programs that one process has the engine run before another takes its place. Default: 40. */
  programs?: number;
  /** Resident memory in MiB above which another takes its place. Default: 400. */
  residentMiB?: number;
}

/** What is told while a task runs. */
export interface Listeners {
  /** Lines that Pulumi prints. */
  onOutput?: (text: string) => void;
  onEvent?: (event: EngineEvent) => void;
}

/** One worker process: it does one task at a time. */
interface Worker {
  process: ChildProcess;
  /** The program that it has loaded. */
  program: string;
  /** Programs that the engine has run there. */
  ran: number;
  /** Ends it where nobody needs it. */
  unneeded?: NodeJS.Timeout;
}

/**
 * A program takes more than 128 MB of heap with its alerts (measured, SDK included). Without limits Node.js
 * keeps garbage of twice that before it cleans up. With 8 MB for what is new, in place of 32, a site
 * takes a third more time (measured: 0.22 s and 0.17 s to render one).
 */
const heapLimits = ["--max-semi-space-size=32", "--max-old-space-size=192"];

/** How long a process is kept that nobody needs. */
const idleSeconds = 60;

/** Operations that run the program. */
const runsProgram = (operation: Task["operation"]) =>
  ["up", "preview", "render"].includes(operation);

/**
 * Worker processes that run Pulumi's programs, one at a time each: what a program leaves behind, in
 * memory or still calling, meets no other site, and a process that dies fails its own site alone.
 * They are started when they are needed, and end with this process, or when nobody has needed them
 * for a minute.
 */
export class WorkerPool {
  private readonly limits: Required<WorkerLimits>;
  private readonly idle: Worker[] = [];
  private readonly queue: (() => void)[] = [];
  private busy = 0;

  constructor({
    size = Math.max(2, availableParallelism()),
    programs = 40,
    residentMiB = 400,
  }: WorkerLimits = {}) {
    this.limits = { size, programs, residentMiB };
  }

  /**
   * Runs a task once a process is free for it.
   * @throws InputError, StackError or Error, as the task did; StackError of kind `worker` where its
   * process died.
   */
  async run<T extends Task>(task: T, listeners: Listeners = {}): Promise<ResultOf<T>> {
    if (this.busy >= this.limits.size) await new Promise<void>((turn) => this.queue.push(turn));
    else this.busy++;
    try {
      const worker = this.take(task.stack.program);
      const { outcome, residentMiB } = await perform(worker, task, listeners);
      // What is only rendered leaves nothing behind: 200 sites took no more memory than 40.
      if (runsProgram(task.operation) && task.operation !== "render") worker.ran++;
      const isSpent =
        ("failure" in outcome && runsProgram(task.operation)) ||
        worker.ran >= this.limits.programs ||
        residentMiB > this.limits.residentMiB;
      if (isSpent) retire(worker);
      else this.rest(worker);
      if ("failure" in outcome) throw errorOf(outcome.failure);
      return outcome.result as ResultOf<T>;
    } finally {
      // Whoever waits takes this turn over.
      const next = this.queue.shift();
      if (next) next();
      else this.busy--;
    }
  }

  /** Ends the processes that have nothing to do. @param kept how many stay. Default: none. */
  close(kept = 0): void {
    this.idle.splice(kept).forEach(retire);
  }

  /** A process that has loaded the program; one with another program makes room for it. */
  private take(program: string): Worker {
    const fitting = this.idle.findIndex((worker) => worker.program === program);
    const [worker] = fitting < 0 ? [] : this.idle.splice(fitting, 1);
    if (worker) {
      clearTimeout(worker.unneeded);
      return worker;
    }
    if (this.idle.length + this.busy > this.limits.size)
      this.idle.splice(0, this.idle.length + this.busy - this.limits.size).forEach(retire);
    return { process: start(program), program, ran: 0 };
  }

  private rest(worker: Worker): void {
    const { process: child } = worker;
    const forget = () => {
      const place = this.idle.indexOf(worker);
      if (place >= 0) this.idle.splice(place, 1);
    };
    worker.unneeded = setTimeout(() => {
      forget();
      retire(worker);
    }, idleSeconds * 1000).unref();
    child.removeAllListeners("exit").once("exit", forget);
    keepAlive(child, false);
    this.idle.push(worker);
  }
}

/** Whether this process waits for that one. */
function keepAlive(child: ChildProcess, wait: boolean): void {
  child[wait ? "ref" : "unref"]();
  child.channel?.[wait ? "ref" : "unref"]();
}

function start(program: string): ChildProcess {
  return fork(join(__dirname, "worker.ts"), [program], {
    cwd: root,
    // esbuild would keep a thread and a process of 50 MB for the next bundle, and there is none.
    env: { ...environment(), ESBUILD_WORKER_THREADS: "0" },
    execArgv: [...heapLimits, "--require", join(root, "typescript.js")],
    // In a session of its own: a terminal's Ctrl-C reaches this process alone, which decides what
    // is finished first.
    detached: true,
    serialization: "advanced",
    // Standard output may be a report, or JSON.
    stdio: ["ignore", 2, 2, "ipc"],
  });
}

/** A process ends by itself once nobody can send it anything. */
const retire = ({ process: child }: Worker): void => {
  if (child.connected) child.disconnect();
};

/** Has a worker do a task. @throws StackError where its process dies. */
async function perform(
  { process: child }: Worker,
  task: Task,
  { onOutput, onEvent }: Listeners,
): Promise<Extract<Message, { kind: "end" }>> {
  keepAlive(child, true);
  const done = new AbortController();
  const died = once(child, "exit", { signal: done.signal }).then(
    ([code, signal]: (number | string | null)[]) => {
      endGroup(child);
      throw new StackError(
        "worker",
        signal ? `its worker process was killed (${signal})` : `its worker process ended (${code})`,
      );
    },
  );
  const ended = new Promise<Extract<Message, { kind: "end" }>>((resolve) =>
    child.on("message", (message: Message) => {
      if (message.kind === "output") onOutput?.(message.text);
      else if (message.kind === "event") onEvent?.(message.event);
      else resolve(message);
    }),
  );
  // A process that is gone tells so by its exit.
  child.send(task, () => undefined);
  try {
    return await Promise.race([ended, died]);
  } finally {
    done.abort();
    died.catch(() => undefined);
    child.removeAllListeners("message");
  }
}

/**
 * Has the `pulumi` that a dead worker leaves behind give up too, so that it frees the stack's lock.
 */
function endGroup({ pid }: ChildProcess): void {
  try {
    if (pid) process.kill(-pid, "SIGINT");
  } catch {
    // Nothing of it runs any more.
  }
}
