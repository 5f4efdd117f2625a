import type * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

/**
 * A generated password of 40 letters and digits, kept in the stack's state; secret.
 * @param rotation a new value makes a new password. Default: the first password stays.
 */
export function password(
  name: string,
  rotation: pulumi.Input<string> | undefined,
  parent: pulumi.Resource,
): pulumi.Output<string> {
  const keepers = { rotation: rotation ?? "" };
  return new random.RandomPassword(
    name,
    { length: 40, special: false, keepers },
    { parent, additionalSecretOutputs: ["result", "bcryptHash"] },
  ).result;
}
