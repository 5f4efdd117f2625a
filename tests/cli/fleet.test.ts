import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { exitCodes } from "../../cli/exit-codes";
import { exitCodes as rolloutExitCodes } from "../../fleet/rollout/progress";
import { Checkout } from "../support/checkout";

const checkout = new Checkout();
afterAll(() => checkout.remove());
afterEach(() => checkout.git("checkout", "-q", "."));

/** Runs `bess fleet …`. */
function fleet(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["cli/bess.js", "fleet", ...args],
    { cwd: checkout.at("."), env: checkout.loggedIn, encoding: "utf8" },
  );
  return { status, stdout, stderr };
}

test("help teaches by examples", () => {
  const { stdout, status } = fleet("--help");
  expect(stdout).toMatch(/npx bess fleet add kiel-3[^]*Examples:/);
  expect(status).toBe(0);
});

describe("list", () => {
  test("shows the sites in the order of a rollout", () => {
    const rows = fleet("list")
      .stdout.trim()
      .split("\n")
      .map((row) => row.split(/\s+/).slice(0, 2));
    expect(rows).toEqual([
      ["SITE", "WAVE"],
      ["aachen-1", "canary"],
      ["kiel-1", "canary"],
      ["aachen-2", "early"],
      ["juelich-1", "rest"],
      ["kiel-2", "rest"],
      ["luebeck-1", "rest"],
    ]);
  });
  test("takes globs and labels, and gives JSON", () => {
    const { stdout } = fleet(
      "list",
      "--site",
      "kiel-*,aachen-1",
      "--label",
      "region=north",
      "--json",
    );
    expect(JSON.parse(stdout)).toEqual(
      ["kiel-1", "kiel-2"].map((name) =>
        expect.objectContaining({
          name,
          stack: name,
          engine: `ssh://bess@${name}.example`,
          profile: "pi",
        }),
      ),
    );
  });
  test.each([
    ["a glob that fits none", ["--site", "kiel-9"], "no site of fleet/fleet.yaml fits"],
    ["an unknown wave", ["--wave", "first"], "--wave is first: allowed here: canary, early, rest"],
    ["a label without its value", ["--label", "region"], "Write NAME=VALUE"],
  ])("refuses %s", (_, args, told) => {
    const { status, stderr } = fleet("list", ...args);
    expect(stderr).toContain(told);
    expect(status).toBe(1);
  });
});

describe("add", () => {
  test("writes the site's line and its stack's file", () => {
    const { status, stdout } = fleet(
      "add",
      "kiel-3",
      "--engine",
      "ssh://bess@kiel-3.example",
      "--label",
      "region=north",
      "--label",
      "hardware=pi",
    );
    expect([status, stdout]).toEqual([
      0,
      expect.stringMatching(/site kiel-3 is added, to wave \w+\nPulumi\.kiel-3\.yaml: written/),
    ]);
    expect(checkout.git("diff", "--numstat")).toBe("3\t0\tfleet/fleet.yaml\n");
    expect(readFileSync(checkout.at("Pulumi.kiel-3.yaml"), "utf8")).toContain(
      "The config of site kiel-3 stands in fleet/fleet.yaml.",
    );
    expect(fleet("list", "--site", "kiel-3").status).toBe(0);
  });
  test("writes nothing where the site is refused", () => {
    const { status, stderr } = fleet("add", "kiel-4", "--engine", "ssh://bess@kiel-1.example");
    expect([status, stderr]).toEqual([1, expect.stringContaining("site kiel-1 has it already")]);
    expect([
      checkout.git("diff", "--numstat"),
      existsSync(checkout.at("Pulumi.kiel-4.yaml")),
    ]).toEqual(["", false]);
  });
});

test("matrix is what GitHub Actions takes", () => {
  const matrix = (runners: number) =>
    JSON.parse(fleet("matrix", "--wave", "rest", "--runners", String(runners)).stdout);
  expect(matrix(2)).toEqual({ include: [{ runner: 1 }, { runner: 2 }] });
  // The wave has three sites.
  expect(matrix(9).include).toHaveLength(3);
});

