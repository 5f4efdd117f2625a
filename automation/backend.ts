import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { environment, setUp } from "./programs";
import { findSite, siteConfig } from "../configs/sites";
import { sshTargetOf, withTunnel } from "./tunnel";

export const root = join(__dirname, "..");

/** Whether the user has chosen a backend of their own. */
function loggedIn(): boolean {
  if (process.env.PULUMI_BACKEND_URL || process.env.PULUMI_ACCESS_TOKEN) return true;
  const file = join(process.env.PULUMI_HOME ?? join(homedir(), ".pulumi"), "credentials.json");
  return existsSync(file) && Boolean(JSON.parse(readFileSync(file, "utf8")).current);
}

/**
 * A backend in a folder, with a passphrase that is generated once.
 * @param onGenerated called with the file of a new passphrase.
 */
export function localBackend(
  folder: string,
  onGenerated?: (passphrase: string) => void,
): Record<string, string> {
  const passphrase = join(folder, "passphrase");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (!existsSync(passphrase)) {
    writeFileSync(passphrase, randomBytes(32).toString("base64url"), { mode: 0o600 });
    onGenerated?.(passphrase);
  }
  return { PULUMI_BACKEND_URL: `file://${folder}`, PULUMI_CONFIG_PASSPHRASE_FILE: passphrase };
}

/** Environment of a `pulumi` that sees the same backend as `npm run up`. */
export const pulumiEnvironment = (): NodeJS.ProcessEnv => ({
  ...environment(),
  PULUMI_SKIP_UPDATE_CHECK: "true",
  ...(loggedIn() ? {} : localBackend(join(root, ".pulumi-state"), announcePassphrase)),
});

// Standard output may be a report, or JSON.
const announcePassphrase = (passphrase: string) =>
  console.error(
    `installed passphrase: generated into ${passphrase}; ` +
      "without it the state cannot be read, so keep a copy",
  );

function pulumi(env: NodeJS.ProcessEnv, args: string[]): number {
  return spawnSync("pulumi", args, { cwd: root, env, stdio: "inherit" }).status ?? 1;
}

/**
 * Runs the Pulumi CLI on a stack with all that it needs. A user who is logged in to a backend keeps
 * it; anybody else gets a local one in the project, with a generated passphrase.
 * @returns the exit code.
 */
export async function runPulumi(args: string[], name: string): Promise<number> {
  const site = findSite(name);
  const { stack } = site;
  const overSsh = sshTargetOf(siteConfig(site)) !== undefined;
  if (!(await setUp(overSsh ? "deployOverSsh" : "deploy"))) return 1;
  const env = pulumiEnvironment();
  const selected = pulumi(env, [
    "stack",
    "select",
    "--create",
    "--stack",
    stack,
    "--non-interactive",
  ]);
  // An SSH server lets one connection run ten commands at once; more would each open a connection
  // of their own.
  const pace = overSsh ? ["--parallel", "4"] : [];
  return selected || withTunnel(stack, () => pulumi(env, args.concat("--stack", stack, pace)));
}
