import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { CsvRows } from "../../../cli/replay/csv";
import type { Choices, Row } from "../../../cli/replay/messages";
import { Skipped } from "../../../cli/replay/skipped";
import { openSource, type Reading } from "../../../cli/replay/source";
import { loadModel } from "../../../configs/model";
import { InputError } from "../../../configs/validation";
import { temporaryFolder } from "../../support/programs";

const model = loadModel(join(__dirname, "../../../configs/models/m5bat.yaml"));

const folder = temporaryFolder();
afterAll(() => folder.remove());
const at = (file: string) => join(folder.path, file);

/** What was read of a file. */
interface Outcome {
  rows: Row[];
  /** The payloads' states of charge. */
  soc: unknown[];
  notes: string[];
  skipped: Skipped;
  refusal: string[];
}

/** Reads a file of this content. */
async function read(
  name: string,
  content: string | Buffer,
  asked: Partial<Reading> = {},
  choices: Partial<Choices> = {},
): Promise<Outcome> {
  writeFileSync(at(name), content);
  const [rows, notes]: [Row[], string[]] = [[], []];
  const { skipped = new Skipped() } = asked;
  let refusal: string[] = [];
  try {
    const source = openSource(at(name), {
      model,
      choices: { tags: {}, map: {}, ignore: [], ...choices },
      from: 1,
      limit: Infinity,
      sort: false,
      skipBad: false,
      skipped,
      note: (text) => notes.push(text.replace(`${folder.path}/`, "")),
      ...asked,
    });
    for await (const batch of source.rows) rows.push(...batch);
    expect(source.share()).toBe(1);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    refusal = error.problems;
  }
  const soc = rows.map(({ message }) => (JSON.parse(message.payload) as { SOC: unknown }).SOC);
  const told = notes.filter((text) => !text.includes("has no column for these fields"));
  return { rows, soc, notes: told, skipped, refusal };
}

const clock = (i: number) =>
  new Date(Date.UTC(2023, 3, 13) + i * 1000).toISOString().slice(0, 19).replace("T", " ");
const csv = (lines: string[], header = "DateAndTime,SOC") => [header, ...lines, ""].join("\n");
const one = csv([`${clock(0)},501`]);
const utf16 = (text: string, mark: boolean) =>
  Buffer.from((mark ? "\ufeff" : "") + text, "utf16le");
const latin1 = (text: string) => Buffer.from(text, "latin1");

