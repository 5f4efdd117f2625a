/** The pinned image of each service. Its architectures are in architectures.json. */
export const images = {
  mosquitto: "eclipse-mosquitto:2.1.2-alpine",
  telegraf: "telegraf:1.39.3-alpine",
  influxdb: "influxdb:3.12.2-core",
  explorer: "influxdata/influxdb3-ui:1.9.0",
  grafana: "grafana/grafana:13.1.1",
  simulator: "node:22.23.3-bookworm-slim",
} as const;

/** A service that has an image. */
export type Service = keyof typeof images;

/**
 * The name of an image at a mirror of Docker Hub. An image that names its own registry keeps its
 * name.
 * @param mirror such as `mirror.lan:5000`; undefined for none.
 */
export function fromMirror(mirror: string | undefined, image: string): string {
  if (mirror === undefined) return image;
  const slash = image.indexOf("/");
  if (slash === -1) return `${mirror}/library/${image}`;
  const namesRegistry = /[.:]|^localhost$/.test(image.slice(0, slash));
  return namesRegistry ? image : `${mirror}/${image}`;
}

/** Matches an image that is pinned: by a tag other than latest, or by a digest. */
export const pinnedImage = /^[^\s@]+(:(?!latest$)[\w.-]+|@sha256:[0-9a-f]{64})$/;
