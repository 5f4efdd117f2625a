import { Option } from "commander";
import { openStack } from "../automation";
import { type BackupConfig, backupSchema, kindOf } from "../configs/backup-schema";
import { parseSite, secretKeys, type SiteConfig } from "../configs/site";
import { findSite, siteConfig, siteSource } from "../configs/sites";
import { validate } from "../configs/validation";
import { backUpNow, type BackupRepository, type BackupSnapshot, backupsOf } from "../fleet";
import { acting, bessCommand, jsonOption, printJson, refuse, stackOption, table } from "./command";
import { secretIn } from "./options";

/** Options that tell where a repository is, and what opens it. */
export interface RepositoryOptions {
  stack: string;
  from?: string;
  passwordFile?: string;
}

export const fromOption = () =>
  new Option("--from <place>", "where the backups are, if not at the site's backup.to");
export const passwordFileOption = () =>
  new Option(
    "--password-file <path>",
    "file with the backups' password, if the stack's secrets cannot be opened here",
  );

/** What a stack's state still holds of the site's passwords. */
export interface KnownPasswords {
  /** Whether the stack has a state here. */
  hasState: boolean;
}

/**
 * The repository of a stack's site, with the secrets that open it.
 * @throws InputError where the site has no backup, or what opens it is not known here.
 */
export function repositoryOf(asked: RepositoryOptions): BackupRepository & KnownPasswords {
  const found = findSite(asked.stack);
  const given =
    asked.passwordFile === undefined ? undefined : secretIn("--password-file", asked.passwordFile);
  const { settings, outputs } = openStack(found);
  const site: SiteConfig = settings ? parseSite(settings) : siteConfig(found);
  if (!settings && (site.backup?.login || site.backup?.ssh))
    refuse(
      `--stack is ${found.stack}: its secrets cannot be opened here: log in to Pulumi's backend`,
    );
  const password = given ?? (settings && site.backup?.password);
  if (password === undefined)
    return refuse(
      `--stack is ${found.stack}: the password of its backups cannot be read here: ` +
        "give it by --password-file",
    );
  const backup = backupOf(site, asked.from, password, siteSource(found));
  const hasState = Object.keys(outputs).length > 0;
  return { site, backup, password, place: { engine: site.engine, ssh: site.ssh }, hasState };
}

function backupOf(
  site: SiteConfig,
  from: string | undefined,
  password: string,
  source: string,
): BackupConfig {
  if (from === undefined)
    return site.backup ?? refuse(`${source} has no backup: set it, or say --from`);
  // Another disk, or the same server by another name.
  const isAlike = site.backup !== undefined && kindOf(site.backup.to) === kindOf(from);
  const others = isAlike ? site.backup : {};
  return validate(backupSchema, { ...others, to: from, password }, "--from", secretKeys);
}

interface Now {
  stack: string;
  new?: boolean;
}

async function now({ stack, new: fresh = false }: Now): Promise<void> {
  const site = siteConfig(findSite(stack));
  if (!site.backup) refuse(`--stack is ${stack}: its site has no backup`);
  await backUpNow(site, fresh, (text) => process.stdout.write(text)).catch((error: Error) => {
    throw new Error(`${site.name} is not backed up: ${error.message}`);
  });
}

/** Makes a backup of a site at once. */
export const backupCommand = () =>
  bessCommand("backup", "Makes a backup of a site now, and waits for it.")
    .addOption(stackOption().default("dev"))
    .addOption(
      new Option("--new", "begin another repository, where the former one is gone or damaged"),
    )
    .example("Before a change", "backup --stack kiel-1")
    .action(acting(now));

/** Bytes in words, from kilobytes to gigabytes. */
const size = (bytes: number) =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;

const rowOf = ({ id, time, files, bytes, added }: BackupSnapshot): string[] => [
  id,
  time,
  String(files),
  size(bytes),
  size(added),
];

async function list(asked: RepositoryOptions & { json?: boolean }): Promise<void> {
  const repository = repositoryOf(asked);
  const found = await backupsOf(repository);
  if (asked.json) return printJson(found);
  console.log(
    found.length > 0
      ? table([["ID", "TIME", "FILES", "SIZE", "ADDED"], ...found.map(rowOf)])
      : `${repository.backup.to} has no backup of ${repository.site.name}.`,
  );
}

/** Lists the backups of a site. */
export const backupsCommand = () =>
  bessCommand("backups", "Lists the backups of a site, also one that is gone.")
    .addOption(stackOption().default("dev"))
    .addOption(fromOption())
    .addOption(passwordFileOption())
    .addOption(jsonOption())
    .example("What there is to restore", "backups --stack kiel-1")
    .action(acting(list));
