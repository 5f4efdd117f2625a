import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rehearsedStack } from "../../automation";
import { evidencePage, gatherRecords, rolloutEvidence, siteAudit } from "../../fleet";
import { Records, type RolloutRecord, type SiteRecord } from "../../fleet/rollout";
import { temporaryFolder } from "../support/programs";

jest.setTimeout(300_000);

const folder = temporaryFolder();
afterAll(() => folder.remove());

const head = "0123456789abcdef0123456789abcdef01234567";
const former = "fedcba9876543210fedcba9876543210fedcba98";

const record = (
  change: Partial<RolloutRecord> & { sites: Record<string, SiteRecord> },
): RolloutRecord => ({
  id: "20261128010000-up",
  kind: "up",
  label: "17",
  by: "ann@runner-1",
  revision: head,
  started: "2026-11-28T01:00:00.000Z",
  finished: "2026-11-28T01:20:00.000Z",
  outcome: "done",
  ...change,
});

const verified: SiteRecord = {
  wave: "canary",
  result: "verified",
  previous: former,
  started: "2026-11-28T01:05:00.000Z",
  seconds: 64,
  changes: { same: 90, replace: 7 },
  waited: { seconds: 240, why: "it discharges" },
  prefetch: { seconds: 31, images: 2 },
  downtime: { seconds: 6.5 },
  messages: { sent: 54, lost: 0 },
  gate: {
    findings: [],
    rates: { battery: { before: 60, after: 59.5 } },
    drops: { before: 0, after: 0 },
  },
};
const hostile = `<img src=x onerror="alert('x')">`;
const takenBack: SiteRecord = {
  wave: "rest",
  result: "failed",
  previous: former,
  started: "2026-11-28T02:05:00.000Z",
  seconds: 300,
  reason: `grafana says ${hostile}`,
  messages: { sent: 30, lost: 2 },
  gate: { findings: ["battery: 12 rows a minute, before 60"], alerts: ["BessSilent"] },
  rolledBack: { revision: former, result: "verified", seconds: 70, data: ["influxdb"] },
};

const canary = record({
  sites: { "kiel-1": verified, "kiel-2": { wave: "rest", result: "skipped" } },
});
const rest = record({
  id: "20261128020000-up",
  by: "bob@runner-2",
  started: "2026-11-28T02:00:00.000Z",
  finished: "2026-11-28T02:30:00.000Z",
  outcome: "halted",
  reason: "1 site of wave rest failed",
  urgent: "a leak",
  sites: {
    "kiel-1": { wave: "canary", result: "skipped" },
    "kiel-2": takenBack,
    "aachen-1": { wave: "rest", result: "deferred", waited: { seconds: 3600, why: "held: audit" } },
  },
});
/** Another runner that began with the one of `rest`, and has only heard of its failure. */
const beside = record({
  ...rest,
  uuid: "2",
  finished: "2026-11-28T02:31:00.000Z",
  sites: {
    "kiel-2": { wave: "rest", result: "failed", toldBy: "17/runner-2:4", reason: "it tells why" },
    "aachen-1": { wave: "rest", result: "up-to-date" },
    "kiel-1": { wave: "canary", result: "running" },
  },
});
const other = record({
  id: "20261127010000-up",
  label: "16",
  started: "2026-11-27T01:00:00.000Z",
  sites: { "kiel-1": { wave: "canary", result: "up-to-date" } },
});

/** Lays records down as two artifacts of CI, one of them twice. */
function artifacts(): string {
  for (const [place, records] of Object.entries({
    "rollout-canary-1": [canary, other],
    "rollout-rest-1": [rest],
    again: [{ ...rest, finished: undefined }],
  }))
    for (const one of records) {
      mkdirSync(join(folder.path, place), { recursive: true });
      new Records(join(folder.path, place)).write(one as RolloutRecord);
    }
  writeFileSync(join(folder.path, "report.json"), "[]");
  return folder.path;
}

