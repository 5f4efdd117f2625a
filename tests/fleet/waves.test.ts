import { join } from "node:path";
import { Records, type RolloutRecord } from "../../fleet/rollout";
import {
  type DeployedRevision,
  Rollout,
  type RolloutOptions,
  type Session,
  SiteError,
} from "../../fleet/rollout/rollout";
import { type UpdateLock, updateSchema } from "../../configs/update-locks";
import { temporaryFolder } from "../support/programs";
import { SteppedClock } from "../support/stepped-clock";

/** What a rollout meets at a stand-in site, each time it opens its stack. */
type Visit = "works" | "unreachable" | "broken";

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => (folder = temporaryFolder()));
afterEach(() => folder.remove());

/** What a test may change of the stand-in sites and of the rollout. */
interface Told extends Partial<RolloutOptions> {
  /** Folder of the records, below the test's own. */
  runner?: string;
  stop?: AbortController;
  onReport?: (line: string) => unknown;
  /** More of a site's session. */
  session?: (name: string, revision: string) => Partial<Session>;
  /** What was deployed before. */
  deployed?: Record<string, DeployedRevision>;
}

/**
 * Rolls out to stand-in sites, by what each meets visit by visit, the last ever after.
 * @returns the record, and all that was reported.
 */
async function rollOut(
  waves: Record<string, Record<string, Visit[]>>,
  {
    runner = "",
    stop = new AbortController(),
    onReport,
    session = () => ({}),
    deployed: before = {},
    ...options
  }: Told = {},
) {
  const sites = Object.entries(waves).flatMap(([wave, visits]) =>
    Object.keys(visits).map((name) => ({ name, wave })),
  );
  const remaining = new Map(
    Object.values(waves).flatMap((visits) =>
      Object.entries(visits).map(([name, list]) => [name, [...list]]),
    ),
  );
  const deployed = new Map(Object.entries(before));
  const reported: string[] = [];
  const open = ({ name }: { name: string }, revision: string): Session => {
    let visit: Visit | undefined;
    const meet = () => {
      const visits = remaining.get(name) ?? [];
      visit ??= visits.length > 1 ? visits.shift() : visits[0];
      if (visit === "unreachable") throw new SiteError("unreachable", "no route to host");
      return visit;
    };
    return {
      deployedRevision: async () => {
        meet();
        return deployed.get(name);
      },
      up: async () => ({ update: 1 }),
      verify: async () => (meet() === "broken" ? ["no message arrives"] : []),
      recordRevision: async (it: DeployedRevision) => void deployed.set(name, it),
      ...session(name, revision),
    };
  };
  const records = new Records(join(folder.path, runner));
  const report = ({ site, text }: { site?: string; text: string }) => {
    const line = [site, text].filter(Boolean).join(" ");
    reported.push(line);
    onReport?.(line);
  };
  const all = {
    parallel: 1,
    budget: 0,
    soakSeconds: 0,
    attempts: 3,
    backoffSeconds: 0.01,
    ...options,
  };
  const record = await new Rollout(
    open,
    records,
    records.begin("up", "two", sites),
    all,
    report,
    stop.signal,
  ).run(Object.keys(waves), sites, () => "two");
  return { record, reported, deployed };
}

const results = ({ sites }: RolloutRecord) =>
  Object.fromEntries(Object.entries(sites).map(([name, { result }]) => [name, result]));

test("a site that cannot be reached gives its turn to the others, and is tried again later", async () => {
  const { record, reported } = await rollOut({
    all: { aachen: ["unreachable", "works"], kiel: ["works"], luebeck: ["works"] },
  });
  expect(record.outcome).toBe("done");
  expect(
    reported
      .filter((line) => / cannot be reached| verified/.test(line))
      .map((line) => line.split(" ").slice(0, 2).join(" ")),
  ).toEqual(["aachen cannot", "kiel verified", "luebeck verified", "aachen verified"]);
  expect(record.sites.aachen).toMatchObject({ result: "verified", attempts: 2 });
});

