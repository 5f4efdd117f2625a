import { parsePreflight } from "../../configs/preflight";
import { invoke } from "../../rehearsal";

/** A Raspberry Pi 5 with Docker's own package, where it differs from a rehearsed host. */
const pi = {
  memory: "4146248",
  throttled: "0x0",
  user: "pi",
  disk: "52000000000 3800000 3650000 6000000000",
  listens: ["0.0.0.0:22", "[::]:22", "127.0.0.54:53"],
};

/** A Raspberry Pi's answer to the preflight, with changes. A list is several lines of one key. */
export function hostAnswer(change: object = {}): string {
  const { end = [], ...rehearsed } = Object.fromEntries(
    parsePreflight(String(invoke("command:local:run", {}).stdout)),
  );
  const lines: Record<string, string | string[]> = { ...rehearsed, ...pi, ...change, end };
  return Object.entries(lines)
    .flatMap(([key, values]) => [values].flat().map((value) => `${key}\t${value}\n`))
    .join("");
}
