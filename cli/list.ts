import { checkStack } from "../automation";
import { siteOf, stackNames } from "../configs/sites";
import { hubConfig } from "../configs/stacks";
import { InputError } from "../configs/validation";
import { acting, bessCommand, jsonOption, printJson, table } from "./command";

/** A stack's line; `problem` is what is wrong with its site, or the hub. */
interface ListedStack {
  stack: string;
  site?: string;
  /** Name of the hub, where the stack is one. */
  hub?: string;
  /** Default: the Docker engine of this environment. */
  engine?: string;
  profile?: string;
  from: readonly string[];
  problem?: string;
}

function listed(stack: string): ListedStack | undefined {
  let from: readonly string[] = [];
  try {
    const hub = hubConfig(stack);
    if (hub) {
      const { name, engine } = hub;
      return { stack, hub: name, ...(engine && { engine }), from: ["stack file"] };
    }
    const found = siteOf(stack);
    if (!found) return undefined;
    from = found.sources;
    const { name, engine, profile } = checkStack(found).config;
    return { stack, site: name, ...(engine && { engine }), profile, from };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { stack, from, problem: error.problems.join("; ") };
  }
}

const head = ["STACK", "SITE", "ENGINE", "PROFILE", "FROM"];

/** Lists the stacks that are a site or a hub. */
export const list = () =>
  bessCommand("list", "Lists every stack with its site, or the hub, and where that is written.")
    .addOption(jsonOption())
    .example("All of them", "list")
    .example("For a script", "list --json")
    .action(
      acting(({ json }: { json?: boolean }) => {
        const stacks = stackNames().flatMap((stack) => listed(stack) ?? []);
        const code = stacks.some(({ problem }) => problem !== undefined) ? 1 : 0;
        if (json) {
          printJson(stacks);
          return code;
        }
        const rows = stacks.map(({ stack, site, hub, engine, profile, from, problem }) => [
          stack,
          site ?? hub ?? "-",
          problem ? "-" : (engine ?? "this machine's"),
          profile ?? (hub === undefined ? "-" : "the hub"),
          [from.join(", "), problem && `refused: ${problem}`].filter(Boolean).join("; "),
        ]);
        console.log(table([head, ...rows]));
        return code;
      }),
    );
