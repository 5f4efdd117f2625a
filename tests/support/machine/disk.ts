import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder, until } from "../programs";
import { type Namespace, run } from "./namespace";

/**
 * What a power cut takes beside the page cache: `kept`, nothing; `lost`, also what the disk had in
 * a cache of its own and was not told to flush.
 */
export type DiskCache = "kept" | "lost";

/** Ends a mounted ext4 at once: no cache and no journal is written (EXT4_IOC_SHUTDOWN). */
const shutDown = `open(my $folder, "<", $ARGV[0]) or die "$!";
  my $without_journal = pack("L", 2);
  ioctl($folder, 0x8004587d, $without_journal) or die "$!";`;

/**
 * A disk whose power can be cut. Its ext4 lies on a loop device over a file of a second ext4, the
 * medium. What the medium's page cache holds is the disk's own cache: a flush empties it, a cut loses
 * it. The medium is in memory: a test waits for no real disk, and wears none.
 */
export class Disk {
  private readonly folder = temporaryFolder();
  /** Where it is mounted in its namespace. */
  readonly path = this.at("disk");

  /**
   * @param namespace where it is mounted: a process elsewhere would else take part of it.
   * @param mebibytes how much it holds.
   */
  constructor(
    private readonly namespace: Namespace,
    mebibytes: number,
  ) {
    for (const name of ["memory", "medium", "disk"]) mkdirSync(this.at(name));
    const size = mebibytes + roomOfMedium;
    const image = this.at("memory/image");
    this.run("mount", "-t", "tmpfs", "-o", `size=${size + 1}m`, "tmpfs", this.at("memory"));
    this.run("truncate", `--size=${size}M`, image);
    this.run("mkfs.ext4", "-q", "-m", "0", "-N", "16", "-J", "size=8", image);
    this.mount("memory", "medium");
    // In full: a later write is data alone, and moves nothing on the medium.
    this.run("dd", "if=/dev/zero", `of=${this.at("medium/image")}`, "bs=1M", `count=${mebibytes}`);
    this.makeFileSystem();
  }

  /** Makes it empty. Nothing may use it any more. */
  async format(): Promise<void> {
    await this.unmount("disk");
    this.makeFileSystem();
  }

  /** Cuts the power: nothing reaches the medium any more, and what is asked of the disk fails. */
  cut(cache: DiskCache): void {
    this.run("perl", "-e", shutDown, cache === "kept" ? this.path : this.at("medium"));
  }

  /** Mounts it again, as a machine does that starts. Nothing may use it any more. */
  async recover(): Promise<void> {
    await this.unmount("disk");
    await this.unmount("medium");
    this.mount("memory", "medium");
    this.mount("medium", "disk");
  }

  /** Fills it to the last byte, of those too that ext4 keeps for root. */
  fill(): void {
    for (const size of ["1M", "4K", "1"])
      this.run("sh", "-c", `! dd if=/dev/zero of=${this.filler}-${size} bs=${size} 2> /dev/null`);
    this.run("sync", "--file-system", this.path);
  }

  /** Makes room again after {@link fill}. */
  clear(): void {
    this.run("sh", "-c", `rm ${this.filler}-*`);
  }

  /** Bytes that were written to it since it was mounted, its file system's journal included. */
  get bytesWritten(): number {
    const { dev } = statSync(this.namespace.path(this.path));
    const numbers = readFileSync(`/sys/dev/block/${dev >> 8}:${dev & 0xff}/stat`, "utf8");
    return Number(numbers.trim().split(/\s+/)[6]) * 512;
  }

  /** Removes its folder; its mounts go with the namespace. */
  remove(): void {
    this.folder.remove();
  }

  private get filler(): string {
    return join(this.path, "filler");
  }

  private makeFileSystem(): void {
    // InfluxDB keeps many small files.
    this.run("mkfs.ext4", "-q", "-F", "-i", "8192", this.at("medium/image"));
    this.mount("medium", "disk");
    this.run("sync", "--file-system", this.at("medium"));
  }

  private mount(holder: "memory" | "medium", name: "medium" | "disk"): void {
    this.run("mount", "-o", "loop", this.at(`${holder}/image`), this.at(name));
  }

  /** The namespace of a container that has just ended may hold it a moment longer. */
  private async unmount(name: "medium" | "disk"): Promise<void> {
    let refused = "";
    await until(
      () => refused,
      () => {
        try {
          this.run("umount", this.at(name));
          return true;
        } catch (error) {
          refused = (error as Error).message;
          return false;
        }
      },
    );
  }

  private run(...command: string[]): string {
    return this.namespace.run(...command);
  }

  private at(name: string): string {
    return join(this.folder.path, name);
  }
}

/** Mebibytes that the medium's own file system needs. */
const roomOfMedium = 64;

/** Why this machine cannot have a {@link Disk}; undefined where it can. */
export function diskMissing(): string | undefined {
  if (process.getuid?.() !== 0) return "only root mounts disks";
  try {
    run("losetup", "--find");
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
