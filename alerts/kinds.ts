import type { Severity } from "../configs/watch";

/** What a kind of alert is about, and how it behaves. docs/alerts.md is made of it. */
export interface Kind {
  /** What every alert of the kind has; undefined where the model or the field decides. */
  severity?: Severity;
  /** What it means, in a sentence. */
  means: string;
  look: string;
  act: string;
  /** Seconds that the condition lasts before anybody is told. Undefined where the model decides. */
  pending?: number;
  /** Seconds that it must be over before a recovery is told. */
  keep: number;
  /** What it is taken for while its query answers nothing. */
  noData: "OK" | "KeepLast" | "Alerting";
  /** The same while its query fails. */
  error: "OK" | "KeepLast" | "Alerting";
  /** Seconds until an alert whose unit is in no answer any more is over. */
  missing: number;
  /** Why these times and states. */
  why: string;
}

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;

/**
 * What is read of a unit: while nothing comes of it nobody knows, so nothing is said to be over. That
 * nothing comes is an alert of its own.
 */
const ofValues = { noData: "KeepLast", error: "KeepLast", missing: day } as const;
/** What is counted where it happens: no row means that it did not. */
const ofEvents = { noData: "OK", error: "KeepLast", missing: 2 * minute } as const;
/** What is told every ten seconds: its end is an alert of its own. */
const ofPipeline = { noData: "KeepLast", error: "KeepLast", missing: hour } as const;

const silence =
  "While a unit is silent its last state stays: silence is `BessUnitSilent`, and no recovery.";
const events = "Nothing counted is no row, and that is right.";
const pipelineSilence =
  "Where the pipeline tells nothing, `BessPipelineSilent` does; nothing else then changes.";

