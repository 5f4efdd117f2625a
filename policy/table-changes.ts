import type { StoredColumn, StoredTable } from "../configs/stored";
import { code, codes } from "../configs/text";
import { type DataChange, keeps, loses, none } from "./data-change";

/** Whether an MQTT topic pattern takes all messages that another one takes. */
function covers(pattern: string, other: string): boolean {
  const [levels, others] = [pattern.split("/"), other.split("/")];
  if (levels.at(-1) === "#") {
    const start = levels.slice(0, -1);
    return others.length >= start.length && start.every((level, i) => takes(level, others[i]));
  }
  return levels.length === others.length && levels.every((level, i) => takes(level, others[i]));
}

const takes = (level: string, other: string | undefined) =>
  level === other || (level === "+" && other !== "#");

const stays = "What is stored stays until it is older than the retention";

const staysIn = (name: string) =>
  `What is stored stays in ${code(name)} until it is older than the retention; dashboards no longer show it.`;

/** Topics of a table that nothing takes any more. */
const lostTopics = ({ topics = [] }: StoredTable, after: readonly StoredTable[]) =>
  topics.filter(
    (topic) => !after.some((table) => (table.topics ?? []).some((taken) => covers(taken, topic))),
  );

const refused =
  "nothing stores what is still published there. What waits for Telegraf at the broker is kept " +
  "as a file in its volume, which `bess replay` reads";

/** What a change of the model does to the tables. */
export function tableChanges(
  before: readonly StoredTable[],
  after: readonly StoredTable[],
): DataChange[] {
  const former = new Map(before.map((table) => [table.name, table]));
  const gone = before.filter(({ name }) => !after.some((table) => table.name === name));
  const made = after.filter(({ name }) => !former.has(name));
  const renamed = new Map(
    gone.flatMap((table): [StoredTable, StoredTable][] => {
      const successor = made.find(
        ({ topics }) => topics && table.topics && topics.join() === table.topics.join(),
      );
      return successor ? [[table, successor]] : [];
    }),
  );
  const ended = gone.filter((table) => !renamed.has(table));
  const begun = made.filter((table) => ![...renamed.values()].includes(table));
  return [
    ...(ended.length > 0 && ended.length === before.length
      ? [modelExchanged(before, after)]
      : ended.map((table) => tableEnded(table, after))),
    ...[...renamed].flatMap(([from, to]) => [
      keeps(
        "table",
        from.name,
        to.name,
        `The table ${code(from.name)} is renamed: ${code(to.name)} is a new one, and begins empty. ` +
          `${staysIn(from.name)} ` +
          `${code(`npx bess migrate --rename ${from.name}=${to.name}`)} copies it into the new one.`,
      ),
      ...columnsEnded(from, to),
    ]),
    ...after.flatMap((table) => {
      const old = former.get(table.name);
      return old ? changesWithin(old, table, after) : [];
    }),
    ...(ended.length < before.length ? begun.map(tableBegun) : []),
  ];
}

const listed = (names: readonly string[]) => names.join(", ") || none;
const namesOf = (list: readonly { name: string }[]) => list.map(({ name }) => name);
const topicsOf = (tables: readonly StoredTable[]) => tables.flatMap(({ topics = [] }) => topics);

function modelExchanged(before: readonly StoredTable[], after: readonly StoredTable[]): DataChange {
  const lost = before.flatMap((table) => lostTopics(table, after));
  return loses(
    "model",
    listed(namesOf(before)),
    listed(namesOf(after)),
    `**The model is exchanged for one with other tables**: ${codes(namesOf(before))} get no more ` +
      `rows, and dashboards no longer show them. ${stays}.` +
      (lost.length > 0 ? ` Messages on ${codes(lost)} are lost: ${refused}.` : "") +
      ` New: ${codes(namesOf(after))}, from messages on ${codes(topicsOf(after))}.`,
  );
}

