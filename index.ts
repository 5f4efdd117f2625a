import * as pulumi from "@pulumi/pulumi";
import { siteOfStack } from "./components/stack";
import { transformOf } from "./transform";

/** The program of a site's stack. @returns the stack's outputs. */
export = async () => {
  const config = new pulumi.Config();
  const commit = config.get("commit");
  const {
    addresses,
    revision,
    gatewayPassword,
    gatewayPasswords,
    grafanaPassword,
    backupPassword,
  } = siteOfStack(config, transformOf);
  return {
    addresses,
    revision,
    gatewayPassword,
    grafanaPassword,
    ...(gatewayPasswords && { gatewayPasswords }),
    ...(backupPassword && { backupPassword }),
    ...(commit && { commit }),
  };
};
