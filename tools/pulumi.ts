import { Command } from "commander";
import { InputError } from "../configs/refuse";
import { act } from "./stack";

/** `npm run up`, `preview` and `down`. */
const command = new Command("npm run").description("Deploys one BESS site's telemetry pipeline.").showHelpAfterError();
const action = (name: string, does: string, args: string[]) =>
  command
    .command(name)
    .description(does)
    .option("--stack <name>", "stack of the site; its configuration is Pulumi.<name>.yaml", "dev")
    .option("--yes", "do it without asking", !process.stdin.isTTY)
    .option("--refresh", "look at what is really there first")
    .option("--diff", "show every property that changes")
    .action(async ({ stack, yes, refresh, diff }) => {
      const asked = [...(yes && name !== "preview" ? ["--yes"] : []), ...(refresh ? ["--refresh"] : []), ...(diff ? ["--diff"] : [])];
      process.exit(await act([...args, ...asked], stack));
    });
action("up", "deploys the site, or brings it up to date", ["up"]);
action("preview", "shows what up would change", ["preview"]);
action("refresh", "takes into the state what is really there", ["refresh"]);
action("down", "removes the site; its data volumes stay unless the stack says purge", ["destroy"]);
command.parseAsync().catch((error: unknown) => {
  if (!(error instanceof InputError)) throw error;
  console.error(error.message);
  process.exit(1);
});
