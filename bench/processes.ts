import { readdirSync, readFileSync } from "node:fs";

/** A process of this machine. */
export interface ProcessInfo {
  pid: number;
  parent: number;
  /** Its program's name, such as `pulumi`; cut to 15 characters. */
  name: string;
}

/** What /proc has of a process; undefined once it is gone. */
function read(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return undefined;
  }
}

/** A process and all that it has started, as Linux lists them. */
export function processTree(root: number): ProcessInfo[] {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name): ProcessInfo[] => {
      const [, own, rest] = /^\d+ \((.*)\) (.*)/s.exec(read(Number(name), "stat") ?? "") ?? [];
      const parent = Number(rest?.split(" ")[1]);
      return own === undefined ? [] : [{ pid: Number(name), parent, name: own }];
    });
  const tree = all.filter(({ pid }) => pid === root);
  for (const { pid } of tree) tree.push(...all.filter(({ parent }) => parent === pid));
  return tree;
}

/** Memory of a process in MiB: what it shares with others counts in part (PSS). */
export const memoryOf = (pid: number): number =>
  Number(/^Pss: +(\d+)/m.exec(read(pid, "smaps_rollup") ?? "")?.[1] ?? 0) / 1024;

/** Processor time of a process, in s. */
export function processorSeconds(pid: number): number {
  // The last of the brackets ends the program's name.
  const [, times = ""] = /\) (.*)/.exec(read(pid, "stat") ?? "") ?? [];
  const [user = 0, system = 0] = times.split(" ").slice(11, 13).map(Number);
  return (user + system) / 100;
}

/** What a process has in memory now, and had at most, in MiB. */
export function residentMiB(pid: number): { now: number; most: number } {
  const status = read(pid, "status") ?? "";
  const of = (key: string) =>
    Math.round(Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(status)?.[1]) / 1024);
  return { now: of("VmRSS"), most: of("VmHWM") };
}

/** Bytes that a process has had the disk write. */
export const writtenBytes = (pid: number): number =>
  Number(/^write_bytes: (\d+)/m.exec(read(pid, "io") ?? "")?.[1] ?? 0);
