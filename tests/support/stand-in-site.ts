import type { Measurement, Model } from "../../configs/model";
import { holdSeconds, rolledOf, type Span } from "../../configs/rollups";
import { seriesOf } from "../../rollup/lines";
import { RowBuckets, type Value } from "../../rollup/roll";
import type { Note } from "../../rollup/notes";
import type { SiteAlerts } from "../../rollup/site-alerts";
import type { UplinkSource, UplinkState, UplinkWork } from "../../rollup/uplink";
import { type Expected, keyOf, minutesOf, type Row } from "../rollup/expected";

const units: Record<string, Record<string, string>[]> = {
  bess: [{ id: "b 1" }],
  battery: [{ id: "k1", group_id: "b 1" }, { id: 'k"2' }],
  pcs: [{ id: "p1" }],
};

let seed = 7;
function random(): number {
  seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
  return seed / 2 ** 31;
}

/** Rows of all units of the default model in a span, `step` seconds apart. */
export function rowsOf(m: Measurement, start: number, end: number, step: number): Row[] {
  const made: Row[] = [];
  for (let time = start; time < end; time += step)
    for (const tags of units[m.name] ?? []) {
      const values = m.fields.map(({ name, type }) => [
        name,
        type === "string"
          ? (["charging", "discharging", "standby"][Math.floor(random() * 3)] ?? "")
          : Math.round(random() * 1e6 - 2e5) / 1000,
      ]);
      made.push({ tags, time, values: Object.fromEntries(values) });
    }
  return made;
}

/** Rows in line protocol, with times in seconds. */
export const linesOf = (m: Measurement, rows: readonly Row[]): string[] =>
  rows.map(({ tags, time, values }) => {
    const text = (value: unknown) => (typeof value === "string" ? `"${value}"` : String(value));
    const fields = Object.entries(values).map(([name, value]) => `${name}=${text(value)}`);
    const unit = m.tags.map(({ name }) => tags[name]);
    return `${seriesOf(m.name, m, unit)} ${fields.join(",")} ${time}`;
  });

/** A stand-in for a site's InfluxDB and its relay's notes: rows in memory. */
export class StandInSite implements UplinkSource {
  private readonly tables: Map<string, Map<string, Row>>;
  private noted: Note[] = [];
  private next = 0;
  /** What was saved last, and what was done since each time. */
  state: UplinkState | undefined;
  works: UplinkWork[] = [];

  /** @param now seconds since 1970. */
  constructor(
    private readonly model: Model,
    private readonly now: () => number,
  ) {
    this.tables = new Map(model.measurements.map(({ name }) => [name, new Map<string, Row>()]));
  }

  /** Stores rows: a value takes the place of an earlier one of the same time. */
  write(m: Measurement, rows: readonly Row[]): void {
    const table = this.tables.get(m.name);
    for (const row of rows) {
      const key = keyOf(row.tags, row.time);
      table?.set(key, { ...row, values: { ...table.get(key)?.values, ...row.values } });
    }
    for (const block of new Set(rows.map(({ time }) => Math.floor(time / 600) * 600)))
      this.noted.push({ noted: Math.floor(this.now()), table: m.name, block });
  }

  /** The minutes of each measurement in a span, plainly worked out. */
  expected({ start, end }: Span): Map<string, Expected> {
    return new Map(
      this.model.measurements.map((m) => {
        const all = minutesOf(m, [...(this.tables.get(m.name)?.values() ?? [])]);
        const within = (key: string) => {
          const at = Number(key.split(" ").at(-1));
          return at >= start && at < end;
        };
        return [m.name, new Map([...all].filter(([key]) => within(key)))];
      }),
    );
  }

  notes = (): Note[] => {
    const notes = this.noted.slice(this.next);
    this.next = this.noted.length;
    return notes;
  };
  rewind = (): void => {
    this.next = 0;
  };
  refresh = (): Promise<void> => Promise.resolve();
  oldest = (): number => 0;
  oldestRow = (): number => 0;

  async *minutes(m: Measurement, span: Span) {
    const hold = holdSeconds(m);
    const units = new Map<string, Row[]>();
    for (const row of this.tables.get(m.name)?.values() ?? []) {
      if (row.time < span.start - hold || row.time >= span.end) continue;
      const key = JSON.stringify(Object.entries(row.tags).sort());
      units.set(key, [...(units.get(key) ?? []), row]);
    }
    for (const rows of units.values()) {
      const buckets = new RowBuckets(rolledOf(m), 60, span, hold);
      for (const { time, values } of rows.sort((a, b) => a.time - b.time))
        buckets.add(
          (time - span.start) * 1e9,
          m.fields.map(({ name }) => values[name] as Value | undefined),
        );
      yield { tags: m.tags.map(({ name }) => rows[0]?.tags[name]), buckets: buckets.buckets };
    }
  }

  async *rows(m: Measurement, fields: readonly string[], { start, end }: Span) {
    for (const { tags, time, values } of this.tables.get(m.name)?.values() ?? [])
      if (time >= start && time < end)
        yield {
          tags: m.tags.map(({ name }) => tags[name]),
          time: time * 1000,
          values: fields.map((name) => values[name] as number | undefined),
        };
  }

  states = () => Promise.resolve([]);
  health = ({ start, end }: Span) =>
    Promise.resolve(
      Array.from({ length: (end - start) / 60 }, (_, i) => ({
        metric: "bess_pipeline_disk_used_percent",
        minute: start + i * 60,
        value: 42.5,
      })),
    );
  /** What its Grafana tells. */
  alertsNow: SiteAlerts = {
    firing: [
      { alertname: "BessHostHot", severity: "warning", unit: "", muted: true },
      { alertname: "BessUnitSilentBattery", severity: "critical", unit: "k1", muted: false },
    ],
    muteEnds: 1_800_000_000,
  };
  alerts = () => Promise.resolve(this.alertsNow);
  load = () => Promise.resolve(structuredClone(this.state));
  save = (state: UplinkState, work: UplinkWork): Promise<void> => {
    this.state = structuredClone(state);
    this.works.push(work);
    return Promise.resolve();
  };
}