test("it is tried as often as asked, later each time, and fails nobody", async () => {
  const { record, reported } = await rollOut({ all: { aachen: ["unreachable"], kiel: ["works"] } });
  expect(record.outcome).toBe("done");
  expect(record.sites.aachen).toMatchObject({
    result: "unreachable",
    attempts: 3,
    reason: "no route to host",
  });
  expect(reported.filter((line) => line.startsWith("aachen cannot"))).toEqual(
    [0.01, 0.02].map((wait) => `aachen cannot be reached, next try in ${wait} s: no route to host`),
  );
});

test("an interruption ends the wait for it at once, and starts nothing further", async () => {
  const stop = new AbortController();
  const { record } = await rollOut(
    { all: { aachen: ["unreachable", "works"], kiel: ["works"] }, later: { luebeck: ["works"] } },
    {
      backoffSeconds: 3600,
      stop,
      onReport: (line) => line.startsWith("kiel verified") && stop.abort(),
    },
  );
  expect(record.outcome).toBe("stopped");
  expect(results(record)).toEqual({ aachen: "unreachable", kiel: "verified", luebeck: "skipped" });
});

test("a wave of which no site could be reached halts the rollout", async () => {
  const { record } = await rollOut({
    canary: { aachen: ["unreachable"] },
    rest: { kiel: ["works"] },
  });
  expect(record).toMatchObject({
    outcome: "halted",
    reason: "no site of wave canary could be brought to the revision",
  });
  expect(results(record)).toEqual({ aachen: "unreachable", kiel: "skipped" });
});

test("a site that stops working during the soak halts the rollout, and is not verified", async () => {
  const { record, deployed } = await rollOut(
    { canary: { aachen: ["works", "broken"] }, rest: { kiel: ["works"] } },
    { soakSeconds: 0.01 },
  );
  expect(record).toMatchObject({
    outcome: "halted",
    reason: "1 of 1 site of wave canary failed, and its budget is 0",
  });
  expect(record.sites.aachen?.reason).toBe("its gate, after the soak: no message arrives");
  expect(deployed.get("aachen")).toEqual({ revision: "two", verified: false });
  expect(results(record)).toEqual({ aachen: "failed", kiel: "skipped" });
});

test("a link that is down for a moment after the soak is no failure", async () => {
  const { record } = await rollOut(
    { canary: { aachen: ["works", "unreachable", "works"] }, rest: { kiel: ["works"] } },
    { soakSeconds: 0.01 },
  );
  expect(record.outcome).toBe("done");
  expect(results(record)).toEqual({ aachen: "verified", kiel: "verified" });
});

test("once the budget is spent, the sites that wait are skipped", async () => {
  const { record } = await rollOut({
    all: { aachen: ["works"], kiel: ["broken"], luebeck: ["works"], husum: ["works"] },
  });
  expect(record.outcome).toBe("halted");
  expect(results(record)).toEqual({
    aachen: "verified",
    kiel: "failed",
    luebeck: "skipped",
    husum: "skipped",
  });
});

