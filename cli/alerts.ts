import { findSite, siteConfig } from "../configs/sites";
import { testContact } from "../fleet";
import { acting, bessCommand, refuse, stackOption } from "./command";

interface Options {
  stack: string;
  contact: string;
}

async function test({ stack, contact }: Options): Promise<void> {
  const site = siteConfig(findSite(stack));
  const names = Object.keys(site.alerts.contacts);
  if (!names.includes(contact))
    refuse(
      names.length > 0
        ? `--contact is ${contact}: the site has ${names.join(", ")}`
        : "the site has no contacts: write alerts.contacts",
    );
  await testContact(site, contact).catch((error: Error) => {
    throw new Error(`${contact} was not told: ${error.message}`);
  });
  console.log(`${contact} was told. Look whether it arrived.`);
}

/** What concerns a site's alerts. */
export const alertsCommand = () => {
  const command = bessCommand("alerts", "Tries out who is told of a site's alerts.").example(
    "Whether the duty is reached",
    "alerts test --stack kiel-1 --contact duty",
  );
  command.addCommand(
    bessCommand("test", "Sends one message to a contact, as an alert would.")
      .addOption(stackOption().default("dev"))
      .requiredOption("--contact <name>", "name of the contact in alerts.contacts")
      .example("Whether the duty is reached", "alerts test --stack kiel-1 --contact duty")
      .action(acting(test)),
  );
  return command;
};
