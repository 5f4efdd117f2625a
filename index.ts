import * as pulumi from "@pulumi/pulumi";
import { Site } from "./components/site";

/** The program of a site's stack: Pulumi's command line runs it, and a rehearsal. @returns the stack's outputs. */
export = async () => {
  const site = new Site(pulumi.getStack(), new pulumi.Config().requireObject("site"));
  const { addresses, revision, gatewayPassword, grafanaPassword } = site;
  return { addresses, revision, gatewayPassword, grafanaPassword };
};