describe("update locks", () => {
  const lock = (update: object, timeZone = "Europe/Berlin"): UpdateLock => ({
    ...updateSchema.parse(update),
    timeZone,
  });

  /** A site's clock on the wall, as another program than the project's tells it: `Sunday 02:30`. */
  const onTheWall = (timeZone: string, at: number) =>
    new Intl.DateTimeFormat("en-GB", {
      timeZone,
      weekday: "long",
      hour: "2-digit",
      minute: "2-digit",
      hourCycle: "h23",
    })
      .format(at)
      .toLowerCase()
      .replace(",", "");

  test.each([
    ["in winter", "2026-11-27T12:00:00Z"],
    ["over the night in which the clocks go forward in Europe", "2026-03-28T18:00:00Z"],
    ["over the night in which they go back", "2026-10-24T18:00:00Z"],
    ["over the night in which they go forward in America", "2026-03-08T00:00:00Z"],
  ])("keep every site untouched outside its window: %s", async (_, start) => {
    const zones = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"];
    const windows = [
      { from: "01:00", to: "05:00" },
      { from: "22:30", to: "01:30" },
      { from: "02:00", to: "03:00" },
      { from: "12:00", to: "12:30" },
      { from: "23:00", to: "04:00", days: ["saturday", "sunday"] },
    ] as const;
    const locks = new Map(
      zones.flatMap((zone, i) =>
        windows.map((window, j) => [`site-${i}${j}`, lock({ window, wait: "14h" }, zone)]),
      ),
    );
    const clock = new SteppedClock(Date.parse(start));
    const touched = new Map<string, number>();
    const all = Object.fromEntries([...locks.keys()].map((name) => [name, ["works"] as Visit[]]));
    const { record } = await clock.during(
      rollOut(
        { all },
        {
          // So many wait for their turn that windows close over it.
          parallel: 2,
          clock,
          lockOf: ({ name }) => locks.get(name),
          session: (name) => ({
            up: async () => {
              touched.set(name, clock.now());
              await clock.sleep(420);
              return {};
            },
          }),
        },
      ),
    );
    for (const [name, at] of touched) {
      const { window, timeZone = "" } = locks.get(name) ?? {};
      const [weekday = "", time = ""] = onTheWall(timeZone, at).split(" ");
      const { from = "", to = "", days } = window ?? {};
      const isLate = to < from && time < to;
      expect([name, time, isLate || (time >= from && (to < from || time < to))]).toEqual([
        name,
        time,
        true,
      ]);
      const [begun = ""] = isLate ? onTheWall(timeZone, at - 86_400_000).split(" ") : [weekday];
      if (days) expect(days).toContain(begun);
    }
    const outcomes = Object.entries(results(record));
    expect(new Set(outcomes.map(([, result]) => result))).toEqual(
      new Set(["verified", "deferred"]),
    );
    expect(outcomes.filter(([, result]) => result === "verified").map(([name]) => name)).toEqual(
      outcomes.map(([name]) => name).filter((name) => touched.has(name)),
    );
    expect(touched.size).toBeGreaterThan(8);
    expect(record.outcome).toBe("done");
  });

  test("a site whose lock does not open in time is deferred, and costs no budget", async () => {
    const clock = new SteppedClock(Date.parse("2026-11-27T12:00:00Z"));
    const hold = { reason: "grid test", until: "2026-12-03T18:00" };
    const locks = new Map([
      ["held", lock({ hold })],
      ["far", lock({ window: { from: "01:00", to: "05:00" }, wait: "2h" })],
      ["near", lock({ window: { from: "14:00", to: "15:00" }, wait: "2h" })],
    ]);
    const brought: string[] = [];
    const { record, reported } = await clock.during(
      rollOut(
        { all: { held: ["works"], far: ["works"], near: ["works"], free: ["works"] } },
        {
          clock,
          lockOf: ({ name }) => locks.get(name),
          session: (name) => ({
            prefetch: async () => {
              brought.push(name);
              return undefined;
            },
          }),
        },
      ),
    );
    expect(results(record)).toEqual({
      held: "deferred",
      far: "deferred",
      near: "verified",
      free: "verified",
    });
    expect(record.sites.held?.reason).toBe(
      "held until 2026-12-03 18:00 (Europe/Berlin): grid test; that is beyond its wait",
    );
    expect(record.sites.near?.waited).toEqual({
      seconds: 3600,
      why: "its window opens 2026-11-27 14:00 (Europe/Berlin)",
    });
    expect(reported.filter((line) => / waits: /.test(line))).toHaveLength(1);
    expect(record.outcome).toBe("done");
    // Images may come before the window opens; to a site that is held nothing comes.
    expect([...new Set(brought)]).toEqual(["far", "near", "free"]);
  });

  test("a window that opens is used, however many sites have not begun yet", async () => {
    const others = Array.from({ length: 40 }, (_, i) => `site-${i}`);
    const clock = new SteppedClock(Date.parse("2026-11-27T12:00:00Z"));
    const { record } = await clock.during(
      rollOut(
        { all: Object.fromEntries(["kiel", ...others].map((name) => [name, ["works"]])) },
        {
          clock,
          parallel: 2,
          // They ask again and again, and must not take all turns.
          lockOf: ({ name }) =>
            name === "kiel"
              ? lock({ window: { from: "12:10", to: "12:40" }, wait: "20m" }, "UTC")
              : lock({ condition: "not-discharging", wait: "1h" }),
          session: (name) => ({
            deployedRevision: async () => ({ revision: "one", verified: true }),
            unmet: async () => (Number(name.slice(5)) < 20 ? "the battery discharges" : undefined),
            up: async () => {
              await clock.sleep(300);
              return {};
            },
          }),
        },
      ),
    );
    expect(record.sites.kiel?.result).toBe("verified");
    expect(record.sites.kiel?.started).toMatch(/T12:1\d:/);
    for (const name of others.slice(20)) expect(record.sites[name]?.result).toBe("verified");
  });

  test("a battery that discharges is waited for; one that never ends is deferred", async () => {
    const clock = new SteppedClock(Date.parse("2026-11-27T12:00:00Z"));
    const begin = clock.now();
    const deployed = { revision: "one", verified: true };
    const { record } = await clock.during(
      rollOut(
        {
          all: {
            long: ["works"],
            short: ["works"],
            idle: ["works"],
            fresh: ["works"],
            mute: ["works"],
          },
        },
        {
          clock,
          deployed: { long: deployed, short: deployed, idle: deployed, mute: deployed },
          lockOf: () => lock({ condition: "not-discharging", wait: "30m" }),
          session: (name) => ({
            unmet: async () =>
              name === "mute"
                ? Promise.reject(new SiteError("failed", "no such container"))
                : name === "long" || (name === "short" && clock.now() < begin + 600_000)
                  ? "the battery discharges (bess.power)"
                  : name === "fresh"
                    ? "nothing is known there"
                    : undefined,
          }),
        },
      ),
    );
    expect(results(record)).toEqual({
      long: "deferred",
      short: "verified",
      idle: "verified",
      // Where nothing was deployed yet, nobody is asked.
      fresh: "verified",
      // A database that does not answer says nothing of the battery.
      mute: "deferred",
    });
    expect(record.sites.short?.waited).toEqual({
      seconds: 600,
      why: "the battery discharges (bess.power)",
    });
    expect(record.sites.long).toMatchObject({
      waited: { seconds: 1800 },
      reason: "the battery discharges (bess.power); that is beyond its wait",
    });
    expect(record.sites.mute?.reason).toMatch(
      /^what the battery does is not known: no such container/,
    );
  });

  test("a window that closes while the battery is asked is closed", async () => {
    const clock = new SteppedClock(Date.parse("2026-11-27T12:29:30Z"));
    const window = { from: "13:00", to: "13:30" };
    const { record } = await clock.during(
      rollOut(
        { all: { kiel: ["works"] } },
        {
          clock,
          deployed: { kiel: { revision: "one", verified: true } },
          lockOf: () => lock({ window, condition: "idle" }),
          session: () => ({ unmet: () => clock.sleep(40).then(() => undefined) }),
        },
      ),
    );
    expect(results(record)).toEqual({ kiel: "deferred" });
  });

  test("an urgent rollout goes past windows and batteries, and past no hold", async () => {
    const clock = new SteppedClock(Date.parse("2026-11-27T12:00:00Z"));
    const hold = { reason: "grid test", until: "2026-12-03T18:00" };
    const closed = { window: { from: "01:00", to: "05:00" }, condition: "idle" };
    const { record } = await clock.during(
      rollOut(
        { all: { held: ["works"], closed: ["works"] } },
        {
          clock,
          urgent: "CVE-2026-1",
          deployed: { closed: { revision: "one", verified: true } },
          lockOf: ({ name }) => lock(name === "held" ? { hold } : closed),
          session: () => ({ unmet: async () => "the battery discharges" }),
        },
      ),
    );
    expect(results(record)).toEqual({ held: "deferred", closed: "verified" });
  });
});

