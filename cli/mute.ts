import { InvalidArgumentError, Option } from "commander";
import { findSite, siteConfig } from "../configs/sites";
import { durationPattern, durationSeconds, durationWithin } from "../configs/units";
import { endMute, muteSite } from "../fleet";
import { acting, bessCommand, refuse, stackOption } from "./command";

/** Longest mute: what lasts longer is no maintenance. */
const longest = "7d";

function span(text: string): string {
  if (!durationPattern.test(text) || !durationWithin("1m", longest)(text))
    throw new InvalidArgumentError(`Write a duration from 1m to ${longest}, such as 2h.`);
  return text;
}

interface Options {
  stack: string;
  for?: string;
  why?: string;
  end?: boolean;
}

async function mute({ stack, for: time, why, end }: Options): Promise<void> {
  if (end && (time !== undefined || why !== undefined)) refuse("--end goes with --stack alone");
  if (!end && (time === undefined || why === undefined))
    refuse("--for and --why are missing: write how long, and why");
  const site = siteConfig(findSite(stack));
  const failed = (error: Error) => {
    throw new Error(`${site.name} is not ${end ? "unmuted" : "muted"}: ${error.message}`);
  };
  if (end) {
    const over = await endMute(site).catch(failed);
    console.log(
      over.length > 0
        ? `${site.name} is muted no more: ${over.join("; ")}`
        : `${site.name} was not muted.`,
    );
    return;
  }
  const until = await muteSite(site, {
    seconds: durationSeconds(time ?? longest),
    why: why ?? "",
  }).catch(failed);
  console.log(
    `${site.name} is muted until ${until.toISOString().slice(0, 19)}Z: alerts are shown, and nobody is ` +
      "told. The outside watcher is told still.",
  );
}

/** Mutes a site's alerts for a time. */
export const muteCommand = () =>
  bessCommand("mute", "Tells nobody of a site's alerts for a time, and says so on every dashboard.")
    .addOption(stackOption().default("dev"))
    .addOption(new Option("--for <duration>", "how long; it ends by itself").argParser(span))
    .option("--why <text>", "why, as the dashboards show it")
    .option("--end", "end all mutes of the site now")
    .example("Two hours of maintenance", 'mute --stack kiel-1 --for 2h --why "new fan"')
    .example("Done earlier", "mute --stack kiel-1 --end")
    .action(acting(mute));
