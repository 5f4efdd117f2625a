import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

/** A program that fails while it registers a resource. */
export = async () => {
  const length = pulumi.output(8).apply((): number => {
    throw new Error("the host is refused");
  });
  new random.RandomId("id", { byteLength: length });
  return { pid: process.pid };
};
