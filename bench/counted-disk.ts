import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Namespace, run } from "../tests/support/machine/namespace";

/** Bytes that a disk was given. */
export interface Written {
  files: number;
  /** What ext4 writes to keep itself whole. */
  journal: number;
}

/**
 * A disk as Raspberry Pi OS mounts its own. The journal lies on a device of its own, so that it is
 * counted apart.
 */
export class CountedDisk {
  private readonly files: string;
  private readonly journal: string;

  /**
   * @param name what is written to it.
   * @param path where it is mounted in the namespace; the folder's owner stays.
   * @param folder is made for what it holds.
   */
  constructor(
    readonly name: string,
    private readonly namespace: Namespace,
    private readonly path: string,
    folder: string,
  ) {
    const device = (image: string, mebibytes: number) => {
      run("truncate", `--size=${mebibytes}M`, join(folder, image));
      return run("losetup", "--find", "--show", join(folder, image)).trim();
    };
    mkdirSync(folder);
    this.files = device("files", 8192);
    this.journal = device("journal", 128);
    run("mkfs.ext4", "-q", "-b", "4096", "-O", "journal_dev", this.journal);
    // What ext4 would otherwise write at leisure is no wear by the site.
    const atOnce = "lazy_itable_init=0,lazy_journal_init=0";
    run("mkfs.ext4", "-q", "-b", "4096", "-E", atOnce, "-J", `device=${this.journal}`, this.files);
    const { uid, gid } = statSync(namespace.path(path));
    namespace.run("mount", "-o", "defaults,noatime", this.files, path);
    namespace.run("chown", `${uid}:${gid}`, path);
  }

  /** What it was given so far, with all that is still in memory. */
  written(): Written {
    this.namespace.run("sync", "--file-system", this.path);
    return { files: bytesWritten(this.files), journal: bytesWritten(this.journal) };
  }

  /** Gives its devices back, once the namespace is closed. */
  detach(): void {
    for (const device of [this.files, this.journal]) run("losetup", "--detach", device);
  }
}

/** The device's own count. */
function bytesWritten(device: string): number {
  const numbers = readFileSync(`/sys/block/${device.slice("/dev/".length)}/stat`, "utf8");
  return Number(numbers.trim().split(/\s+/)[6]) * 512;
}
