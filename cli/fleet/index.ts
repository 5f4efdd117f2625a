import { bessCommand } from "../command";
import { fleetAdd } from "./add";
import { fleetMatrix, fleetRender } from "./ci";
import { fleetAudit, fleetReport } from "./evidence";
import { fleetList } from "./list";
import { fleetPreview } from "./preview";
import { fleetResume, fleetRollback, fleetUp } from "./rollout";
import { fleetDown, fleetDrift, fleetRefresh, fleetStatus, fleetVerify } from "./sites";

const commands = [
  fleetList,
  fleetAdd,
  fleetPreview,
  fleetUp,
  fleetResume,
  fleetRollback,
  fleetReport,
  fleetAudit,
  fleetStatus,
  fleetDrift,
  fleetRefresh,
  fleetVerify,
  fleetDown,
  fleetMatrix,
  fleetRender,
];

/** Works on many sites. */
export function fleet() {
  const command = bessCommand("fleet", "Works on the sites of fleet/fleet.yaml: docs/fleet.md.");
  for (const make of commands) command.addCommand(make());
  return command.example("Roll this commit out, wave by wave", "fleet up --budget 1");
}
