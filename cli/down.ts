import { acting, bessCommand, diffOption, refreshOption, stackOption, yesOption } from "./command";
import { type PulumiOptions, runOnStack } from "./pulumi";

/** Removes a site. */
export const down = () =>
  bessCommand("down", "Removes a site; its data volumes stay unless the site says purge.")
    .addOption(stackOption().default("dev"))
    .addOption(yesOption())
    .addOption(refreshOption())
    .addOption(diffOption())
    .example("The site of a stack", "down --stack kiel-1")
    .action(acting((asked: PulumiOptions) => runOnStack("destroy", asked)));