function tableEnded(table: StoredTable, after: readonly StoredTable[]): DataChange {
  const lost = table.topics ? lostTopics(table, after) : undefined;
  const effect =
    lost?.length === 0
      ? `The table ${code(table.name)} gets no more rows: its messages go into another table. `
      : `**The table ${code(table.name)} gets no more rows**: messages on ` +
        `${lost ? codes(lost) : "its topic"} are lost, for ${refused}. `;
  return (lost?.length !== 0 ? loses : keeps)(
    "table",
    table.name,
    none,
    `${effect}${stays}; dashboards no longer show it.`,
  );
}

const tableBegun = ({ name, topics = [] }: StoredTable): DataChange =>
  keeps(
    "table",
    none,
    name,
    `The table ${code(name)} is new: ` +
      `messages ${topics.length > 0 ? `on ${codes(topics)} ` : ""}are stored from the update on.`,
  );

/** Changes of a table that stays. */
function changesWithin(
  before: StoredTable,
  after: StoredTable,
  tables: readonly StoredTable[],
): DataChange[] {
  return [
    ...typeChanges(before, after),
    ...topicChanges(before, after, tables),
    ...timeChanges(before, after),
    ...tagChanges(before, after),
    ...columnsEnded(before, after),
    ...columnsBegun(before, after),
    ...after.columns.flatMap((column) => columnChanges(before, after.name, column)),
  ];
}

/** What each name of a table is: a tag, or a column by its type. */
const kindsOf = ({ tags, columns }: StoredTable) =>
  new Map<string, string>([
    ...tags.map(({ name }): [string, string] => [name, "tag"]),
    ...columns.map(({ name, type }): [string, string] => [name, type]),
  ]);

function typeChanges(before: StoredTable, after: StoredTable): DataChange[] {
  const former = kindsOf(before);
  return [...kindsOf(after)].flatMap(([name, to]) => {
    const from = former.get(name);
    if (from === undefined || from === to) return [];
    return [
      {
        ...loses(
          `type ${after.name}.${name}`,
          from,
          to,
          `**The table ${code(after.name)} cannot take this**: ${code(name)} changes from ${from} to ` +
            `${to}, but InfluxDB never changes a column that is there. It would reject every row with ` +
            `the new kind of ${code(name)}, so the update is refused before anything is touched. Give ` +
            `it another name, or run ${code("npx bess migrate")}, which copies the table.`,
        ),
        refused: true,
      },
    ];
  });
}

function topicChanges(
  before: StoredTable,
  after: StoredTable,
  tables: readonly StoredTable[],
): DataChange[] {
  const [from, to] = [before.topics, after.topics];
  if (!from || !to || [...from].sort().join() === [...to].sort().join()) return [];
  const lost = lostTopics(before, tables);
  const effect =
    lost.length > 0
      ? `**Messages on ${codes(lost)} are lost**: ${code(after.name)} is filled from ${codes(to)}, ` +
        `and ${refused}.`
      : `${code(after.name)} is filled from messages on ${codes(to)}, before on ${codes(from)}.`;
  return [
    (lost.length > 0 ? loses : keeps)(`topic ${after.name}`, listed(from), listed(to), effect),
  ];
}

function timeChanges(before: StoredTable, after: StoredTable): DataChange[] {
  if (!before.time || !after.time || before.time === after.time) return [];
  return [
    keeps(
      `time ${after.name}`,
      before.time,
      after.time,
      `Rows of ${code(after.name)} get their time from ${code(after.time)}, before from ` +
        `${code(before.time)}. A message without it is stored at its arrival.`,
    ),
  ];
}

