import { daysOf, offsetAt } from "../../configs/zones";

const at = (text: string) => Date.parse(text) / 1000;
const iso = (seconds: number) => new Date(seconds * 1000).toISOString().slice(0, 16);
const told = (from: string, to: string, zone: string) =>
  daysOf(at(from), at(to), zone).map((day) => `${day.name} ${iso(day.from)} ${iso(day.to)}`);

test("an offset holds from the second of the change on", () => {
  const change = at("2026-03-29T01:00:00Z");
  expect([change - 1, change].map((second) => offsetAt("Europe/Berlin", second))).toEqual([
    3600, 7200,
  ]);
  expect(offsetAt("UTC", change)).toBe(0);
});

describe("the days of a zone", () => {
  test("are of UTC where that is the zone, each cut to the span", () => {
    expect(told("2026-11-01T06:00:00Z", "2026-11-02T12:00:00Z", "UTC")).toEqual([
      "2026-11-01 2026-11-01T06:00 2026-11-02T00:00",
      "2026-11-02 2026-11-02T00:00 2026-11-02T12:00",
    ]);
  });

  test("have 23 and 25 hours where the clock is changed", () => {
    expect(told("2026-03-28T23:00:00Z", "2026-03-30T22:00:00Z", "Europe/Berlin")).toEqual([
      "2026-03-29 2026-03-28T23:00 2026-03-29T22:00",
      "2026-03-30 2026-03-29T22:00 2026-03-30T22:00",
    ]);
    expect(told("2026-10-24T22:00:00Z", "2026-10-26T23:00:00Z", "Europe/Berlin")).toEqual([
      "2026-10-25 2026-10-24T22:00 2026-10-25T23:00",
      "2026-10-26 2026-10-25T23:00 2026-10-26T23:00",
    ]);
  });

  test("begin where the clock is changed at midnight itself", () => {
    // At 24:00 of 5 September Santiago puts its clock forward to 1:00; at 24:00 of 4 April back to 23:00.
    expect(told("2026-09-05T04:00:00Z", "2026-09-07T03:00:00Z", "America/Santiago")).toEqual([
      "2026-09-05 2026-09-05T04:00 2026-09-06T04:00",
      "2026-09-06 2026-09-06T04:00 2026-09-07T03:00",
    ]);
    expect(told("2026-04-04T03:00:00Z", "2026-04-06T04:00:00Z", "America/Santiago")).toEqual([
      "2026-04-04 2026-04-04T03:00 2026-04-05T04:00",
      "2026-04-05 2026-04-05T04:00 2026-04-06T04:00",
    ]);
  });

  test.each(["Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia"])(
    "of %s follow one another through a year, each with its own name",
    (zone) => {
      const days = daysOf(at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"), zone);
      expect(days.slice(1).map(({ from }) => from)).toEqual(days.slice(0, -1).map(({ to }) => to));
      expect(new Set(days.map(({ name }) => name)).size).toBe(days.length);
      expect(days.length).toBe(366);
    },
  );
});
