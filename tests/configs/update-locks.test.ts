import {
  closedAt,
  flowQuery,
  flowsOf,
  isOpen,
  momentOf,
  nextOpening,
  unmet,
  updateSchema,
} from "../../configs/update-locks";
import { parseSite } from "../../configs/site";
import { loadModel } from "../../configs/model";
import { join } from "node:path";
import { InputError } from "../../configs/validation";

const zone = "Europe/Berlin";
const at = (text: string) => Date.parse(text) / 1000;

test.each<[string, object, string, boolean]>([
  ["before it", { from: "01:00", to: "05:00" }, "2026-11-27T23:59:59Z", false],
  ["at its beginning", { from: "01:00", to: "05:00" }, "2026-11-28T00:00:00Z", true],
  ["at its end", { from: "01:00", to: "05:00" }, "2026-11-28T04:00:00Z", false],
  ["in summer time", { from: "01:00", to: "05:00" }, "2026-07-01T03:30:00Z", false],
  ["before midnight", { from: "22:00", to: "02:00" }, "2026-11-28T22:30:00Z", true],
  ["after midnight", { from: "22:00", to: "02:00" }, "2026-11-28T00:30:00Z", true],
  ["at noon", { from: "22:00", to: "02:00" }, "2026-11-28T11:00:00Z", false],
  // 2026-11-28 is a Saturday.
  ["on its day", { days: ["saturday"] }, "2026-11-27T23:00:00Z", true],
  ["on another day", { days: ["saturday"] }, "2026-11-27T22:59:59Z", false],
  [
    "in the night after its day",
    { from: "22:00", to: "02:00", days: ["friday"] },
    "2026-11-28T00:30:00Z",
    true,
  ],
  [
    "in the night before its day",
    { from: "22:00", to: "02:00", days: ["saturday"] },
    "2026-11-28T00:30:00Z",
    false,
  ],
  // 2026-03-29: after 01:59 comes 03:00. 2026-10-25: from 02:00 to 02:59 is twice.
  [
    "after the hour that is left out",
    { from: "02:00", to: "03:00" },
    "2026-03-29T01:00:00Z",
    false,
  ],
  ["in the first of two hours", { from: "02:00", to: "03:00" }, "2026-10-25T00:30:00Z", true],
  ["in the second of two hours", { from: "02:00", to: "03:00" }, "2026-10-25T01:30:00Z", true],
  ["after both", { from: "02:00", to: "03:00" }, "2026-10-25T02:00:00Z", false],
])("a window %s", (_, window, now, open) => {
  const { window: parsed } = updateSchema.parse({ window });
  if (!parsed) throw new Error("no window");
  expect(isOpen(parsed, zone, at(now))).toBe(open);
});

test("the next opening is told over a change of the clocks, and one that never comes is none", () => {
  const window = { from: "02:30", to: "04:00" };
  // On this day 02:30 is left out: it opens at 03:00, which is 01:00 UTC.
  expect(nextOpening(window, zone, at("2026-03-28T23:00:00Z"))).toBe(at("2026-03-29T01:00:00Z"));
  expect(nextOpening(window, zone, at("2026-03-29T03:00:00Z"))).toBe(at("2026-03-30T00:30:00Z"));
  expect(nextOpening({ ...window, days: ["sunday"] }, zone, at("2026-11-28T12:00:00Z"))).toBe(
    at("2026-11-29T01:30:00Z"),
  );
});

test("a hold ends by the site's clock, or by the offset that it names", () => {
  expect(momentOf("2026-07-01T18:00", zone)).toBe(at("2026-07-01T16:00:00Z"));
  expect(momentOf("2026-12-01T18:00", zone)).toBe(at("2026-12-01T17:00:00Z"));
  expect(momentOf("2026-12-01T18:00Z", zone)).toBe(at("2026-12-01T18:00:00Z"));
  expect(momentOf("2026-12-01T18:00-02:00", zone)).toBe(at("2026-12-01T20:00:00Z"));
  const lock = {
    ...updateSchema.parse({
      window: { from: "01:00", to: "05:00" },
      hold: { reason: "grid test", until: "2026-12-03T18:00" },
    }),
    timeZone: zone,
  };
  expect(closedAt(lock, at("2026-12-03T02:00:00Z"), true)).toEqual({
    why: "held until 2026-12-03 18:00 (Europe/Berlin): grid test",
    opens: at("2026-12-03T17:00:00Z"),
  });
  expect(closedAt(lock, at("2026-12-03T17:00:00Z"))).toEqual({
    why: "its window opens 2026-12-04 01:00 (Europe/Berlin)",
    opens: at("2026-12-04T00:00:00Z"),
  });
  expect(closedAt(lock, at("2026-12-03T17:00:00Z"), true)).toBeUndefined();
});

test.each<[object, RegExp]>([
  [{ window: { from: "01:00" } }, /update\.window .*from and to go together/],
  [{ window: { from: "01:00", to: "01:00" } }, /update\.window .*which differ/],
  [{ window: { from: "1:00", to: "05:00" } }, /update\.window\.from .*such as 22:00/],
  [{ hold: { reason: "x", until: "tomorrow" } }, /update\.hold\.until .*such as 2026-12-03T18:00/],
  [{ hold: { reason: "x", until: "2026-13-03T18:00" } }, /update\.hold\.until/],
  [{ wait: "8d" }, /update\.wait .*7d at most/],
  [{ condition: "asleep" }, /update\.condition .*idle, not-discharging, not-charging/],
])("%j is refused", (update, message) => {
  expect(() => parseSite({ name: "kiel", update })).toThrow(InputError);
  expect(() => parseSite({ name: "kiel", update })).toThrow(message);
});

describe("what the battery does", () => {
  const model = loadModel(join(__dirname, "../../configs/telemetry.yaml"));
  const flows = flowsOf(model);
  const [first] = flows;
  const read = (highest?: number): Parameters<typeof unmet>[1] =>
    flows.map((flow, i) => [flow, i === 0 ? { highest, lowest: highest } : {}]);

  test("is asked of the fields that the model has for it", () => {
    expect(flows.map(({ table, field, sign }) => [table, field, sign])).toEqual(
      expect.arrayContaining([
        ["bess", "ac_current_in", -1],
        ["bess", "ac_current_out", 1],
        ["battery", "current", 1],
      ]),
    );
    expect(first && flowQuery(first)).toBe(
      'SELECT max(mean) AS highest, min(mean) AS lowest FROM (SELECT avg("ac_current_in") AS mean ' +
        `FROM "bess" WHERE time >= now() - INTERVAL '120 seconds' AND time <= now() GROUP BY "id")`,
    );
  });

  test("keeps an update away, or does not", () => {
    // The range is [0, 250]: up to 5 A count as 0.
    expect(unmet("idle", read(5))).toBeUndefined();
    expect(unmet("idle", read(6))).toBe("the battery charges (bess.ac_current_in)");
    expect(unmet("not-discharging", read(6))).toBeUndefined();
    expect(unmet("not-charging", read(6))).toBe("the battery charges (bess.ac_current_in)");
    expect(unmet("idle", read())).toMatch(/not known/);
  });
});