describe("a file", () => {
  test.each<[what: string, name: string, content: string | Buffer, notes: string[]]>([
    ["plain", "a.csv", one, []],
    ["gzipped", "a.csv.gz", gzipSync(one), []],
    ["gzipped under a plain name", "a.csv", gzipSync(one), []],
    ["plain under a gzipped name", "a.csv.gz", one, []],
    [
      "gzipped in parts",
      "a.csv",
      Buffer.concat([gzipSync(one.slice(0, 9)), gzipSync(one.slice(9))]),
      [],
    ],
    ["with Windows' line ends", "a.csv", one.replaceAll("\n", "\r\n"), []],
    ["without a last line end", "a.csv", one.trimEnd(), []],
    ["with empty lines", "a.csv", `\n \n${one.replace("\n", "\n\n")}\n\n`, []],
    ["UTF-8 with a mark", "a.csv", `\ufeff${one}`, []],
    ["UTF-16 with a mark", "a.csv", utf16(one, true), ["a.csv is read as utf-16le"]],
    ["UTF-16 without a mark", "a.csv", utf16(one, false), ["a.csv is read as utf-16le"]],
    ["big-endian UTF-16", "a.csv", utf16(one, true).swap16(), ["a.csv is read as utf-16be"]],
    ["with tabs", "a.tsv", one.replaceAll(",", "\t"), ["a.tsv: the delimiter is a tab"]],
    ["of Excel", "a.csv", `sep=;\n${one.replaceAll(",", ";")}`, ['a.csv: the delimiter is ";"']],
    ["of quoted cells", "a.csv", one.replaceAll(/[^,\n]+/g, '"$&"'), []],
    ["of payloads", "a.ndjson", `{"DateAndTime":"${clock(0)}","SOC":501}`, []],
    [
      "of payloads with marks",
      "a.jsonl",
      `\ufeff{"DateAndTime":"${clock(0)}","SOC":501}\r\n\ufeff`,
      [],
    ],
  ])("%s is read", async (_, name, content, notes) =>
    expect(await read(name, content)).toMatchObject({ soc: [501], notes, refusal: [] }),
  );

  test.each<[what: string, content: string | Buffer, finding: string]>([
    [
      "a ZIP archive",
      Buffer.from("PK\u0003\u0004 and more"),
      "it is a ZIP archive, which an .xlsx is too: save the table as CSV",
    ],
    [
      "of zero bytes",
      Buffer.from([1, 2, 0, 3, 0, 0, 0, 4, 5, 6, 7]),
      "it is no text: it has zero bytes",
    ],
    ["UTF-32", Buffer.from("fffe000061000000", "hex"), "it is UTF-32: save it as UTF-8"],
    [
      "of another encoding",
      Buffer.from([0x53, 0x81, 0x4f, 0x43, 10, 10, 10, 10, 10]),
      "its encoding is neither UTF-8 nor UTF-16 nor Latin-1: name it with --encoding",
    ],
    ["cut gzip", gzipSync(one).subarray(0, 40), "unexpected end of file"],
    ["of one endless line", "a".repeat(5_000_000), "a line has more than 4000000 characters"],
  ])("%s is refused", async (_, content, finding) =>
    expect(await read("a.csv", content)).toMatchObject({ rows: [], refusal: [finding] }),
  );

  test("in Latin-1 is told from UTF-8 by its first other letter, however late that comes", async () => {
    const lines = Array.from({ length: 5_000 }, (_, i) => `${clock(i)},${i},plain`);
    for (const letter of ["ü", "°"]) {
      const text = csv([...lines, `${clock(5_000)},5000,${letter}`], "DateAndTime,SOC,Remark");
      for (const [content, notes] of [
        [latin1(text), ["a.csv is read as Latin-1 (windows-1252)"]],
        [Buffer.from(text), []],
      ] as const) {
        const {
          soc,
          notes: told,
          refusal,
        } = await read("a.csv", content, {}, { ignore: ["Remark"] });
        expect([soc.length, told, refusal]).toEqual([5_001, notes, []]);
      }
    }
  });

  test("has its own letters in any encoding, wherever its parts are cut", async () => {
    const lines = Array.from({ length: 6_000 }, (_, i) => `${clock(i)};${i}`);
    const text = csv(lines, "DateAndTime;Ladung für °C €");
    const map = { "Ladung für °C €": "SOC" };
    const contents: [Buffer, Partial<Reading>][] = [
      [Buffer.from(text), {}],
      [utf16(text, true), {}],
      [Buffer.concat(text.split("").map((c) => (c === "€" ? Buffer.from([0x80]) : latin1(c)))), {}],
      [Buffer.from(text), { encoding: "utf-8" }],
    ];
    for (const [content, asked] of contents)
      expect((await read("a.csv", content, asked, { map })).soc).toEqual(lines.map((_, i) => i));
  });

  test("whose bytes are no text further on has a bad row", async () => {
    const lines = Array.from({ length: 9999 }, (_, i) => `${clock(i)},${i},ü`);
    const content = Buffer.concat([
      Buffer.from(csv(lines, "DateAndTime,SOC,Remark")),
      latin1(`${clock(9999)},9999,ü\n`),
    ]);
    const { soc, skipped } = await read("a.csv", content, { skipBad: true }, { ignore: ["*"] });
    expect([soc.length, skipped.summary()[1]]).toEqual([
      9999,
      "  1: it has bytes that are no text: --encoding names another (row 10000)",
    ]);
  });

  test("of another ending needs its format", async () => {
    expect((await read("a.log", one)).refusal).toEqual([
      expect.stringContaining("--format is csv or ndjson"),
    ]);
    expect((await read("a.log", one, { format: "csv" })).soc).toEqual([501]);
  });

  test("that is no CSV tells the options without effect", async () =>
    expect(
      (
        await read(
          "a.ndjson",
          "{}",
          { delimiter: ";" },
          { map: { a: "b" }, ignore: ["c"], decimal: "," },
        )
      ).notes,
    ).toEqual(
      ["map", "ignore", "delimiter", "decimal"].map(
        (option) => `--${option} has no effect: a.ndjson is no CSV`,
      ),
    ));

  test("gives out the rows that are asked for", async () => {
    const text = csv(Array.from({ length: 9 }, (_, i) => `${clock(i)},${i + 1}`));
    for (const sort of [false, true])
      expect(
        (await read("a.csv", text, { from: 3, limit: 4, sort })).rows.map(({ number }) => number),
      ).toEqual([3, 4, 5, 6]);
  });
});

