import { spawn, spawnSync } from "node:child_process";
import { createReadStream, existsSync } from "node:fs";
import { Command, Option } from "commander";
import { InputError } from "../configs/validation";
import { siteImages, siteServices } from "../configs/site";
import { remoteLine } from "../configs/ssh";
import { environment } from "../automation/programs";
import { findSite, siteConfig } from "../configs/sites";
import { reachOf } from "../automation/tunnel";

/** The images that a stack's site runs, each once. */
export function imagesOf(stack: string): string[] {
  const site = siteConfig(findSite(stack));
  const images = siteImages(site);
  return [...new Set(siteServices(site).map((service) => images[service]))];
}

const docker = (args: string[], stdio: "pipe" | "inherit" = "pipe") =>
  spawnSync("docker", args, {
    encoding: "utf8",
    stdio: ["ignore", stdio, stdio],
    env: environment(),
  });

/** Whether this machine's engine has an image for a platform. */
const has = (image: string, platform: string) =>
  docker(["image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", image]).stdout?.trim() ===
  platform;

/** Saves a stack's images for the site's platform into one file, pulling what this machine's engine lacks. */
function save(stack: string, file: string, platform: string): void {
  const images = imagesOf(stack);
  for (const image of images) {
    if (has(image, platform)) continue;
    if (docker(["pull", "--platform", platform, image], "inherit").status !== 0)
      throw new Error(`${image} cannot be pulled for ${platform}`);
    if (!has(image, platform)) throw new Error(`${image} has no variant for ${platform}`);
  }
  if (docker(["save", "--output", file, ...images], "inherit").status !== 0)
    throw new Error(`the images cannot be saved into ${file}`);
  console.log(`${images.length} images for ${platform} saved into ${file}`);
}

/** Loads a file of images into the stack's engine; over SSH where that is one of SSH's. */
function load(stack: string, file: string): Promise<void> {
  if (!existsSync(file))
    throw new InputError("the command line", [
      `--file is ${file}: there is no such file; npm run images -- save makes it`,
    ]);
  const site = siteConfig(findSite(stack));
  const reach = reachOf(site);
  const env = { ...environment(), ...(site.engine && !reach && { DOCKER_HOST: site.engine }) };
  const child = spawn("sh", ["-c", reach ? remoteLine(reach, "docker load") : "docker load"], {
    stdio: ["pipe", "inherit", "inherit"],
    env,
  });
  // The reason is what docker or ssh has said; a broken pipe says nothing more.
  createReadStream(file).pipe(child.stdin.on("error", () => undefined));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) =>
      code === 0 ? resolve() : reject(new Error(`the images are not loaded (exit code ${code})`)),
    );
  });
}

// Run as a command, which cli/bess.js begins; a test only imports it.
if (require.main?.path === __dirname) {
  const command = new Command("npm run images --")
    .description("Brings a site's pinned images to an engine that reaches no registry.")
    .showHelpAfterError();
  const action = (name: "save" | "load", does: string) =>
    command
      .command(name)
      .description(does)
      .option("--stack <name>", "stack of the site", "dev")
      .option("--file <path>", "the file of images (default: images-<stack>.tar)");
  action("save", "pulls the images here, and saves them into one file")
    .addOption(
      new Option("--platform <platform>", "platform of the site")
        .choices(["linux/arm64", "linux/amd64"])
        .default("linux/arm64"),
    )
    .action(({ stack, file = `images-${stack}.tar`, platform }) => save(stack, file, platform));
  action("load", "loads such a file into the site's engine").action(
    ({ stack, file = `images-${stack}.tar` }) => load(stack, file),
  );
  command.parseAsync().catch((error: Error) => {
    console.error(error.message);
    process.exit(1);
  });
}
