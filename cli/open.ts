import { execFileSync } from "node:child_process";
import { Command } from "commander";
import { port as influxdbPort } from "../configs/influxdb";
import { InputError } from "../configs/validation";
import {
  destination,
  type Forward,
  localPorts,
  quoted,
  type SshTarget,
  sharedOptions,
} from "../configs/ssh";
import { pulumiEnvironment } from "../automation/backend";
import type { SiteConfig } from "../configs/site";
import { findSite, siteConfig } from "../configs/sites";
import { openTunnel, reachOf } from "../automation/tunnel";

/** What a person opens of a site, and where it listens on the host. */
export interface Door extends Forward {
  name: string;
}

/**
 * The doors of a site.
 * @param influxdb address of InfluxDB's container, for a site that does not publish its API. Default: no door.
 */
export function doorsOf(site: SiteConfig, influxdb?: string): Door[] {
  const local = localPorts(site.name);
  const api = site.influxdb
    ? { remote: site.influxdb.port }
    : influxdb
      ? { remote: influxdbPort, address: influxdb }
      : undefined;
  return [
    { name: "Grafana", remote: site.grafana.port, local: local.grafana },
    ...(site.explorer.enabled
      ? [{ name: "Explorer", remote: site.explorer.port, local: local.explorer }]
      : []),
    ...(api ? [{ name: "InfluxDB", ...api, local: local.influxdb }] : []),
  ];
}

/** Where each door is on this machine. */
export const addressLines = (doors: Door[], tunnelled: boolean): string[] =>
  doors.map(
    (door) => `${door.name.padEnd(10)}http://127.0.0.1:${tunnelled ? door.local : door.remote}`,
  );

/** How to see the passwords: they are shown by Pulumi alone, and never by this command. */
function passwordLines(stack: string): string[] {
  const env = pulumiEnvironment();
  const own = ["PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE"].filter(
    (key) => env[key] && env[key] !== process.env[key],
  );
  const output = (name: string) =>
    [
      ...own.map((key) => `${key}=${quoted(env[key]!)}`),
      `pulumi stack output ${name} --show-secrets --stack ${stack}`,
    ].join(" ");
  return [
    `Grafana's user is admin; its password: ${output("grafanaPassword")}`,
    `The broker's user is gateway; its password: ${output("gatewayPassword")}`,
  ];
}

/** Address of InfluxDB's container at the site; none while it does not run. */
function influxdbAddress(reach: SshTarget, site: string): string | undefined {
  const inspect = `docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' ${site}-influxdb`;
  try {
    const told = execFileSync(
      "ssh",
      [...sharedOptions(reach), "-T", ...destination(reach), inspect],
      { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
    );
    return told.trim().split(" ")[0] || undefined;
  } catch {
    return undefined;
  }
}

/** Opens a site, and stays until it is closed. @returns the exit code. */
async function open(stack: string): Promise<number> {
  const site = siteConfig(findSite(stack));
  const reach = reachOf(site);
  const doors = doorsOf(
    site,
    reach && !site.influxdb ? influxdbAddress(reach, site.name) : undefined,
  );
  const tunnel = reach && (await openTunnel(reach, doors));
  console.log([...addressLines(doors, tunnel !== undefined), ...passwordLines(stack)].join("\n"));
  if (!reach || !tunnel) return 0;
  console.log("Open until Ctrl-C.");
  let closed = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => ((closed = true), tunnel.close()));
  const said = await tunnel.ended;
  if (closed) return 0;
  console.error(
    `The connection to ${reach.engine} has ended: ${said.trim() || "the site closed it"}`,
  );
  return 1;
}

// Run as a command, which cli/bess.js begins; a test only imports it.
if (require.main?.path === __dirname) {
  const command = new Command("npm run open --")
    .description("Opens a site's Grafana, Explorer and InfluxDB on this machine, until Ctrl-C.")
    .option("--stack <name>", "stack of the site", "dev")
    .showHelpAfterError();
  const { stack } = command.parse().opts<{ stack: string }>();
  open(stack).then(
    (code) => process.exit(code),
    (error: Error) => {
      console.error(
        error instanceof InputError
          ? error.message
          : `The site of ${stack} is not opened: ${error.message}`,
      );
      process.exit(1);
    },
  );
}
