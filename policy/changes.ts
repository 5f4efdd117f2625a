import { isCloned } from "../configs/clones";
import { compareVersions, imageVersion, type Service, serviceTitles } from "../configs/images";
import { databases } from "../configs/influxdb";
import { tierNames, tiers } from "../configs/rollups";
import { engineKey } from "../configs/ssh";
import { code, codes } from "../configs/text";
import { durationSeconds } from "../configs/units";
import { type DataChange, keeps, loses } from "./data-change";
import type { Stored } from "./stored";
import { tableChanges } from "./table-changes";

/** Services whose data an older version may not read, and what that costs. */
const keepsData: Partial<Record<Service, string>> = {
  mosquitto:
    "the queue, which no clone replaces without loss: what waits in it is delivered no more",
  influxdb: "the rows that were stored since the clone was taken",
  interface: "what its users have entered",
  explorer: "what was saved there by hand",
  grafana: "users, alerts and dashboards that were made by hand since the clone was taken",
};

/** What another version of a service's image does to its data. */
const versionEffect = (service: Service, older: string) => {
  const command = `\`npx bess rollback-data --service ${service}\``;
  return isCloned(service)
    ? {
        raised:
          "Before that, a clone of its data is taken in its volume: a later return is refused " +
          `unless ${command} gives it that clone.`,
        lowered:
          "it may not read what a newer one has written, and is refused until " +
          `${command} gives it a clone of the data from before. Aside then: ${older}.`,
      }
    : {
        raised: `A later return may fail: an older one may not open its data. Lost then: ${older}.`,
        lowered: `it may not open what a newer one has written. Lost then: ${older}.`,
      };
};

/** The volumes of a site: its services', by the names that the engine has of them. */
const volumesOf = ({ site, kept }: Stored, services = Object.keys(kept)) =>
  services.map((service) => `${site}-${service}-data`);

/** Changes of what the site is called, and of where it is. */
function placeChanges(before: Stored, after: Stored): DataChange[] {
  const changes: DataChange[] = [];
  if (before.stack && after.stack && before.stack !== after.stack)
    changes.push(
      loses(
        "stack",
        before.stack,
        after.stack,
        `**The site gets another stack**, ${code(after.stack)}, which knows nothing of what ` +
          `${code(before.stack)} has made: that stays at the host, and the update fails at the ` +
          "names that are taken. Rename the stack itself with `pulumi stack rename`.",
      ),
    );
  if (before.site && after.site && before.site !== after.site)
    changes.push(
      loses(
        "name",
        before.site,
        after.site,
        `**The site is renamed, and starts without its data**: each volume is named after it. ` +
          (Object.values(before.kept).includes(false)
            ? `The volumes ${codes(volumesOf(before))} are deleted.`
            : `The data stays on the host in ${codes(volumesOf(before))}, which no service reads.`),
      ),
    );
  if (before.engine && after.engine && engineKey(before.engine) !== engineKey(after.engine))
    changes.push(
      loses(
        "engine",
        before.engine,
        after.engine,
        `**The site moves to another engine, and no data goes with it**: the volumes stay at ` +
          `${code(before.engine)}, where the containers run on. The stack takes them for those ` +
          `at ${code(after.engine)}, and the update fails at the first that is not there.`,
      ),
    );
  return changes;
}

/** Whether `down` deletes the data volumes. */
function purgeChanges(before: Stored, after: Stored): DataChange[] {
  const turned = (to: boolean) =>
    (Object.keys(before.kept) as Service[]).filter(
      (service) => before.kept[service] === !to && after.kept[service] === to,
    );
  const [deleted, kept] = [turned(false), turned(true)];
  return [
    ...(deleted.length > 0
      ? [
          loses(
            "purge",
            "false",
            "true",
            `**Once this update is done, a removal of the site deletes its data**: the volumes ` +
              `${codes(volumesOf(after, deleted))} go with the stack. The update itself deletes nothing.`,
          ),
        ]
      : []),
    ...(kept.length > 0
      ? [
          keeps(
            "purge",
            "true",
            "false",
            `A removal of the site keeps its data from now on: the volumes ` +
              `${codes(volumesOf(after, kept))} stay.`,
          ),
        ]
      : []),
  ];
}

/** Images of services that keep data. What another image does to the rest, its restart tells. */
function imageChanges(before: Stored, after: Stored): DataChange[] {
  return (Object.keys(keepsData) as Service[]).flatMap((service) => {
    const [older, from, to] = [keepsData[service], before.images[service], after.images[service]];
    if (!older || from === undefined || to === undefined || from === to) return [];
    const order = compareVersions(imageVersion(from), imageVersion(to));
    if (order === 0) return [];
    const title = serviceTitles[service];
    const { raised, lowered } = versionEffect(service, older);
    const between = `from ${code(from)} to ${code(to)}`;
    const effect =
      order === undefined
        ? `${title}'s image changes ${between}; their names do not tell which is the newer one. ` +
          raised
        : order > 0
          ? `**${title} is lowered** ${between}: ${lowered}`
          : `${title} is raised ${between}. ${raised}`;
    return [((order ?? 0) > 0 ? loses : keeps)(`image ${service}`, from, to, effect)];
  });
}

const isShorter = (from: string, to: string) => durationSeconds(to) < durationSeconds(from);

function retentionChanges(before: Stored, after: Stored): DataChange[] {
  const former = before.schema?.retention ?? {};
  return Object.entries(after.schema?.retention ?? {}).flatMap(([database, to]) => {
    const from = former[database];
    const tier = tierNames.find((name) => tiers[name].database === database);
    if (from === undefined)
      return tier
        ? [
            keeps(
              `retention.${tier}`,
              "none",
              to,
              `Rollups by the ${tier} are added, and kept for ${code(to)}. They are made from the rows ` +
                "that are there, in the background.",
            ),
          ]
        : [];
    if (durationSeconds(from) === durationSeconds(to)) return [];
    const isTelemetry = database === databases.telemetry;
    const what = isTelemetry
      ? "retention"
      : tier
        ? `retention.${tier}`
        : `retention of ${database}`;
    const rows = isTelemetry
      ? "Rows"
      : tier
        ? `Rollups by the ${tier}`
        : `Rows of the database ${code(database)}`;
    const between = `the retention goes from ${code(from)} to ${code(to)}`;
    const effect = isShorter(from, to)
      ? `**${rows} older than ${code(to)} are lost**: ${between}. They are in no query from the ` +
        "update on, and InfluxDB deletes their files soon after: a longer retention does not " +
        "bring them back then."
      : `${rows} are kept longer: ${between}. What was deleted by the former one does not come back.`;
    return [(isShorter(from, to) ? loses : keeps)(what, from, to, effect)];
  });
}

/**
 * What a change does to what a site stores, the losses first.
 * @returns nothing for a site that stores nothing yet.
 */
export function dataChanges(before: Stored, after: Stored): DataChange[] {
  if (!before.schema || !after.schema) return [];
  const changes = [
    ...placeChanges(before, after),
    ...retentionChanges(before, after),
    ...tableChanges(before.schema.tables, after.schema.tables),
    ...imageChanges(before, after),
    ...purgeChanges(before, after),
  ];
  return [...changes.filter(({ loses }) => loses), ...changes.filter(({ loses }) => !loses)];
}
