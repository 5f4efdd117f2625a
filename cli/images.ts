import { spawn, type StdioOptions } from "node:child_process";
import { createReadStream, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Option } from "commander";
import { environment, root, showProgress, sshTargetOf } from "../automation";
import {
  fromMirror,
  hubImages,
  imageIds,
  type ImageRecord,
  images,
  pinnedImage,
  type Service,
} from "../configs/images";
import {
  chosenImage,
  type SiteConfig,
  siteImages,
  siteSchema,
  siteServices,
} from "../configs/site";
import { findSite, siteConfig } from "../configs/sites";
import { quoted, remoteLine } from "../configs/ssh";
import { InputError } from "../configs/validation";
import { pullHere } from "../fleet";
import { acting, bessCommand, refuse, stackOption, writable } from "./command";
import { Registries } from "./images/registry";
import { sbomOf } from "./images/sbom";
import { asKey } from "./options";

/** The images that a site runs, by their tags, each with its services. */
function imagesOf(site: SiteConfig): Map<string, Service[]> {
  const images = siteImages({ ...site, images: { ...site.images, verify: "none" } });
  const found = new Map<string, Service[]>();
  for (const service of siteServices(site))
    found.set(images[service], [...(found.get(images[service]) ?? []), service]);
  return found;
}

/** Prints or writes a site's bill of materials. What a mirror gives is the image that it mirrors. */
function billOfMaterials({ stack, file }: ImagesOptions): void {
  const site = siteConfig(findSite(stack));
  const { mirror: _, ...images } = site.images;
  const text = sbomOf(site.name, imagesOf({ ...site, images }));
  if (file) writeFileSync(file, text);
  else process.stdout.write(text);
}

/**
 * Refuses images that are not what `images.verify` wants.
 * @param idOf asks an engine for the id of an image.
 */
async function verify(
  site: SiteConfig,
  where: string,
  idOf: (image: string) => Promise<string>,
): Promise<void> {
  if (site.images.verify === "none") return;
  const wrong: string[] = [];
  for (const [image, services] of imagesOf(site)) {
    const ids = services.flatMap((service) => imageIds(chosenImage(site, service)));
    const id = await idOf(image);
    if (!ids.includes(id)) wrong.push(`${image} is ${id || "missing"}`);
  }
  if (wrong.length > 0)
    throw new InputError(where, [
      ...wrong,
      "this is not the content that npx bess images pin has recorded: do not use it",
    ]);
}

const platforms = ["linux/arm64", "linux/amd64"] as const;

const idOf = ["image", "inspect", "--format", "{{.Id}}"];

const pinnedImages = Object.values({ ...images, ...hubImages });

/** Runs Docker's command line. @returns its exit code, and what it printed unless inherited. */
function docker(args: string[], stdio: "pipe" | "inherit" = "inherit") {
  const child = spawn("docker", args, { stdio: ["ignore", stdio, stdio], env: environment() });
  let output = "";
  child.stdout?.on("data", (data: Buffer) => (output += data.toString()));
  return new Promise<{ code: number | null; output: string }>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, output }));
  });
}

/** Saves a stack's images for the site's platform into one file; pulls what is not here. */
async function save(stack: string, file: string, platform: string): Promise<void> {
  const site = siteConfig(findSite(stack));
  const images = [...imagesOf(site).keys()];
  await pullHere(images, platform, (text) => process.stdout.write(text));
  await verify(site, "what this machine's engine has", async (image) =>
    (await docker([...idOf, image], "pipe")).output.trim(),
  );
  const saving = docker(["save", "--output", file, ...images]);
  const saved = await showProgress(`saving ${images.length} images into ${file}`, saving);
  if (saved.code !== 0) throw new Error(`the images cannot be saved into ${file}`);
  console.log(`${images.length} images for ${platform} saved into ${file}`);
}

/** Runs Docker's command line at a site's engine; over SSH where that is one of SSH's. */
function dockerAt(site: SiteConfig, args: string, stdio: StdioOptions) {
  const target = sshTargetOf(site);
  const env = { ...environment(), ...(site.engine && !target && { DOCKER_HOST: site.engine }) };
  return spawn("sh", ["-c", target ? remoteLine(target, `docker ${args}`) : `docker ${args}`], {
    stdio,
    env,
  });
}

/** Loads a file of images into the stack's engine, and verifies what is there then. */
async function load(stack: string, file: string): Promise<void> {
  if (!statSync(file, { throwIfNoEntry: false })?.isFile())
    refuse(`--file is ${file}: there is no such file; npx bess images save makes it`);
  const site = siteConfig(findSite(stack));
  const child = dockerAt(site, "load", ["pipe", "inherit", "inherit"]);
  const loading = new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) =>
      code === 0 ? resolve() : reject(new Error(`the images are not loaded (exit code ${code})`)),
    );
  });
  // The reason is what docker or ssh has said; a broken pipe says nothing more.
  if (child.stdin) createReadStream(file).pipe(child.stdin.on("error", () => undefined));
  await showProgress(`loading ${file} into ${site.name}`, loading);
  await verify(site, `what the engine of ${site.name} has`, async (image) => {
    const asked = dockerAt(site, [...idOf, quoted(image)].join(" "), ["ignore", "pipe", "inherit"]);
    return (asked.stdout ? await text(asked.stdout) : "").trim();
  });
}

