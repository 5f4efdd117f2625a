import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import picomatch from "picomatch";
import { InputError } from "../configs/validation";
import { faultHelp, parseFault } from "../rehearsal";
import {
  addSite,
  type Fleet,
  type FleetSite,
  inventoryFile,
  type Labels,
  loadFleet,
} from "../configs/inventory";
import { newStackFile, stackFile } from "../configs/sites";
import { splitIntoShards } from "../fleet/matrix";
import type { Operating, RollingOut } from "../fleet/operate";

const root = join(__dirname, "..");

// Loaded where it is asked for: it brings Pulumi's SDK along.
const since = () => require("../fleet/since") as typeof import("../fleet/since");
const report = () => require("../fleet/report") as typeof import("../fleet/report");
const operate = () => require("../fleet/operate") as typeof import("../fleet/operate");

/** Which sites a command is about. */
interface Selection {
  site?: string[];
  label: Labels;
  wave?: string;
}

const collect = (text: string, before: string[] = []) => [
  ...before,
  ...text.split(",").filter(Boolean),
];

function label(text: string, before: Labels): Labels {
  const [, name, value] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError("Write NAME=VALUE, such as region=north.");
  return { ...before, [name]: value };
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 256)
    throw new InvalidArgumentError("Write a whole number from 1 to 256.");
  return value;
}

const labelOption = (what: string) =>
  new Option("--label <name=value>", what).argParser(label).default({}, "none");

/** Options by which a command's sites are chosen. */
const selecting = (command: Command) =>
  command
    .addOption(
      new Option(
        "--site <glob>",
        "only sites whose name matches; repeatable, or with commas",
      ).argParser(collect),
    )
    .addOption(labelOption("only sites with this label; repeatable, all must fit"))
    .option("--wave <name>", "only sites of this wave");

const fits = ({ site, label: wanted }: Selection) => {
  const isNamed = site ? picomatch(site) : () => true;
  return ({ name, labels }: Pick<FleetSite, "name" | "labels">) =>
    isNamed(name) && Object.entries(wanted).every(([key, value]) => labels[key] === value);
};

/** The sites that were asked for. @throws InputError if there are none: a slip in a glob must not look like success. */
function selected({ waves, sites }: Fleet, selection: Selection): FleetSite[] {
  if (selection.wave !== undefined && !waves.includes(selection.wave))
    throw new InputError("the command line", [
      `--wave is ${selection.wave}: allowed here: ${waves.join(", ")}`,
    ]);
  const found = sites.filter(
    (site) =>
      fits(selection)(site) && (selection.wave === undefined || site.wave === selection.wave),
  );
  if (found.length === 0)
    throw new InputError("the command line", [
      `no site of ${inventoryFile} fits; npm run fleet -- list shows them`,
    ]);
  return found;
}

