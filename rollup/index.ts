/** The rollups of a site, for programs of this repository; its container runs main.ts. */
export { line, seriesOf, type TagValues, TierLines } from "./lines";
export { encode, type Series } from "./remote-write";
export { type Bucket, MergedBuckets, RowBuckets, type Value } from "./roll";
export { layoutOf } from "./roller";
export { runRollup, type RollupHooks, type ServiceConfig } from "./service";
