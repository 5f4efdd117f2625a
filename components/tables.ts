import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Schema } from "../configs/influxdb";
import { engineEnvironment, engineLine, type EnginePlace } from "../configs/ssh";
import { compareTables, standingOf, tablesScript } from "../configs/tables";
import { Refused } from "./refused";

/** A site whose tables are compared. */
export interface ComparedSite extends EnginePlace {
  /** Its name: its containers begin with it. */
  site: string;
  /** Its stack, for the remedy. */
  stack: string;
  /** The databases and tables that it is to have. */
  wanted: Schema;
}

/** Line that says why InfluxDB's container did not tell its tables. */
const failed = "tables-failed";

/**
 * Compares the tables that are in a site's database with the model's, in every preview and update. It
 * is an invoke, and not a resource, as the host's check is: what it gives is waited for by the Docker
 * provider, so that a site which is refused has not been touched. Where there is no container yet, or
 * none that runs, there is nothing to compare.
 * @param engine the site's engine, known once it may be asked.
 * @throws Refused with every table that cannot take the model's rows.
 */
export function withTablesCompared<T>(
  engine: pulumi.Input<T>,
  { site, stack, wanted, ...place }: ComparedSite,
): pulumi.Output<T> {
  const container = `${site}-influxdb`;
  // Not docker exec: a container that is missing or stopped is no error.
  const run =
    `[ "$(docker container inspect -f '{{.State.Running}}' ${container} 2>/dev/null)" = true ] || exit 0; ` +
    `docker exec -i ${container} bash -s || printf '${failed}\\t%s\\n' $?`;
  const args = {
    command: engineLine(place, run),
    stdin: tablesScript(wanted),
    environment: engineEnvironment(place),
    logging: "none",
  } as const;
  return pulumi.output(engine).apply(async (known) => {
    judgeTables(await command.local.run(args), { site, stack, wanted });
    return known as T;
  });
}

/**
 * Tells what an update does to the tables that are there, from what InfluxDB's container has printed.
 * @throws Refused with every table that cannot take the model's rows.
 */
export function judgeTables(
  { stdout = "", stderr = "" }: Partial<command.local.RunResult>,
  { site, stack, wanted }: Pick<ComparedSite, "site" | "stack" | "wanted">,
): void {
  const standing = standingOf(stdout);
  if (!standing && stdout.includes(failed))
    void pulumi.log.warn(
      `The tables of ${site} could not be compared with the model: ` +
        `${stderr.trim().split("\n").at(-1) || "InfluxDB did not answer"}`,
    );
  if (!standing) return;
  const { made, warnings, refused } = compareTables(standing, wanted, stack);
  if (refused.length > 0)
    throw new Refused(
      ["The model is refused by the tables that are there; nothing was touched:", ...refused].join(
        "\n  - ",
      ),
    );
  for (const warning of warnings) void pulumi.log.warn(warning);
  for (const line of made) void pulumi.log.info(line);
}
