import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { environment, setUp } from "./setup";

/**
 * `npm run up`, `preview` and `down`: the Pulumi CLI with all that it needs. A user who is logged in to a backend
 * keeps it; anybody else gets a local one in the project, with a generated passphrase.
 */
const root = join(__dirname, "..");
const local = join(root, ".pulumi-state");
const passphrase = join(local, "passphrase");

/** Whether the user has chosen a backend of their own. */
function loggedIn(): boolean {
  if (process.env.PULUMI_BACKEND_URL || process.env.PULUMI_ACCESS_TOKEN) return true;
  const file = join(process.env.PULUMI_HOME ?? join(homedir(), ".pulumi"), "credentials.json");
  return existsSync(file) && Boolean(JSON.parse(readFileSync(file, "utf8")).current);
}

function backend(): NodeJS.ProcessEnv {
  if (loggedIn()) return {};
  mkdirSync(local, { recursive: true, mode: 0o700 });
  if (!existsSync(passphrase)) {
    writeFileSync(passphrase, randomBytes(32).toString("base64url"), { mode: 0o600 });
    console.log(`installed passphrase: generated into ${passphrase}; without it the state cannot be read, so keep a copy`);
  }
  return { PULUMI_BACKEND_URL: `file://${local}`, PULUMI_CONFIG_PASSPHRASE_FILE: passphrase };
}

function pulumi(env: NodeJS.ProcessEnv, args: string[]): number {
  return spawnSync("pulumi", args, { cwd: root, env, stdio: "inherit" }).status ?? 1;
}

function act(args: string[], stack: string): number {
  if (!setUp("deploy")) return 1;
  const env = { ...environment(), PULUMI_SKIP_UPDATE_CHECK: "true", ...backend() };
  const selected = pulumi(env, ["stack", "select", "--create", "--stack", stack, "--non-interactive"]);
  return selected || pulumi(env, args.concat("--stack", stack));
}

const command = new Command("npm run").description("Deploys one BESS site's telemetry pipeline.").showHelpAfterError();
const action = (name: string, does: string, args: string[]) =>
  command
    .command(name)
    .description(does)
    .option("--stack <name>", "stack of the site; its configuration is Pulumi.<name>.yaml", "dev")
    .option("--yes", "do it without asking", !process.stdin.isTTY)
    .option("--refresh", "look at what is really there first")
    .option("--diff", "show every property that changes")
    .action(({ stack, yes, refresh, diff }) => {
      const asked = [...(yes && name !== "preview" ? ["--yes"] : []), ...(refresh ? ["--refresh"] : []), ...(diff ? ["--diff"] : [])];
      process.exit(act([...args, ...asked], stack));
    });
action("up", "deploys the site, or brings it up to date", ["up"]);
action("preview", "shows what up would change", ["preview"]);
action("down", "removes the site; its data volumes stay unless the stack says purge", ["destroy"]);
command.parse();
