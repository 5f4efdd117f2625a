import * as pulumi from "@pulumi/pulumi";

/** What is at a site is refused. Pulumi shows the message alone, without a stack trace. */
export class Refused extends pulumi.RunError {
  constructor(message: string) {
    super(message);
    // Pulumi writes every property that the error passes through into its message; a person needs
    // the reasons alone.
    Object.defineProperty(this, "message", { get: () => message, set: () => {} });
  }
}
