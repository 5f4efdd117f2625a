import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { first, loadModel } from "../../configs/model";

const recorded = join(__dirname, "../../../shared/data/m5bat/batt10-2023-04-13.csv.gz");

/** Why the recorded day of M5BAT cannot be had; undefined where it can. */
export const noM5bat = existsSync(recorded) ? undefined : "the record of M5BAT is missing";

/** The table that the day is of. */
export const m5batUnit = first(loadModel("configs/models/m5bat.yaml").measurements);

/** Values of each second of the day, in the record's own units: the state of charge is a tenth of a %. */
export function* m5batDay() {
  const lines = gunzipSync(readFileSync(recorded)).toString().trim().split("\n");
  for (const line of lines.slice(1, 86_401)) {
    const [, , , p = 0, , soc = 0, , , pq = 0, stop = 0, silent = 0, wait = 0] = line
      .split(",")
      .map(Number);
    yield { p, soc, pq, stop, silent, wait };
  }
}

/** What is reckoned of the day by awk, so that no slip of this project is in it. */
export const m5batByHand = { energy_charged: 712.381388889, energy_discharged: 614.671388889 };
