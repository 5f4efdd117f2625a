import * as z from "zod";
import { profiles } from "./profiles";
import { leastRetention, type Retention, tierNames, tiers } from "./rollups";
import { durationPattern, durationSeconds, durationUnit, durationWithin } from "./units";
import { text } from "./validation";

const duration = text(durationPattern, "write a duration such as 90d").refine(
  durationWithin("1h", "36500d"),
  "keep from 1h to 36500d",
);

const ofProfiles = Object.entries(profiles)
  .map(([name, p]) => `\`${name}\` ${p.retention}`)
  .join(", ");

const tierKey = (what: string, tier: keyof typeof tiers, finer: string) =>
  duration.optional().meta({
    description:
      `How long rollups by ${what} are kept: ${leastRetention[tier]}, and as long as ${finer} at least. ` +
      `Without it: ${tiers[tier].retention}, or as long as ${finer} if that is longer.`,
    unit: durationUnit,
    examples: [tiers[tier].retention],
  });

/** `retention` of a site's configuration: one duration, or one for each tier. */
export const retentionSchema = z
  .union([
    duration,
    z
      .strictObject({
        raw: duration.optional().meta({
          description: `How long rows are kept as they came. Without it by profile: ${ofProfiles}.`,
          unit: durationUnit,
          examples: ["180d"],
        }),
        minute: tierKey("the minute", "minute", "rows"),
        hour: tierKey("the hour", "hour", "those by the minute"),
        day: tierKey("the day", "day", "those by the hour"),
      })
      .meta({ examples: [{ raw: "90d", minute: "730d" }] }),
  ])
  .optional()
  .meta({
    description:
      "How long data is kept: one duration for the rows as they came, or one for these and each " +
      `tier of rollups. Without it by profile: ${ofProfiles}.`,
    unit: durationUnit,
    examples: ["180d", { raw: "90d", minute: "730d" }],
  });

/** What a site's configuration says of retention, and the profile that decides the rest. */
export interface RetentionChoice {
  profile: keyof typeof profiles;
  retention?: z.output<typeof retentionSchema>;
}

const longer = (a: string, b: string) => (durationSeconds(a) >= durationSeconds(b) ? a : b);

const chosen = ({
  retention,
}: RetentionChoice): Partial<Record<keyof Retention, string | undefined>> =>
  typeof retention === "string" ? { raw: retention } : (retention ?? {});

/** How long a site keeps its rows, and each tier of rollups: at least as long as the finer one. */
export function retentionOf(choice: RetentionChoice): Retention {
  const { raw = profiles[choice.profile].retention, ...of } = chosen(choice);
  const minute = of.minute ?? longer(tiers.minute.retention, raw);
  const hour = of.hour ?? longer(tiers.hour.retention, minute);
  return { raw, minute, hour, day: of.day ?? longer(tiers.day.retention, hour) };
}

/** Tiers that a site keeps for less long than the finer one, and why that is refused. */
export function retentionFindings(choice: RetentionChoice): { tier: string; message: string }[] {
  const isDuration = (value: string | undefined) => !value || durationPattern.test(value);
  if (!Object.values(chosen(choice)).every(isDuration)) return [];
  const retention = retentionOf(choice);
  const order = ["raw", ...tierNames] as const;
  return tierNames.flatMap((tier, i) => {
    const finer = order[i] ?? "raw";
    const least = leastRetention[tier];
    if (durationSeconds(retention[tier]) >= durationSeconds(retention[finer]))
      return durationSeconds(retention[tier]) >= durationSeconds(least)
        ? []
        : [
            {
              tier,
              message: `keep it for ${least} at least: the next tier is made of parts as long`,
            },
          ];
    const message =
      `keep it as long as retention.${finer} at least, which is ${retention[finer]}` +
      (chosen(choice)[finer] ? "" : " by default");
    return [{ tier, message }];
  });
}
