import { renderScript } from "./scripts";

/** Labels of a container: its site, and the revision that it was made from. */
export const labels = {
  site: "bess-telemetry.site",
  revision: "bess-telemetry.revision",
} as const;

const { revision } = labels;

/**
 * A script for `sh -s`, beside a site's engine, that waits until a container is healthy. It fails as
 * soon as the container dies, or at the end of the time, and says why. A container that was not well
 * before is restarted first. Its arguments: the container's name, and seconds.
 */
export const readyScript = (): string => renderScript("service-ready.sh", { revision });

/** A script for `sh`, beside a site's engine, that prints what {@link parseStatus} reads. */
export const statusScript = (site: string): string =>
  renderScript("service-status.sh", { revision, site: `${labels.site}=${site}` });

/** How a container is. */
export interface ContainerStatus {
  container: string;
  /** Its host name, such as `telegraf`. */
  service: string;
  /** As Docker has it, such as `running` or `restarting`. */
  state: string;
  /** As Docker has it, such as `healthy`; empty without a health check. */
  health: string;
  /** Restarts since it was made, or was started by hand. */
  restarts: number;
  /** 0 while it runs. */
  exitCode: number;
  /** Whether the kernel ended it because its memory was spent. */
  outOfMemory: boolean;
  /** When it came into its state, in ISO 8601. */
  since: string;
  /** {@link labels}`.revision`. */
  revision: string;
  /** What is wrong with it, with the last lines of its log; empty where it is well. */
  report: string;
}

/** Parses what {@link statusScript} has printed: every container of a site, in no order. */
export function parseStatus(text: string): ContainerStatus[] {
  const found: ContainerStatus[] = [];
  for (const line of text.split("\n")) {
    const last = found.at(-1);
    const [kind, ...values] = line.split("|");
    if (kind === "facts") found.push(parseFacts(values));
    if (kind === "report" && last) last.report += `${last.report && "\n"}${values.join("|")}`;
  }
  return found;
}

function parseFacts(values: string[]): ContainerStatus {
  const [container = "", service = "", state = "", health = "", ...others] = values;
  const [restarts, exitCode, outOfMemory, since = "", of = ""] = others;
  return {
    container,
    service,
    state,
    health,
    restarts: Number(restarts),
    exitCode: Number(exitCode),
    outOfMemory: outOfMemory === "true",
    since,
    revision: of,
    report: "",
  };
}
