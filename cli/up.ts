import { Option } from "commander";
import { checkStack, describePart, docker } from "../automation";
import { findSite } from "../configs/sites";
import { requireConfirmed, tell, toRepeat } from "../fleet";
import { acting, bessCommand, diffOption, refreshOption, stackOption, yesOption } from "./command";
import { type PulumiOptions, runOnStack } from "./pulumi";
import { rehearse } from "./rehearse";

interface Up extends PulumiOptions {
  confirm: string[];
}

const collect = (text: string, previous: string[]) => [...previous, text];

/** Deploys a site. */
export const up = () =>
  bessCommand(
    "up",
    "Deploys a site, or brings it up to date. Without Docker, dev is rehearsed instead.",
  )
    .addOption(stackOption().default("dev"))
    .addOption(yesOption())
    .addOption(refreshOption())
    .addOption(diffOption())
    .addOption(
      new Option(
        "--confirm <change>",
        "a change that loses data, word for word as preview names it; repeatable",
      )
        .argParser(collect)
        .default([], "none: no data may be lost"),
    )
    .example("The site of a stack", "up --stack kiel-1")
    .example(
      "With a shorter retention, which deletes what is older",
      "up --stack kiel-1 --confirm 'retention 90d -> 30d'",
    )
    .action(
      acting(async (asked: Up) => {
        const found = findSite(asked.stack);
        checkStack(found);
        const engine = asked.stack === "dev" ? await docker() : undefined;
        if (engine?.state !== "missing") return deploy(asked);
        console.log(describePart(engine));
        return rehearse("up", asked);
      }),
    );

/** Updates a site, and repeats the checks of what was not well. @returns the exit code. */
export async function deploy(asked: Up): Promise<0 | 1> {
  const found = findSite(asked.stack);
  const { config } = checkStack(found);
  let repeated: Awaited<ReturnType<typeof toRepeat>> | undefined;
  const code = await runOnStack("up", asked, async () => {
    for (const change of await requireConfirmed(found, asked.confirm))
      console.log(`confirmed: ${tell(change)}`);
    repeated = await toRepeat(config);
    return repeated.urns;
  });
  if (code === 0) await repeated?.done();
  return code;
}
