import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

/**
 * A generated password of 40 letters and digits.
 * @param rotation a new value makes a new password.
 */
export function password(
  name: string,
  rotation: string | undefined,
  parent: pulumi.Resource,
): pulumi.Output<string> {
  const keepers = { rotation: rotation ?? "" };
  return new random.RandomPassword(
    name,
    { length: 40, special: false, keepers },
    { parent, additionalSecretOutputs: ["result", "bcryptHash"] },
  ).result;
}
