import * as pulumi from "@pulumi/pulumi";
import { Site } from "./components/site";
import type { Settings } from "./configs/inventory";
import { parseSite } from "./configs/site";
import { openedSite } from "./configs/sites";
import { InputError } from "./configs/validation";
import { transformOf } from "./transform";

/**
 * The program of a site's stack, which Pulumi's command line, a rehearsal and a rollout run.
 * @returns the stack's outputs.
 */
export = async () => {
  const [stack, config] = [pulumi.getStack(), new pulumi.Config()];
  const commit = config.get("commit");
  try {
    const settings = parseSite(openedSite(stack, config.getObject<Settings>("site")));
    const site = new Site(stack, { ...settings, transform: transformOf(stack) });
    const { addresses, revision, gatewayPassword, grafanaPassword } = site;
    return { addresses, revision, gatewayPassword, grafanaPassword, ...(commit && { commit }) };
  } catch (error) {
    // Pulumi shows the message of a RunError alone; of any other error, the stack trace too.
    throw error instanceof InputError ? new pulumi.RunError(error.message) : error;
  }
};
