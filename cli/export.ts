import { performance } from "node:perf_hooks";
import { InvalidArgumentError, Option } from "commander";
import { loadModel } from "../configs/model";
import type { SiteConfig } from "../configs/site";
import { findSite, siteConfig } from "../configs/sites";
import { durationPattern, durationSeconds } from "../configs/units";
import { InputError } from "../configs/validation";
import { offsetAt, zonesKnownFrom } from "../configs/zones";
import { Database, QueryError } from "../fleet";
import { acting, bessCommand, refuse, stackOption, writableFolder } from "./command";
import { IndicatorExport } from "./export/indicators";
import { Export, type Format, formats, type Progress, type Wanted } from "./export/run";
import { describeTable } from "./export/table";
import { followWork, rate } from "./follow";
import { instant, list, zoneName } from "./options";

interface Options {
  stack: string;
  measurement: string[];
  from: string;
  to?: string;
  every?: string;
  format: Format;
  out?: string;
  zone: string;
  headerUnits?: boolean;
  indicators?: boolean;
}

const details = `
Each day is a file of its own, such as battery-2026-11-01.csv: a day of --zone, which is 23 or 25 hours
long where the clock is changed. A file has its name only once it is complete, and its rows, counts and
sums are those that the database tells. Run the same line again to go on after an interruption: days
that are complete are left as they are, unless their rows have changed in the database.

Beside the files stand MEASUREMENT.columns.json, with the type, unit and meaning of each column, and
MEASUREMENT.FORMAT.manifest.json, with the rows, counts, sums and SHA-256 of each file.

--every reduces the rows of an interval to one: of numbers the mean, lowest and highest value, of texts
and booleans the last.`;

const day = 86_400;

/** An interval that divides a day. */
function interval(text: string): string {
  const seconds = durationPattern.test(text) ? durationSeconds(text) : 0;
  if (!Number.isInteger(seconds) || seconds < 1 || day % seconds !== 0)
    throw new InvalidArgumentError(
      "Write an interval that divides a day, such as 1s, 10s, 1m, 15m, 1h or 1d.",
    );
  return text;
}

/** @throws InputError if the span is none, or does not begin with an interval. */
function wantedOf({ name: site }: SiteConfig, options: Options): Wanted {
  const { format, zone, every } = options;
  const from = instant("--from", options.from, zone);
  const to =
    options.to === undefined ? Math.floor(Date.now() / 1000) : instant("--to", options.to, zone);
  if (options.indicators && (every !== undefined || format !== "csv"))
    refuse("--indicators is given: they are reckoned of all rows, and written as CSV");
  if (options.headerUnits && format !== "csv")
    refuse(`--header-units is given: a ${format} file has no header that could name them`);
  if (to <= from) refuse(`--to is ${options.to ?? "now"}: it is not after --from, ${options.from}`);
  if (zone !== "UTC" && from < zonesKnownFrom)
    refuse(`--zone is ${zone}: its clock changes are known here from 2020 on; use UTC before`);
  const seconds = every === undefined ? 1 : durationSeconds(every);
  if ((from + offsetAt(zone, from)) % seconds !== 0)
    refuse(`--from is ${options.from}: no interval of ${every} begins then`);
  return {
    site,
    format,
    from,
    to,
    zone,
    units: options.headerUnits ?? false,
    folder: options.out ?? `exports/${site}`,
    // A day that is one interval may have 25 hours.
    ...(every !== undefined && {
      every: { seconds: seconds === day ? 25 * 3600 : seconds, text: every },
    }),
  };
}