/** Rows in columns, the first row its head. */
function table(rows: string[][]): string {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function list(selection: Selection & { json?: boolean }): void {
  const fleet = loadFleet();
  const found = selected(fleet, selection).sort(
    (a, b) => fleet.waves.indexOf(a.wave) - fleet.waves.indexOf(b.wave),
  );
  if (selection.json)
    return console.log(
      JSON.stringify(
        found.map(({ config: { profile, model }, settings: _, ...site }) => ({
          ...site,
          profile,
          model,
        })),
        null,
        2,
      ),
    );
  const rows = found.map(({ name, wave, stack, engine, config, labels }) => [
    name,
    wave,
    stack,
    engine,
    config.profile,
    config.model,
    Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(" "),
  ]);
  console.log(table([["SITE", "WAVE", "STACK", "ENGINE", "PROFILE", "MODEL", "LABELS"], ...rows]));
}

interface Added {
  engine: string;
  label: Labels;
  stack?: string;
  profile?: string;
  model?: string;
}

function add(name: string, { engine, label: labels, stack, profile, model }: Added): void {
  const given = Object.fromEntries(
    Object.entries({ stack, profile, model }).filter(([, value]) => value !== undefined),
  );
  const inventory = join(root, inventoryFile);
  const text = addSite(readFileSync(inventory, "utf8"), name, { engine, labels, ...given });
  const file = stackFile(stack ?? name);
  const kept = existsSync(join(root, file));
  if (!kept) writeFileSync(join(root, file), newStackFile(name));
  writeFileSync(inventory, text);
  console.log(
    `${inventoryFile}: site ${name} is added, to wave ${loadFleet().sites.find((site) => site.name === name)!.wave}`,
  );
  console.log(
    kept
      ? `${file}: is there already, and stays as it is`
      : `${file}: written; it takes the stack's secrets`,
  );
}

interface Preview extends Selection {
  rendered?: boolean;
  real?: boolean;
  since: string;
  markdown?: string;
  report?: string;
}

const method = {
  rendered: (ref: string) =>
    `Rendered from ${ref} and from this revision, and compared: no site was contacted, no state was read, and what was changed at a site by hand is not seen.`,
  offline: () =>
    "Planned from the state of each site's stack: no site was contacted, and what was changed at a site by hand is not seen.",
  real: () => "Planned by the real providers; what was changed at a site by hand is not seen.",
};

async function preview(selection: Preview): Promise<number> {
  const fleet = loadFleet();
  const mode = selection.rendered ? "rendered" : selection.real ? "real" : "offline";
  const isAsked = (name: string) => fits(selection)({ name, labels: {} });
  const sites = selected(fleet, selection);
  const rendered = since().plansSince(selection.since, sites, isAsked);
  const found = await report().groupSites(
    mode === "rendered" ? rendered : operate().plans(sites, mode === "offline", rendered),
    fleet.allow,
  );
  const text = (limit?: number) =>
    report().formatComment(found, { method: method[mode](selection.since), limit });
  if (selection.markdown) writeFileSync(selection.markdown, text());
  if (selection.report) writeFileSync(selection.report, text(Infinity));
  if (!selection.markdown && !selection.report) process.stdout.write(text(Infinity));
  return found.some(({ example }) => example.violations.length > 0) ? 1 : 0;
}

async function status(
  selection: Selection & Operating & { json?: boolean; live?: boolean },
): Promise<void> {
  const found = await operate().status(selected(loadFleet(), selection), selection);
  if (selection.json) return console.log(JSON.stringify(found, null, 2));
  const ago = (time?: string) =>
    time ? `${Math.round((Date.now() - Date.parse(time)) / 60_000)} min` : "-";
  const rows = found.map(
    ({ site, wave, revision, verified, updated, result = "-", drift, health }) => [
      site,
      wave,
      revision ? `${revision.slice(0, 12)}${verified ? "" : " (unverified)"}` : "-",
      ago(updated),
      result,
      ...(selection.live ? [String(drift ?? "-"), health ?? "-"] : []),
    ],
  );
  console.log(
    table([
      [
        "SITE",
        "WAVE",
        "REVISION",
        "AGE",
        "LAST RESULT",
        ...(selection.live ? ["DRIFT", "HEALTH"] : []),
      ],
      ...rows,
    ]),
  );
}

/** The one site of that name. @throws InputError */
function siteOf(name: string): FleetSite {
  const { sites } = loadFleet();
  const found = sites.find((site) => site.name === name);
  if (!found)
    throw new InputError("the command line", [
      `site is ${name}: allowed here: ${sites.map((site) => site.name).join(", ")}`,
    ]);
  return found;
}

const number =
  (least: number, whole = true) =>
  (text: string) => {
    const value = Number(text);
    if (!(value >= least) || (whole && !Number.isInteger(value)))
      throw new InvalidArgumentError(
        `Write a ${whole ? "whole " : ""}number of at least ${least}.`,
      );
    return value;
  };

function siteFault(text: string, before: Operating["fault"] = []): NonNullable<Operating["fault"]> {
  const [, site, fault] = /^([^:]+):(.+)$/.exec(text) ?? [];
  if (!fault)
    throw new InvalidArgumentError(
      "Write SITE:RESOURCE=KIND[:SECONDS], such as kiel-1:engine=fail.",
    );
  return [...before, { site, fault: parseFault(fault) }];
}

/** Options of the commands that work on stacks. */
const operating = (command: Command) =>
  command
    .option("--parallel <n>", "most sites at once", number(1), 4)
    .option("--limit <seconds>", "how long the gate waits for its message", number(1), 60)
    .option("--restarts <n>", "restarts that the gate forgives a container", number(0), 0)
    .option("--rehearse", "on simulated sites: nothing is deployed")
    .addOption(
      new Option("--fault <fault>", `with --rehearse: SITE:${faultHelp}; repeatable`).argParser(
        siteFault,
      ),
    );

/** Options of the commands that go through waves. */
const rolling = (command: Command, soakSeconds = 300) =>
  operating(selecting(command))
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
      number(0, false),
      5,
    )
    .option("--rollout <name>", "what CI calls this rollout; it stands in the record")
    .option("--yes", "do it without asking");

