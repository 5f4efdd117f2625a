import { Option } from "commander";
import { checkStack, describePart, docker, type EngineEvent, openStack } from "../automation";
import type { SiteConfig } from "../configs/site";
import { findSite, type StackSite } from "../configs/sites";
import {
  checkedOutCommit,
  isRestored,
  requireConfirmed,
  tell,
  tellDeployment,
  toRepeat,
  unmark,
} from "../fleet";
import { hubConfig } from "../configs/stacks";
import { acting, bessCommand, diffOption, refreshOption, stackOption, yesOption } from "./command";
import { type PulumiOptions, runOnStack } from "./pulumi";
import { rehearse } from "./rehearse";

interface Up extends PulumiOptions {
  confirm: string[];
}

const collect = (text: string, previous: string[]) => [...previous, text];

/** What InfluxDB's files may lack, because they are older than the stack's state. */
const madeAnew = ["**randomId:RandomId::**-influxdb-token-**", "**-influxdb-schema"];

/** Grafana's container, and what it needs. */
const grafanaAlone = [
  "**docker:index/network:Network::**",
  "**docker:index/volume:Volume::**",
  "**docker:index/container:Container::*-grafana",
  "**-grafana-ready",
];

/**
 * Brings a site up whose volumes were restored. A state that is still there knows containers that are
 * gone, and tokens that the database may not know.
 */
async function upAfterRestore(
  found: StackSite,
  config: SiteConfig,
  asked: Up,
  confirmed: () => Promise<void>,
): Promise<0 | 1> {
  const hasState = Object.keys(openStack(found).outputs).length > 0;
  console.log(
    "the site's data was restored: InfluxDB's tokens are made anew" +
      (hasState
        ? "; the other passwords stay"
        : ", and all passwords: this stack has no state here"),
  );
  if (hasState) {
    // Grafana's own resources cannot be looked at before there is a Grafana again.
    if ((await runOnStack("refresh", { ...asked, only: ["**docker:index/**"] })) !== 0) return 1;
    if ((await runOnStack("up", { ...asked, only: grafanaAlone })) !== 0) return 1;
  }
  const code = await runOnStack("up", { ...asked, refresh: hasState }, async () => {
    await confirmed();
    return hasState ? madeAnew : [];
  });
  if (code === 0) await unmark(config);
  return code;
}

/** Deploys a site. */
export const up = () =>
  bessCommand(
    "up",
    "Deploys a site or the hub, or brings it up to date. Without Docker, dev is rehearsed instead.",
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
        if (hubConfig(asked.stack)) return runOnStack("up", asked);
        const found = findSite(asked.stack);
        checkStack(found);
        const engine = asked.stack === "dev" ? await docker() : undefined;
        if (engine?.state !== "missing") return deploy(asked);
        console.log(describePart(engine));
        return rehearse("up", asked);
      }),
    );

/** Resources by what an update has done to them. Its preview's events come before its own. */
const changesOf = (events: readonly EngineEvent[]): Record<string, number> =>
  events.flatMap(({ summaryEvent }) => summaryEvent?.resourceChanges ?? []).at(-1) ?? {};

/** Updates a site, and repeats the checks of what was not well. @returns the exit code. */
export async function deploy(asked: Up): Promise<0 | 1> {
  const found = findSite(asked.stack);
  const { config } = checkStack(found);
  const confirmed = async () => {
    for (const change of await requireConfirmed(found, asked.confirm))
      console.log(`confirmed: ${tell(change)}`);
  };
  if (await isRestored(config)) return upAfterRestore(found, config, asked, confirmed);
  let repeated: Awaited<ReturnType<typeof toRepeat>> | undefined;
  let from = new Date();
  const code = await runOnStack(
    "up",
    asked,
    async () => {
      await confirmed();
      repeated = await toRepeat(config);
      from = new Date();
      return repeated.urns;
    },
    (events) =>
      tellDeployment(config, { from, commit: checkedOutCommit(), changes: changesOf(events) }),
  );
  if (code === 0) await repeated?.done();
  return code;
}
