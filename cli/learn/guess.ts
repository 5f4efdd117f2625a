import type { Field } from "../../configs/model";
import { type Time, timeSchema } from "../../configs/payload";
import { timeReader } from "../../configs/reading";
import { type Unit, units } from "../../configs/units";
import { transitionsOf } from "../../configs/zones";

/** What is guessed of a field; it is edited by a person. */
export type Guess = Pick<Field, "type"> &
  Partial<Pick<Field, "unit" | "sent" | "scale" | "quantity" | "circuit">> & {
    number?: Partial<NonNullable<Field["number"]>>;
  };

/** The words of a key or of a path, such as `min`, `cell`, `voltage` of `minCellVoltage`. */
export const wordsOf = (text: string): string[] =>
  text
    .replaceAll(/(?<=[a-z0-9])(?<!(?:^|[^A-Za-z])[kmM])(?=[A-Z][a-z])/g, " ")
    .split(/[^\p{L}\p{N}%°]+/u)
    .filter(Boolean);

const transliterations: Record<string, string> = {
  ä: "ae",
  ö: "oe",
  ü: "ue",
  ß: "ss",
  "°": "",
  "%": "percent",
};

/** A name as InfluxDB's columns are called here. */
export function identifierOf(text: string, fallback = "value"): string {
  const plain = wordsOf(text)
    .join("_")
    .toLowerCase()
    .replaceAll(/[äöüß°%]/g, (sign) => transliterations[sign] ?? "")
    .replaceAll(/[^a-z0-9_]/g, "");
  const named = /^[a-z]/.test(plain) ? plain : `${fallback}_${plain}`;
  const name = named.replace(/_+$/, "").slice(0, 60);
  return name === "time" ? "time_sent" : name;
}

