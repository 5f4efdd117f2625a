/** The image of every service, pinned; the only place that names a version. architectures.json tells their architectures. */
export const images = {
  mosquitto: "eclipse-mosquitto:2.1.2-alpine",
  telegraf: "telegraf:1.39.3-alpine",
  influxdb: "influxdb:3.11.2-core",
  explorer: "influxdata/influxdb3-ui:1.9.0",
  grafana: "grafana/grafana:13.1.1",
  simulator: "node:22.23.3-bookworm-slim",
} as const;

/** A service that has an image. */
export type Service = keyof typeof images;

/**
 * An image as a mirror of Docker Hub has it; one that names a registry of its own stays.
 * @param mirror such as `mirror.lan:5000`. Default: none.
 */
export function fromMirror(mirror: string | undefined, image: string): string {
  const [first, ...rest] = image.split("/");
  if (mirror === undefined || (rest.length > 0 && /[.:]|^localhost$/.test(first))) return image;
  return rest.length > 0 ? `${mirror}/${image}` : `${mirror}/library/${image}`;
}

/** An image that is pinned: by a tag other than latest, or by a digest. */
export const pinnedImage = /^[^\s@]+(:(?!latest$)[\w.-]+|@sha256:[0-9a-f]{64})$/;
