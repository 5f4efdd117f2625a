import { Option } from "commander";
import { checkStack } from "../automation";
import { type CopyReport, type MigrationChoices, type MigrationPlan } from "../configs/migration";
import { schema } from "../configs/influxdb";
import { retentionOf } from "../configs/retention";
import { findSite, siteConfig, type StackSite } from "../configs/sites";
import { joined } from "../configs/text";
import { InputError } from "../configs/validation";
import {
  confirm,
  inDatabase,
  Migration,
  pendingChanges,
  type Progress,
  requireConfirmed,
  switchWriters,
  type Unconverted,
} from "../fleet";
import { acting, bessCommand, pairs, stackOption, yesOption } from "./command";
import { deploy } from "./up";

interface Options {
  stack: string;
  rename: Record<string, string>;
  tag: Record<string, string>;
  tagFrom: Record<string, string>;
  skipBad?: boolean;
  dryRun?: boolean;
  drop?: boolean;
  yes: boolean;
}

const details = `
A table whose columns changed their type or its tags, or that is full of columns, cannot take new rows.
Its rows are first copied to TABLE-before-1, while new ones come. Then Telegraf is stopped, and the
broker keeps its messages; what came meanwhile is copied, the two tables are compared, and a new table
takes the place of the former one. up starts Telegraf in the new shape. At last the rows of before are
copied into the new table, and compared again. The data stay at the site.

It may be interrupted at any time, also by a power cut: run it again, and it goes on.
TABLE-before-1 stays until --drop. docs/changing-a-model.md shows an example.

Exit code 0: every row is copied. 1: not so; the reason is printed.`;

/** Copies tables of a site into the shape that its model has now. */
export const migrateCommand = () =>
  bessCommand("migrate", "Copies tables of a site into the shape that its model has now.")
    .addOption(stackOption().makeOptionMandatory())
    .addOption(
      new Option("--rename <former=new>", "table that has another name now; repeatable")
        .argParser(pairs("battery=string"))
        .default({}, "none"),
    )
    .addOption(
      new Option("--tag <name=value>", "what a new tag is in rows of before; repeatable")
        .argParser(pairs("rack=r1", /^([^=]+)=(.*)$/))
        .default({}, "none"),
    )
    .addOption(
      new Option("--tag-from <name=column>", "the same, from a column of each row; repeatable")
        .argParser(pairs("rack=group_id"))
        .default({}, "none"),
    )
    .option("--skip-bad", "leave values that the new type cannot hold in TABLE-before-1 alone")
    .option("--dry-run", "print what would be done, and do nothing")
    .option("--drop", "delete what is kept of former shapes, once all is copied")
    .addOption(yesOption())
    .example("What would be done", "migrate --stack kiel-1 --dry-run")
    .example("A new tag, which is r1 in rows of before", "migrate --stack kiel-1 --tag rack=r1")
    .example("A table that has another name", "migrate --stack kiel-1 --rename battery=string")
    .example("All is well, and the space is needed", "migrate --stack kiel-1 --drop")
    .addHelpText("after", details)
    .action(acting(migrate));

const say = (line: string) => console.log(line);

const choicesOf = ({ rename, tag, tagFrom }: Options): Omit<MigrationChoices, "defaults"> => ({
  rename,
  tags: {
    ...Object.fromEntries(Object.entries(tag).map(([name, constant]) => [name, { constant }])),
    ...Object.fromEntries(Object.entries(tagFrom).map(([name, from]) => [name, { from }])),
  },
});

