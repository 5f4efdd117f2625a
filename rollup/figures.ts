import { figuresOf, together } from "../configs/indicators";
import { across, dayAt, type PerformanceDay, startOfDay, trendOf } from "../configs/performance";
import type { TableColumns } from "./database";
import type { FigureQuery } from "./influxql";
import type { TagValues } from "./lines";
import { type DaysOptions, storedDays, type UnitDay } from "./performance";
import { byTags, condition, isAlways } from "./reader";

/** Figures of a span, by their names. */
interface Row {
  /** Where it begins, in s since 1970. */
  from: number;
  tags: string[];
  figures: Map<string, number>;
}

/** What the answer to a query of figures is made with. */
export interface FiguresOptions extends DaysOptions {
  /** What the day tier's database has. */
  columns: TableColumns;
  zone: string;
  signal?: AbortSignal | undefined;
}

const second = 1_000_000_000n;

const monthOf = (day: string): string => day.slice(0, 7);

/** The last day that a month of a calendar can have: there need be none. */
const lastOf = (month: string): string => `${month}-31`;

/**
 * The answer to a query of figures, as InfluxDB would give it were they rows of a table: those of a day or
 * month have the time of its beginning.
 * @param time how a time is written, of seconds since 1970.
 */
export async function answerFigures(
  query: FigureQuery,
  options: FiguresOptions,
  time: (seconds: number) => number | string,
): Promise<unknown> {
  const { measurement: m, span, conditions } = query;
  const isIn = (from: number) => {
    const at = BigInt(from) * second;
    return at >= query.start && at < query.end;
  };
  const [first, last] = [query.start, query.end - 1n].map(
    (at) => dayAt(Number(at / second), options.zone).name,
  );
  if (first === undefined || last === undefined || query.end <= query.start)
    return { results: [{ statement_id: 0 }] };
  const range = span === "day" ? { first, last } : { first, last: lastOf(monthOf(last)) };
  const where = conditions.filter((each) => !isAlways(each)).map(condition);
  const days = await storedDays(options, options.columns, m, range, where, options.signal);
  const rows = rowsOf(query, days, options.zone)
    .filter(({ from }) => isIn(from))
    .sort((a, b) => a.from - b.from || byTags(a.tags, b.tags));
  if (query.latestFirst) rows.reverse();
  const known = [...new Set(rows.flatMap(({ figures }) => [...figures.keys()]))].sort();
  const columns = query.columns.flatMap((column) => {
    if ("figure" in column) return [column];
    const pattern = new RegExp(column.pattern);
    return known
      .filter((figure) => pattern.test(figure))
      .map((figure) => ({ figure, name: figure }));
  });
  const series = new Map<string, { tags: string[]; values: (number | string | null)[][] }>();
  for (const { from, tags, figures } of rows) {
    const values = columns.map(({ figure }) => figures.get(figure) ?? null);
    if (values.every((value) => value === null)) continue;
    const own = query.tags.map((name) => tags[m.tags.findIndex((tag) => tag.name === name)] ?? "");
    const key = own.join("\0");
    const one = series.get(key) ?? { tags: own, values: [] };
    series.set(key, one);
    one.values.push([time(from), ...values]);
  }
  if (series.size === 0) return { results: [{ statement_id: 0 }] };
  return {
    results: [
      {
        statement_id: 0,
        series: [...series.values()]
          .sort((a, b) => byTags(a.tags, b.tags))
          .map(({ tags, values }) => ({
            name: `${m.name}${query.site ? "-site" : ""}-${span === "day" ? "daily" : "monthly"}`,
            ...(query.tags.length > 0 && {
              tags: Object.fromEntries(query.tags.map((name, i) => [name, tags[i] ?? ""])),
            }),
            columns: ["time", ...columns.map(({ name }) => name)],
            values,
          })),
      },
    ],
  };
}

/** A row for each span of each unit, or of all units. */
function rowsOf({ site, span }: FigureQuery, days: readonly UnitDay[], zone: string): Row[] {
  const spans = new Map<string, Map<string, { tags: TagValues; days: PerformanceDay[] }>>();
  for (const { tags, day } of days) {
    const name = span === "day" ? day.name : monthOf(day.name);
    const units = spans.get(name) ?? new Map<string, { tags: TagValues; days: PerformanceDay[] }>();
    spans.set(name, units);
    const key = tags.map((value) => value ?? "").join("\0");
    const unit = units.get(key) ?? { tags, days: [] };
    units.set(key, unit);
    unit.days.push(day);
  }
  return [...spans].flatMap(([name, units]) => {
    const all = [...units.values()].map(({ tags, days: own }) => ({
      tags: tags.map((value) => value ?? ""),
      days: own,
      whole: together(own.map(({ indicators }) => indicators)),
    }));
    const from =
      span === "month"
        ? startOfDay(`${name}-01`, zone)
        : Math.min(...all.flatMap(({ days: own }) => own.map((day) => day.from)));
    const trends = all.map(({ days: own }) => trendOf(own));
    const named = (figures: { name: string; value: number | undefined }[]) =>
      new Map(
        figures.flatMap(({ name: figure, value }) =>
          value === undefined ? [] : [[figure, value] as const],
        ),
      );
    if (site) {
      const slopes = trends.flatMap(({ value }) => value ?? []);
      const trend = slopes.length > 0 ? slopes.reduce((a, b) => a + b) / slopes.length : undefined;
      const figures = [
        ...across(all.map(({ whole }) => whole)),
        ...(span === "month" ? [{ name: "state_of_health_trend", value: trend }] : []),
      ];
      return [{ from, tags: [], figures: named(figures) }];
    }
    return all.map(({ tags, whole }, i) => ({
      from,
      tags,
      figures: named([...figuresOf(whole), ...(span === "month" && trends[i] ? [trends[i]] : [])]),
    }));
  });
}
