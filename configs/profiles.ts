import type { Service } from "./images";

/** What a kind of host can carry. */
export interface Profile {
  meaning: string;
  /** Messages a second of all units together that the broker's queue is sized for. */
  messageRate: number;
  /** Memory limit of each container, in MiB. */
  memory: Record<Service, number>;
  /** Retention where a stack names none. */
  retention: string;
  /** Seconds that a message which was acknowledged may take until no power cut takes it any more. */
  sync: number;
  /** Seconds that Telegraf gathers messages for one write, which is a file on InfluxDB's disk. */
  flush: number;
}

/**
 * The profiles that a stack can name. The broker holds a day's queue in memory: 0.8 KiB a message,
 * measured on Mosquitto 2.1.2 with 100,000 messages of 250 bytes. Writing them to disk took no more.
 */
export const profiles = {
  dev: {
    meaning: "a laptop",
    messageRate: 10,
    memory: {
      mosquitto: 1024,
      telegraf: 256,
      influxdb: 1024,
      rollup: 288,
      explorer: 256,
      grafana: 512,
      simulator: 192,
      backup: 512,
      copier: 96,
      interface: 256,
      proxy: 64,
    },
    retention: "30d",
    sync: 2,
    flush: 1,
  },
  pi: {
    meaning: "a Raspberry Pi with 4 GB",
    messageRate: 10,
    memory: {
      mosquitto: 1024,
      telegraf: 192,
      influxdb: 1280,
      rollup: 288,
      explorer: 192,
      grafana: 384,
      simulator: 128,
      backup: 256,
      copier: 96,
      interface: 192,
      proxy: 64,
    },
    retention: "90d",
    sync: 10,
    flush: 2,
  },
  server: {
    meaning: "a server with 16 GB",
    messageRate: 50,
    memory: {
      mosquitto: 5120,
      telegraf: 512,
      influxdb: 6144,
      rollup: 512,
      explorer: 512,
      grafana: 1024,
      simulator: 256,
      backup: 1024,
      copier: 128,
      interface: 512,
      proxy: 128,
    },
    retention: "365d",
    sync: 2,
    flush: 1,
  },
} as const satisfies Record<string, Profile>;

/** Longest outage of what reads from the broker that loses no message, in seconds: a day. */
export const outageSeconds = 86400;