async function migrate(asked: Options): Promise<void | 1> {
  const found = findSite(asked.stack);
  const site = siteConfig(found);
  const { model } = checkStack(found);
  const wanted = schema(model, retentionOf(site));
  const migration = new Migration(inDatabase(site, site.name), wanted);
  const tagDefaults = model.measurements.flatMap(({ name, tags }) =>
    tags.flatMap((tag) =>
      tag.default === undefined
        ? []
        : [[`${name}.${tag.name}`, { constant: tag.default }] as const],
    ),
  );
  const choices = { ...choicesOf(asked), defaults: Object.fromEntries(tagDefaults) };
  const plan = await migration.plan(choices).catch((error: Error) => {
    if (error instanceof InputError) throw error;
    throw new Error(`The tables of ${site.name} are not known: ${error.message}`);
  });
  if (asked.drop) return drop(migration, plan, asked);
  if (plan.filled.length + plan.swapped.length + plan.missing.length === 0)
    return tellNothing(site.name, plan);
  tellPlan(plan);
  requireConverted(await migration.unconverted(plan), asked);
  const changes = await ownChanges(found, plan);
  if (asked.dryRun) return say("Nothing was touched: --dry-run.");
  // What else the update would lose is refused before anything is copied.
  await requireConfirmed(found, changes);
  await confirm(`Migrate the tables of ${site.name}?`, asked.yes);
  await migration.keep(plan, telling());
  if (plan.swapped.length + plan.missing.length > 0) await swap(migration, plan, choices, found);
  if ((await deploy({ stack: asked.stack, yes: true, confirm: changes })) !== 0) {
    console.error(
      `The update of ${site.name} failed. Where Telegraf was stopped, it stays so, and the broker keeps ` +
        "its messages: mend what is told above, and run this again.",
    );
    return 1;
  }
  await switchWriters(site, site.name, "start");
  for (const report of await migration.fill(plan, telling())) tellReport(report);
  say(`Kept: ${names(plan.kept)}. To delete it: npx bess migrate --stack ${found.stack} --drop`);
}

/** Changes of the update that the migration makes good: they need no confirmation. */
async function ownChanges(found: StackSite, { filled }: MigrationPlan): Promise<string[]> {
  const migrated = new Set(filled.map(({ to }) => to));
  return (await pendingChanges(found)).flatMap(({ change, loses }) => {
    const [, table = ""] = /^(?:type|tags) ([^\s.]+)/.exec(change) ?? [];
    return loses && migrated.has(table) ? [change] : [];
  });
}

/** Puts the new tables in place, with nobody writing; starts the writers again where that failed early. */
async function swap(
  migration: Migration,
  plan: MigrationPlan,
  choices: MigrationChoices,
  found: StackSite,
): Promise<void> {
  const site = siteConfig(found);
  say("Telegraf is stopped: the broker keeps its messages until the update has started it again.");
  await switchWriters(site, site.name, "stop");
  try {
    for (const { table, rows } of await migration.swap(plan, telling()))
      say(`${table.db}.${table.to} has the ${rows[0]} rows that ${table.from} had.`);
  } catch (error) {
    const now = await migration.plan(choices).catch(() => undefined);
    const isUntouched = now?.missing.length === 0 && now.swapped.length === plan.swapped.length;
    if (isUntouched) await switchWriters(site, site.name, "start");
    throw new Error(
      `The tables were not swapped: ${(error as Error).message}\n` +
        (isUntouched
          ? "Telegraf runs again in the former shape. Run this again."
          : "Telegraf stays stopped, and the broker keeps its messages: run this again."),
    );
  }
}

async function drop(migration: Migration, plan: MigrationPlan, { stack, yes }: Options) {
  if (plan.filled.length > 0)
    throw new InputError("--drop", [
      `rows of ${joined(plan.filled.map(({ from }) => from))} are not copied yet: ` +
        `run npx bess migrate --stack ${stack} first`,
    ]);
  if (plan.kept.length === 0) return say("Nothing is kept of a former shape.");
  await confirm(`Delete ${names(plan.kept)}, with all rows?`, yes);
  await migration.drop(plan);
  say(`Deleted: ${names(plan.kept)}.`);
}

const names = (tables: MigrationPlan["kept"]) =>
  joined(tables.map(({ db, table }) => `${db}.${table}`));