test("the images of a wave are all there before its first site is touched", async () => {
  const done: string[] = [];
  const { record } = await rollOut(
    { all: { aachen: ["works"], kiel: ["works"], luebeck: ["works"] }, rest: { husum: ["works"] } },
    {
      budget: 1,
      session: (name) => ({
        prefetch: async () => {
          done.push(`${name} images`);
          if (name === "luebeck") throw new SiteError("failed", "no space left on device");
          return { seconds: 3, images: 2 };
        },
        up: async () => ({ replace: done.push(`${name} up`) }),
      }),
    },
  );
  expect(done).toEqual([
    "aachen images",
    "kiel images",
    "luebeck images",
    "aachen up",
    "kiel up",
    "husum images",
    "husum up",
  ]);
  expect(record.sites.kiel?.prefetch).toEqual({ seconds: 3, images: 2 });
  expect(record.sites.luebeck).toMatchObject({
    result: "failed",
    reason: "no space left on device",
  });
});

describe("what the battery sends", () => {
  const signals = {
    rates: { bess: 60 },
    rows: { bess: 300 },
    drops: 0,
    alerts: [],
    settleSeconds: 0,
  };
  const findings = ["bess comes 0 times a minute, and came 60 times before"];

  test("is compared after the update, and fails its site", async () => {
    const { record } = await rollOut(
      { all: { aachen: ["works"], kiel: ["works"] } },
      {
        budget: 1,
        session: (name) => ({
          signals: async () => signals,
          compare: async () => ({ findings: name === "kiel" ? findings : [], rates: {} }),
          stored: async () => ({
            downtime: { seconds: 4.2 },
            messages: { sent: 30, lost: name === "kiel" ? 1 : 0 },
          }),
        }),
      },
    );
    expect(record.sites.aachen).toMatchObject({
      result: "verified",
      gate: { findings: [] },
      downtime: { seconds: 4.2 },
      messages: { sent: 30, lost: 0 },
    });
    expect(record.sites.kiel).toMatchObject({
      result: "failed",
      reason: `its gate: ${findings[0]}; 1 of 30 marked messages were lost`,
    });
  });

  test("is compared once more after the soak", async () => {
    let compared = 0;
    const { record } = await rollOut(
      { canary: { aachen: ["works"] }, rest: { kiel: ["works"] } },
      {
        soakSeconds: 0.01,
        session: () => ({
          signals: async () => signals,
          compare: async () => ({ findings: compared++ > 0 ? findings : [], rates: {} }),
        }),
      },
    );
    expect(record.sites.aachen).toMatchObject({
      result: "failed",
      reason: `its gate, after the soak: ${findings[0]}`,
      gate: { findings },
    });
    expect(results(record)).toEqual({ aachen: "failed", kiel: "skipped" });
  });
});

