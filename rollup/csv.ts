/** Reads CSV as InfluxDB answers it, piece by piece. A field that is quoted may hold any character. */
export class CsvReader {
  private rest = "";

  /** The records that end in what has come by now. */
  read(text: string): string[][] {
    const all = this.rest + text;
    if (!all.includes('"')) {
      const end = all.lastIndexOf("\n");
      this.rest = all.slice(end + 1);
      if (end < 0) return [];
      return all
        .slice(0, end)
        .split("\n")
        .map((line) => line.split(","));
    }
    const records: string[][] = [];
    let record: string[] = [];
    let begin = 0;
    let i = 0;
    while (i < all.length) {
      let field: string;
      if (all[i] === '"') {
        const end = endOfQuoted(all, i);
        if (end === undefined) break;
        field = all.slice(i + 1, end).replaceAll('""', '"');
        i = end + 1;
      } else {
        const from = i;
        while (i < all.length && all[i] !== "," && all[i] !== "\n") i += 1;
        field = all.slice(from, i);
      }
      if (i >= all.length) break;
      record.push(field);
      if (all[i] === "\n") {
        records.push(record);
        record = [];
        begin = i + 1;
      }
      i += 1;
    }
    this.rest = all.slice(begin);
    return records;
  }
}

/** Where a quoted field's last quote is; undefined while it, or what follows it, has not come. */
function endOfQuoted(text: string, start: number): number | undefined {
  for (let i = start + 1; ; i += 1) {
    i = text.indexOf('"', i);
    if (i < 0 || i + 1 >= text.length) return undefined;
    if (text[i + 1] !== '"') return i;
    i += 1;
  }
}
