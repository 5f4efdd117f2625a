import { MultiBar, Presets, type SingleBar } from "cli-progress";
import { type Result, resultOrder, type RolloutRecord } from "./record";
import type { Report } from "./rollout";

/**
 * Shows a rollout as it goes: on a terminal a bar for each wave and what went wrong above them,
 * else, and in CI, a line for each event.
 */
export function progress(
  waves: ReadonlyMap<string, number>,
  stream: NodeJS.WriteStream = process.stdout,
): { report: Report; end(): void } {
  if (!stream.isTTY || process.env.CI)
    return {
      report: ({ wave, site, text }) =>
        void stream.write(
          `${[new Date().toISOString(), wave, site, text].filter(Boolean).join("  ")}\n`,
        ),
      end: () => undefined,
    };
  const format = "{wave} {bar} {value}/{total} {note}";
  const screen = new MultiBar(
    { format, stream, clearOnComplete: false, hideCursor: true, forceRedraw: true },
    Presets.rect,
  );
  const width = Math.max(...[...waves.keys()].map((wave) => wave.length));
  const bars = new Map<string, SingleBar>();
  for (const [wave, total] of waves)
    bars.set(wave, screen.create(total, 0, { wave: wave.padEnd(width), note: "" }));
  const report: Report = ({ wave, site, text, result }) => {
    const bar = bars.get(wave);
    if (result !== undefined && result !== "running" && result !== "skipped") bar?.increment();
    bar?.update({ note: [site, text].filter(Boolean).join(" ").slice(0, 60) });
    if (result && ["failed", "locked", "unreachable", "deferred"].includes(result))
      screen.log(`${site}: ${text}\n`);
  };
  return { report, end: () => screen.stop() };
}

const nextSteps: Record<RolloutRecord["outcome"], string> = {
  done: "",
  running: "",
  halted:
    "The reasons stand above. After a fix is committed: npx bess fleet resume. " +
    "Back to the former revision: npx bess fleet rollback.",
  stopped: "npx bess fleet resume goes on, npx bess fleet rollback goes back.",
};

/** What a rollout did, and what to do now. */
export function summary(record: RolloutRecord, file: string): string {
  const entries = Object.entries(record.sites);
  const named = (result: Result) =>
    entries.filter(([, site]) => site.result === result).map(([name]) => name);
  const counted = resultOrder.flatMap((result) => {
    const names = named(result);
    const shown =
      names.length > 10 || result === "verified" || result === "up-to-date"
        ? ""
        : `: ${names.join(", ")}`;
    return names.length ? [`  ${String(names.length).padStart(4)} ${result}${shown}`] : [];
  });
  const missed =
    record.outcome === "done" && exitCodeOf(record) !== exitCodes.done
      ? "npx bess fleet resume tries again the sites that are not up to date."
      : "";
  return [
    `${record.kind} ${record.outcome}${record.reason ? `: ${record.reason}` : ""}`,
    ...counted,
    `Record: ${file}`,
    ...[nextSteps[record.outcome] || missed].filter(Boolean),
  ].join("\n");
}

/** Exit code of a rollout. */
export const exitCodes = { done: 0, halted: 2, incomplete: 3, stopped: 130 } as const;

/** Exit code by what became of it. */
export function exitCodeOf({ outcome, sites }: RolloutRecord): number {
  if (outcome === "done")
    return Object.values(sites).every(
      ({ result }) => result === "verified" || result === "up-to-date",
    )
      ? exitCodes.done
      : exitCodes.incomplete;
  return outcome === "stopped" ? exitCodes.stopped : exitCodes.halted;
}