describe("a site that fails", () => {
  const deployed = { kiel: { revision: "one", verified: true } };
  const brokenAtTwo = (ups: string[]) => (_: string, revision: string) => ({
    returnData: async () => ["influxdb"],
    up: async () => ({ update: ups.push(revision) }),
    verify: async () => (revision === "two" ? ["no message arrives"] : []),
  });

  test("is taken back where it is asked for, with the data of before, and still counts", async () => {
    const ups: string[] = [];
    const { record, deployed: after } = await rollOut(
      { all: { kiel: ["works"] }, rest: { husum: ["works"] } },
      { deployed, onFailure: "rollback", session: brokenAtTwo(ups) },
    );
    expect(ups).toEqual(["two", "one"]);
    expect(after.get("kiel")).toEqual({ revision: "one", verified: true });
    expect(record.outcome).toBe("halted");
    expect(record.sites.kiel).toMatchObject({
      result: "failed",
      reason: "its gate: no message arrives",
      rolledBack: { revision: "one", result: "verified", data: ["influxdb"] },
    });
  });

  test("stays as it is by default, and where there is nothing to go back to", async () => {
    const ups: string[] = [];
    await rollOut({ all: { kiel: ["works"] } }, { deployed, session: brokenAtTwo(ups) });
    await rollOut(
      { all: { husum: ["works"] } },
      { onFailure: "rollback", session: brokenAtTwo(ups) },
    );
    expect(ups).toEqual(["two", "two"]);
  });

  test("and fails again on the way back says so", async () => {
    const { record, deployed: after } = await rollOut(
      { all: { kiel: ["works"] } },
      {
        deployed,
        lockOf: () => updateSchema.parse({ onFailure: "rollback" }),
        session: () => ({
          up: async () => Promise.reject(new SiteError("failed", "no space left on device")),
        }),
      },
    );
    expect(record.sites.kiel).toMatchObject({
      result: "failed",
      rolledBack: { revision: "one", result: "failed", reason: "no space left on device" },
    });
    expect(after.get("kiel")?.verified).toBe(false);
  });
});

