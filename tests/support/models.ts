import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";

interface ModelFile {
  measurements: MeasurementEntry[];
}

/** A measurement, as the file has it. */
interface MeasurementEntry {
  name: string;
  topic: string;
  fields: object[];
}

/** Writes the default telemetry model with another first field of `battery`. @returns its path. */
export const modelWithField = (folder: string, field: object): string =>
  modelWith(folder, (battery) => battery.fields.unshift(field));

/** Writes the default telemetry model with a change of `battery`. @returns its path. */
export function modelWith(folder: string, change: (battery: MeasurementEntry) => void): string {
  const model: ModelFile = parse(readFileSync("configs/telemetry.yaml", "utf8"));
  const battery = model.measurements.find(({ name }) => name === "battery");
  if (!battery) throw new Error("configs/telemetry.yaml has no measurement battery");
  change(battery);
  const file = join(folder, "model.yaml");
  writeFileSync(file, stringify(model));
  return file;
}
