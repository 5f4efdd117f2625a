import { execFileSync } from "node:child_process";
import { localVariables, openTunnel, sshTargetOf } from "../automation";
import { port as influxdbPort } from "../configs/influxdb";
import { type HubConfig, uplinkUrl } from "../configs/hub";
import type { SiteConfig } from "../configs/site";
import { findSite, siteConfig } from "../configs/sites";
import { hubConfig } from "../configs/stacks";
import {
  destination,
  type Forward,
  localPorts,
  quoted,
  type SshTarget,
  sharedOptions,
} from "../configs/ssh";
import { InputError } from "../configs/validation";
import { acting, bessCommand, stackOption } from "./command";

/** What a person opens of a site, and where it listens on the host. */
export interface Endpoint extends Forward {
  name: string;
}

/**
 * The endpoints of a site.
 * @param influxdb address of InfluxDB's container, for a site that does not publish its API.
 *   Default: InfluxDB is not among them.
 */
export function endpointsOf(site: SiteConfig, influxdb?: string): Endpoint[] {
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

/** Where each endpoint is on this machine. */
export const addressLines = (endpoints: Endpoint[], tunnelled: boolean): string[] =>
  endpoints.map(
    (endpoint) =>
      `${endpoint.name.padEnd(10)}http://127.0.0.1:${tunnelled ? endpoint.local : endpoint.remote}`,
  );

/** How to see an output of a stack: secrets are shown by Pulumi alone, and never by this command. */
function output(name: string, stack: string): string {
  const own = Object.entries(localVariables()).map(([key, value]) => `${key}=${quoted(value)}`);
  return [...own, `pulumi stack output ${name} --show-secrets --stack ${stack}`].join(" ");
}

const grafanaLogin = (stack: string): string =>
  `Grafana's user is admin; its password: ${output("grafanaPassword", stack)}`;

/** How to see a site's passwords. */
function passwordLines(stack: string, { mqtt }: SiteConfig): string[] {
  return [
    grafanaLogin(stack),
    ...(mqtt.gateways
      ? [
          `The broker's users ${Object.keys(mqtt.gateways).join(", ")}; their passwords: ${output("gatewayPasswords", stack)}`,
        ]
      : [`The broker's user is gateway; its password: ${output("gatewayPassword", stack)}`]),
  ];
}

/** Address of InfluxDB's container at the site; none while it does not run. */
function influxdbAddress(target: SshTarget, site: string): string | undefined {
  const format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
  const inspect = `docker inspect --format '${format}' ${site}-influxdb`;
  try {
    const addresses = execFileSync(
      "ssh",
      [...sharedOptions(target), "-T", ...destination(target), inspect],
      { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
    );
    return addresses.trim().split(" ")[0] || undefined;
  } catch {
    return undefined;
  }
}

/** What is opened of a stack, and what is said of it besides the addresses. */
interface Opened {
  target: SshTarget | undefined;
  endpoints: Endpoint[];
  lines: string[];
}

function openedSite(name: string): Opened {
  const found = findSite(name);
  const site = siteConfig(found);
  const target = sshTargetOf(site);
  const influxdb = target && !site.influxdb ? influxdbAddress(target, site.name) : undefined;
  return {
    target,
    endpoints: endpointsOf(site, influxdb),
    lines: passwordLines(found.stack, site),
  };
}

/** What is opened of a hub. */
export function openedHub(stack: string, hub: HubConfig): Opened {
  const { grafana, name } = hub;
  return {
    target: sshTargetOf(hub),
    endpoints: [{ name: "Grafana", remote: grafana.port, local: localPorts(name).grafana }],
    lines: [
      grafanaLogin(stack),
      `Sites write to ${uplinkUrl(hub)}; their tokens: ${output("siteTokens", stack)}`,
      `A token that reads at the same port: ${output("readToken", stack)}`,
    ],
  };
}

/** Opens a stack, and stays until it is closed. @returns the exit code. */
async function open(name: string): Promise<number> {
  const hub = hubConfig(name);
  const { target, endpoints, lines } = hub ? openedHub(name, hub) : openedSite(name);
  const tunnel = target && (await openTunnel(target, endpoints));
  console.log([...addressLines(endpoints, tunnel !== undefined), ...lines].join("\n"));
  if (!target || !tunnel) return 0;
  console.log("Open until Ctrl-C.");
  let closed = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => ((closed = true), tunnel.close()));
  const reason = await tunnel.ended;
  if (closed) return 0;
  console.error(
    `The connection to ${target.engine} has ended: ${reason.trim() || "the host closed it"}`,
  );
  return 1;
}

/** Opens a stack's user interfaces on this machine. */
export const openCommand = () =>
  bessCommand(
    "open",
    "Opens a site's Grafana, Explorer and InfluxDB, or a hub's Grafana, on this machine, until Ctrl-C.",
  )
    .addOption(stackOption().default("dev"))
    .example("A site behind SSH", "open --stack kiel-1")
    .example("The hub", "open --stack hub")
    .action(
      acting(({ stack }: { stack: string }) =>
        open(stack).catch((error: Error) => {
          if (error instanceof InputError) throw error;
          throw new Error(`${stack} is not opened: ${error.message}`);
        }),
      ),
    );
