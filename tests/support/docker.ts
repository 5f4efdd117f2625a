import { spawnSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const docker = (...args: string[]) =>
  spawnSync("docker", args, { encoding: "utf8", timeout: 120_000 });

/** Whether a real Docker engine answers. Tests that need one are skipped, and counted, else. */
export const engineAnswers = docker("version", "--format", "{{.Server.Version}}").status === 0;

/** Whether the engine has an image, or can pull it. */
export const hasImage = (image: string): boolean =>
  engineAnswers &&
  (docker("image", "inspect", image).status === 0 || docker("pull", "-q", image).status === 0);

/** A line that `docker inspect` prints for a script that reads containers. */
export const containerFacts = (
  name: string,
  { state = "running", health = "healthy", restarts = 0, exitCode = 0 } = {},
): string =>
  `/${name}|${name.split("-").at(-1)}|${state}|${health}|${restarts}|${exitCode}|false|2026-11-27T12:00:00.5Z|ab12`;

/** How a script asks for such lines. */
export const askingForFacts = "inspect --format {{.Name}}";

/**
 * Puts a stand-in for Docker's client into a folder: it notes what it is asked in the file `asked`,
 * and answers by the case.
 * @param cases a shell command by a part of what is asked.
 */
export function standInForDocker(folder: string, cases: Record<string, string>): void {
  const answers = Object.entries(cases).map(([asked, answer]) => `*"${asked}"*) ${answer} ;;`);
  const asked = join(folder, "asked");
  const file = join(folder, "docker");
  writeFileSync(
    file,
    `#!/bin/sh\necho "$@" >> ${asked}\ncase "$*" in\n${answers.join("\n")}\nesac\n`,
  );
  chmodSync(file, 0o755);
  writeFileSync(asked, "");
}
