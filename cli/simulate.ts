import { InvalidArgumentError, Option } from "commander";
import { checkSite } from "../configs/checks";
import { scenarioFindings, scenarioNames } from "../configs/scenarios";
import { normal, type Order } from "../configs/simulator";
import { findSite, siteConfig } from "../configs/sites";
import { durationPattern, durationSeconds, durationWithin } from "../configs/units";
import { orderAt } from "../fleet";
import { acting, bessCommand, number, refuse, stackOption } from "./command";

interface Options {
  stack: string;
  scenario: Order["scenario"];
  unit: number;
  /** Seconds. */
  for?: number;
}

function faultTime(text: string): number {
  if (!durationPattern.test(text) || !durationWithin("1s", "366d")(text))
    throw new InvalidArgumentError("Write a duration from 1s to 366d, such as 10m.");
  return durationSeconds(text);
}

async function simulate({ stack, scenario, unit, for: seconds }: Options): Promise<void> {
  const { config, model } = checkSite(siteConfig(findSite(stack)));
  const { enabled, units } = config.simulator;
  if (!enabled) refuse(`${config.name} has no simulator: set simulator.enabled: true and run up`);
  if (unit > units) refuse(`--unit is ${unit}: the site simulates units 1 to ${units}`);
  const findings = scenario === normal ? [] : scenarioFindings("--scenario", scenario, model);
  if (findings.length > 0) refuse(findings.join("; "));
  const until = seconds === undefined ? null : Date.now() + seconds * 1000;
  await orderAt(config, { scenario, unit, until }).catch((error: Error) => {
    throw new Error(`The simulator of ${config.name} is not told: ${error.message}`);
  });
  const end = until === null ? "" : ` until ${new Date(until).toISOString().slice(0, 19)}Z`;
  console.log(
    scenario === normal
      ? `${config.name}: no unit has a fault${end}.`
      : `${config.name}: unit ${unit} has the fault ${scenario}${end}.`,
  );
}

const details = `
docs/simulator.md says what happens in each scenario, and which models can show it. A fault takes the
place of the one before. Without --for it lasts until the next call, or the container's restart; after
it, what simulator.scenario says holds again.`;

/** Gives a unit of a running simulator a fault. */
export const simulateCommand = () =>
  bessCommand("simulate", "Gives a unit of a site's simulator a fault, to see who notices.")
    .addOption(stackOption().default("dev"))
    .addOption(
      new Option("--scenario <name>", "the fault; normal: none")
        .choices([...scenarioNames, normal])
        .makeOptionMandatory(),
    )
    .option("--unit <number>", "number of the unit", number(1), 1)
    .option("--for <duration>", "how long", faultTime)
    .addHelpText("after", details)
    .example(
      "Does anybody notice a hot cell?",
      "simulate --stack kiel-1 --scenario cell-overheats --for 10m",
    )
    .example("Enough", "simulate --stack kiel-1 --scenario normal")
    .action(acting(simulate));