/** Every kind of alert. An alert's name is its kind, and of what: `BessOutOfRangeBatterySoc`. */
export const kinds = {
  BessBeyondLimits: {
    severity: "critical",
    means: "A value is outside its `limits`, which it must never leave.",
    look: "The unit's dashboard: is the value believable, and do the unit's other values agree? Is the unit charging or discharging into the limit?",
    act: "Stop the power in that direction. If the value is a sensor's fault, take the unit out of operation until it is mended: nothing guards this limit meanwhile.",
    pending: 20,
    keep: 2 * minute,
    ...ofValues,
    why: `Three readings in a row, so that one wrong value wakes nobody. A value that swings around its limit is one alert: a recovery is told after two minutes inside. ${silence}`,
  },
  BessOutOfRange: {
    severity: "warning",
    means:
      "A value is outside its normal `range`, but not outside its `limits`: what is critical is told once.",
    look: "The unit's dashboard, over a day: a drift, a step, or a new mode of operation?",
    act: "Find the cause in working hours. If the value is normal after all, correct `range` in the model.",
    pending: 5 * minute,
    keep: 5 * minute,
    ...ofValues,
    why: `Short excursions are operation, not faults. ${silence}`,
  },
  BessChangesTooFast: {
    severity: "warning",
    means: "A value changed faster than `maxRate` says is possible.",
    look: "The value over the last hour: one jump and back is a reading; a jump that stays is a recalibration or an exchanged device.",
    act: "Ask the battery management system's log what happened at that time. A state of charge that jumps makes every figure of energy wrong from there on.",
    pending: 0,
    keep: 5 * minute,
    ...ofValues,
    why: `A jump is over at once, so it is told at once, and stays for five minutes to be seen. ${silence}`,
  },
  BessValueStuck: {
    severity: "warning",
    means:
      "A value has not moved for `stuckAfter`, though its unit works: another of its numbers moves by a tenth of its range at least.",
    look: "The unit's dashboard: does only this value stand still?",
    act: "Restart the device that sends it, or exchange the sensor. What this value guards is not guarded meanwhile.",
    keep: 5 * minute,
    ...ofValues,
    why: `Half of \`stuckAfter\` is looked at, and must hold for the other half: a unit that has just begun is not stuck. ${silence}`,
  },
  BessUnitSilent: {
    severity: "critical",
    means: "Nothing has come of a unit for ten of its intervals, and at least 30 s.",
    look: "Are all units silent, or one? Panel *Clients connected* of the pipeline dashboard; `npx bess status`; `npx bess strays`.",
    act: "One unit: its device, its cable, its gateway. All units: the gateway or the network. A unit that was taken out for good: silence the alert in Grafana; it is forgotten after a week.",
    pending: 0,
    keep: 2 * minute,
    noData: "KeepLast",
    error: "KeepLast",
    missing: 7 * day,
    why: "The silence itself is the delay. A link that comes and goes is one alert. A unit is looked for ten minutes back; a silent one is kept for a week after that. All units that fall silent together are one notification.",
  },
  BessUnitsDrift: {
    severity: "warning",
    means: "Units that belong together are further apart than `drift.most`.",
    look: "The measurement's dashboard with all units of the rack: which one is apart, and since when?",
    act: "Balance the rack, or have the unit that is apart looked at. The weakest unit limits the rack.",
    pending: 10 * minute,
    keep: 10 * minute,
    ...ofValues,
    why: `Drift is slow; units answer a change of power at different times. ${silence}`,
  },
  BessCellsDrift: {
    severity: "warning",
    means: "The cells or sensors of a unit are further apart than `spread`.",
    look: "The unit's dashboard: the highest and the lowest value over a week. Do they part slowly, or at full and empty only?",
    act: "Let the battery management system balance at full charge. A cell that parts again within days leaks or has aged: have it exchanged.",
    pending: 5 * minute,
    keep: 10 * minute,
    ...ofValues,
    why: `Cells part for moments under load, and that is no drift. ${silence}`,
  },
  BessSetPointNotFollowed: {
    severity: "warning",
    means: "The power differs from its set point by more than `follow.tolerance`.",
    look: "Power and set point over the last hour, and the unit's mode: is it in a mode that follows?",
    act: "Look for a limit that the unit keeps: state of charge, temperature, a fault of its converter. Tell who sells the power.",
    keep: 2 * minute,
    ...ofValues,
    why: `It must last for \`follow.within\`: a step of the set point is followed with a delay. ${silence}`,
  },
  BessAlarmRaised: {
    means: "A unit reports an alarm: a bit of an alarm word, or a value that the model calls one.",
    look: "What the alarm means stands in the alert; the maker's manual tells more.",
    act: "As the maker's manual says.",
    pending: 0,
    keep: minute,
    ...ofValues,
    why: `The unit has decided already. An alarm that comes and goes is one. ${silence} Of a text, whose alarm is counted, no row means none.`,
  },
  BessClockAhead: {
    severity: "warning",
    means: "Messages of a unit have times that are more than a minute ahead.",
    look: "The gateway's clock and its time zone. A clock that is behind shows as `BessUnitSilent`, for its rows are stored in the past.",
    act: "Let the gateway set its clock by NTP, or give `time.zone` in the model.",
    pending: 0,
    keep: 5 * minute,
    ...ofEvents,
    why: events,
  },
  BessPipelineSilent: {
    severity: "critical",
    means:
      "The pipeline tells nothing of itself, or the database does not answer: no other alert can be trusted.",
    look: "`npx bess status`: Telegraf and InfluxDB. The host's disk.",
    act: "`npx bess up`, which restarts what is not well. Messages wait at the broker for a day.",
    pending: minute,
    keep: minute,
    noData: "Alerting",
    error: "Alerting",
    missing: hour,
    why: "The one alert of a database that is down: all others keep their state, so that one cause is one message. A restart takes less than a minute.",
  },
  BessNoRowsStored: {
    severity: "critical",
    means: "Gateways publish, but no row of the model is stored.",
    look: "The pipeline dashboard, *Not stored*: unreadable messages, or topics of no measurement?",
    act: "[Nothing arrives](operations.md#a-gateway-is-set-up-and-nothing-arrives) goes through the causes.",
    pending: 2 * minute,
    keep: minute,
    ...ofPipeline,
    why: `Telegraf gathers for some seconds, and a restart takes some. ${pipelineSilence}`,
  },
  BessPointsDropped: {
    severity: "critical",
    means: "Telegraf's buffer was full, and it gave up points.",
    look: "The pipeline dashboard: *Buffer fill*, *Write time*; InfluxDB's log.",
    act: "Mend what keeps InfluxDB from taking them. Replay the gateway's own record of that time.",
    pending: 0,
    keep: 10 * minute,
    ...ofPipeline,
    why: `Lost is lost: told at once. ${pipelineSilence}`,
  },
  BessWritesRefused: {
    severity: "critical",
    means: "InfluxDB refused points: a column of another type, a full disk, too many columns.",
    look: "`docker logs <site>-telegraf`: InfluxDB's reason.",
    act: "Correct the model, or `npx bess up`, which declares the tables.",
    pending: 0,
    keep: 10 * minute,
    ...ofPipeline,
    why: `Refused points are not sent again. ${pipelineSilence}`,
  },
  BessMessagesUnreadable: {
    severity: "warning",
    means: "Values or messages could not be read by the model, and are not stored.",
    look: "The pipeline dashboard: *Dropped, with the last example*.",
    act: "Correct the gateway or the model. [What happens to bad messages](data-path.md#what-happens-to-bad-messages).",
    pending: 0,
    keep: 10 * minute,
    ...ofEvents,
    missing: 10 * minute,
    why: `Counted over ten minutes. ${events}`,
  },
  BessBrokerDrops: {
    severity: "warning",
    means: "The broker dropped messages: a queue was full, or a client was too slow.",
    look: "The pipeline dashboard: *Queued at the broker*, *Clients refused or cut off*.",
    act: "If Telegraf's queue is full, messages of the battery are being lost: mend InfluxDB or Telegraf first.",
    pending: 0,
    keep: 10 * minute,
    ...ofPipeline,
    why: `Told at once. ${pipelineSilence}`,
  },
  BessQueueGrows: {
    severity: "warning",
    means:
      "Messages of a quarter of an hour wait at the broker: they come faster than they are stored.",
    look: "The pipeline dashboard: *Buffer fill*, *Write time*; `npx bess status`.",
    act: "Restart what is not well. After an outage the queue empties by itself: look whether it falls.",
    pending: 10 * minute,
    keep: 5 * minute,
    ...ofPipeline,
    why: `An update's queue is gone before that. ${pipelineSilence}`,
  },
  BessQueueHalfFull: {
    severity: "critical",
    means: "The broker's queue is half full: in half a day at most messages are lost.",
    look: "`npx bess status`; InfluxDB's and Telegraf's log; the disk.",
    act: "Bring the database back before the queue is full.",
    pending: minute,
    keep: 5 * minute,
    ...ofPipeline,
    why: `The queue holds a day of messages at the profile's rate. ${pipelineSilence}`,
  },
  BessDiskFilling: {
    severity: "warning",
    means: "The host's disk is 80 % full.",
    look: "`docker system df`; `df -h`; the panel *Disk*.",
    act: "Remove old images and backups, shorten `retention`, or get a larger disk.",
    pending: 10 * minute,
    keep: 10 * minute,
    ...ofPipeline,
    why: `A disk fills over days; temporary files come and go. ${pipelineSilence}`,
  },
  BessDiskAlmostFull: {
    severity: "critical",
    means: "The host's disk is 90 % full. On a full disk nothing is stored.",
    look: "As for `BessDiskFilling`.",
    act: "Make room now.",
    pending: 2 * minute,
    keep: 10 * minute,
    ...ofPipeline,
    why: pipelineSilence,
  },
  BessBudgetFilling: {
    severity: "warning",
    means: "The site's data takes 80 % of `storage.max`.",
    look: "The panel *Disk*; [telemetry.md](telemetry.md#disk-space).",
    act: "Raise `storage.max` if the disk has room, or shorten `retention`.",
    pending: 0,
    keep: hour,
    ...ofEvents,
    missing: 3 * hour,
    why: "It is measured once an hour.",
  },
  BessBudgetAlmostFull: {
    severity: "critical",
    means: "The site's data takes 90 % of `storage.max`.",
    look: "As for `BessBudgetFilling`.",
    act: "As for `BessBudgetFilling`, now.",
    pending: 0,
    keep: hour,
    ...ofEvents,
    missing: 3 * hour,
    why: "It is measured once an hour.",
  },
  BessMemoryHigh: {
    severity: "warning",
    means: "More than 92 % of the host's memory is used: the kernel may soon end a process.",
    look: "`docker stats`; what else runs on the host.",
    act: "Stop what does not belong there, or take a smaller profile or model.",
    pending: 10 * minute,
    keep: 10 * minute,
    ...ofPipeline,
    why: `A short peak is no harm. ${pipelineSilence}`,
  },
  BessHostHot: {
    severity: "warning",
    means: "The host is hotter than 80 °C: a Raspberry Pi slows down from there on.",
    look: "The panel *Temperature*; the cabinet's fan and filter.",
    act: "Cool it.",
    pending: 5 * minute,
    keep: 5 * minute,
    ...ofPipeline,
    why: `A start or a backup heats for a minute. ${pipelineSilence}`,
  },
  BessHostTooHot: {
    severity: "critical",
    means: "The host is hotter than 85 °C: it throttles hard, and its card or disk suffers.",
    look: "As for `BessHostHot`.",
    act: "Cool it now, or shut it down.",
    pending: minute,
    keep: 5 * minute,
    ...ofPipeline,
    why: pipelineSilence,
  },
  BessClockNotSynchronised: {
    severity: "warning",
    means:
      "The host's clock is not synchronised: times of messages that have none, and of alerts, drift.",
    look: "On the host: `timedatectl`. Does the site reach its time server, UDP port 123?",
    act: "Let the site reach a time server: the router's own will do, or that of a GPS receiver. A Raspberry Pi without a battery for its clock begins in the past after a power cut.",
    pending: 10 * minute,
    keep: minute,
    ...ofPipeline,
    why: `The kernel says so at a start, until a time server has answered, and some nine hours after the last answer of one. ${pipelineSilence}`,
  },
  BessUnderVoltage: {
    severity: "warning",
    means:
      "A voltage of the host was too low, as the kernel's drivers tell: of a Raspberry Pi, its supply. It slows down meanwhile, and may lose what it writes.",
    look: "On a Raspberry Pi: `vcgencmd get_throttled`, and `dmesg | grep -i voltage`. Which devices are fed by its USB ports?",
    act: "Use the maker's supply and a short cable, and feed disks on their own.",
    pending: 0,
    keep: 15 * minute,
    ...ofEvents,
    missing: 15 * minute,
    why: "It is looked at every ten seconds, and lasts two of them at least: once is enough. A host whose drivers tell nothing has no row.",
  },
  BessServiceRestarts: {
    severity: "warning",
    means: "A service restarted twice within a quarter of an hour: an update restarts it once.",
    look: "`npx bess status`: restarts, and the last lines of its log.",
    act: "Mend what the log tells. Out of memory: a smaller model, or a larger profile.",
    pending: 0,
    keep: 15 * minute,
    ...ofEvents,
    missing: 15 * minute,
    why: "Two restarts in a quarter of an hour are no update.",
  },
  BessCertificateEnds: {
    severity: "warning",
    means: "The broker's certificate ends within 30 days.",
    look: "`npx bess preview` tells the day.",
    act: "Renew `mqtt.tls.certificate` and its key, and run `up`.",
    pending: 0,
    keep: 0,
    ...ofEvents,
    why: "The day is known at the update. Rows of the pipeline tell that it has come.",
  },
  BessCertificateEndsSoon: {
    severity: "critical",
    means: "The broker's certificate ends within 7 days. Then no gateway connects over TLS.",
    look: "As for `BessCertificateEnds`.",
    act: "As for `BessCertificateEnds`, now.",
    pending: 0,
    keep: 0,
    ...ofEvents,
    why: "As for `BessCertificateEnds`.",
  },
  BessBackupTooOld: {
    severity: "warning",
    means: "No backup has succeeded for two periods of `backup.every`.",
    look: "The row of backups on the pipeline dashboard: the last run's message says why. `docker logs <site>-backup` has every run.",
    act: "As [backup.md](backup.md#when-it-fails) says of the message; then `npx bess backup`.",
    pending: 0,
    keep: 0,
    ...ofPipeline,
    why: `Two periods are long enough for a run that failed once. The age is told each hour, and after each run. ${pipelineSilence}`,
  },
  BessUplinkLate: {
    severity: "warning",
    means: "The hub lacks a quarter of an hour of the site's minutes, or the uplink tells nothing.",
    look: "`docker logs <site>-rollup` says why the uplink waits: the hub is not reached, or refuses the token.",
    act: "Mend the way to the hub, or [give the site a token](hub.md#a-sites-token). Nothing is lost: the minutes wait in the site's database, as long as it keeps them.",
    pending: 5 * minute,
    keep: 0,
    noData: "Alerting",
    error: "KeepLast",
    missing: hour,
    why: "A hub's update takes less. After an outage it is over once all is made up for. No row at all for half an hour means that the rollups' container does not run.",
  },
  BessUplinkRefused: {
    severity: "warning",
    means: "The hub has refused values for good: it answers that it will never take them.",
    look: "`docker logs <site>-rollup`: the hub's own words. Values that are too old, or out of order?",
    act: "Mend what the hub says: [uplink.md](uplink.md#when-the-hub-is-away). What was refused is at the site alone.",
    pending: 0,
    keep: 10 * minute,
    ...ofEvents,
    missing: 10 * minute,
    why: `Counted over an hour. ${events}`,
  },
  BessWatchdog: {
    severity: "info",
    means:
      "Always fires while the pipeline works: an outside watcher misses it when the site is silent as a whole. At a hub: while its database and its door answer.",
    look: "Nothing: it is right when it fires. If the watcher calls: is the site reached at all? `npx bess status`.",
    act: "Power, network, host; then as for `BessPipelineSilent`.",
    pending: 0,
    keep: 0,
    noData: "OK",
    error: "OK",
    missing: minute,
    why: "Without rows, or without a database, it ends, and the watcher calls. So it proves Telegraf, InfluxDB, Grafana and the network at once.",
  },
} as const satisfies Record<string, Kind>;

