import { first, type Measurement, modelSchema } from "../../configs/model";

const field = (name: string, type: string, more: object = {}) => ({
  name,
  type,
  meaning: "A value.",
  ...more,
});

/** A unit each minute, in W and charging over 0, to try signs and units. */
export const madeUnit: Measurement = first(
  modelSchema.parse({
    name: "made",
    title: "Made",
    measurements: [
      {
        name: "unit",
        title: "Unit",
        meaning: "A unit.",
        topic: "unit/+",
        interval: "1m",
        tags: [{ name: "id", segment: 1, meaning: "The unit." }],
        fields: [
          field("soc", "float", { quantity: "state_of_charge", unit: "%", range: [15, 85] }),
          field("power", "float", { quantity: "power", unit: "W", positive: "charging" }),
          field("mode", "string", { quantity: "mode" }),
          field("soh", "float", { quantity: "state_of_health", unit: "%" }),
          field("t1", "float", { quantity: "temperature", unit: "°C" }),
          field("t2", "float", { quantity: "temperature", unit: "°C" }),
        ],
      },
    ],
  }).measurements,
);

/**
 * A row of a made day, of which the answers are known: 0 to 8 h charging with 10 kW from 10 % to 90 %;
 * 8 to 12 h nothing; 12 to 20 h discharging with 9 kW to 10 %; nothing after it. The state of health falls
 * by a tenth of a percent a day.
 */
export function madeRow(day: number, minute: number) {
  const h = minute / 60;
  const charging = h < 8;
  const discharging = h >= 12 && h < 20;
  const soc = charging ? 10 + 10 * h : h < 12 ? 90 : discharging ? 90 - 10 * (h - 12) : 10;
  return {
    soc,
    power: charging ? 10_000 : discharging ? -9000 : 0,
    mode: charging ? "charge" : discharging ? "discharge" : "idle",
    soh: 100 - day / 10,
    t1: 20,
    t2: discharging ? 24 : 21,
  };
}

/** Whether the made week has a row: on the fourth day nothing comes from 21 h on. */
export const isMade = (day: number, minute: number): boolean => day !== 3 || minute < 21 * 60;

/** Figures of each whole made day, but for the state of health. */
export const madeFigures = {
  energy_charged: expect.closeTo(80, 9),
  energy_discharged: expect.closeTo(72, 9),
  round_trip_efficiency: expect.closeTo(90, 9),
  soc_change: 0,
  equivalent_full_cycles: expect.closeTo(0.8, 9),
  depth_of_discharge: 80,
  // 72 kWh are 80 %.
  capacity: expect.closeTo(90, 0),
  availability: 100,
  completeness: 100,
  // Below 15 % in the first half hour, the last half hour and from 20 h on; above 85 % 5 h.
  hours_outside_soc: expect.closeTo(0.5 + 4.5 + 5 - 2 / 60, 1),
  hours_mode_charge: 8,
  hours_mode_idle: 8,
  hours_mode_discharge: 8,
  spread_temperature_mean: expect.closeTo(2, 9),
  spread_temperature_max: 4,
};