const command = new Command("npm run fleet --")
  .description("Works on the sites of fleet/fleet.yaml, each a stack of its own.")
  .showHelpAfterError("(--help tells more)")
  .addHelpText(
    "after",
    `
Examples:
  Every site with its wave; the sites of one customer in the north:
    npm run fleet -- list
    npm run fleet -- list --label customer=solarpark --label region=north
  A new site, in a line of fleet/fleet.yaml:
    npm run fleet -- add kiel-3 --engine ssh://bess@kiel-3.example --label region=north --label hardware=pi
  What the branch would change where, without contact to any site:
    npm run fleet -- preview --rendered --since origin/main

  What a rollout would do, on simulated sites, with one that cannot be reached:
    npm run fleet -- up --rehearse --yes --fault kiel-1:engine=fail
  The same for real:
    npm run fleet -- up --parallel 8 --budget 1

Exit codes: 0 done; 1 refused, and nothing was touched; 2 halted, or a gate was not passed; 3 done, but for sites that
failed within the budget or could not be reached; 130 interrupted. docs/fleet.md is the guide, and the runbook of a stopped rollout.`,
  );

/** Runs a command, and ends with its exit code; bad input is told without a stack trace. */
const acting =
  <Args extends unknown[]>(work: (...args: Args) => number | void | Promise<number | void>) =>
  async (...args: Args) => {
    try {
      process.exitCode = (await work(...args)) ?? 0;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      console.error(error.message);
      process.exitCode = 1;
    }
  };

selecting(command.command("list"))
  .description("lists the sites, in the order of a rollout")
  .option("--json", "as JSON")
  .action(acting(list));

command
  .command("add <site>")
  .description(`adds a site: a line in ${inventoryFile}, and a file for its stack's secrets`)
  .requiredOption("--engine <address>", "Docker engine of the site, such as ssh://bess@host")
  .addOption(labelOption("label of the site; repeatable"))
  .option("--stack <name>", "its Pulumi stack (default: the site's name)")
  .option("--profile <name>", "size of its host (default: by its labels)")
  .option("--model <path>", "its telemetry model (default: by its labels)")
  .addHelpText(
    "after",
    `
Everything else that docs/configuration.md lists can be written in the site's line by hand. Comments and order of
${inventoryFile} stay. Example:
  npm run fleet -- add kiel-3 --engine ssh://bess@kiel-3.example --label region=north --label hardware=pi`,
  )
  .action(acting(add));

