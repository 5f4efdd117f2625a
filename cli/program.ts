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

/** Runs a command line. @param args what follows `npx bess`. */
export const run = (args: readonly string[]) =>
  // Rehearsed providers and tunnels would keep the process: it ends with its command.
  bess()
    .parseAsync(args, { from: "user" })
    .then(
      () => process.exit(),
      (error: Error) => {
        console.error(problem(error));
        process.exit(1);
      },
    );
