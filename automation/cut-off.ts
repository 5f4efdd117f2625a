import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Whether a process of this machine runs. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

const markOf = (workDir: string, pid: number) => join(workDir, `engine-${pid}`);

/**
 * Marks a stack's folder while this process has Pulumi's engine work on it: a lock tells of its
 * holder's host only by a name, and machines of CI share names.
 */
export async function marked<T>(workDir: string, work: () => Promise<T>): Promise<T> {
  const mark = markOf(workDir, process.pid);
  writeFileSync(mark, "");
  try {
    return await work();
  } finally {
    rmSync(mark, { force: true });
  }
}

/** Processes that began in a stack's folder, and were killed before they had ended. */
export function cutOff(workDir: string): number[] {
  const files = existsSync(workDir) ? readdirSync(workDir) : [];
  const marks = files.flatMap((file) => /^engine-(\d+)$/.exec(file)?.[1] ?? []);
  return marks.map(Number).filter((pid) => !isAlive(pid));
}

/** Forgets those. */
export function forgetCutOff(workDir: string): void {
  for (const pid of cutOff(workDir)) rmSync(markOf(workDir, pid), { force: true });
}