describe("rows of a CSV file", () => {
  const cell = fc.string({ unit: fc.constantFrom("a", "1", ",", ";", '"', "\n", " ", "#", "ü") });
  const written = (text: string) => `"${text.replaceAll('"', '""')}"`;

  test("are read as they were written, wherever the blocks of lines end", () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { maxLength: 12 }),
        fc.integer({ min: 1, max: 9 }),
        (table, size) => {
          const text = table.map((cells) => cells.map(written).join(";")).join("\n");
          const lines =
            text === "" ? [] : text.split("\n").map((line, i) => ({ line: i + 1, text: line }));
          const rows = new CsvRows(";");
          const found = [];
          for (let i = 0; i < lines.length; i += size)
            found.push(...rows.read(lines.slice(i, i + size)));
          found.push(...rows.end());
          expect(found.map(({ cells }) => cells)).toEqual(table);
          expect(found.map((row) => row.text).join("\n")).toBe(text);
        },
      ),
    );
  });

  test("that are broken take no others with them, and may have an inch mark", async () => {
    const lines = Array.from({ length: 2000 }, (_, i) => `${clock(i)},${i + 1},fine`);
    lines[3] = `${clock(3)},4,"never closed`;
    lines[700] = `${clock(700)},701,12" pipe`;
    lines[900] = `${clock(900)},901`;
    lines[901] = `${clock(901)},902,"two`;
    lines.splice(902, 0, 'lines"');
    const skipped = new Skipped(at("bad.csv"));
    const { soc, refusal } = await read(
      "a.csv",
      csv(lines, "DateAndTime,SOC,Remark"),
      { skipBad: true, skipped },
      { ignore: ["Remark"] },
    );
    skipped.close();
    expect(refusal).toEqual([]);
    const expected = Array.from({ length: 2000 }, (_, i) => i + 1);
    expect(soc).toEqual(expected.filter((n) => n !== 4 && n !== 901));
    expect(readFileSync(at("bad.csv"), "utf8").split("\n")).toEqual([
      "DateAndTime,SOC,Remark",
      "# row 4: a quotation mark is not closed",
      lines[3],
      "# row 901: it has 2 cells, and the header has 3",
      lines[900],
      "",
    ]);
    const mended = readFileSync(at("bad.csv"), "utf8")
      .replace('"never', "")
      .replace(",901", ",901,");
    expect((await read("mended.csv", mended, {}, { ignore: ["Remark"] })).soc).toEqual([4, 901]);
  });

  test("end at a bad one, after those before it", async () => {
    const { soc, refusal } = await read(
      "a.csv",
      csv([`${clock(0)},1`, `${clock(1)},full`, `${clock(2)},3`]),
    );
    expect(soc).toEqual([1]);
    expect(refusal).toEqual([
      'SOC is "full": write a number',
      "--skip-bad FILE keeps such rows in a file, and goes on",
    ]);
  });
});