selecting(command.command("preview"))
  .description(
    "shows what a change would do at which sites; those with the same change are shown once",
  )
  .addOption(
    new Option(
      "--offline",
      "plan from the stacks' state, without contact to a site; this is the default",
    ).conflicts(["rendered", "real"]),
  )
  .addOption(
    new Option(
      "--rendered",
      "compare what two revisions render, without state, secrets or contact to a site",
    ).conflicts("real"),
  )
  .option("--real", "plan by the real providers, which contact the sites")
  .option("--since <ref>", "the revision to compare with", "origin/main")
  .option(
    "--markdown <file>",
    "write the comment of a pull request there, cut to what GitHub takes",
  )
  .option("--report <file>", "write the same there, whole")
  .addHelpText(
    "after",
    `
Exit code 1: a change is against the policy, or the input is refused. Examples:
  npm run fleet -- preview --rendered --since origin/main
  npm run fleet -- preview --rendered --since v1.4 --label hardware=pi --markdown comment.md`,
  )
  .action(acting(preview));

selecting(command.command("matrix"))
  .description("splits sites over CI runners, as a matrix of GitHub Actions")
  .option("--shards <n>", "most runners", count, 1)
  .addHelpText(
    "after",
    `
Prints {"include": [{"shard": 1, "shards": 4, "sites": "a,b"}]}; a shard's sites are what --site takes. Example:
  npm run fleet -- matrix --wave rest --shards 4`,
  )
  .action(
    acting((asked: Selection & { shards: number }) =>
      console.log(
        JSON.stringify({ include: splitIntoShards(selected(loadFleet(), asked), asked.shards) }),
      ),
    ),
  );

selecting(command.command("render"))
  .description(
    "writes what each site's program asks for, its configs rendered: a file per site, for preview --rendered",
  )
  .requiredOption("--out <folder>", "where to")
  .action(
    acting((asked: Selection & { out: string }) =>
      since().renderInto(asked.out, selected(loadFleet(), asked)),
    ),
  );

const roll = (kind: "up" | "resume" | "rollback") =>
  acting(async (asked: Selection & RollingOut) => {
    const fleet = loadFleet();
    return operate().roll(kind, fleet, selected(fleet, asked), asked, asked.wave);
  });

rolling(command.command("up"))
  .description(
    "brings the sites to this commit, wave by wave, each through its gate; halts when a wave's budget is spent",
  )
  .action(roll("up"));

rolling(command.command("resume"))
  .description(
    "goes on with the last rollout, with this commit; sites that stand at it and work are not done twice",
  )
  .action(roll("resume"));

rolling(command.command("rollback"), 0)
  .description("brings the sites of the last rollout back to the revision each had before")
  .action(roll("rollback"));

operating(selecting(command.command("status")))
  .description("shows what each site stands at, from the stacks' state")
  .option("--live", "look at the sites too: drift, and the health of containers")
  .option("--json", "as JSON")
  .action(acting(status));

operating(selecting(command.command("drift")))
  .description("shows what differs at the sites from their state, and changes nothing")
  .option("--markdown <file>", "write it there, if anything differs")
  .action(
    acting((asked: Selection & Operating & { markdown?: string }) =>
      operate().drift(selected(loadFleet(), asked), asked),
    ),
  );

operating(selecting(command.command("refresh")))
  .description("takes what differs at the sites into their state; the next up then mends it")
  .action(
    acting((asked: Selection & Operating) =>
      operate().drift(selected(loadFleet(), asked), asked, true),
    ),
  );

operating(command.command("verify <site>"))
  .description(
    "passes a site through its gate: a marked message must arrive in InfluxDB and Grafana",
  )
  .action(acting((name: string, asked: Operating) => operate().verify(siteOf(name), asked)));

operating(command.command("down <site>"))
  .description("removes a site; its data volumes stay unless it says purge")
  .option("--yes-destroy <site>", "its name once more, instead of being asked")
  .action(
    acting((name: string, asked: Operating & { yesDestroy?: string }) =>
      operate().down(siteOf(name), asked),
    ),
  );

// A rollout's rehearsed providers and timers are of no use once it has ended.
command.parseAsync().then(
  () => process.exit(),
  (error: Error) => (console.error(error.message), process.exit(1)),
);
