/** The rollups of a site, for programs of this repository; its container runs main.ts. */
export { runRollup, type RollupHooks } from "./service";
