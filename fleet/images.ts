import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream, existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { root } from "../automation";
import { type EnginePlace, isSsh, quoted } from "../configs/ssh";
import { besideEngine, docker, lastLine, startBesideEngine } from "./engine";

/** This machine's own engine. */
const here: EnginePlace = { ssh: {} };

/** How images come to a site. */
export interface Bringing {
  /**
   * Bytes a second over each link, by this machine's engine. Default: the site pulls them itself, as fast
   * as it can.
   */
  rate?: number | undefined;
  /** Whether the site pulls no image by itself. */
  isOffline?: boolean;
  /** Whether images that the site does not pull are sent from here. Default: true. */
  sends?: boolean;
  /** How often a transfer that broke off is gone on with. Default: 10. */
  attempts?: number;
  /** Seconds between two attempts; doubled each time, up to a minute. Default: 2. */
  pauseSeconds?: number;
  /** Where images are kept that this machine brings. Default: the project's cache. */
  folder?: string;
}

/** Which images an engine lacks. @throws Error where it is not reached. */
async function lackedImages(place: EnginePlace, images: string[]): Promise<string[]> {
  const script =
    "docker version > /dev/null || exit\n" +
    'for image; do docker image inspect "$image" > /dev/null 2>&1 || echo "$image"; done\n';
  const line = ["sh", "-s", "--", ...images].join(" ");
  return (await besideEngine(place, line, script)).split("\n").filter(Boolean);
}

/**
 * Pulls the images for a platform that this machine's engine lacks.
 * @param onOutput hears what Docker prints.
 * @throws Error
 */
export async function pullHere(
  images: readonly string[],
  platform: string,
  onOutput: (text: string) => void = () => undefined,
): Promise<void> {
  for (const image of images) {
    const isHere = async () =>
      (
        await docker(here, ["image", "inspect", "-f", "{{.Os}}/{{.Architecture}}", image]).catch(
          () => "",
        )
      ).trim() === platform;
    if (await isHere()) continue;
    const pull = `docker pull --platform ${platform} ${image}`;
    await besideEngine(here, pull, "", { seconds: 0, onOutput });
    if (!(await isHere())) throw new Error(`${image} has no variant for ${platform}`);
  }
}

/**
 * Brings the images to a site that it lacks. One that breaks off is gone on with: a pull from its last
 * layer, a transfer from its last byte.
 * @returns undefined where nothing was brought. @throws Error
 */
export async function bringImages(
  place: EnginePlace,
  images: string[],
  {
    rate,
    isOffline = false,
    sends = true,
    attempts = 10,
    pauseSeconds = 2,
    folder = join(root, ".cache/images"),
  }: Bringing = {},
): Promise<{ images: number; bytes?: number } | undefined> {
  const again = <T>(work: () => Promise<T>) => repeated(work, attempts, pauseSeconds);
  // An engine knows no digest of an image that was loaded: one with a digest is pulled.
  const isPulled = (image: string) =>
    !isOffline && (rate === undefined || image.includes("@sha256:"));
  const lacked = (await lackedImages(place, images)).filter((image) => sends || isPulled(image));
  if (lacked.length === 0) return undefined;
  for (const image of lacked.filter(isPulled))
    await again(() => besideEngine(place, `docker pull -q ${image}`, "", { seconds: 0 }));
  const sent = lacked.filter((image) => !isPulled(image));
  if (sent.length === 0) return { images: lacked.length };
  const version = await docker(place, ["version", "-f", "{{.Server.Os}}/{{.Server.Arch}}"]);
  let bytes = 0;
  for (const image of sent) {
    const file = await savedImage(folder, image, version.trim());
    await again(() => transfer(place, file, throttleOf(place, rate)));
    bytes += statSync(file.path).size;
  }
  return { images: lacked.length, bytes };
}