const mirrorSchema = siteSchema.shape.images.unwrap().shape.mirror;

const recordsFile = "configs/registry.json";

/** Asks registries for digests, and records them. @returns 1 where something is left to decide. */
async function pin(own: string[], { mirror, renew }: { mirror?: string; renew?: true }) {
  for (const image of own)
    if (!pinnedImage.test(image) || image.includes("@"))
      refuse(
        `the image is ${image}: write it with a tag other than latest, such as telegraf:1.39.3-alpine`,
      );
  const path = join(root, recordsFile);
  const records = JSON.parse(readFileSync(path, "utf8")) as { images: Record<string, ImageRecord> };
  const registries = new Registries();
  const architectures = platforms.map((platform) => platform.replace("linux/", ""));
  const open = { differing: 0, failed: 0 };
  for (const image of new Set([...pinnedImages, ...own])) {
    const told = (word: string, what: string) => console.log(`${word.padEnd(9)} ${image}: ${what}`);
    const former = records.images[image];
    try {
      const found = await registries.record(fromMirror(mirror, image), architectures);
      const missing = Object.keys(former?.architectures ?? {}).filter(
        (architecture) => !found.architectures[architecture],
      );
      if (missing.length > 0) throw new Error(`it has no variant for ${missing.join(", ")}`);
      if (former?.digest && former.digest !== found.digest && !renew) {
        open.differing++;
        told("differs", `${former.digest} is recorded, and the registry has ${found.digest} now`);
        continue;
      }
      records.images[image] = found;
      writeFileSync(path, `${JSON.stringify(records, null, 2)}\n`);
      told(former?.digest === found.digest ? "same" : "recorded", found.digest ?? "");
    } catch (error) {
      open.failed++;
      told("FAILED", (error as Error).message);
    }
  }
  if (open.differing > 0)
    console.error(
      "A tag that has other content now was built anew, or tampered with: find out why, then take it " +
        "by --renew.",
    );
  return open.differing + open.failed > 0 ? 1 : 0;
}

/** Options of save and load. */
interface ImagesOptions {
  stack: string;
  file?: string;
}

const fileOption = () =>
  new Option("--file <path>", "the file of images (default: images-<stack>.tar)").argParser(
    writable,
  );
const fileOf = ({ stack, file }: ImagesOptions) =>
  file ?? `images-${stack.split("/").at(-1) ?? stack}.tar`;

/** A site's images: without a registry, and as a bill of materials. */
export function imagesCommand() {
  const command = bessCommand(
    "images",
    "Brings a site's pinned images to an engine that reaches no registry, and tells what they are.",
  ).example("Pull them here, then load them there", "images save --stack kiel-1");
  command.addCommand(
    bessCommand("save", "Pulls the images here, and saves them into one file.")
      .addOption(stackOption().default("dev"))
      .addOption(fileOption())
      .addOption(
        new Option("--platform <platform>", "platform of the site")
          .choices(platforms)
          .default("linux/arm64"),
      )
      .example("For a Raspberry Pi", "images save --stack kiel-1")
      .action(
        acting((asked: ImagesOptions & { platform: string }) =>
          save(asked.stack, fileOf(asked), asked.platform),
        ),
      ),
  );
  command.addCommand(
    bessCommand("load", "Loads such a file into the site's engine.")
      .addOption(stackOption().default("dev"))
      .addOption(fileOption())
      .example("Over SSH, where the site is behind SSH", "images load --stack kiel-1")
      .action(acting((asked: ImagesOptions) => load(asked.stack, fileOf(asked)))),
  );
  command.addCommand(
    bessCommand(
      "pin",
      `Asks the registry for the digests of the pinned images, and records them in ${recordsFile}.`,
    )
      .argument("[images...]", "images of your own to record too, by their tags")
      .option("--mirror <registry>", "ask this mirror of Docker Hub", asKey(mirrorSchema))
      .option("--renew", "take a digest that differs from the recorded one")
      .addHelpText(
        "after",
        `
A site uses them where its images.verify is digest: docs/images.md.

Exit code 1: an image has another digest than the recorded one, or could not be asked for.`,
      )
      .example("After an image is raised", "images pin")
      .example("With one of your own", "images pin registry.example/bess-interface:1.4.0")
      .action(acting(pin)),
  );
  command.addCommand(
    bessCommand(
      "sbom",
      "Tells what a site is made of, as a bill of materials in CycloneDX 1.6: its images, and the " +
        "npm packages of this program.",
    )
      .summary("Tells what a site is made of, in CycloneDX 1.6.")
      .addOption(stackOption().default("dev"))
      .option("--file <path>", "write it there (default: print it)", writable)
      .example(
        "For a scanner of vulnerabilities",
        "images sbom --stack kiel-1 --file kiel-1.cdx.json",
      )
      .action(acting(billOfMaterials)),
  );
  return command;
}