function tagChanges(before: StoredTable, after: StoredTable): DataChange[] {
  // A column that is there never becomes a tag, nor a tag a column.
  const columns = new Set(namesOf([...before.columns, ...after.columns]));
  const tagsOf = ({ tags }: StoredTable) => namesOf(tags).filter((name) => !columns.has(name));
  const [from, to] = [tagsOf(before), tagsOf(after)];
  const gone = from.filter((name) => !to.includes(name));
  const made = to.filter((name) => !from.includes(name));
  const effect = [
    `**Rows of ${code(after.name)} before and after the update do not belong together**: ` +
      `its tags, which say what unit a row is of, change from ${codes(from)} to ${codes(to)}. ` +
      `${code("npx bess migrate")} copies the table instead, so that they do.`,
    ...(gone.length > 0
      ? [`Units that only ${codes(gone)} told apart replace each other's rows of the same time.`]
      : []),
    ...(made.length > 0
      ? [`Rows of before have no ${codes(made)}: dashboards that choose by it leave them out.`]
      : []),
  ];
  const sources = after.tags.flatMap(({ name, source }) => {
    const former = before.tags.find((tag) => tag.name === name)?.source;
    if (!former || !source || former === source) return [];
    return [
      keeps(
        `source ${after.name}.${name}`,
        former,
        source,
        `The tag ${code(name)} of ${code(after.name)} is read from ${code(source)}, before from ` +
          `${code(former)}: where its values differ, a unit's rows before and after the update ` +
          "do not belong together.",
      ),
    ];
  });
  return [
    ...(gone.length + made.length > 0
      ? [loses(`tags ${after.name}`, listed(from), listed(to), effect.join(" "))]
      : []),
    ...sources,
  ];
}

/** Columns that get no more values: of a table that stays, or of one that is renamed. */
function columnsEnded(before: StoredTable, after: StoredTable): DataChange[] {
  const kinds = kindsOf(after);
  const isRenamed = before.name !== after.name;
  const gone = before.columns.filter(({ name }) => !kinds.has(name));
  return gone.flatMap((column) => {
    const successor = after.columns.find(
      ({ name, source }) =>
        source !== undefined && source === column.source && (isRenamed || isNew(before, name)),
    );
    if (successor && isRenamed) return [];
    const [from, subject] = [`${before.name}.${column.name}`, code(column.name)];
    return [
      successor
        ? keeps(
            "column",
            from,
            `${after.name}.${successor.name}`,
            `The column ${subject} of ${code(before.name)} is renamed: ${code(successor.name)} is ` +
              `a new one, and begins empty. ${staysIn(column.name)}`,
          )
        : loses(
            "column",
            from,
            none,
            `**Values of ${code(from)} are lost from the update on**: they are no longer stored. ` +
              `${stays}; dashboards no longer show it.`,
          ),
    ];
  });
}

const isNew = (before: StoredTable, name: string) => !kindsOf(before).has(name);

function columnsBegun(before: StoredTable, after: StoredTable): DataChange[] {
  const isSuccessor = ({ source }: StoredColumn) =>
    before.columns.some(
      (column) =>
        source !== undefined && column.source === source && !kindsOf(after).has(column.name),
    );
  const made = namesOf(
    after.columns.filter((column) => isNew(before, column.name) && !isSuccessor(column)),
  );
  if (made.length === 0) return [];
  return [
    keeps(
      `column ${after.name}`,
      none,
      listed(made),
      `New in ${code(after.name)}: ${codes(made)}. Rows of before have no value there.`,
    ),
  ];
}

const differs = (from: string | undefined, to: string | undefined) =>
  from !== undefined && to !== undefined && from !== to;

const valuesOf = ({ unit, scale }: StoredColumn) =>
  `${unit ? `in ${code(unit)}` : "without a unit"}, times ${code(scale)}`;

/** Changes of a column that stays, but for its type. */
function columnChanges(before: StoredTable, table: string, column: StoredColumn): DataChange[] {
  const former = before.columns.find(({ name }) => name === column.name);
  // A column of another type takes no values at all.
  if (!former || former.type !== column.type) return [];
  const name = `${table}.${column.name}`;
  const scaled = ({ unit, scale }: StoredColumn) => `${unit || none} × ${scale}`;
  return [
    ...(differs(former.unit, column.unit) || differs(former.scale, column.scale)
      ? [
          keeps(
            `unit ${name}`,
            scaled(former),
            scaled(column),
            `**Values of ${code(name)} before and after the update differ**: the payload's value ` +
              `is stored ${valuesOf(column)}; before, it was stored ${valuesOf(former)}. ` +
              "Rows of before stay as they are.",
          ),
        ]
      : []),
    ...(differs(former.source, column.source)
      ? [
          keeps(
            `source ${name}`,
            String(former.source),
            String(column.source),
            `${code(name)} is read from ${code(column.source)}, before from ${code(former.source)}.`,
          ),
        ]
      : []),
  ];
}
