import { performance } from "node:perf_hooks";
import { Option } from "commander";
import { timeSchema } from "../configs/payload";
import { loadModel } from "../configs/model";
import { retentionOf } from "../configs/retention";
import { findSite, siteConfig } from "../configs/sites";
import { durationSeconds } from "../configs/units";
import { InputError } from "../configs/validation";
import { Database, HttpDatabase, QueryError } from "../fleet";
import { acting, bessCommand, pairs, refuse, stackOption } from "./command";
import { followWork, rate } from "./follow";
import { FormerTable, formerToken } from "./import/former";
import { Import, type Outcome, type Progress } from "./import/run";
import { type Choices, CsvSource, LineSource, type Source, type Targets } from "./import/source";
import { targetsOf } from "./import/target";
import { asKey, delimiterOf, encodingName, instant, list, urlOf, zoneName } from "./options";
import { type Decimal, decimals } from "./replay/messages";
import { Skipped } from "./replay/skipped";
import { requireFile } from "./replay/text";

/** From when to when rows are taken, in s since 1970. */
interface Span {
  from: number;
  to: number;
}

interface Options extends Omit<Choices, "tags" | "note" | "values"> {
  stack: string;
  tag: Record<string, string>;
  values?: Choices["values"];
  from?: string;
  to?: string;
  skipBad?: string;
  dryRun?: boolean;
  database?: string;
  url?: string;
  tokenFile?: string;
  decimal: Decimal;
}

const details = `
A file is line protocol (.lp, .line, .txt), or CSV (.csv) whose header names the columns of one table,
as bess export writes them; both may be gzipped. Units are taken from a header such as soc [%], else from
MEASUREMENT.columns.json beside the file, and converted into the model's.

All rows are read before the first is written: a bad one refuses the import, unless --skip-bad names a
file for such rows. A day of a unit whose counts and sums are in the database already is left out, so the
same line goes on after an interruption. In the end each day of each unit is compared with the database.

--database takes over a database of another InfluxDB 3, table by table. Its values are those that the
gateway has sent (--values sent): the model scales and converts them. Tags that Telegraf adds by itself,
host and topic, are left out.

Exit code 0: all rows are in the database, with equal counts and sums. 1: not so; the reason is printed.`;

/** Opens the sources, once it is known which tables the site has. */
type Opening = (targets: Targets, choices: Choices, span: Span) => Promise<Source[]>;

/** @throws InputError where files and a database are named, or none, or one that cannot be read. */
function sourcesOf(files: string[], { database, url, tokenFile }: Options): Opening {
  if (database !== undefined) {
    if (files.length > 0) refuse("--database is given: name no files beside it");
    const at =
      url ?? refuse("--url is missing: write the other database's, such as http://127.0.0.1:8181");
    const former = new HttpDatabase(at, formerToken(tokenFile), database);
    return (...known) => FormerTable.all(former, ...known);
  }
  if (url !== undefined || tokenFile !== undefined)
    refuse("--url and --token-file go with --database");
  if (files.length === 0) refuse("there is no file: name files, or a database with --database");
  const opens = files.map((file) => {
    requireFile(file);
    if (/\.(lp|line|txt)(\.gz)?$/i.test(file))
      return (targets: Targets, choices: Choices) => new LineSource(file, targets, choices);
    if (/\.csv(\.gz)?$/i.test(file))
      return (targets: Targets, choices: Choices) => CsvSource.open(file, targets, choices);
    return refuse(
      `${file}: its ending is unknown; .lp, .line, .txt and .csv are read, also with .gz`,
    );
  });
  return async (targets, choices) => {
    const sources: Source[] = [];
    for (const open of opens) sources.push(await open(targets, choices));
    return sources;
  };
}

/** Most days that are named. */
const mostNamed = 20;

/** Says what became of the rows; true if all are in the database. */
function summarize(
  { days, equal, more, different }: Outcome,
  progress: Progress,
  skipped: Skipped,
  dryRun: boolean,
  began: number,
): boolean {
  const { rows, written, unchanged, refused } = progress;
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  for (const line of skipped.summary()) console.error(line);
  const listed = (lines: string[]) => {
    for (const line of lines.slice(0, mostNamed)) console.error(`  ${line}`);
    if (lines.length > mostNamed) console.error(`  and ${lines.length - mostNamed} more`);
  };
  if (dryRun) {
    console.log(
      `${rows} rows can be imported; days of units that the database lacks: ${different.length}`,
    );
    return true;
  }
  console.log(
    `${rows} rows read, ${written} written, ${unchanged} there already, in ${seconds} s ` +
      `(${rate(rows, began)}/s)`,
  );
  if (more.length > 0) {
    console.error("These days have rows of another source too, so that their sums say nothing:");
    listed(more);
  }
  if (different.length > 0) {
    console.error("These days differ from the database; does the source have a row twice?");
    listed(different);
  }
  if (different.length === 0 && refused === 0)
    console.log(
      `counts and sums of ${equal === days ? days : `${equal} of ${days}`} days equal those of the database`,
    );
  return different.length === 0 && refused === 0;
}

