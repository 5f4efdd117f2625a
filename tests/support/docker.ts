import { spawnSync } from "node:child_process";

const docker = (...args: string[]) =>
  spawnSync("docker", args, { encoding: "utf8", timeout: 120_000 });

/** Whether a real Docker engine answers. Tests that need one are skipped, and counted, else. */
export const engineAnswers = docker("version", "--format", "{{.Server.Version}}").status === 0;

/** Whether the engine has an image, or can pull it. */
export const hasImage = (image: string): boolean =>
  engineAnswers &&
  (docker("image", "inspect", image).status === 0 || docker("pull", "-q", image).status === 0);
