// The rooms of the house, and which rooms each may import: CONTRIBUTING.md tells why.
const rooms = {
  configs: [],
  dashboards: ["configs"],
  alerts: ["configs", "dashboards"],
  policy: ["configs"],
  rollup: ["configs"],
  simulator: ["configs"],
  components: ["configs", "dashboards", "alerts"],
  rehearsal: ["configs"],
  automation: ["rehearsal", "components", "dashboards", "configs"],
  fleet: ["automation", "rehearsal", "policy", "dashboards", "configs"],
  cli: ["fleet", "automation", "rehearsal", "simulator", "policy", "alerts", "configs"],
  // It also measures the real programs, which the tests' support starts.
  bench: [
    "fleet",
    "automation",
    "rehearsal",
    "dashboards",
    "rollup",
    "simulator",
    "policy",
    "configs",
    "tests/support",
  ],
};

/** Rooms that others enter by their index.ts alone. */
const doors = [
  "alerts",
  "automation",
  "dashboards",
  "fleet",
  "policy",
  "rehearsal",
  "rollup",
  "simulator",
];

/** A stack's program and its transforms stand outside the rooms: only what runs them imports them. */
const program = {
  name: "program",
  from: {
    path: "^(configs|dashboards|alerts|policy|rollup|simulator|components|rehearsal|fleet|cli)/",
  },
  to: { path: "^(index|transform)\\.ts$" },
};

/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: "no-cycle",
      comment: "Two files that import each other cannot be read, or changed, one at a time.",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    ...Object.entries(rooms).map(([room, allowed]) => ({
      name: `${room}-imports`,
      comment: `${room}/ may import ${allowed.join(", ") || "no other room"}.`,
      severity: "error",
      from: { path: `^${room}/` },
      to: {
        path: `^(${Object.keys(rooms).join("|")}|tests)/`,
        pathNot: `^(${[room, ...allowed].join("|")})/`,
      },
    })),
    ...doors.map((room) => ({
      name: `${room}-door`,
      comment: `${room}/ is entered by ${room}/index.ts.`,
      severity: "error",
      from: { path: "^[a-z]+/", pathNot: `^(${room}|tests)/` },
      to: { path: `^${room}/`, pathNot: `^${room}/index\\.ts$` },
    })),
    {
      ...program,
      comment: "index.ts and transform.ts are run by Pulumi and by automation/.",
      severity: "error",
    },
    {
      name: "no-pulumi-in-pure-rooms",
      comment:
        "configs/, dashboards/, alerts/, rollup/ and simulator/ are pure: they never import Pulumi.",
      severity: "error",
      from: { path: "^(configs|dashboards|alerts|rollup|simulator)/" },
      to: { path: "node_modules/@pulumi" },
    },
    {
      name: "resources-in-components",
      comment: "Only components/ makes resources.",
      severity: "error",
      from: { path: "^[a-z]+/", pathNot: "^(components|tests)/" },
      to: { path: "node_modules/(@pulumi/(docker|random|command)|@pulumiverse/grafana)/" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
  },
};