async function importInto(files: string[], options: Options): Promise<number> {
  const site = siteConfig(findSite(options.stack));
  const { zone, from, to, dryRun = false } = options;
  const span: Span = {
    from: from === undefined ? -Infinity : instant("--from", from, zone),
    to: to === undefined ? Infinity : instant("--to", to, zone),
  };
  const choices: Choices = {
    ...options,
    tags: options.tag,
    values: options.values ?? (options.database === undefined ? "stored" : "sent"),
    note: console.error,
  };
  if (span.to <= span.from) refuse(`--to is ${to}: it is not after --from, ${from}`);
  const open = sourcesOf(files, options);
  const kept = durationSeconds(retentionOf(site).raw);
  const database = Database.at(site);
  const interrupt = new AbortController();
  process.once("SIGINT", () => interrupt.abort());
  const skipped = new Skipped(options.skipBad);
  const progress: Progress = {
    step: "",
    share: 0,
    rows: 0,
    written: 0,
    unchanged: 0,
    refused: 0,
  };
  const began = performance.now();
  try {
    const targets = await targetsOf(database, loadModel(site.model));
    const sources = await open(targets, choices, span);
    const end = followWork(
      () => progress.share,
      () => `${progress.step}, ${progress.rows} rows read, ${progress.written} written`,
    );
    const outcome = await new Import({
      database,
      sources,
      skipped,
      skipBad: options.skipBad !== undefined,
      ...span,
      oldest: Date.now() / 1000 - kept,
      dryRun,
      progress,
      interrupt: interrupt.signal,
    })
      .run()
      .finally(end);
    return summarize(outcome, progress, skipped, dryRun, began) ? 0 : 1;
  } catch (error) {
    if (error instanceof InputError || !(error instanceof QueryError)) throw error;
    if (error.isAbsent && options.database === undefined)
      throw new Error(`The site ${site.name} has no database yet: run up.`);
    throw new Error(
      `The site ${site.name} or the source does not answer: ${error.message}\n` +
        "Run the same line again: it goes on with what the database lacks.",
    );
  } finally {
    database.close();
    skipped.close();
  }
}

/** Imports data into a site. */
export const importCommand = () =>
  bessCommand(
    "import",
    "Writes rows of files, or of another database, into a site's, and compares what is there then.",
  )
    .summary("Writes rows of files, or of another database, into a site's.")
    .argument("[files...]", "line protocol or CSV, also gzipped")
    .addOption(stackOption().makeOptionMandatory())
    .option("--measurement <name>", "table of a CSV file's rows (default: by the file's name)")
    .addOption(
      new Option("--tag <name=value>", "tag that the source lacks; repeatable")
        .argParser(pairs("group_id=bess-1"))
        .default({}, "none"),
    )
    .addOption(
      new Option("--map <name=other>", "what a column or table is in the model; repeatable")
        .argParser(pairs("'SOC [%]=soc'"))
        .default({}, "none"),
    )
    .addOption(
      new Option("--ignore <name>", "column or table to leave out; repeatable")
        .argParser(list)
        .default([], "none"),
    )
    .addOption(
      new Option(
        "--values <kind>",
        "stored: in the model's units; sent: as the gateway sends them (default: stored for files)",
      ).choices(["stored", "sent"]),
    )
    .option("--from <time>", "leave out rows before this day or time")
    .option("--to <time>", "leave out rows from this day or time on")
    .option(
      "--time <format>",
      "how a CSV file's times are written",
      asKey(timeSchema.shape.format),
      "iso8601",
    )
    .option("--zone <zone>", "time zone of times that name none", zoneName, "UTC")
    .option("--delimiter <character>", "between two cells (default: by the header)", delimiterOf)
    .addOption(new Option("--decimal <mark>", "before a fraction").choices(decimals).default("."))
    .option("--encoding <name>", "how bytes are read (default: by the bytes)", encodingName)
    .option("--skip-bad <path>", "go on at a bad row, and keep it in this new file")
    .option("--dry-run", "read and compare alone; write nothing")
    .option("--database <name>", "database of another InfluxDB 3, in place of files")
    .option("--url <url>", "its address, such as http://127.0.0.1:8181", urlOf("http", "https"))
    .option("--token-file <path>", "file with its token (default: INFLUXDB3_AUTH_TOKEN)")
    .example("What bess export has written", "import --stack kiel-1 exports/kiel-1/battery-*.csv")
    .example(
      "The database of the former setup",
      "import --stack kiel-1 --database iot-lab --url http://127.0.0.1:8181 --token-file token",
    )
    .example(
      "A table of another program, with local times",
      "import --stack kiel-1 log.csv --measurement battery --tag id=battery-1 " +
        "--map 'SOC [%]=soc' --ignore Remark --zone Europe/Berlin",
    )
    .addHelpText("after", details)
    .action(acting(importInto));
