import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { rehearsedStack } from "../../automation/inline";

/**
 * Two stacks in one process, as `node cli/bess.js ../tests/support/beside FOLDER`: the program of `bad` fails while
 * that of `good` runs. Prints how each came out. A process of its own, for jest would take the failure for a test's.
 */
async function up(name: string, program: () => Promise<void>): Promise<string> {
  const { stack, close } = await rehearsedStack(name, {
    folder: process.argv[2],
    config: {},
    program,
  });
  return stack
    .up()
    .then(
      ({ summary }) => summary.result,
      (error: Error) => error.message,
    )
    .finally(close);
}

/** Something that is waited for, and the word that it is so. */
function signal() {
  let give = () => {};
  return { given: new Promise<void>((resolve) => (give = resolve)), give: () => give() };
}

async function main() {
  const [begun, over] = [signal(), signal()];
  const bad = async () => {
    await begun.given;
    const length = pulumi.output(8).apply((): number => {
      throw new Error("the host of bad is refused");
    });
    new random.RandomId("id", { byteLength: length });
  };
  const good = async () => {
    begun.give();
    await over.given;
    new random.RandomId("id", { byteLength: 8 });
  };
  const [badly, well] = await Promise.all([up("bad", bad).finally(over.give), up("good", good)]);
  console.log(JSON.stringify({ bad: badly, good: well }));
}

main().then(() => process.exit(0));
