import { Argument, Command, Option } from "commander";
import { faultHelp, parseFault } from "../rehearsal";
import { docker, line, setUp } from "../automation/programs";
import { act } from "../automation/backend";

// Loaded where it is asked for: an inline program brings a second of loading along.
const inline = () => require("./rehearse") as typeof import("./rehearse");

const operations = ["up", "preview", "refresh", "destroy"] as const;

const command = new Command("npm run")
  .description("Deploys one BESS site's telemetry pipeline.")
  .showHelpAfterError();

/** A command on one stack; it ends with the exit code that `run` returns. */
function action(
  name: string,
  does: string,
  run: (options: Asked, argument: string) => Promise<number>,
): Command {
  const end = async (work: Promise<number>) =>
    process.exit(await work.catch((error: Error) => (console.error(error.message), 1)));
  return command
    .command(name)
    .description(does)
    .option("--stack <name>", "stack of the site; its configuration is Pulumi.<name>.yaml", "dev")
    .option("--diff", "show every property that changes")
    .action((...given: unknown[]) => end(run(given.at(-2) as Asked, given[0] as string)));
}

interface Asked {
  stack: string;
  diff?: boolean;
  yes?: boolean;
  refresh?: boolean;
  offline?: boolean;
  fault?: ReturnType<typeof parseFault>[];
}

const flags = ({ yes, refresh, diff }: Asked) => [
  ...(yes ? ["--yes"] : []),
  ...(refresh ? ["--refresh"] : []),
  ...(diff ? ["--diff"] : []),
];
const yes = () => new Option("--yes", "do it without asking").default(!process.stdin.isTTY);
const refresh = () => new Option("--refresh", "look at what is really there first");

async function rehearse(operation: string, { stack, diff, fault }: Asked): Promise<number> {
  return (await setUp("rehearse"))
    ? inline().rehearseOperation(operation as (typeof operations)[number], stack, {
        diff,
        faults: fault,
      })
    : 1;
}

action(
  "up",
  "deploys the site, or brings it up to date; dev is rehearsed where there is no Docker",
  async (asked) => {
    const engine = docker();
    if (asked.stack !== "dev" || engine.state === "found")
      return act(["up", ...flags(asked)], asked.stack);
    console.log(line(engine));
    return rehearse("up", asked);
  },
)
  .addOption(yes())
  .addOption(refresh());

action("preview", "shows what up would change", async (asked) => {
  if (!asked.offline) return act(["preview", ...flags(asked)], asked.stack);
  return (await setUp("rehearse")) ? inline().previewOffline(asked.stack, asked) : 1;
})
  .addOption(refresh())
  .option("--offline", "plan from the stack's state alone, without contact to the site");

action("refresh", "takes into the state what is really there", (asked) =>
  act(["refresh", ...flags(asked)], asked.stack),
).addOption(yes());

action("down", "removes the site; its data volumes stay unless the stack says purge", (asked) =>
  act(["destroy", ...flags(asked)], asked.stack),
)
  .addOption(yes())
  .addOption(refresh());

action(
  "rehearse",
  "works on a simulated site, through Pulumi's real engine: nothing is deployed",
  (asked, operation) => rehearse(operation, asked),
)
  .addArgument(new Argument("<operation>", "what to rehearse").choices(operations))
  .addOption(
    new Option("--fault <fault...>", faultHelp).argParser((text, before: Asked["fault"] = []) => [
      ...before,
      parseFault(text),
    ]),
  );

command.parse();
