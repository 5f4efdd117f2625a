import { spawn } from "node:child_process";
import { createReadStream, statSync, writeFileSync } from "node:fs";
import { Option } from "commander";
import { environment, showProgress, sshTargetOf } from "../automation";
import type { Service } from "../configs/images";
import { type SiteConfig, siteImages, siteServices } from "../configs/site";
import { findSite, siteConfig } from "../configs/sites";
import { remoteLine } from "../configs/ssh";
import { acting, bessCommand, refuse, stackOption, writable } from "./command";
import { sbomOf } from "./images/sbom";

/** The images that a site runs, each with its services. */
function imagesOf(site: SiteConfig): Map<string, Service[]> {
  const [images, found] = [siteImages(site), new Map<string, Service[]>()];
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

/** Whether this machine's engine has an image for a platform. */
async function has(image: string, platform: string): Promise<boolean> {
  const inspect = ["image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", image];
  return (await docker(inspect, "pipe")).output.trim() === platform;
}

/** Saves a stack's images for the site's platform into one file; pulls what is not here. */
async function save(stack: string, file: string, platform: string): Promise<void> {
  const images = [...imagesOf(siteConfig(findSite(stack))).keys()];
  for (const image of images) {
    if (await has(image, platform)) continue;
    if ((await docker(["pull", "--platform", platform, image])).code !== 0)
      throw new Error(`${image} cannot be pulled for ${platform}`);
    if (!(await has(image, platform))) throw new Error(`${image} has no variant for ${platform}`);
  }
  const saving = docker(["save", "--output", file, ...images]);
  const saved = await showProgress(`saving ${images.length} images into ${file}`, saving);
  if (saved.code !== 0) throw new Error(`the images cannot be saved into ${file}`);
  console.log(`${images.length} images for ${platform} saved into ${file}`);
}

/** Loads a file of images into the stack's engine; over SSH where that is one of SSH's. */
function load(stack: string, file: string): Promise<void> {
  if (!statSync(file, { throwIfNoEntry: false })?.isFile())
    refuse(`--file is ${file}: there is no such file; npx bess images save makes it`);
  const site = siteConfig(findSite(stack));
  const target = sshTargetOf(site);
  const env = { ...environment(), ...(site.engine && !target && { DOCKER_HOST: site.engine }) };
  const child = spawn("sh", ["-c", target ? remoteLine(target, "docker load") : "docker load"], {
    stdio: ["pipe", "inherit", "inherit"],
    env,
  });
  // The reason is what docker or ssh has said; a broken pipe says nothing more.
  createReadStream(file).pipe(child.stdin.on("error", () => undefined));
  const loading = new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) =>
      code === 0 ? resolve() : reject(new Error(`the images are not loaded (exit code ${code})`)),
    );
  });
  return showProgress(`loading ${file} into ${site.name}`, loading);
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
          .choices(["linux/arm64", "linux/amd64"])
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
