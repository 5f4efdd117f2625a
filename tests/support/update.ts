import { rehearsedStack } from "../../automation/inline";

/**
 * An update of a rehearsed site in a process of its own, as `node cli/bess.js ../tests/support/update JSON`. Where an
 * update fails, what the program was still registering is rejected in this process, which jest would take for its own.
 */
const { folder, config, faults } = JSON.parse(process.argv[2]);
rehearsedStack("dev", { folder, config, faults }).then(async ({ stack }) => {
  await stack
    .up({ onOutput: (text) => void process.stdout.write(text) })
    .catch(() => process.exit(1));
  process.exit(0);
});