/** Name of a kind of alert. */
export type KindName = keyof typeof kinds;

/** A site's own alerts tell of it, as long as it can; what the hub asks of all sites is a second witness. */
const ofSites = { noData: "OK", error: "KeepLast", missing: 7 * day } as const;

/** Every kind of alert of a hub. */
export const hubKinds = {
  BessHubSiteSilent: {
    severity: "critical",
    means: "A site has sent nothing to the hub for five minutes.",
    look: "`npx bess status --stack <site>`. Does the site answer? Then its uplink or the way to the hub is broken: dashboard *Data and hub*, panel *Refused*.",
    act: "Power, network, host. A site whose token was refused: docs/hub.md. A site that was taken out for good: take it out of the inventory, and run `up` at the hub.",
    pending: 5 * minute,
    keep: 2 * minute,
    ...ofSites,
    why: "Five minutes silent, and another five before anybody is told: an update of a site restarts what sends for less. A site that told the hub of a mute, or of a rollout, is not missed until that ends. A site is missed for a day after its last minute, and the alert stays for a week.",
  },
  BessHubSiteDeviates: {
    severity: "warning",
    means:
      "A site sends less than 70 % of the rows for each unit that the sites of its model send.",
    look: "Dashboard *One site*; the site's own dashboard *Pipeline*.",
    act: "Find what swallows its messages: a gateway that is slower than the others, or a link that breaks.",
    pending: 15 * minute,
    keep: 15 * minute,
    ...ofSites,
    why: "The median of the sites of one model is the measure, so one of two sites is never told. Short gaps are a backlog, which comes later.",
  },
  BessHubBatteriesDeviate: {
    severity: "warning",
    means:
      "The batteries of a site are further apart in their state of charge than at the other sites of its model: by 10 % more than the median.",
    look: "Dashboard *Overview* of the site: which battery is apart, and since when?",
    act: "Balance the rack, or have the battery looked at that is apart.",
    pending: 30 * minute,
    keep: 30 * minute,
    ...ofSites,
    why: "Batteries part for moments under load; at the other sites too, which is why the median counts.",
  },
  BessHubDiskFull: {
    severity: "critical",
    means:
      "Less than 15 % of the hub's disk is free. VictoriaMetrics needs a fifth for its merges, and stops to take values at the end.",
    look: "Dashboard *Data and hub*, panel *Disk*.",
    act: "A larger disk, or a shorter `retention`: docs/hub.md, how large.",
    pending: 10 * minute,
    keep: 10 * minute,
    noData: "OK",
    error: "KeepLast",
    missing: hour,
    why: "Disks fill slowly; a merge needs room for minutes.",
  },
  BessHubRefuses: {
    severity: "warning",
    means: "Somebody comes with a token that the hub does not know.",
    look: "`docker logs hub-vmauth`: the address it comes from.",
    act: "A site whose token was revoked or made anew: give its stack the new one. Somebody else: close the port to them.",
    pending: 15 * minute,
    keep: 30 * minute,
    noData: "OK",
    error: "KeepLast",
    missing: hour,
    why: "A site that has not got its new token yet is no alert for a quarter of an hour.",
  },
  BessHubDoorDown: {
    severity: "critical",
    means: "vmauth, by which all sites come in, does not answer.",
    look: "`docker ps`, `docker logs hub-vmauth`.",
    act: "`npx bess up --stack hub`. Sites keep what they have not sent.",
    pending: 2 * minute,
    keep: 2 * minute,
    noData: "OK",
    error: "KeepLast",
    missing: hour,
    why: "An update makes its container anew within seconds.",
  },
  BessHubBackupTooOld: {
    severity: "warning",
    means: "No backup of the hub has succeeded for two periods of `backup.every`.",
    look: "`docker logs hub-vmbackup` says why.",
    act: "Mount the disk, or mend the login; the next run follows by itself.",
    pending: 0,
    keep: 0,
    noData: "OK",
    error: "KeepLast",
    missing: day,
    why: "Two periods are long enough for a run that failed once.",
  },
} as const satisfies Record<string, Kind>;

/** Name of a kind of a hub's alerts. */
export type HubKindName = keyof typeof hubKinds;

/** The same, with the keys that only some have. */
export const kindOf = (name: KindName | HubKindName): Kind => ({ ...kinds, ...hubKinds })[name];
