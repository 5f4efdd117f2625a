import { readdirSync } from "node:fs";
import { join } from "node:path";
import { loadModel, type Model } from "../../configs/model";
import { type Drop, readerOf, type StoredPoint } from "../../configs/reading";
import type { Scenario } from "../../configs/scenarios";
import { messagesOf } from "../../simulator/payload";
import { advance, startSimulation, type Unit, withFault } from "../../simulator/units";

const root = join(__dirname, "../..");

/** Every model of the project, the default one first. */
export const projectModels: Model[] = [
  loadModel(join(root, "configs/telemetry.yaml")),
  ...readdirSync(join(root, "configs/models"))
    .filter((file) => file.endsWith(".yaml"))
    .map((file) => loadModel(join(root, "configs/models", file))),
];

/** A simulation on a clock of its own. */
export interface SimulatedTime {
  model: Model;
  /** Time of the first step, in ms since 1970. */
  from: number;
  /** How long, in s. */
  seconds: number;
  /** Time between two messages of a unit, in s. */
  interval: number;
  units?: number;
  /** Fault of the first unit, from `faultFrom` s on. */
  scenario?: Scenario | undefined;
  faultFrom?: number;
  faultFor?: number;
}

/** One step: what its messages give once they are read. */
export interface SimulatedStep {
  /** Time of the step, in ms since 1970. */
  time: number;
  units: Unit[];
  points: StoredPoint[];
  drops: Drop[];
}

/** Runs the simulator, and reads what it publishes as Telegraf's program does. */
export function* simulated({
  model,
  from,
  seconds,
  interval,
  units = 2,
  scenario,
  faultFrom = 0,
  faultFor = Infinity,
}: SimulatedTime): Generator<SimulatedStep> {
  const read = readerOf(model, "90d");
  let running = startSimulation(model, units, 1);
  for (let at = interval; at <= seconds; at += interval) {
    const isFaulty = scenario && at > faultFrom && at <= faultFrom + faultFor;
    running = advance(withFault(running, isFaulty ? { scenario, unit: 1 } : undefined), interval);
    const time = from + Math.round(at * 1000);
    const messages = running.flatMap((unit) => messagesOf(model, unit, time));
    const found = messages.map(([topic, payload]) =>
      read(topic, payload, BigInt(time) * 1_000_000n),
    );
    yield {
      time,
      units: running,
      points: found.flatMap(({ points }) => points),
      drops: found.flatMap(({ drops }) => drops),
    };
  }
}
