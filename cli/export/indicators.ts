import { mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  figuresOf,
  healthTrend,
  type Indicators,
  together,
  UnitIndicators,
  type UnitRow,
} from "../../configs/indicators";
import type { Measurement } from "../../configs/model";
import { InputError } from "../../configs/validation";
import { type Day, daysOf } from "../../configs/zones";
import type { Queries } from "../../fleet";
import { writeWhole } from "./output";
import type { Progress, Wanted } from "./run";
import { windows } from "./run";
import { type Column, type Row, rowsQuery, type Table, totalsQuery } from "./table";
import { csvWriter } from "./text";

/** A unit, and what its rows said day by day. */
interface Unit {
  /** Values of its tags. */
  tags: Row[number][];
  reckoning: UnitIndicators;
  days: (Indicators & { day: Day })[];
}

/** What is written of a table: a row for each span and unit. */
interface Line {
  /** As `2026-11-01` or `2026-11`. */
  span: string;
  from: number;
  tags: Row[number][];
  figures: Map<string, { unit: string; value: number | undefined }>;
}

/** Reckons the indicators of a table by day and month, and writes both as CSV. */
export class IndicatorExport {
  private readonly units = new Map<string, Unit>();
  private readonly tags: Column[];

  constructor(
    private readonly database: Queries,
    private readonly table: Table,
    private readonly measurement: Measurement,
    private readonly wanted: Wanted,
    private readonly progress: Progress,
    private readonly interrupt: AbortSignal,
  ) {
    this.tags = table.columns.filter(({ kind }) => kind === "tag");
  }

  /** @throws InputError if the disk is full, or it is interrupted. */
  async run(): Promise<void> {
    const { from, to, zone, folder } = this.wanted;
    for (const day of daysOf(from, to, zone)) {
      this.progress.day = day.name;
      await this.read(day);
      for (const unit of this.units.values())
        unit.days.push({ ...unit.reckoning.close(day.from, day.to), day });
      this.progress.share = (day.to - from) / (to - from);
    }
    mkdirSync(folder, { recursive: true });
    await this.write(
      "daily",
      this.lines((day) => day.name),
    );
    await this.write(
      "monthly",
      this.lines((day) => day.name.slice(0, 7)),
    );
  }

  private async read(day: Day): Promise<void> {
    const { columns, name } = this.table;
    const [count] = await this.database.query<{ n: number }>(
      totalsQuery({ name, columns: [] }, day.from, day.to),
    );
    for (const [from, to] of windows(day, count?.n ?? 0))
      for await (const lines of this.database.lines(rowsQuery(this.table, from, to))) {
        if (this.interrupt.aborted) throw new InputError("the export", ["it was interrupted"]);
        this.progress.rows += lines.length;
        for (const line of lines) {
          const row = JSON.parse(line) as Row;
          this.unitOf(row).reckoning.add(unitRow(columns, row));
        }
      }
  }

  private unitOf(row: Row): Unit {
    const tags = this.tags.map((_, i) => row[i + 1] ?? null);
    const key = JSON.stringify(tags);
    let unit = this.units.get(key);
    if (!unit) {
      unit = { tags, reckoning: new UnitIndicators(this.measurement), days: [] };
      this.units.set(key, unit);
    }
    return unit;
  }

  /** @param spanOf names the span that a day is of. */
  private lines(spanOf: (day: Day) => string): Line[] {
    const lines: Line[] = [];
    for (const { tags, days } of this.units.values()) {
      const spans = new Map<string, Unit["days"]>();
      for (const day of days)
        spans.set(spanOf(day.day), [...(spans.get(spanOf(day.day)) ?? []), day]);
      for (const [span, of] of spans) {
        const trend = healthTrend(
          of.flatMap(({ day, health }) =>
            health === undefined ? [] : [[day.from, health] as const],
          ),
        );
        const all = [
          ...figuresOf(together(of)),
          { name: "state_of_health_trend", unit: "%/year", value: trend },
        ];
        lines.push({
          span,
          from: of[0]?.day.from ?? 0,
          tags,
          figures: new Map(all.map(({ name, unit, value }) => [name, { unit, value }])),
        });
      }
    }
    return lines.sort((a, b) => a.from - b.from);
  }

  private async write(kind: "daily" | "monthly", lines: Line[]): Promise<void> {
    const { folder, zone } = this.wanted;
    const names = [...new Set(lines.flatMap(({ figures }) => [...figures.keys()]))].filter((name) =>
      lines.some(({ figures }) => figures.get(name)?.value !== undefined),
    );
    const columns: Column[] = [
      { name: kind === "daily" ? "day" : "month", kind: "field", type: "utf8" },
      ...this.tags,
      ...names.map((name): Column => {
        const unit = lines.map(({ figures }) => figures.get(name)?.unit).find(Boolean);
        return { name, kind: "field", type: "float64", ...(unit && { unit }) };
      }),
    ];
    const writer = csvWriter({ name: this.table.name, columns }, zone, true);
    const rows = lines.map(({ span, from, tags, figures }): Row => ({
      ...[
        `${from}000000000`,
        span,
        ...tags,
        ...names.map((name) => figures.get(name)?.value ?? null),
      ],
    }));
    const file = join(folder, `${this.table.name}.indicators-${kind}.csv`);
    await writeWhole(file, writer.head + writer.text(rows));
    this.progress.files += 1;
  }
}

function unitRow(columns: readonly Column[], row: Row): UnitRow {
  const values: UnitRow["values"] = {};
  columns.forEach(({ name, type }, i) => {
    const value = row[i + 1];
    values[name] = type === "int64" && typeof value === "string" ? Number(value) : value;
  });
  return { time: Number(String(row[0])) / 1e9, values };
}
