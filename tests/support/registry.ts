import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, listens, program, Running, temporaryFolder, until } from "./programs";

export const sha256 = (bytes: string) =>
  `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

const types = {
  config: "application/vnd.oci.image.config.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
};

/** A real registry on the loopback address, without a login. */
export class OwnRegistry {
  private constructor(
    readonly address: string,
    private readonly folder: ReturnType<typeof temporaryFolder>,
    private readonly running: Running,
  ) {}

  static async start(): Promise<OwnRegistry> {
    const [folder, port] = [temporaryFolder(), await freePort()];
    const config = {
      version: "0.1",
      log: { level: "error" },
      storage: { filesystem: { rootdirectory: folder.path } },
      http: { addr: `127.0.0.1:${port}` },
    };
    writeFileSync(join(folder.path, "config.json"), JSON.stringify(config));
    const running = new Running(program("docker-registry"), [
      "serve",
      join(folder.path, "config.json"),
    ]);
    await until(
      () => `the registry listens: ${running.output}`,
      () => listens(port),
    );
    return new OwnRegistry(`127.0.0.1:${port}`, folder, running);
  }

  async stop(): Promise<void> {
    await this.running.stop();
    this.folder.remove();
  }

  /**
   * Puts an image there that has a config, no layers, and says what it holds.
   * @param name such as `library/telegraf:1.39.3-alpine`.
   * @returns digests of its index, and of each architecture's manifest and config.
   */
  async push(name: string, content: string, architectures: readonly string[]) {
    const [repository = "", tag = ""] = name.split(":");
    const parts: Record<string, { manifest: string; config: string }> = {};
    const manifests: object[] = [];
    for (const architecture of architectures) {
      const config = JSON.stringify({ os: "linux", architecture, content });
      await this.pushBlob(repository, config);
      const manifest = JSON.stringify({
        schemaVersion: 2,
        mediaType: types.manifest,
        config: { mediaType: types.config, size: config.length, digest: sha256(config) },
        layers: [],
      });
      await this.put(`${repository}/manifests/${sha256(manifest)}`, types.manifest, manifest);
      parts[architecture] = { manifest: sha256(manifest), config: sha256(config) };
      manifests.push({
        mediaType: types.manifest,
        size: manifest.length,
        digest: sha256(manifest),
        platform: { os: "linux", architecture },
      });
    }
    const index = JSON.stringify({ schemaVersion: 2, mediaType: types.index, manifests });
    await this.put(`${repository}/manifests/${tag}`, types.index, index);
    return { digest: sha256(index), architectures: parts };
  }

  private async pushBlob(repository: string, content: string): Promise<void> {
    const upload = await fetch(`http://${this.address}/v2/${repository}/blobs/uploads/`, {
      method: "POST",
    });
    const place = new URL(upload.headers.get("location") ?? "", `http://${this.address}`);
    place.searchParams.set("digest", sha256(content));
    const done = await fetch(place, { method: "PUT", body: content });
    if (!done.ok) throw new Error(`the blob is refused: ${done.status} ${await done.text()}`);
  }

  private async put(path: string, type: string, body: string): Promise<void> {
    const done = await fetch(`http://${this.address}/v2/${path}`, {
      method: "PUT",
      headers: { "content-type": type },
      body,
    });
    if (!done.ok) throw new Error(`${path} is refused: ${done.status} ${await done.text()}`);
  }
}
