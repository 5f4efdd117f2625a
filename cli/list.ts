import { listSites, siteConfig, type StackSite } from "../configs/sites";
import { InputError } from "../configs/validation";
import { acting, bessCommand, jsonOption, printJson, table } from "./command";

/** A stack's line; `problem` is what is wrong with its site. */
interface ListedStack {
  stack: string;
  site?: string;
  /** Default: the Docker engine of this environment. */
  engine?: string;
  profile?: string;
  from: readonly string[];
  problem?: string;
}

function listed(found: StackSite): ListedStack {
  const { stack, sources: from } = found;
  try {
    const { name, engine, profile } = siteConfig(found);
    return { stack, site: name, ...(engine && { engine }), profile, from };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { stack, from, problem: error.problems.join("; ") };
  }
}

const head = ["STACK", "SITE", "ENGINE", "PROFILE", "FROM"];

/** Lists the stacks that have a site. */
export const list = () =>
  bessCommand("list", "Lists every stack with its site, and where that is written.")
    .addOption(jsonOption())
    .example("All of them", "list")
    .example("For a script", "list --json")
    .action(
      acting(({ json }: { json?: boolean }) => {
        const stacks = listSites().map(listed);
        if (json) return printJson(stacks);
        const rows = stacks.map(({ stack, site, engine, profile, from, problem }) => [
          stack,
          site ?? "-",
          problem ? "-" : (engine ?? "this machine's"),
          profile ?? "-",
          from.join(", ") + (problem ? `; refused: ${problem}` : ""),
        ]);
        return console.log(table([head, ...rows]));
      }),
    );