function tellNothing(site: string, { kept }: MigrationPlan): void {
  say(`${site}: every table has the shape of the model, and nothing is left to copy.`);
  if (kept.length > 0) say(`Kept: ${names(kept)}. --drop deletes it.`);
}

function tellPlan({ swapped, filled, unfilled }: MigrationPlan): void {
  for (const { wanted, kept, conflicts } of swapped) {
    for (const conflict of conflicts) say(conflict);
    say(`  ${wanted.db}.${wanted.table} is kept as ${kept.to}, and made anew.`);
  }
  for (const { db, from, to, columns, left, rules } of filled) {
    say(`Rows of ${db}.${from} are copied into ${db}.${to}:`);
    for (const { name, kind, converts } of columns)
      if (converts) say(`  ${name}: ${converts.from} becomes ${kind}`);
    for (const [tag, rule] of Object.entries(rules))
      say(
        `  ${tag}: ` +
          ("from" in rule
            ? `from ${rule.from} of each row`
            : rule.constant === ""
              ? "missing, as in the rows that have none"
              : `"${rule.constant}" in each row`),
      );
    if (left.length > 0) say(`  left in ${from}, for the model has them no more: ${joined(left)}`);
  }
  for (const { db, from, to } of unfilled)
    say(
      `Rows of ${db}.${from} stay there: a rollup has no field that a tag could come from. ${db}.${to} ` +
        "is made again of the telemetry that is kept.",
    );
}

/** @throws InputError with values that the new type cannot hold, unless they may be left. */
function requireConverted(found: readonly Unconverted[], { skipBad }: Options): void {
  const lines = found.flatMap(({ table, column, values }) => {
    const count = values.reduce((sum, value) => sum + value.count, 0);
    const shown = values
      .slice(0, 10)
      .map(
        ({ value, count: times, first, last }) =>
          `  ${JSON.stringify(value)}: ${times} times, from ${first} to ${last}`,
      );
    const more = values.length - shown.length;
    return [
      `${count} values of ${table.db}.${table.to}.${column} have no counterpart in the new type:`,
      ...shown,
      ...(more > 0 ? [`  and ${more} other values`] : []),
    ];
  });
  if (lines.length === 0) return;
  if (!skipBad)
    throw new InputError("the migration", [
      lines.join("\n"),
      "nothing was touched; --skip-bad copies their rows without these values, which stay in the former table",
    ]);
  for (const line of lines) say(line);
}

/** Tells how far a copy is, every few seconds. */
function telling(): Progress {
  let next = Date.now() + 2000;
  return ({ from, to }, rows, of) => {
    if (Date.now() < next && rows < of) return;
    next = Date.now() + 2000;
    console.error(`${from} to ${to}: ${rows} of ${of} rows (${Math.floor((100 * rows) / of)} %)`);
  };
}

function tellReport({ table, rows, compared, fields, ...counted }: CopyReport): void {
  const { copied, kept, same, empty } = counted;
  const newer = rows[1] - rows[0] + same + empty;
  say(
    `${table.db}.${table.to} has the ${rows[0] - same - empty} rows of ${table.from}` +
      (newer > 0 ? `, and ${newer} newer ones in the same blocks` : "") +
      `; ${copied} copied in this run`,
  );
  if (compared > 0) say(`  counts and sums of ${compared} rows, in blocks without newer ones:`);
  for (const { name, counts, sums } of compared > 0 ? fields : [])
    say(`  ${name}: ${counts[0]} values, ${counts[1]} copied; sum ${sums[0]}, copied ${sums[1]}`);
  if (kept > 0) say(`  ${kept} rows were there already with newer values: left as they are`);
  if (same > 0)
    say(`  ${same} rows have the time and tags of another one in the new shape: left out`);
  if (empty > 0) say(`  ${empty} rows have no value that the model still has: left out`);
}
