import { Option } from "commander";
import { loadFleet } from "../../configs/inventory";
import { requireTerminal, type RollingOut, runRollout } from "../../fleet";
import { acting, bessCommand, jsonOption, number, printJson, refuse } from "../command";
import {
  checkedSites,
  onStacks,
  operating,
  selected,
  selecting,
  type Selection,
} from "./selection";

/** A command that goes through waves. */
const rolling = (kind: "up" | "resume" | "rollback", description: string, soakSeconds = 300) =>
  operating(selecting(bessCommand(kind, description)))
    .option("--budget <n>", "sites of a wave that may fail before it halts", number(0), 0)
    .option(
      "--soak <seconds>",
      "pause between two waves, after which the gates are passed again",
      number(0),
      soakSeconds,
    )
    .option("--attempts <n>", "how often an unreachable site is tried", number(1), 3)
    .option(
      "--backoff <seconds>",
      "pause before it is tried again, doubled each time",
      number(0, Infinity, false),
      5,
    )
    .option("--urgent <why>", "windows and conditions do not count this time; a hold still does")
    .addOption(
      new Option(
        "--on-failure <what>",
        "what follows at a site that fails (default: what the inventory says)",
      ).choices(["halt", "rollback"]),
    )
    .option(
      "--rate <kB/s>",
      "bring the images from this machine, at most as fast over each link",
      number(1),
    )
    .option("--rollout <name>", "what CI calls this rollout; it stands in the record")
    .option(
      "--share",
      "other runners do the same rollout now, with the same --rollout: each site is done by one",
    )
    .option("--yes", "do it without asking")
    .addOption(jsonOption())
    .action(
      acting((asked: Selection & RollingOut) => {
        const fleet = loadFleet();
        // What a rollback goes back to was checked when it was rolled out.
        const sites = (kind === "rollback" ? selected : checkedSites)(fleet, asked);
        if (asked.share && !asked.rollout)
          refuse(
            "--share is given without --rollout: all runners need the same name of the rollout",
          );
        if (!asked.yes) requireTerminal("--yes");
        return onStacks(asked, sites, async () => {
          const result = await runRollout(kind, fleet, sites, asked, asked.wave);
          if (asked.json) printJson(result.record);
          else console.log(result.summary);
          return result.exitCode;
        });
      }),
    );

export const fleetUp = () =>
  rolling("up", "Brings the sites to this commit, wave by wave, each through its gate.")
    .addHelpText("after", "\nIt halts when a wave's budget is spent. docs/fleet.md is the guide.")
    .example("What a rollout would do, on simulated sites", "fleet up --rehearse --yes")
    .example(
      "The same, with a site that cannot be reached",
      "fleet up --rehearse --yes --fault kiel-1:engine=fail",
    )
    .example("For real", "fleet up --parallel 8 --budget 1");

export const fleetResume = () =>
  rolling("resume", "Goes on with the last rollout, with this commit.")
    .addHelpText("after", "\nSites that are at this commit and work are not done twice.")
    .example("After a fix is committed", "fleet resume");

export const fleetRollback = () =>
  rolling(
    "rollback",
    "Brings the last rollout's sites back to the revision each had before.",
    0,
  ).example("All sites that the rollout touched", "fleet rollback");
