import { execFileSync } from "node:child_process";
import { type AddressInfo, createServer } from "node:net";
import { openTunnel, pulumiEnvironment, sshTargetOf, type Tunnel } from "../../automation";
import { hostPort, type SiteConfig } from "../../configs/site";
import { InputError } from "../../configs/validation";
import { refuse } from "../command";
import { secretIn } from "../options";

export const loopback = "127.0.0.1";

/** The broker of a site, as this machine reaches it, which may be through a tunnel. */
export async function reach(site: SiteConfig): Promise<{ url: string; tunnel?: Tunnel }> {
  const { address, port } = site.mqtt;
  const target = sshTargetOf(site);
  // A broker on every address listens on the loopback address too.
  const every: Partial<Record<string, string>> = { "0.0.0.0": loopback, "::": "::1" };
  const place = hostPort(every[address] ?? address, port);
  if (!target) return { url: `mqtt://${place}` };
  const local = await freePort();
  try {
    const tunnel = await openTunnel(target, [
      { local, remote: port, address: place.slice(0, place.lastIndexOf(":")) },
    ]);
    return { url: `mqtt://${loopback}:${local}`, tunnel };
  } catch (error) {
    throw new InputError(`the site ${site.name} at ${target.engine}`, [(error as Error).message]);
  }
}

/** A port of the loopback address that nobody listens on. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, loopback, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** The stack's own password, read by the Pulumi CLI that the project already needs. */
function stackPassword(stack: string): string {
  const env = pulumiEnvironment({ stack });
  const args = ["stack", "output", "gatewayPassword", "--show-secrets", "--stack", stack];
  try {
    return execFileSync("pulumi", args, {
      env,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    }).trimEnd();
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    return refuse(`--stack is ${stack}: ${stderr?.trim() || message}`);
  }
}

/** The password of the broker's user; undefined where nobody names one. */
export function readPassword({
  passwordFile,
  stack,
}: {
  passwordFile?: string;
  stack?: string;
}): string | undefined {
  if (passwordFile !== undefined) return secretIn("--password-file", passwordFile);
  return stack !== undefined ? stackPassword(stack) : process.env.MQTT_PASSWORD;
}
