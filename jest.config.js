// Pulumi writes a whole state before and after each resource, which is half of the time of an update on a
// simulated site. Only a test that kills one needs it.
process.env.PULUMI_SKIP_CHECKPOINTS ??= "true";

/** @type {import("jest").Config} */
module.exports = {
  testEnvironment: "node",
  roots: ["<rootDir>/tests"],
  testSequencer: "<rootDir>/tests/sequencer.js",
  transform: { "^.+\\.ts$": ["@swc/jest", { jsc: { target: "es2022" } }] },
  collectCoverageFrom: ["configs/**/*.ts", "components/**/*.ts", "fleet/**/*.ts", "policy/**/*.ts"],
  coverageReporters: ["text"],
  // The tests of the real programs start a broker, Telegraf and InfluxQL engines, and wait for them: two cores carry three tests.
  maxWorkers: 3,
  testTimeout: 60000,
};
