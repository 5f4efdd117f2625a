import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../../configs/validation";
import { writeWhole } from "./output";
import type { Column, Table } from "./table";
import type { Totals } from "./totals";

/** What all files of an export have in common. Files of other settings are of another export. */
export interface Settings {
  site: string;
  measurement: string;
  format: string;
  /** Interval that rows are reduced to; null for the rows themselves. */
  every: string | null;
  zone: string;
  /** Whether a CSV file's header has the units. */
  units: boolean;
}

/** A file of an export: the rows of a day. */
export interface DayFile extends Totals {
  /** Its name; null of a day without rows. */
  file: string | null;
  /** In ISO 8601. */
  from: string;
  to: string;
  bytes: number;
  sha256: string | null;
  /** Totals of the rows that a reduced day was made from. */
  source?: Totals;
}

interface Content extends Settings {
  columns: string;
  files: DayFile[];
}

const settingKeys = ["site", "measurement", "format", "every", "zone", "units"] as const;

/** Which files of an export are complete, and what is in them. */
export class Manifest {
  private readonly path: string;

  private constructor(
    private readonly folder: string,
    private readonly settings: Settings,
    private files: DayFile[],
  ) {
    this.path = join(folder, manifestName(settings));
  }

  /**
   * That of a folder; an empty one where there is none.
   * @throws InputError if it is of an export with other settings.
   */
  static read(folder: string, settings: Settings): Manifest {
    const path = join(folder, manifestName(settings));
    if (!existsSync(path)) return new Manifest(folder, settings, []);
    let content: Content;
    try {
      content = JSON.parse(readFileSync(path, "utf8")) as Content;
    } catch (error) {
      throw new InputError(path, [`it is no manifest: ${(error as Error).message}`]);
    }
    const other = settingKeys.filter((key) => content[key] !== settings[key]);
    if (other.length > 0)
      throw new InputError("the command line", [
        ...other.map(
          (key) =>
            `${key} is ${JSON.stringify(settings[key])}, and the export in ${folder} ` +
            `has ${JSON.stringify(content[key])}`,
        ),
        "name another folder with --out",
      ]);
    return new Manifest(folder, settings, content.files);
  }

  /** The complete file of a span of a day. */
  find(from: string, to: string): DayFile | undefined {
    return this.files.find(
      (file) =>
        file.from === from &&
        file.to === to &&
        (file.file === null ||
          statSync(join(this.folder, file.file), { throwIfNoEntry: false })?.size === file.bytes),
    );
  }

  /** Notes a complete file, in place of what it had of the same name or time. */
  async add(made: DayFile): Promise<void> {
    const others = this.files.filter(
      ({ file, from }) => (file === null || file !== made.file) && from !== made.from,
    );
    this.files = [...others, made].sort((a, b) => (a.from < b.from ? -1 : 1));
    const content: Content = {
      ...this.settings,
      columns: columnsName(this.settings.measurement),
      files: this.files,
    };
    await writeWhole(this.path, `${JSON.stringify(content, null, 2)}\n`);
  }
}

/** Name of an export's manifest. */
const manifestName = ({ measurement, format }: Pick<Settings, "measurement" | "format">) =>
  `${measurement}.${format}.manifest.json`;

/** Name of the file that tells units and types of a table's columns. */
export const columnsName = (measurement: string): string => `${measurement}.columns.json`;

/** What a columns' file tells. */
export interface ColumnsFile {
  measurement: string;
  columns: (Partial<Column> & Pick<Column, "name">)[];
}

/** Text of a columns' file. */
export const columnsText = ({ name, columns }: Table): string =>
  `${JSON.stringify({ measurement: name, columns } satisfies ColumnsFile, null, 2)}\n`;
