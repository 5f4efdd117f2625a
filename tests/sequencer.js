// Jest begins with the tests that take longest, for one of them begun last would run alone at the end. A
// clean checkout does not know the times of a run before, which Jest would go by.
const { relative } = require("node:path");
const Sequencer = require("@jest/test-sequencer").default;

/** The longest first, by the wall time of a whole run on two cores: those that wait, too. */
const longest = [
  "configs/backup",
  "fleet/rollout",
  "fleet/workflow-steps",
  "rehearsal/engine",
  "configs/clones",
  "fleet/report",
  "cli/replay",
  "cli/fleet",
  "package/package",
  "fleet/preview",
  "cli/fleet-losses",
  "configs/counted",
  "cli/backend",
  "fleet/revision",
  "cli/commands",
  "fleet/gitlab",
  "fleet/every-change",
  "configs/arrival",
  "components/host",
  "configs/mosquitto",
  "alerts/scenarios",
  "cli/clones",
  "simulator/scenarios",
  "components/transform",
  "components/site",
  "configs/datapath",
  "configs/full-disk",
  "automation/workers",
  "configs/hostile",
  "configs/cases",
  "configs/shellcheck",
];

module.exports = class extends Sequencer {
  static longest = longest;

  sort(tests) {
    const places = new Map(longest.map((name, place) => [`tests/${name}.test.ts`, place]));
    const place = ({ path, context }) =>
      places.get(relative(context.config.rootDir, path)) ?? longest.length;
    // Stable: the others stay as Jest sorts them, those that failed before first.
    return super.sort(tests).sort((a, b) => place(a) - place(b));
  }
};
