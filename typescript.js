// Lets this process read TypeScript: bess, and every worker process.
const { join } = require("node:path");

require("ts-node").register({ project: join(__dirname, "tsconfig.json") });
// Pulumi's SDK takes a stack trace for every promise. To read each as TypeScript's lines takes half
// of a preview's time.
if (!process.env.NODE_DEBUG) delete Error.prepareStackTrace;