describe("what a rollout did", () => {
  test("is told by the runner that did it, where several shared it", () => {
    mkdirSync(join(folder.path, "shared", "2"), { recursive: true });
    new Records(join(folder.path, "shared")).write({
      ...rest,
      uuid: "1",
      sites: { ...rest.sites, "kiel-1": verified },
    });
    new Records(join(folder.path, "shared", "2")).write(beside);
    const records = gatherRecords([join(folder.path, "shared")]);
    const { sites, finished } = rolloutEvidence(records);
    expect(finished).toBe(beside.finished);
    expect(sites).toMatchObject([
      { site: "kiel-1", result: "verified" },
      { site: "kiel-2", result: "failed", rolledBack: { result: "verified" } },
      { site: "aachen-1", result: "up-to-date" },
    ]);
    const attempts = records.map((one, i) => ({ ...one, label: `9.${i + 1}` }));
    expect(rolloutEvidence(attempts, "9").sites).toEqual(sites);
    rmSync(join(folder.path, "shared"), { recursive: true });
  });

  const records = gatherRecords([artifacts()]);

  test("is told of all its records, each once, by the name that CI gave it", () => {
    expect(records.map(({ id }) => id)).toEqual([other.id, canary.id, rest.id]);
    expect(rolloutEvidence(records)).toMatchObject({
      rollout: "17",
      records: [canary.id, rest.id],
      by: ["ann@runner-1", "bob@runner-2"],
      revisions: [head],
      started: canary.started,
      finished: rest.finished,
      outcomes: ["done", "halted"],
      reasons: ["1 site of wave rest failed", "windows did not count: a leak"],
      results: { verified: 1, failed: 1, deferred: 1 },
      messages: { sent: 84, lost: 2 },
      longestDowntime: 6.5,
      sites: [
        { site: "kiel-1", record: canary.id, result: "verified" },
        { site: "kiel-2", record: rest.id, result: "failed" },
        { site: "aachen-1", result: "deferred" },
      ],
    });
    expect(rolloutEvidence(records, other.id)).toMatchObject({
      rollout: other.id,
      records: [other.id],
    });
  });
  test("of runners that shared it, is what the one did that others found done", () => {
    const found = {
      ...rest,
      sites: { "kiel-1": { wave: "canary", result: "up-to-date" as const } },
    };
    const [site] = rolloutEvidence([canary, found]).sites;
    expect(site).toMatchObject({ result: "verified", record: canary.id });
  });
  test("of one that was killed ends with what was resumed", () => {
    const { finished: _, ...killed } = { ...canary, uuid: "1", outcome: "running" as const };
    const resumed = { ...rest, kind: "resume" as const, uuid: "2", resumes: "1" };
    const { outcomes, finished } = rolloutEvidence([killed, resumed]);
    expect([outcomes, finished]).toEqual([["killed", "halted"], rest.finished]);
  });

  test("of one that still runs has no end", () => {
    const { finished: _, ...running } = { ...rest, outcome: "running" as const };
    expect(rolloutEvidence([canary, running])).not.toHaveProperty("finished");
  });
  test("that nobody knows is an error with the last ones", () => {
    expect(() => rolloutEvidence(records, "99")).toThrow(
      /no record has it; the last ones are .*\(16\)/,
    );
    expect(() => rolloutEvidence([])).toThrow("there is no record of a rollout");
    expect(() => gatherRecords([join(folder.path, "nowhere")])).toThrow("there is no folder");
  });

  const page = evidencePage(rolloutEvidence(records));
  test("is a page that fetches nothing, and whose values stay text", () => {
    expect(page).not.toContain(hostile);
    expect(page).toContain("&#60;img src=x onerror=&#34;alert(&#39;x&#39;)&#34;&#62;");
    expect(page).not.toMatch(/<(script|link|img|iframe)|https?:|url\(/);
    expect(page).toContain(`default-src 'none'`);
  });
  test("names first what needs a person", () => {
    const order = [
      "To look at",
      "<b>kiel-2</b>",
      "<b>aachen-1</b>",
      "Wave canary",
      "<b>kiel-1</b>",
    ];
    const places = order.map((text) => page.indexOf(text));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places).not.toContain(-1);
    expect(page).toContain("2 of 84");
    expect(page).toContain("4 min: it discharges");
    expect(page).toContain(
      "taken back to fedcba987654 in 70 s: verified; data of influxdb put back",
    );
  });
});

describe("what was done at a site", () => {
  test("is told of records and Pulumi's history, the oldest first", () => {
    const events = siteAudit(
      "kiel-1",
      [other, canary, rest],
      [
        {
          kind: "update",
          startTime: new Date("2026-11-28T01:05:10Z"),
          endTime: new Date("2026-11-28T01:06:00Z"),
          result: "succeeded",
          message: "a word",
          environment: { "git.head": head, "git.author": "Ann" },
          resourceChanges: { same: 90, replace: 7 },
        },
      ],
    );
    expect(events).toEqual([
      expect.objectContaining({ time: other.started, what: "up", result: "up-to-date" }),
      {
        time: "2026-11-28T01:05:00.000Z",
        from: "rollout",
        what: "up",
        by: "ann@runner-1",
        revision: head,
        result: "verified",
        details:
          "rollout 17; replace 7; waited 240 s: it discharges; nothing stored for 6.5 s at most; " +
          "0 of 54 marked messages lost; 2 images brought in 31 s; before: fedcba987654",
      },
      {
        time: "2026-11-28T01:05:10.000Z",
        from: "pulumi",
        what: "update",
        by: "Ann",
        revision: head,
        result: "succeeded",
        details: "replace 7; a word",
      },
    ]);
  });
  test("stands in the history of its stack, without its config", async () => {
    const stack = rehearsedStack("dev", { folder: join(folder.path, "rehearsal") });
    await stack.up();
    const [update, ...more] = await stack.history();
    expect(more).toEqual([]);
    expect(update).toMatchObject({ kind: "update", result: "succeeded" });
    expect(update?.resourceChanges?.create).toBeGreaterThan(10);
    expect(update).not.toHaveProperty("config");
  });
});