/** A key in words. */
export function sentenceOf(text: string): string {
  const words = wordsOf(text).join(" ");
  return words === "" ? "Value." : `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}

/** What words say of a quantity, the first that fits. */
const quantities: [pattern: RegExp, quantity: Field["quantity"], unit: Unit][] = [
  [/\b(soc|state of charge|charge level|battery level|ladezustand)\b/, "state_of_charge", "%"],
  [/\b(soh|state of health)\b/, "state_of_health", "%"],
  [/\b(reactive power|q ac|blindleistung)\b/, "reactive_power", "var"],
  [/\b(apparent power|scheinleistung|s ac)\b/, "other", "VA"],
  [/\bcurrent in\b/, "current_in", "A"],
  [/\bcurrent out\b/, "current_out", "A"],
  [/\b(energy|energie|yield)\b/, "energy", "kWh"],
  [/\b(temp|tmax|tmin)\b|temperatur/, "temperature", "°C"],
  [/\b(freq|frequency|frequenz|f)\b/, "frequency", "Hz"],
  [/\b(capacity|amphours|kapazitaet|kapazität)\b/, "other", "Ah"],
  [/\b(resistance|widerstand)\b/, "other", "mΩ"],
  [/\b(power|p ac|p dc|p)\b|leistung\b/, "power", "W"],
  [/\b(voltage|volt|volts|u|vbat|vdc|vac|vc(min|max|avg))\b|spannung\b/, "voltage", "V"],
  [/\b(current|curr|amp|amps|i|ibat|idc)\b|strom\b/, "current", "A"],
];

/** Names of units as keys end with them, in small letters where they are no unit as they stand. */
const unitNames: Partial<Record<string, Unit>> = {
  ...Object.fromEntries(
    (
      [
        "V",
        "mV",
        "kV",
        "A",
        "mA",
        "kA",
        "W",
        "kW",
        "Wh",
        "kWh",
        "Ah",
        "mAh",
        "Hz",
        "var",
        "kvar",
        "VA",
        "kVA",
        "ms",
        "s",
        "min",
        "h",
      ] as const
    ).map((unit) => [unit.toLowerCase(), unit]),
  ),
  "%": "%",
  pct: "%",
  percent: "%",
  c: "°C",
  degc: "°C",
  "°c": "°C",
  celsius: "°C",
  k: "K",
  kelvin: "K",
  degf: "°F",
  ohm: "Ω",
  mohm: "mΩ",
  seconds: "s",
  sec: "s",
  minutes: "min",
  hours: "h",
  rpm: "1/min",
};

/** Units that are stored as another, which people read. */
const stored: Partial<Record<Unit, Unit>> = { mV: "V", mA: "A", mAh: "Ah", K: "°C", "°F": "°C" };

const isUnit = (text: string): text is Unit => text in units;

/** The unit that a key ends with. */
function unitIn(words: string[]): Unit | undefined {
  const last = words.at(-1);
  if (last === undefined || words.length < 2) return undefined;
  return isUnit(last) && last !== "m" && last !== "d" && last !== "F"
    ? last
    : unitNames[last.toLowerCase()];
}

const phases: [pattern: RegExp, circuit: Field["circuit"]][] = [
  [/\b(l1|phase a|ac a|a|r)\b/, "ac_a"],
  [/\b(l2|phase b|ac b|b)\b/, "ac_b"],
  [/\b(l3|phase c|ac c|c)\b/, "ac_c"],
];

/** Words of a value that is no reading of the battery as a whole. */
const partial =
  /\b(cell|zell\w*|cells|min|max|limit|allowed|set|delta|avg|average|nominal|rated|v?c(min|max))\b/;

/** Words of a power that is not the battery's. */
const elsewhere = /\b(grid|netz|load|loads|last|consumption|pv|solar|house|haus|generator)\b/;

const numberPattern = /^[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?$/i;

/** How a text that is a number is written; undefined if it is none. */
function writing(text: string): { suffix: string; comma: boolean; hex: boolean } | undefined {
  if (/^0x[0-9a-f]+$/i.test(text)) return { suffix: "", comma: false, hex: true };
  const [, number = "", suffix = ""] = /^([-+\d.,e]+?)\s*([^\d.,\s]*)$/i.exec(text.trim()) ?? [];
  if (!numberPattern.test(number)) return undefined;
  return { suffix, comma: number.includes(","), hex: false };
}

const isBooleanWord = (text: string): boolean => /^(on|off|true|false)$/i.test(text);

/** What gateways say where they have no value. */
const noValue = /^(|nan|[-+]?inf(inity)?|unavailable|unknown|none|null|n\/a|-+|undefined)$/i;

/** Guesses the type, the unit and the quantity of a field by its key and by what was sent. */
export function guessField(key: string, values: readonly unknown[]): Guess {
  const known = values.filter((value) => !noValue.test(String(value ?? "")));
  const words = wordsOf(key);
  const text = ` ${words.join(" ").toLowerCase()} `;
  const texts = known.filter((value) => typeof value === "string");
  const most = (some: readonly unknown[]) => some.length > 0 && some.length * 2 > known.length;
  const isMode = /\b(mode|state(?! of )|status|betriebsart)\b/.test(text);
  if (
    most(known.filter((value) => typeof value === "boolean")) ||
    most(texts.filter(isBooleanWord))
  )
    return { type: "bool" };
  const written = texts.flatMap((sent) => writing(sent) ?? []);
  const numbers = known.filter((value) => typeof value === "number");
  if (!most([...numbers, ...written]))
    return { type: "string", ...(isMode && { quantity: "mode" as const }) };
  if (written.some(({ hex }) => hex)) return { type: "int", number: { base: 16 } };
  const comma = written.some((one) => one.comma);
  const suffix = written.find((one) => one.suffix !== "")?.suffix;
  const read = known.map((value) =>
    typeof value === "number" ? value : Number.parseFloat(String(value).replace(",", ".")),
  );
  const whole = read.every((value) => Number.isInteger(value));
  const style = comma || suffix !== undefined;
  const number = style && {
    number: { ...(comma && { decimal: "," as const }), ...(suffix !== undefined && { suffix }) },
  };
  if (
    whole &&
    (isMode ||
      /\b(alarm|alarms|code|count|cycles|zyklen|error|errors|fault|flags|bits)\b/.test(text))
  )
    return { type: "int", ...number, ...(isMode && { quantity: "mode" as const }) };
  const [, quantity, usual] = quantities.find(([pattern]) => pattern.test(text)) ?? [];
  const named = unitIn(words) ?? (suffix !== undefined && isUnit(suffix) ? suffix : undefined);
  const sent =
    named && (!usual || units[named].measures === units[usual].measures || quantity === "energy")
      ? named
      : usual && bySize(usual, quantity, text, read);
  const unit = sent && (stored[sent] ?? sent);
  const own = quantity ?? (named === undefined ? undefined : quantityOf(named));
  const phase = phases.find(([pattern]) => pattern.test(text))?.[1];
  const reads =
    own !== undefined &&
    own !== "other" &&
    (!partial.test(text) || own === "temperature") &&
    !(own === "power" && elsewhere.test(text));
  return {
    type: "float",
    ...(unit && { unit }),
    ...(sent !== unit && { sent }),
    ...scaleOf(quantity, read),
    ...number,
    ...(reads && { quantity: own }),
    ...(reads && phase && (own === "voltage" || own === "current") && { circuit: phase }),
  };
}

/** The quantity that a unit alone says. */
const quantityOf = (unit: Unit): Field["quantity"] | undefined =>
  quantities.find(
    ([, quantity, usual]) =>
      quantity !== "other" &&
      quantity !== "state_of_charge" &&
      quantity !== "state_of_health" &&
      units[usual].measures === units[unit].measures,
  )?.[1];

/** The unit that a quantity's usual one must be, by how large the numbers are. */
function bySize(
  usual: Unit,
  quantity: Field["quantity"] | undefined,
  text: string,
  read: number[],
): Unit {
  const largest = Math.max(...read.map(Math.abs));
  const isCell = /\b(cell|zell\w*|vc\w*)\b/.test(text);
  if (quantity === "voltage" && largest > (isCell ? 100 : 5000)) return "mV";
  if (usual === "A" && largest > 5000) return "mA";
  if (quantity === "temperature" && read.every((value) => value > 200 && value < 400)) return "K";
  if (quantity === "energy" && largest > 1e6) return "Wh";
  return usual;
}

/** A share that is sent from 0 to 1, or in tenths of a percent. */
function scaleOf(quantity: Field["quantity"] | undefined, read: number[]): { scale?: number } {
  if (quantity !== "state_of_charge" && quantity !== "state_of_health") return {};
  const largest = Math.max(...read);
  if (largest > 100 && largest <= 1000) return { scale: 0.1 };
  return largest > 0 && largest <= 1 && read.some((value) => !Number.isInteger(value))
    ? { scale: 100 }
    : {};
}

export const timeKey =
  /(^|[^a-z])(t|ts|tst|time|timestamp|datetime|dateandtime|utc|epoch|date|datum|zeit|uhrzeit|zeitstempel|clock)$/i;

/** Spellings that are tried, the likeliest first. */
const spellings = [
  "iso8601",
  "http",
  "DD.MM.YYYY HH:mm:ss",
  "YYYY/MM/DD HH:mm:ss",
  "DD/MM/YYYY HH:mm:ss",
  "MM/DD/YYYY HH:mm:ss",
  "MM/DD/YYYY hh:mm:ss A",
  "DD-MM-YYYY HH:mm:ss",
  "D.M.YYYY H:mm:ss",
  "DD.MM.YYYY HH:mm",
  "YYYYMMDDHHmmss",
  "YYYYMMDD HHmmss",
];

/** Formats of a Unix time, by the length of its whole digits. */
const epochs: Partial<Record<number, string>> = {
  10: "unix",
  13: "unix_ms",
  16: "unix_us",
  19: "unix_ns",
};

/** Zones that are proposed where a clock is not UTC's. */
const zones = [
  "Europe/Berlin",
  "Europe/London",
  "Europe/Athens",
  "America/New_York",
  "America/Chicago",
  "America/Los_Angeles",
  "Asia/Shanghai",
  "Australia/Sydney",
];

/** One message's values by their paths, and when it was recorded. */
export interface Sample {
  values: Map<string, unknown>;
  /** ns since 1970. */
  time: bigint | undefined;
}

/** The own time of messages, with the zone that its clock seems to have. */
export function guessTime(
  paths: string[],
  samples: readonly Sample[],
): Omit<Time, "optional" | "outside" | "lead"> | undefined {
  const named = paths.filter((path) => timeKey.test(lastKey(path)));
  const pairs = named.flatMap((one) =>
    /date|datum|day/i.test(lastKey(one))
      ? named
          .filter((other) => other !== one && /time|zeit|clock/i.test(lastKey(other)))
          .map((other) => [one, other])
      : [],
  );
  for (const path of [...named.map((one) => [one]), ...pairs]) {
    const found = spelling(path, samples);
    if (found) return { path: path.length === 1 ? (path[0] ?? "") : path, ...found };
  }
  return undefined;
}

const lastKey = (path: string): string => path.split(/(?<!\\)\./).at(-1) ?? path;

function spelling(
  paths: string[],
  samples: readonly Sample[],
): Pick<Time, "format" | "zone"> | undefined {
  const given = samples
    .map(({ values, time }) => ({ texts: paths.map((path) => textOf(values.get(path))), time }))
    .filter(({ texts }) => texts.every((text) => text !== ""));
  const [first] = given;
  if (!first) return undefined;
  const digits = /^\d+/.exec(first.texts[0] ?? "")?.[0].length ?? 0;
  const epoch =
    paths.length === 1 && /^\d+(\.\d+)?$/.test(first.texts[0] ?? "") ? epochs[digits] : undefined;
  const tried = epoch === undefined ? spellings : [epoch];
  const fitting = tried.flatMap((format) => {
    const parts = format.split(" ").length;
    if (paths.length > 1 && format !== "iso8601" && parts !== paths.length) return [];
    const readTime = timeReader(timeSchema.parse({ path: paths, format }));
    const read = given.map(({ texts, time }) => {
      const at = readTime(texts, time ?? 0n);
      return at === undefined
        ? undefined
        : { at, away: time === undefined ? 0 : Number(at - time) / 1e9 };
    });
    return read.some((one) => one === undefined)
      ? []
      : [{ format, away: read.map((one) => one?.away ?? 0) }];
  });
  fitting.sort((a, b) => Math.abs(median(a.away)) - Math.abs(median(b.away)));
  const [best] = fitting;
  if (!best) return undefined;
  const zoned = epoch !== undefined || /(Z|UTC|GMT|[+-]\d\d(:?\d\d)?)$/.test(first.texts.join(" "));
  return { format: best.format, zone: zoned ? "UTC" : zoneOf(median(best.away), first.time) };
}

/** The zone whose clock is so many seconds ahead of UTC. */
function zoneOf(ahead: number, time: bigint | undefined): string {
  const offset = Math.round(ahead / 900) * 900;
  if (offset === 0 || time === undefined || Math.abs(offset) > 14 * 3600) return "UTC";
  const seconds = Number(time / 1_000_000_000n);
  const offsetAt = (zone: string) =>
    transitionsOf(zone)
      .filter(([from], i) => i === 0 || from <= seconds)
      .at(-1)?.[1];
  const hours = offset / 3600;
  return (
    zones.find((zone) => offsetAt(zone) === offset) ??
    (Number.isInteger(hours) ? `Etc/GMT${hours > 0 ? "-" : "+"}${Math.abs(hours)}` : "UTC")
  );
}

const textOf = (value: unknown): string =>
  typeof value === "string" || typeof value === "number" ? String(value) : "";

/** The middle one of some numbers; 0 without any. */
export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
