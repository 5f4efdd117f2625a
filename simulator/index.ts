/** The simulated BESS, for programs of this repository; its container runs main.ts. */
export { simulate, type SimulatorConfig, type SimulatorHooks } from "./publisher";
