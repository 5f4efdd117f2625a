// Previews and deploys the compiled program, and prints what that changed.
const { LocalWorkspace } = require("@pulumi/pulumi/automation");

const [stackName, config, name = "index"] = [
  process.argv[2],
  JSON.parse(process.argv[3]),
  process.argv[4],
];

/** Runs the program anew each time. */
const program = async () => {
  const file = require.resolve(`./build/${name}.js`);
  delete require.cache[file];
  const made = require(file);
  return typeof made === "function" ? made() : { ...made };
};

async function main() {
  const stack = await LocalWorkspace.createOrSelectStack({
    stackName,
    projectName: "consumer",
    program,
  });
  await stack.setAllConfig(config);
  const preview = await stack.preview();
  const { outputs } = await stack.up();
  const after = await stack.preview();
  console.log(
    JSON.stringify({
      package: require.resolve("bess-telemetry"),
      preview: preview.changeSummary,
      after: after.changeSummary,
      outputs,
    }),
  );
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