describe("skipped rows", () => {
  test("are counted by reason, each with its first row", () => {
    const skipped = new Skipped();
    expect(skipped.summary()).toEqual([]);
    for (let i = 1; i <= 20; i += 1) skipped.add(i, "text", `reason ${Math.min(i, 12)}`);
    expect(skipped.summary()).toEqual([
      "Skipped rows:",
      ...Array.from({ length: 10 }, (_, i) => `  1: reason ${i + 1} (row ${i + 1})`),
      "  10: other reasons",
    ]);
  });

  test("never overwrite a file, and leave no empty one", () => {
    writeFileSync(at("there.csv"), "kept");
    expect(() => new Skipped(at("there.csv"))).toThrow("it exists already: name a new file");
    expect(() => new Skipped("/nowhere/bad.csv")).toThrow("ENOENT");
    new Skipped(at("none.csv")).close();
    expect(existsSync(at("none.csv"))).toBe(false);
  });
});

describe("rows in another order than their times", () => {
  const shuffled = (count: number) =>
    Array.from({ length: count }, (_, i) => (i * 7919) % count).map((i) => `${clock(i >> 1)},${i}`);

  test("are sent so, which is told once", async () => {
    const { soc, notes } = await read(
      "a.csv",
      csv([`${clock(5)},5`, `${clock(3)},3`, `${clock(1)},1`]),
    );
    expect(soc).toEqual([5, 3, 1]);
    expect(notes).toEqual([
      expect.stringMatching(/^row 2 of a\.csv is earlier than the one before it: /),
    ]);
  });

  // More than are sorted in memory at a time.
  test.each([3, 1000, 15_001])(
    "are sorted, %d of them, those of one time in their order",
    async (count) => {
      const lines = shuffled(count);
      const { rows, soc, notes } = await read("a.csv", csv(lines), { sort: true });
      const expected = lines
        .map((line) => Number(line.split(",")[1]))
        .map((n, i) => ({ n, i }))
        .sort((a, b) => (a.n >> 1) - (b.n >> 1) || a.i - b.i);
      expect(soc).toEqual(expected.map(({ n }) => n));
      expect(rows.map(({ number }) => number)).toEqual(expected.map((_, i) => i + 1));
      expect(notes).toEqual([expect.stringContaining("the rows are sorted by time")]);
    },
  );
});

describe("a recording", () => {
  const line = (topic: string, payload: unknown) => JSON.stringify({ topic, payload });
  const payload = { DateAndTime: clock(0), SOC: 1 };

  test("has foreign lines, which are counted and kept", async () => {
    const lines = [
      "Warning: the broker restarts",
      line("gw/lwt", "online"),
      line("m5bat/1/evaluation", payload),
      "",
      line("gw/lwt", "offline"),
      line("m5bat/1/evaluation", ""),
      line("m5bat/2/evaluation", { ...payload, SOC: 2 }),
      '{"topic":"m5bat/1/eva',
    ];
    const skipped = new Skipped(at("foreign.ndjson"));
    const { soc, refusal } = await read("a.ndjson", lines.join("\n"), { skipped });
    skipped.close();
    expect([soc, refusal]).toEqual([[1, 2], []]);
    expect(skipped.summary()).toEqual([
      `Skipped rows, kept in ${at("foreign.ndjson")}:`,
      "  2: not a recorded message (row 1 first)",
      "  2: no measurement has the topic gw/lwt (row 2 first)",
      "  1: m5bat/1/evaluation: unit: empty payload (row 5)",
    ]);
    expect(readFileSync(at("foreign.ndjson"), "utf8").split("\n").slice(0, 4)).toEqual([
      "# row 1: not a recorded message",
      lines[0],
      "# row 2: no measurement has the topic gw/lwt",
      lines[1],
    ]);
  });
});