async function repeated<T>(
  work: () => Promise<T>,
  attempts: number,
  pauseSeconds: number,
): Promise<T> {
  for (let attempt = 1; ; attempt++)
    try {
      return await work();
    } catch (error) {
      if (attempt >= attempts) throw error;
      await sleep(Math.min(60, pauseSeconds * 2 ** (attempt - 1)) * 1000);
    }
}

/** A file of this machine, and its digest. */
interface Saved {
  path: string;
  sha256: string;
}

const saving = new Map<string, Promise<Saved>>();

/** An image's file; saved once for all sites. */
function savedImage(folder: string, image: string, platform: string): Promise<Saved> {
  const key = createHash("sha256").update(`${image} ${platform}`).digest("hex").slice(0, 24);
  const save = async () => {
    const path = join(folder, `${key}.tar`);
    mkdirSync(folder, { recursive: true });
    if (!existsSync(path)) {
      await pullHere([image], platform);
      const save = `docker save --output ${quoted(`${path}.${process.pid}`)} ${image}`;
      await besideEngine(here, save, "", { seconds: 0 });
      renameSync(`${path}.${process.pid}`, path);
    }
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
    return { path, sha256: hash.digest("hex") };
  };
  const known = saving.get(`${folder}/${key}`) ?? save();
  saving.set(`${folder}/${key}`, known);
  known.catch(() => saving.delete(`${folder}/${key}`));
  return known;
}

/**
 * Appends to a file beside the engine what it lacks of one of this machine, and loads it. What has come
 * stays there when the link breaks.
 */
async function transfer(place: EnginePlace, { path, sha256 }: Saved, throttle?: Throttle) {
  const part = `/var/tmp/bess-image-${sha256.slice(0, 24)}`;
  const size = Number(await besideEngine(place, `stat -c %s ${part} 2> /dev/null || echo 0`));
  if (size < statSync(path).size) {
    const child = startBesideEngine(place, `umask 077; cat >> ${part}`);
    let stderr = "";
    child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
    child.stdin.on("error", () => undefined);
    const closed = new Promise<number | string | null>((done) => {
      child.once("error", (error) => done(error.message));
      child.once("close", (code, signal) => done(code ?? signal));
    });
    for await (const chunk of createReadStream(path, { start: size, highWaterMark: 16_384 })) {
      await throttle?.take((chunk as Buffer).length);
      if (!child.stdin.write(chunk)) await Promise.race([once(child.stdin, "drain"), closed]);
      if (child.exitCode !== null || child.stdin.destroyed) break;
    }
    child.stdin.end();
    const end = await closed;
    if (end !== 0) throw new Error(`the transfer broke off: ${lastLine(stderr, end)}`);
  }
  const load =
    `echo '${sha256}  ${part}' | sha256sum -c > /dev/null && docker load -q -i ${part}; ` +
    `done=$?; rm -f ${part}; exit $done`;
  await besideEngine(place, load, "", { seconds: 0 });
}

/** Lets so many bytes a second pass, whoever asks. */
export class Throttle {
  private free = 0;

  constructor(
    private readonly rate: number,
    private readonly now = () => performance.now(),
    private readonly pause = (ms: number): Promise<void> => sleep(ms),
  ) {}

  /** Waits until it is so many bytes' turn. */
  async take(bytes: number): Promise<void> {
    const now = this.now();
    const begin = Math.max(now, this.free);
    this.free = begin + (bytes / this.rate) * 1000;
    if (begin > now) await this.pause(begin - now);
  }
}

const throttles = new Map<string, Throttle>();

/** The throttle of a site's link, which it shares with the sites behind the same jump host. */
function throttleOf({ engine, ssh }: EnginePlace, rate?: number): Throttle | undefined {
  if (rate === undefined) return undefined;
  const link = `${ssh.jump ?? (isSsh(engine) ? new URL(engine).hostname : "")} ${rate}`;
  const known = throttles.get(link) ?? new Throttle(rate);
  throttles.set(link, known);
  return known;
}
