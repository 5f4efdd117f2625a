import { checkStack, describePart, docker } from "../automation";
import { findSite } from "../configs/sites";
import { checksToRepeat } from "../fleet";
import { acting, bessCommand, diffOption, refreshOption, stackOption, yesOption } from "./command";
import { type PulumiOptions, runOnStack } from "./pulumi";
import { rehearse } from "./rehearse";

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
    .example("The site of a stack", "up --stack kiel-1")
    .action(
      acting(async (asked: PulumiOptions) => {
        const { config } = checkStack(findSite(asked.stack));
        const engine = asked.stack === "dev" ? await docker() : undefined;
        if (engine?.state !== "missing")
          return runOnStack("up", asked, () => checksToRepeat(config));
        console.log(describePart(engine));
        return rehearse("up", asked);
      }),
    );
