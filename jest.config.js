/** @type {import("jest").Config} */
module.exports = {
  testEnvironment: "node",
  roots: ["<rootDir>/tests"],
  transform: { "^.+\\.ts$": ["@swc/jest", { jsc: { target: "es2022" } }] },
  collectCoverageFrom: ["configs/**/*.ts", "components/**/*.ts", "fleet/**/*.ts", "policy/**/*.ts"],
  coverageReporters: ["text"],
  // The tests of the real programs start a broker, Telegraf and InfluxQL engines; two cores carry two of them.
  maxWorkers: 2,
  testTimeout: 60000,
};
