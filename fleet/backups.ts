import {
  listScript,
  places,
  python,
  restoreProgram,
  restoreScript,
  scripts,
  secretsOf,
} from "../configs/backup";
import { type BackupConfig, kindOf } from "../configs/backup-schema";
import { labels } from "../configs/containers";
import { profiles } from "../configs/profiles";
import { type SiteConfig, siteImages } from "../configs/site";
import { type EnginePlace, quoted } from "../configs/ssh";
import { besideEngine, containersAt, docker } from "./engine";

/** A backup in a site's repository. */
export interface BackupSnapshot {
  /** Eight digits and letters. */
  id: string;
  /** When it was made, in ISO 8601. */
  time: string;
  /** Files and bytes that it holds, and bytes that it has added to the repository. */
  files: number;
  bytes: number;
  added: number;
}

/** A site's repository, as it is reached from an engine. */
export interface BackupRepository {
  site: SiteConfig;
  backup: BackupConfig;
  /** Password that its backups are encrypted with. */
  password: string;
  /** Engine beside which restic runs. */
  place: EnginePlace;
}

/** How a container may be run for a while. */
interface ShortRun {
  image: string;
  /** Mounts, `source:path`. */
  mounts: string[];
  program: string[];
  input: string;
  onOutput?: (text: string) => void;
}

/** Runs a program in a container that is removed after it. @returns what it prints. */
function runOnce(place: EnginePlace, run: ShortRun): Promise<string> {
  const [entrypoint = "", ...args] = run.program;
  const words = ["docker", "run", "-i", "--rm", "--user", "0:0", "--entrypoint", entrypoint];
  const mounts = run.mounts.flatMap((mount) => ["-v", mount]);
  const line = [...words, ...mounts, run.image, ...args].map(quoted).join(" ");
  return besideEngine(place, line, run.input, {
    seconds: 0,
    ...(run.onOutput && { onOutput: run.onOutput }),
  });
}

/** Where the secrets of such a run lie: in memory. */
const secrets = "/dev/shm/secrets";

/** A script that first writes the secrets down, which come by its standard input alone. */
function withSecrets({ backup, password }: BackupRepository, script: string): string {
  const lines = secretsOf(backup, password).map(
    ({ file, content }) => `printf %s ${quoted(content)} > ${secrets}/${file}`,
  );
  return ["umask 077", `mkdir -p ${secrets}`, ...lines, "umask 022", script].join("\n");
}

const folderMount = ({ to }: BackupConfig) =>
  kindOf(to) === "folder" ? [`${to}:${places.target}`] : [];

const at = { ...places, secrets };

/**
 * The backups of a site, oldest first.
 * @throws Error where the repository cannot be read.
 */
export async function backupsOf(repository: BackupRepository): Promise<BackupSnapshot[]> {
  const { site, backup, place } = repository;
  const answer = await runOnce(place, {
    image: siteImages(site).backup,
    mounts: folderMount(backup),
    program: ["sh", "-s"],
    input: withSecrets(repository, listScript({ site: site.name, backup, at })),
  });
  const found = JSON.parse(answer) as {
    short_id: string;
    time: string;
    summary?: {
      total_files_processed: number;
      total_bytes_processed: number;
      data_added_packed: number;
    };
  }[];
  return found.map(({ short_id: id, time, summary }) => ({
    id,
    time: `${time.slice(0, 19)}Z`,
    files: summary?.total_files_processed ?? 0,
    bytes: summary?.total_bytes_processed ?? 0,
    added: summary?.data_added_packed ?? 0,
  }));
}

/** Services whose data is restored. */
const restored = ({ interface: own }: SiteConfig) =>
  ["influxdb", "mosquitto", "grafana", ...(own?.enabled ? (["interface"] as const) : [])] as const;

/** What is restored, and where to. */
export interface Restore extends BackupRepository {
  snapshot: string;
  /** Name of the site whose volumes are filled. */
  as: string;
  /** Whether data that is there may be set aside. */
  overwrite: boolean;
  onOutput: (text: string) => void;
}

/**
 * Fills a site's volumes from a backup. What is interrupted goes on when it is run again.
 * @throws Error where the site runs, where there is data, or where the repository cannot be read.
 */
export async function restoreSite(restore: Restore): Promise<void> {
  const { site, backup, place, snapshot, as, overwrite, onOutput } = restore;
  const running = (await containersAt({ ...place, name: as })).filter(
    ({ state }) => state === "running",
  );
  if (running.length > 0)
    throw new Error(
      `${as} runs: ${running.map(({ service }) => service).join(", ")}. Remove its containers first, ` +
        "by npx bess down; the data stays",
    );
  const volumeOf = (service: string) => `${as}-${service}-data`;
  for (const service of restored(site))
    await docker(place, ["volume", "create", "--label", `${labels.site}=${as}`, volumeOf(service)]);
  const mounts = restored(site).map((service) => `${volumeOf(service)}:${places[service]}`);
  const options = {
    site: site.name,
    backup,
    at,
    snapshot,
    overwrite,
    as,
    interface: site.interface?.enabled ?? false,
  };
  const images = siteImages(site);
  await runOnce(place, {
    image: images.backup,
    mounts: [...mounts, ...folderMount(backup)],
    program: ["sh", "-s"],
    input: withSecrets(restore, restoreScript(options)),
    onOutput,
  });
  await runOnce(place, {
    image: images.copier,
    mounts,
    program: [python, "-"],
    input: restoreProgram(options, profiles[site.profile]),
    onOutput,
  });
  await mark({ ...place, name: as }, images.backup);
}

const markerOf = (site: string) => `${site}-restored`;

/** Leaves a mark at the engine that an update takes notice of: a container that never runs. */
async function mark(site: EnginePlace & { name: string }, image: string): Promise<void> {
  await unmark(site);
  await docker(site, ["create", "--name", markerOf(site.name), image, "version"]);
}

/** Takes the mark away. */
export const unmark = (site: EnginePlace & { name: string }): Promise<void> =>
  docker(site, ["rm", "-f", markerOf(site.name)]).then(
    () => undefined,
    () => undefined,
  );

/** Whether a site's volumes were restored, and no update has succeeded since. */
export const isRestored = (site: EnginePlace & { name: string }): Promise<boolean> =>
  docker(site, ["ps", "-aq", "--filter", `name=^/?${markerOf(site.name)}$`]).then(
    (found) => found.trim() !== "",
    () => false,
  );

/**
 * Asks a running site for a backup, and waits for it.
 * @throws Error with what kept it.
 */
export const backUpNow = (
  site: EnginePlace & { name: string },
  fresh: boolean,
  onOutput: (text: string) => void,
): Promise<string> =>
  besideEngine(
    site,
    `docker exec ${site.name}-backup sh ${scripts.now}${fresh ? " new" : ""}`,
    "",
    { seconds: 0, onOutput },
  );
