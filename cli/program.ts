import { alertsCommand } from "./alerts";
import { backupCommand, backupsCommand } from "./backup";
import { ci } from "./ci";
import { clonesCommand, rollbackDataCommand } from "./clones";
import { bessCommand, problem } from "./command";
import { checkCommand } from "./check";
import { docs } from "./docs";
import { down } from "./down";
import { exportCommand } from "./export";
import { fleet } from "./fleet";
import { imagesCommand } from "./images";
import { importCommand } from "./import";
import { learnCommand } from "./learn";
import { list } from "./list";
import { muteCommand } from "./mute";
import { migrateCommand } from "./migrate";
import { openCommand } from "./open";
import { preview } from "./preview";
import { refresh } from "./refresh";
import { rehearseCommand } from "./rehearse";
import { replayCommand } from "./replay";
import { simulateCommand } from "./simulate";
import { restoreCommand } from "./restore";
import { lint, test } from "./test";
import { status } from "./status";
import { strays } from "./strays";
import { up } from "./up";

const commands = [
  up,
  preview,
  refresh,
  down,
  openCommand,
  imagesCommand,
  checkCommand,
  learnCommand,
  replayCommand,
  exportCommand,
  importCommand,
  rehearseCommand,
  simulateCommand,
  backupCommand,
  backupsCommand,
  restoreCommand,
  list,
  status,
  strays,
  alertsCommand,
  muteCommand,
  clonesCommand,
  rollbackDataCommand,
  migrateCommand,
  fleet,
  ci,
  docs,
  lint,
  test,
];

/** The program `bess` with all its commands. */
export function bess() {
  const program = bessCommand("bess", "Deploys and runs the telemetry pipelines of battery sites.")
    .usage("<command> [options]")
    .enablePositionalOptions();
  for (const make of commands) program.addCommand(make(program));
  return program.example("What a command takes", "up --help");
}

/** Waits until a reader has taken what was written: an exit would cut it off at a pipe's 64 KiB. */
const flushed = (stream: NodeJS.WriteStream) =>
  new Promise<void>((resolve) => stream.write("", () => resolve()));

/** Ends this process, its last words said. */
const end = async () => {
  await Promise.all([process.stdout, process.stderr].map(flushed));
  process.exit();
};

/** Runs a command line. @param args what follows `npx bess`. */
export function run(args: readonly string[]): Promise<void> {
  // Who reads no further, such as head, ends the command.
  process.stdout.once("error", () => process.exit(1));
  // Rehearsed providers and tunnels would keep the process: it ends with its command.
  return bess()
    .parseAsync(args, { from: "user" })
    .catch((error: Error) => {
      console.error(problem(error));
      process.exitCode = 1;
    })
    .then(end);
}
