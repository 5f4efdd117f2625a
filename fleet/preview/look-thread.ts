import { parentPort, workerData } from "node:worker_threads";
import { look, type Look } from "./look";
import { PlanStore } from "./plans";

/** What a thread that looks at states starts with. */
export interface LookData {
  /** Folder of the store of plans. */
  folder: string;
  /** Digest of the code. */
  code: string;
}

const { folder, code } = workerData as LookData;
const store = new PlanStore(folder);
parentPort?.on("message", (looks: Look[]) =>
  parentPort?.postMessage(looks.map((one) => look(one, store, code))),
);
