/** Grafana's id of a unit, what it measures, and how it converts to others of the same. */
interface UnitEntry {
  /** Grafana's id; `suffix:` shows a unit that Grafana does not know. */
  grafana: string;
  /** Physical dimension. Values convert within one. */
  measures: string;
  /** Units of the dimension's base in one of this unit, as a decimal or a fraction. */
  factor: string;
  /** What is added in the base unit: the zero of a temperature. */
  offset: string;
}

const unit = (measures: string, factor: string, grafana: string, offset = "0"): UnitEntry => ({
  grafana,
  measures,
  factor,
  offset,
});

/**
 * Units of what a gateway sends and of what a model stores. Factors are those of the SI; a calorific
 * or psychrometric unit has no place here.
 */
export const units = {
  A: unit("current", "1", "amp"),
  mA: unit("current", "0.001", "mamp"),
  kA: unit("current", "1000", "kamp"),
  V: unit("voltage", "1", "volt"),
  mV: unit("voltage", "0.001", "mvolt"),
  kV: unit("voltage", "1000", "kvolt"),
  W: unit("power", "1", "watt"),
  mW: unit("power", "0.001", "mwatt"),
  kW: unit("power", "1000", "kwatt"),
  MW: unit("power", "1000000", "megwatt"),
  GW: unit("power", "1000000000", "gwatt"),
  var: unit("reactive power", "1", "voltampreact"),
  kvar: unit("reactive power", "1000", "kvoltampreact"),
  Mvar: unit("reactive power", "1000000", "suffix: Mvar"),
  VA: unit("apparent power", "1", "voltamp"),
  kVA: unit("apparent power", "1000", "kvoltamp"),
  MVA: unit("apparent power", "1000000", "suffix: MVA"),
  Wh: unit("energy", "1", "watth"),
  kWh: unit("energy", "1000", "kwatth"),
  MWh: unit("energy", "1000000", "suffix: MWh"),
  J: unit("energy", "1/3600", "joule"),
  kJ: unit("energy", "10/36", "suffix: kJ"),
  MJ: unit("energy", "10000/36", "suffix: MJ"),
  varh: unit("reactive energy", "1", "suffix: varh"),
  kvarh: unit("reactive energy", "1000", "suffix: kvarh"),
  Ah: unit("charge", "1", "amph"),
  mAh: unit("charge", "0.001", "mamph"),
  kAh: unit("charge", "1000", "kamph"),
  As: unit("charge", "1/3600", "suffix: As"),
  Ω: unit("resistance", "1", "ohm"),
  µΩ: unit("resistance", "0.000001", "suffix: µΩ"),
  mΩ: unit("resistance", "0.001", "suffix: mΩ"),
  kΩ: unit("resistance", "1000", "kohm"),
  MΩ: unit("resistance", "1000000", "Mohm"),
  F: unit("capacitance", "1", "farad"),
  Hz: unit("frequency", "1", "hertz"),
  mHz: unit("frequency", "0.001", "suffix: mHz"),
  kHz: unit("frequency", "1000", "suffix: kHz"),
  "1/min": unit("rotational speed", "1", "rotrpm"),
  "1/s": unit("rotational speed", "60", "suffix: 1/s"),
  "%": unit("share", "0.01", "percent"),
  "‰": unit("share", "0.001", "suffix: ‰"),
  K: unit("temperature", "1", "kelvin"),
  "°C": unit("temperature", "1", "celsius", "273.15"),
  "°F": unit("temperature", "5/9", "fahrenheit", "45967/180"),
  Pa: unit("pressure", "1", "pressurepa"),
  kPa: unit("pressure", "1000", "pressurekpa"),
  mbar: unit("pressure", "100", "pressurembar"),
  hPa: unit("pressure", "100", "pressurehpa"),
  bar: unit("pressure", "100000", "pressurebar"),
  ms: unit("time", "0.001", "ms"),
  s: unit("time", "1", "s"),
  min: unit("time", "60", "m"),
  h: unit("time", "3600", "h"),
  d: unit("time", "86400", "d"),
  mm: unit("length", "0.001", "lengthmm"),
  m: unit("length", "1", "lengthm"),
  "l/min": unit("flow", "1", "flowlpm"),
  "l/h": unit("flow", "1/60", "litreh"),
  "m³/h": unit("flow", "100/6", "suffix: m³/h"),
  "W/m²": unit("irradiance", "1", "Wm2"),
  dB: unit("level", "1", "dB"),
  dBm: unit("signal", "1", "dBm"),
  ppm: unit("concentration", "1", "ppm"),
  B: unit("data", "1", "bytes"),
  "": unit("number", "1", "none"),
} as const satisfies Record<string, UnitEntry>;

/** A unit that a model may use. */
export type Unit = keyof typeof units;

const secondsPerUnit = new Map([
  ["ms", 0.001],
  ["s", 1],
  ["m", 60],
  ["h", 3600],
  ["d", 86400],
  ["w", 604800],
]);

/** What a reference says of the unit of a duration. */
export const durationUnit = "ms, s, m, h, d or w";

/** Matches a duration as InfluxDB spells it: a whole number and one of ms, s, m, h, d, w. */
export const durationPattern = /^[1-9]\d*(ms|s|m|h|d|w)$/;

/**
 * Seconds in a duration such as `500ms`, `1s` or `90d`.
 * @throws RangeError if the text is no such duration.
 */
export function durationSeconds(text: string): number {
  const factor = secondsPerUnit.get(durationPattern.exec(text)?.[1] ?? "");
  if (factor === undefined)
    throw new RangeError(
      `"${text}" is no duration: write a whole number and ms, s, m, h, d or w, such as 90d`,
    );
  return parseInt(text, 10) * factor;
}

/** Whether a duration is from one to another; a text that is none is left to its pattern. */
export const durationWithin = (least: string, most: string) => (text: string) =>
  !durationPattern.test(text) ||
  (durationSeconds(text) >= durationSeconds(least) &&
    durationSeconds(text) <= durationSeconds(most));

const bytesPerUnit = new Map([
  ["MB", 1e6],
  ["GB", 1e9],
  ["TB", 1e12],
  ["MiB", 2 ** 20],
  ["GiB", 2 ** 30],
  ["TiB", 2 ** 40],
]);

/** What a reference says of the unit of a size. */
export const sizeUnit = "MB, GB, TB, MiB, GiB or TiB";

/** Matches a size such as `40GB` or `1.5 TiB`. */
export const sizePattern = /^(?:[1-9]\d*|\d+\.\d+) ?([MGT]i?B)$/;

/**
 * Bytes of a size such as `40GB`, which is 40 · 10⁹, or `40GiB`, which is 40 · 2³⁰.
 * @throws RangeError if the text is no such size.
 */
export function sizeBytes(text: string): number {
  const factor = bytesPerUnit.get(sizePattern.exec(text)?.[1] ?? "");
  if (factor === undefined)
    throw new RangeError(`"${text}" is no size: write a number and ${sizeUnit}, such as 40GB`);
  return parseFloat(text) * factor;
}

/** Bytes in words, such as `4.6 GB`. */
export const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
