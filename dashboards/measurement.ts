import { createHash } from "node:crypto";
import type { Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import type { Field, Measurement } from "../configs/model";
import * as panels from "./panels";
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

/** The power of a circuit, unless the measurement knows its power itself. */
function circuitPower(m: Measurement, circuit: Circuit) {
  if (m.fields.some((f) => f.quantity === "power") || !queries.derivable(m).includes(circuit))
    return [];
  const power = queries.derivedPower(m, [circuit], `Power, ${circuitTitles[circuit]}`);
  return [panels.powerLines(m, power, power.title)];
}

const ofCircuit = (f: Field) => f.quantity === "voltage" || f.quantity === "current";

function circuitSection(m: Measurement, circuit: Circuit): Section {
  const fields = m.fields.filter((f) => ofCircuit(f) && f.circuit === circuit);
  return {
    title: circuitTitles[circuit],
    panels: [...fields.map((f) => panels.fieldLines(m, f)), ...circuitPower(m, circuit)],
  };
}

/** Numbers by circuit where a measurement has several, else all in one row. */
function numberSections(m: Measurement): Section[] {
  const numbers = m.fields.filter((f) => !queries.isState(f));
  const present = [...new Set(numbers.filter(ofCircuit).map((f) => f.circuit))];
  if (present.length < 2)
    return [
      {
        title: "Values",
        panels: [
          ...numbers.map((f) => panels.fieldLines(m, f)),
          ...present.flatMap((c) => circuitPower(m, c)),
        ],
      },
    ];
  const others = numbers.filter((f) => !ofCircuit(f));
  return [
    { title: "Values", panels: others.map((f) => panels.fieldLines(m, f)) },
    ...present.map((c) => circuitSection(m, c)),
  ];
}

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

/** uids that are taken, and the longest that Grafana accepts. */
const taken = ["bess-overview", "bess-pipeline"];
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
  panels.place(board, 6, [panels.valuesTable(m)]);
  [stateSection(m), ...numberSections(m)]
    .filter((section) => section.panels.length > 0)
    .forEach((section) => {
      panels.row(board, section.title);
      panels.place(board, section.title === "State" ? 5 : 8, section.panels);
    });
  return panels.finished(board);
}