describe("two runners", () => {
  const names = Array.from({ length: 30 }, (_, i) => `site-${i}`);
  const all = Object.fromEntries(names.slice(1).map((name) => [name, ["works"] as Visit[]]));

  /** Two of them at the same sites, by one backend that takes its time. */
  async function together(
    broken: string[] = [],
    tags = new Map<string, DeployedRevision>(),
    {
      onFailure,
      added = [],
      locked,
      far,
      cut,
    }: {
      onFailure?: "rollback" | undefined;
      added?: string[];
      locked?: string;
      /** A site to which images take two hours. */
      far?: string;
      /** A site that no runner reaches. */
      cut?: string;
    } = {},
  ) {
    const clock = new SteppedClock(Date.parse("2026-11-27T12:00:00Z"));
    for (const name of names)
      if (!tags.has(name) && !added.includes(name))
        tags.set(name, { revision: "one", verified: true });
    const ups: string[] = [];
    /** Of images that a runner sends: who had claimed the site. */
    const sends: { name: string; runner: string; by: string | undefined }[] = [];
    const run = (runner: string) =>
      rollOut(
        { canary: { "site-0": ["works"] }, all },
        {
          runner,
          clock,
          parallel: 3,
          soakSeconds: 60,
          onFailure,
          budget: locked === undefined ? 0 : 1,
          sharing: {
            by: `night/${runner}`,
            isGone: (by) => by === "night/dead",
            settleSeconds: 3,
            claimSeconds: 1800,
          },
          session: (name, revision) => ({
            deployedRevision: async () => {
              await clock.sleep(0.5);
              return tags.get(name);
            },
            recordRevision: async (it) => {
              await clock.sleep(0.5);
              tags.set(name, it);
            },
            prefetch: async (isSent) => {
              if (isSent) sends.push({ name, runner, by: tags.get(name)?.updating?.by });
              if (isSent && name === far) await clock.sleep(7200);
              return undefined;
            },
            up: async () => {
              if (name === cut) throw new SiteError("unreachable", "no route to host");
              if (name === locked) throw new SiteError("locked", "its stack is locked by ann@far");
              if (revision === "two") ups.push(`${name} ${runner}`);
              await clock.sleep(30);
              return {};
            },
            verify: async () =>
              revision === "two" && broken.includes(name) ? ["no message arrives"] : [],
          }),
        },
      );
    const [a, b] = await clock.during(Promise.all([run("a"), run("b")]));
    const minutes = (clock.now() - Date.parse("2026-11-27T12:00:00Z")) / 60_000;
    return { a: a.record, b: b.record, ups, sends, tags, minutes };
  }

  test("share the waves, and no site is touched twice", async () => {
    const { a, b, ups } = await together();
    expect(ups.map((up) => up.split(" ")[0]).sort()).toEqual([...names].sort());
    // Both did their share.
    for (const runner of ["a", "b"])
      expect(ups.filter((up) => up.endsWith(` ${runner}`)).length).toBeGreaterThan(5);
    for (const record of [a, b]) {
      expect(record.outcome).toBe("done");
      expect(Object.values(record.sites).filter(({ reason }) => reason)).toEqual([]);
      expect(Object.keys(results(record)).sort()).toEqual([...names].sort());
    }
    for (const name of names)
      expect([a, b].map(({ sites }) => sites[name]?.result).sort()).toEqual([
        "up-to-date",
        "verified",
      ]);
  });

  test.each([
    ["", undefined],
    [", not where it went back by itself either", "rollback"],
  ] as const)("both halt by a failure of either; the other does not try it%s", async (_, after) => {
    const { a, b, ups } = await together(["site-0"], undefined, { onFailure: after });
    expect(ups.filter((up) => up.startsWith("site-0 "))).toHaveLength(1);
    expect([a.outcome, b.outcome]).toEqual(["halted", "halted"]);
    expect(ups).toHaveLength(1);
    // Evidence takes the record of the one that knows.
    expect([a, b].map(({ sites }) => sites["site-0"]?.toldBy).filter(Boolean)).toHaveLength(1);
  });

  test("send images to a site that they have claimed alone", async () => {
    const { sends, tags } = await together();
    expect(new Set(sends.map(({ name }) => name))).toEqual(new Set(names));
    for (const { by, runner } of sends) expect(by).toBe(`night/${runner}`);
    expect(tags.size).toBe(names.length);
  });

  test("keep a site to which they send images for longer than a claim holds", async () => {
    const { a, b, ups, sends, tags } = await together([], undefined, { far: "site-9" });
    expect([a.outcome, b.outcome]).toEqual(["done", "done"]);
    expect(sends.filter(({ name }) => name === "site-9")).toHaveLength(1);
    expect(ups.filter((up) => up.startsWith("site-9 "))).toHaveLength(1);
    expect(tags.get("site-9")).toMatchObject({ revision: "two", verified: true });
  });

  test("hear soon of a failure at the other's site", async () => {
    // Six are under way at once, for 30 s each, and the other one asks again after 30 s.
    for (const broken of ["site-2", "site-4", "site-11"]) {
      const { a, b, ups } = await together([broken]);
      expect([a.outcome, b.outcome]).toEqual(["halted", "halted"]);
      expect(ups.length).toBeLessThan(20);
    }
  });

  test("claim new sites too, which have no revision yet", async () => {
    const added = ["site-0", "site-7", "site-8"];
    const { a, b, ups, tags } = await together([], undefined, { added });
    expect(ups.map((up) => up.split(" ")[0]).sort()).toEqual([...names].sort());
    expect([a.outcome, b.outcome]).toEqual(["done", "done"]);
    for (const name of added) expect(tags.get(name)).toEqual({ revision: "two", verified: true });
  });

  test("do not wait for each other at a site that neither reaches", async () => {
    const { a, b, tags, minutes } = await together([], undefined, { cut: "site-9" });
    expect([a.outcome, b.outcome]).toEqual(["done", "done"]);
    for (const { sites } of [a, b]) expect(sites["site-9"]?.result).toBe("unreachable");
    const { verified, updating } = tags.get("site-9") ?? {};
    expect({ verified, updating }).toEqual({
      verified: false,
      updating: { revision: "two", since: expect.any(String) },
    });
    expect(minutes).toBeLessThan(15);
  });

  test("wait once, not each in turn, for a stack that somebody else has locked", async () => {
    const { a, b, ups, minutes } = await together([], undefined, { locked: "site-9" });
    expect([a.outcome, b.outcome]).toEqual(["done", "done"]);
    expect([a, b].map(({ sites }) => sites["site-9"]?.result).sort()).toEqual(["failed", "locked"]);
    expect([a, b].map(({ sites }) => sites["site-9"]?.waited?.why)).toContain(
      "its stack is locked by ann@far",
    );
    expect(ups).toHaveLength(names.length - 1);
    // A claim holds for 30.
    expect(minutes).toBeGreaterThan(30);
    expect(minutes).toBeLessThan(40);
  });

  test("take over from one that is known to be gone, or has been silent for too long", async () => {
    const claim = (by: string, since: string) => ({
      revision: "one",
      verified: false,
      updating: { revision: "two", since, by },
    });
    const { ups, a } = await together(
      [],
      new Map([
        ["site-3", claim("night/dead", "2026-11-27T11:59:00Z")],
        ["site-4", claim("night/far", "2026-11-27T11:40:00Z")],
      ]),
    );
    expect(ups.filter((up) => /^site-[34] /.test(up))).toHaveLength(2);
    expect(a.outcome).toBe("done");
    expect(a.sites["site-4"]?.waited?.why ?? "night/far works there").toMatch(/works there/);
  });
});