async function exportSite(options: Options): Promise<void> {
  const found = findSite(options.stack);
  const site = siteConfig(found);
  const wanted = wantedOf(site, options);
  const model = loadModel(site.model);
  const database = Database.at(site);
  const interrupt = new AbortController();
  process.once("SIGINT", () => interrupt.abort());
  const names =
    options.measurement.length > 0
      ? [...new Set(options.measurement)]
      : model.measurements.map(({ name }) => name);
  const all = { rows: 0, files: 0, kept: 0 };
  const began = performance.now();
  const progress: Progress = { share: 0, rows: 0, files: 0, kept: 0, day: "" };
  let at = 0;
  const end = followWork(
    () => (at + progress.share) / names.length,
    () =>
      `${names[at] ?? ""} of ${progress.day}, ${progress.rows} rows (${rate(progress.rows, began)}/s)`,
  );
  try {
    const tables = [];
    for (const name of names)
      tables.push(
        await describeTable(
          database,
          name,
          model.measurements.find((m) => m.name === name),
        ),
      );
    const exports = tables.map((table) => {
      if (!options.indicators)
        return new Export(database, table, wanted, progress, interrupt.signal);
      const measurement = model.measurements.find((m) => m.name === table.name);
      return measurement
        ? new IndicatorExport(database, table, measurement, wanted, progress, interrupt.signal)
        : refuse(`--indicators: the model of ${site.name} does not know ${table.name}`);
    });
    for (const each of exports) {
      progress.share = 0;
      await each.run();
      at += 1;
    }
    Object.assign(all, progress);
  } catch (error) {
    if (error instanceof InputError) throw error;
    if (error instanceof QueryError && error.isAbsent)
      throw new Error(`The site ${site.name} has no database yet: run up.`);
    throw new Error(
      `The site ${site.name} does not answer to the end: ${(error as Error).message}\n` +
        "Complete files stay; run the same line again for the rest.",
    );
  } finally {
    end();
    database.close();
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  if (options.indicators) {
    console.log(
      `${all.files} files of indicators in ${wanted.folder}, of ${all.rows} rows, in ${seconds} s`,
    );
    return;
  }
  console.log(
    `${all.rows} rows in ${all.files} files in ${wanted.folder}, in ${seconds} s ` +
      `(${rate(all.rows, began)}/s); their counts and sums are those of the database` +
      (all.kept > 0 ? `; ${all.kept} days were complete already` : ""),
  );
}

/** Exports a site's data. */
export const exportCommand = () =>
  bessCommand(
    "export",
    "Writes a site's rows to files, one a day, and compares them with the database.",
  )
    .summary("Writes a site's rows to files.")
    .addOption(stackOption().makeOptionMandatory())
    .option(
      "--measurement <name>",
      "table to export; repeatable (default: every measurement of the model)",
      list,
      [],
    )
    .requiredOption("--from <time>", "first day or time, such as 2026-11-01")
    .option("--to <time>", "day or time before which it ends (default: now)")
    .option("--every <interval>", "reduce the rows to one an interval, such as 1m", interval)
    .addOption(
      new Option("--format <format>", "of the files").choices(Object.keys(formats)).default("csv"),
    )
    .option("--out <folder>", "where to (default: exports/ and the site's name)", writableFolder)
    .option("--zone <zone>", "time zone of the days and of a CSV file's times", zoneName, "UTC")
    .option("--indicators", "write indicators by day and month instead: docs/indicators.md")
    .option("--header-units", "name the unit in a CSV file's header too: soc [%]")
    .example("A year of one table", "export --stack kiel-1 --measurement battery --from 2026-01-01")
    .example(
      "A month as Parquet, for DuckDB or pandas",
      "export --stack kiel-1 --from 2026-10-01 --to 2026-11-01 --format parquet",
    )
    .example(
      "Means of a quarter of an hour with local times",
      "export --stack kiel-1 --from 2026-10-01 --to 2026-11-01 --every 15m --zone Europe/Berlin",
    )
    .example(
      "Energy, efficiency, cycles and availability of a quarter, by day and month",
      "export --stack kiel-1 --from 2026-07-01 --to 2026-10-01 --indicators",
    )
    .addHelpText("after", details)
    .action(acting(exportSite));
