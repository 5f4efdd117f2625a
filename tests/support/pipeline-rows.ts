/**
 * What Telegraf writes each ten seconds of a pipeline that is well.
 * @param time in ms since 1970.
 * @param count what its counters stand at.
 * @param change numbers that are otherwise.
 */
export function pipelineRows(
  time: number,
  count: number,
  change: Record<string, number> = {},
): string[] {
  const {
    gathered = count,
    published = count,
    written = count,
    dropped = 0,
    rejected = 0,
    brokerDropped = 0,
    queued = 3,
    received = count,
    disk = 40,
    memory = 40,
    temperature = 50,
    clockError = 500_000,
    underVoltage = 0,
  } = change;
  const topic = (name: string, value: number) => `mosquitto,topic=${name} value=${value} ${time}`;
  return [
    `internal_agent gather_errors=0i,metrics_gathered=${gathered}i ${time}`,
    `internal_write,alias=telemetry metrics_written=${written}i,metrics_dropped=${dropped}i,metrics_rejected=${rejected}i ${time}`,
    topic("$SYS/broker/publish/messages/received", published),
    topic("$SYS/broker/publish/messages/dropped", brokerDropped),
    topic("$SYS/broker/store/messages/count", queued),
    topic("$SYS/broker/messages/received", received),
    `disk,path=/ used_percent=${disk} ${time}`,
    `mem used_percent=${memory} ${time}`,
    `temp,sensor=cpu temp=${temperature} ${time}`,
    `internal_clock maxerror_ns=${clockError}i ${time}`,
    `internal_voltage,sensor=in0 value=${underVoltage}i ${time}`,
  ];
}
