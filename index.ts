import * as pulumi from "@pulumi/pulumi";
import { Site } from "./components/site";

/** The program of a site's stack: Pulumi's command line runs it, a rehearsal, and a rollout. @returns the stack's outputs. */
export = async () => {
  const config = new pulumi.Config();
  const commit = config.get("commit");
  const { addresses, revision, gatewayPassword, grafanaPassword } = new Site(
    pulumi.getStack(),
    config.requireObject("site"),
  );
  return { addresses, revision, gatewayPassword, grafanaPassword, ...(commit && { commit }) };
};
