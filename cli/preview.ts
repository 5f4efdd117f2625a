import { acting, bessCommand, diffOption, refreshOption, stackOption } from "./command";
import { type PulumiOptions, runOnStack } from "./pulumi";
import { previewOffline } from "./rehearse";

/** Shows what `up` would change. */
export const preview = () =>
  bessCommand("preview", "Shows what up would change, and changes nothing.")
    .addOption(stackOption().default("dev"))
    .addOption(refreshOption())
    .addOption(diffOption())
    .option("--offline", "plan from the stack's state alone, without contact to the site")
    .example("Against the site", "preview --stack kiel-1")
    .example("Without any contact to it", "preview --stack kiel-1 --offline --diff")
    .action(
      acting(async (asked: PulumiOptions & { offline?: boolean }) => {
        return asked.offline ? previewOffline(asked.stack, asked) : runOnStack("preview", asked);
      }),
    );
