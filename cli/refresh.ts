import { acting, bessCommand, diffOption, stackOption, yesOption } from "./command";
import { type PulumiOptions, runOnStack } from "./pulumi";

/** Takes what is really there into a stack's state. */
export const refresh = () =>
  bessCommand("refresh", "Takes into the state what is really there; the next up mends it.")
    .addOption(stackOption().default("dev"))
    .addOption(yesOption())
    .addOption(diffOption())
    .example("After work by hand at a site", "refresh --stack kiel-1")
    .action(acting((asked: PulumiOptions) => runOnStack("refresh", asked)));
