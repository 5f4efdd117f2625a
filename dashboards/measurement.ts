import { createHash } from "node:crypto";
import type { Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import type { Field, Measurement } from "../configs/model";
import { uid as alertsUid } from "./alerts";
import { cells } from "./cells";
import * as panels from "./panels";
import { uid as performanceUid } from "./performance";
import * as queries from "./queries";

type Circuit = Field["circuit"];

const circuitTitles: Record<Circuit, string> = {
  dc: "DC",
  ac_a: "Phase A",
  ac_b: "Phase B",
  ac_c: "Phase C",
};

/** A row of a dashboard. */
interface Section {
  title: string;
  panels: panels.AnyPanel[];
}

/** The power of a circuit, where it can be derived and the measurement has no power of its own. */
function circuitPower(m: Measurement, circuit: Circuit) {
  if (m.fields.some((f) => f.quantity === "power")) return [];
  const derivable = queries.poweredCircuits(m).filter((powered) => powered.circuit === circuit);
  return derivable.map((powered) => {
    const power = queries.derivedPower(m, [powered], `Power, ${circuitTitles[circuit]}`);
    return panels.powerLines(m, power, power.title);
  });
}

const belongsToCircuit = (f: Field) => f.quantity === "voltage" || f.quantity === "current";

function circuitSection(m: Measurement, circuit: Circuit): Section {
  const fields = m.fields.filter((f) => belongsToCircuit(f) && f.circuit === circuit);
  return {
    title: circuitTitles[circuit],
    panels: [...fields.map((f) => panels.fieldLines(m, f)), ...circuitPower(m, circuit)],
  };
}

/** Numbers by circuit where a measurement has several circuits, else all in one row. */
function numberSections(m: Measurement): Section[] {
  const numbers = m.fields.filter((f) => !queries.isState(f));
  const circuits = [...new Set(numbers.filter(belongsToCircuit).map((f) => f.circuit))];
  if (circuits.length < 2) return [valuesSection(m, numbers, circuits)];
  const others = numbers.filter((f) => !belongsToCircuit(f));
  return [valuesSection(m, others), ...circuits.map((circuit) => circuitSection(m, circuit))];
}

const valuesSection = (m: Measurement, fields: Field[], circuits: Circuit[] = []): Section => ({
  title: "Values",
  panels: [
    ...fields.map((f) => panels.fieldLines(m, f)),
    ...circuits.flatMap((circuit) => circuitPower(m, circuit)),
  ],
});

function stateSection(m: Measurement): Section {
  const flags = queries.modeFlags(m);
  const others = m.fields.filter((f) => queries.isState(f) && !flags.includes(f));
  return {
    title: "State",
    panels: [
      ...(flags.length > 0 ? [panels.flagStates(m)] : []),
      ...others.map((f) => panels.fieldStates(m, f)),
    ],
  };
}

/** uids of the dashboards and folders that are there whatever the model. */
const taken = ["bess-overview", performanceUid, alertsUid, "bess-alerts", "bess-pipeline"];

/** Characters that Grafana accepts in a uid. */
const longest = 40;

/** uid of a measurement's dashboard. */
export function measurementUid(m: Measurement): string {
  const uid = `bess-${m.name}`;
  if (uid.length <= longest && !taken.includes(uid)) return uid;
  const hash = createHash("sha256").update(m.name).digest("hex").slice(0, 8);
  return `${uid.slice(0, longest - 9)}-${hash}`;
}

/** All fields of one measurement, for the units that are chosen. */
export function measurement(m: Measurement, title: string): Dashboard {
  const board = panels.board(measurementUid(m), title, m.meaning);
  m.tags.forEach((t) =>
    board.withVariable(panels.tagVariable([m.name], t.name, queries.sentence(t.meaning))),
  );
  // Hundreds of cells are to be shown within a second.
  if (queries.cellTag(m)) board.time({ from: "now-5m", to: "now" });
  panels.place(board, 6, [panels.valuesTable(m)]);
  [stateSection(m), { title: "Cells", panels: cells(m) }, ...numberSections(m)]
    .filter((section) => section.panels.length > 0)
    .forEach((section) => {
      panels.row(board, section.title);
      panels.place(board, section.title === "State" ? 5 : 8, section.panels);
    });
  return panels.finished(board);
}