test("preview plans from the states of the stacks, and all of a site that was never deployed", () => {
  const { status, stdout } = fleet("preview", "--since", "HEAD", "--site", "kiel-2");
  expect(stdout).toMatch(/^<!-- .* -->\n## 1 of 1 site changes\n/);
  expect(stdout).toMatch(/\| 1 \| `kiel-2` \| \w+ \| \d{2} \| {2}\| {2}\| {2}\|/);
  expect(status).toBe(0);
});

test("a site that was never deployed is told as such, whatever is asked of it", () => {
  expect(fleet("status", "--site", "kiel-2").stdout).toMatch(/^kiel-2 .* never deployed$/m);
  expect(fleet("verify", "kiel-2")).toMatchObject({
    status: 2,
    stdout: expect.stringContaining("kiel-2: never deployed"),
  });
});

describe("a report for a program", () => {
  const json = (...args: string[]) => {
    const { status, stdout } = fleet(...args, "--rehearse", "--json");
    return { status, report: JSON.parse(stdout) as unknown };
  };
  test("is all that a command prints, at every step of a site", () => {
    expect(json("up", "--yes", "--site", "aachen-1", "--soak", "0")).toMatchObject({
      status: 0,
      report: { kind: "up", outcome: "done", sites: { "aachen-1": { result: "verified" } } },
    });
    expect(json("status", "--site", "aachen-1")).toMatchObject({
      status: 0,
      report: [{ site: "aachen-1", verified: true, result: "succeeded" }],
    });
    expect(json("drift", "--site", "aachen-1")).toEqual({
      status: 0,
      report: [{ site: "aachen-1", differences: [] }],
    });
    expect(json("verify", "aachen-1")).toEqual({
      status: 0,
      report: { site: "aachen-1", passed: true, findings: [] },
    });
  }, 240_000);
});

test("every exit code of a rollout is in the table", () => {
  const codes = exitCodes.map(([code]) => code);
  expect(Object.values(rolloutExitCodes).filter((code) => !codes.includes(code))).toEqual([]);
});

describe("preview --rendered", () => {
  const preview = (...args: string[]) => fleet("preview", "--rendered", "--since", "HEAD", ...args);

  test("tells that nothing changes", () =>
    expect(preview().stdout).toContain("## No change at 6 sites"));

  test("folds the sites that a change of the code touches, each side by its own code", () => {
    checkout.change("configs/mosquitto.ts", "sys_interval 10", "sys_interval 20");
    const { status, stdout } = preview();
    expect(stdout).toContain("## 6 of 6 sites change");
    expect(stdout).toContain("### Change 1: 6 sites, shown for `aachen-1`");
    expect(stdout).toContain("-sys_interval 10\n+sys_interval 20\n");
    expect(status).toBe(0);
  });

  test("tells what the inventory changes, of the sites that were asked for", () => {
    checkout.change("fleet/fleet.yaml", "retention: 180d", "retention: 90d");
    checkout.change("fleet/fleet.yaml", /  luebeck-1:\n(    .*\n)+/, "");
    const { stdout } = preview("--markdown", "comment.md", "--report", "report.md");
    expect(stdout).toBe("");
    const made = readFileSync(checkout.at("comment.md"), "utf8");
    expect(made).toBe(readFileSync(checkout.at("report.md"), "utf8"));
    expect(made).toMatch(/^\| 1 \| `juelich-1`, `kiel-1`, `kiel-2` \| canary, rest \|/m);
    expect(made).toContain("**Not planned**: `it leaves the inventory");
    expect(preview("--site", "aachen-*").stdout).toContain("## No change at 2 sites");
  });

  test("fails on what is against the policy, unless the fleet allows it", () => {
    checkout.change("fleet/fleet.yaml", "mqtt: { port: 1884 }", "grafana: { address: 0.0.0.0 }");
    const { status, stdout } = preview("--site", "kiel-2");
    expect([status, stdout]).toEqual([
      1,
      expect.stringContaining("**Breaks the policy rule `loopback-only`**"),
    ]);
    checkout.change(
      "fleet/fleet.yaml",
      "\nwaves:",
      '\nallow: { offLoopback: ["grafana:3000"] }\n\nwaves:',
    );
    expect(preview("--site", "kiel-2").status).toBe(0);
  });

  test("shows every resource of a site that is new", () => {
    fleet("add", "kiel-5", "--engine", "ssh://bess@kiel-5.example");
    expect(preview("--site", "kiel-5").stdout).toMatch(
      /\| 1 \| `kiel-5` \| \w+ \| \d{2} \| {2}\| {2}\| {2}\|/,
    );
  });

  test("refuses a revision that is not there", () => {
    const { status, stderr } = fleet("preview", "--rendered", "--since", "--upload-pack=x");
    expect([status, stderr]).toEqual([
      1,
      expect.stringContaining("git knows no revision --upload-pack=x here"),
    ]);
  });
});
