import { join } from "node:path";
import { isNode } from "../../bench/measuring";
import { processTree } from "../../bench/processes";
import { rehearsedStack, StackError, type WorkerLimits, WorkerPool } from "../../automation";
import { temporaryFolder, until } from "../support/programs";

const folder = temporaryFolder();
const pools: WorkerPool[] = [];
afterEach(() => pools.splice(0).forEach((pool) => pool.close()));
afterAll(() => folder.remove());

function pool(limits: WorkerLimits): WorkerPool {
  const made = new WorkerPool(limits);
  pools.push(made);
  return made;
}

const stack = (name: string, program: "pid" | "refused", workers: WorkerPool) =>
  rehearsedStack(name, {
    folder: folder.path,
    config: {},
    program: join(__dirname, `../support/stack-programs/${program}.ts`),
    workers,
  });

const pidOf = async (name: string, workers: WorkerPool) =>
  (await stack(name, "pid", workers).up()).outputs.pid as number;

/** The worker processes of this process. */
const workerProcesses = () =>
  processTree(process.pid).filter(({ parent, name }) => parent === process.pid && isNode(name));

test("a program that fails is told by its own stack, and by none that runs beside it", async () => {
  const workers = pool({ size: 2 });
  const [failed, succeeded] = await Promise.allSettled([
    stack("bad", "refused", workers).up(),
    stack("good", "pid", workers).up(),
  ]);
  expect(failed).toMatchObject({
    reason: expect.objectContaining({
      kind: "command",
      message: expect.stringContaining("the host is refused"),
    }),
  });
  expect(succeeded).toMatchObject({ value: { outputs: { pid: expect.any(Number) } } });
}, 60_000);

test("a process that ran a failing program runs no other", async () => {
  const workers = pool({ size: 1 });
  const first = await pidOf("one", workers);
  expect(await pidOf("two", workers)).toBe(first);
  await expect(stack("bad", "refused", workers).up()).rejects.toThrow("the host is refused");
  expect(await pidOf("one", workers)).not.toBe(first);
}, 90_000);

test("another process takes the place of one that has run its programs", async () => {
  const workers = pool({ size: 1, programs: 2 });
  const pids = [];
  for (const name of ["one", "two", "three"]) pids.push(await pidOf(name, workers));
  expect(pids[1]).toBe(pids[0]);
  expect(pids[2]).not.toBe(pids[0]);
}, 90_000);

test("another process takes the place of one whose memory has passed the limit", async () => {
  const workers = pool({ size: 1, residentMiB: 1 });
  expect(await pidOf("one", workers)).not.toBe(await pidOf("one", workers));
}, 90_000);

test("what runs no program is no reason for another process", async () => {
  const workers = pool({ size: 1, programs: 2 });
  const first = await pidOf("one", workers);
  const one = stack("one", "pid", workers);
  await one.setTag("a", "b");
  expect(await one.tags()).toMatchObject({ a: "b" });
  expect(await pidOf("one", workers)).toBe(first);
}, 90_000);

test("a process that is killed fails its own task, and says so; the next one is done", async () => {
  const workers = pool({ size: 1 });
  const before = new Set(workerProcesses().map(({ pid }) => pid));
  const killed = stack("killed", "pid", workers)
    .up()
    .catch((error: unknown) => error);
  await until("a worker runs", () => workerProcesses().some(({ pid }) => !before.has(pid)));
  for (const { pid } of workerProcesses()) if (!before.has(pid)) process.kill(pid, "SIGKILL");
  expect(await killed).toEqual(new StackError("worker", "its worker process was killed (SIGKILL)"));
  expect(await pidOf("killed", workers)).toEqual(expect.any(Number));
}, 90_000);

test("a stack that is not there is told as such, and made only where it may be", async () => {
  const workers = pool({ size: 1 });
  const missing = rehearsedStack("missing", {
    folder: folder.path,
    config: {},
    program: join(__dirname, "../support/stack-programs/pid.ts"),
    existing: true,
    workers,
  });
  await expect(missing.preview()).rejects.toMatchObject({ kind: "not-found" });
  await expect(missing.lastUpdate()).rejects.toMatchObject({ kind: "not-found" });
  await expect(missing.tags()).rejects.toMatchObject({ kind: "not-found" });
}, 60_000);

test("processes that have nothing to do end", async () => {
  const workers = new WorkerPool({ size: 1 });
  const pid = await pidOf("one", workers);
  workers.close();
  await until("the worker has ended", () => !workerProcesses().some((other) => other.pid === pid));
}, 60_000);
