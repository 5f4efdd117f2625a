import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InvalidArgumentError, Option } from "commander";
import { stringify } from "yaml";
import { localVariables, root } from "../automation";
import { retentionOf } from "../configs/retention";
import { type SiteConfig, siteSchema } from "../configs/site";
import { findSite, newStackFile, siteKey, stackFile, stackFileSchema } from "../configs/sites";
import { localPorts, quoted } from "../configs/ssh";
import { durationSeconds } from "../configs/units";
import { type BackupSnapshot, backupsOf, restoreSite } from "../fleet";
import { fromOption, passwordFileOption, repositoryOf, type RepositoryOptions } from "./backup";
import { acting, bessCommand, refuse, stackOption } from "./command";
import { asKey } from "./options";

interface Options extends RepositoryOptions {
  at?: string;
  as?: string;
  overwrite?: boolean;
}

/** A time in ISO 8601 with its zone, a day in UTC, or the id of a backup. */
function moment(text: string): string {
  if (/^[0-9a-f]{8}$/.test(text)) return text;
  if (
    !/^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d))?$/.test(text) ||
    isNaN(Date.parse(text))
  )
    throw new InvalidArgumentError(
      "Write a time such as 2026-11-27T10:00:00Z, a day such as 2026-11-27, or the id of a backup.",
    );
  return text;
}

/** The backup to take: the last one, that of an id, or the last one until a time. */
function chosen(found: readonly BackupSnapshot[], at: string | undefined): BackupSnapshot {
  const last = found.at(-1);
  if (!last) return refuse("there is no backup of this site");
  if (at === undefined) return last;
  const byId = found.find(({ id }) => id === at);
  if (byId) return byId;
  // A day counts until its end.
  const until = Date.parse(at) + (at.length === 10 ? 86_400_000 - 1 : 0);
  return (
    found.filter(({ time }) => Date.parse(time) <= until).at(-1) ??
    refuse(`--at is ${at}: the oldest backup is of ${found[0]?.time}; npx bess backups lists all`)
  );
}

/** The site under another name, to be looked at: with nothing that reaches devices, people or backups. */
export function siteToLookAt(
  { profile, model, retention, images }: SiteConfig,
  name: string,
  age: number,
): object {
  const ports = localPorts(name);
  // What was within the retention when the backup was made is so still.
  const longer = (span: string) => `${Math.ceil((durationSeconds(span) + age) / 86_400)}d`;
  const { raw, minute, hour, day } = retentionOf({ profile, retention });
  return {
    name,
    profile,
    model,
    retention: { raw: longer(raw), minute: longer(minute), hour: longer(hour), day: longer(day) },
    mqtt: { port: ports.api },
    grafana: { port: ports.grafana },
    explorer: { port: ports.explorer },
    images,
  };
}

/** Writes the stack's file of a site to look at. @throws InputError where there is one. */
function writeStack(name: string, site: object): void {
  const file = join(root, stackFile(name));
  const head = newStackFile(name).split("\n")[0] ?? `# ${stackFileSchema}`;
  writeFileSync(file, `${head}\n${stringify({ config: { [siteKey]: site } })}`);
}

async function restore(asked: Options): Promise<void> {
  if (asked.as !== undefined && asked.as === findSite(asked.stack).settings.name)
    refuse(`--as is ${asked.as}: that is the site itself; write another name, or leave --as out`);
  const repository = repositoryOf(asked);
  const { site, hasState } = repository;
  const as = asked.as ?? site.name;
  const isOther = as !== site.name;
  if (isOther && existsSync(join(root, stackFile(as))) && !asked.overwrite)
    refuse(`--as is ${as}: there is ${stackFile(as)} already; --overwrite writes it anew`);
  const { id, time } = chosen(await backupsOf(repository), asked.at);
  const began = Date.now();
  console.log(`the backup ${id} of ${time} is restored into the volumes of ${as}`);
  await restoreSite({
    ...repository,
    // A copy to look at is made at the engine of this machine, far from the site.
    ...(isOther && { place: { engine: undefined, ssh: {} } }),
    snapshot: id,
    as,
    overwrite: asked.overwrite ?? false,
    onOutput: (text) => process.stdout.write(text),
  }).catch((error: Error) => {
    throw new Error(`${as} is not restored: ${error.message}`);
  });
  if (isOther) writeStack(as, siteToLookAt(site, as, (Date.now() - Date.parse(time)) / 1000));
  const seconds = Math.round((Date.now() - began) / 1000);
  console.log(`restored in ${seconds} s; next: npx bess up --stack ${isOther ? as : asked.stack}`);
  if (!isOther) console.log(hasState ? stays : anew(findSite(asked.stack).stack));
}

const stays =
  "The stack's state is here: the passwords of the broker and of Grafana stay, and InfluxDB's tokens are made anew.";

function anew(stack: string): string {
  const own = Object.entries(localVariables()).map(([key, value]) => `${key}=${quoted(value)}`);
  const line = [...own, `pulumi stack output --show-secrets --stack ${stack}`].join(" ");
  return (
    "The stack has no state here: the update makes new passwords of the broker and of Grafana, and new tokens. " +
    `Give the gateways the new ones: ${line}`
  );
}

/** Brings a site's data back from a backup. */
export const restoreCommand = () =>
  bessCommand(
    "restore",
    "Fills a site's volumes from a backup, on a bare host too; up then runs the site on them.",
  )
    .addOption(stackOption().default("dev"))
    .addOption(
      new Option("--at <time>", "the last backup until this time, a day, or the id of one")
        .argParser(moment)
        .default(undefined, "the last backup"),
    )
    .addOption(
      new Option(
        "--as <name>",
        "restore at this machine's engine under another name, to look at it; the site is not touched",
      ).argParser(asKey(siteSchema.shape.name)),
    )
    .addOption(fromOption())
    .addOption(passwordFileOption())
    .addOption(new Option("--overwrite", "set data aside that is there already"))
    .example("A host with a new disk", "restore --stack kiel-1")
    .example("As it was, on this machine", "restore --stack kiel-1 --at 2026-11-01 --as kiel-1-old")
    .action(acting(restore));
