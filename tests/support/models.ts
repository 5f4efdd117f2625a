import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";

interface ModelFile {
  measurements: { name: string; fields: object[] }[];
}

/** Writes the default telemetry model with another first field of `battery`. @returns its path. */
export function modelWithField(folder: string, field: object): string {
  const model: ModelFile = parse(readFileSync("configs/telemetry.yaml", "utf8"));
  const battery = model.measurements.find(({ name }) => name === "battery");
  if (!battery) throw new Error("configs/telemetry.yaml has no measurement battery");
  battery.fields.unshift(field);
  const file = join(folder, "model.yaml");
  writeFileSync(file, stringify(model));
  return file;
}
