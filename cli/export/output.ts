import { createHash } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { InputError } from "../../configs/validation";

const reasons: Partial<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "your quota of the disk is used up",
  EROFS: "the file system is read-only",
  EACCES: "you may not write there",
};

/** What the file system says, as a refusal that says what stays. */
const refusal = (file: string, error: unknown): unknown => {
  const { code = "", message } = error as NodeJS.ErrnoException;
  if (!(error instanceof Error) || code === "") return error;
  return new InputError(file, [
    `${reasons[code] ?? message}: what is complete stays; run the same line again once that is mended`,
  ]);
};

/** A file that gets its name once it is complete and on the disk. Until then its name ends with `.part`. */
export class OutputFile {
  bytes = 0;
  private readonly hash = createHash("sha256");
  private readonly part: string;

  private constructor(
    private readonly path: string,
    private readonly handle: FileHandle,
  ) {
    this.part = partOf(path);
  }

  /** @throws InputError if it cannot be made. */
  static async create(path: string): Promise<OutputFile> {
    try {
      return new OutputFile(path, await open(partOf(path), "w"));
    } catch (error) {
      throw refusal(path, error);
    }
  }

  /** @throws InputError if the disk is full, or cannot be written otherwise. */
  async write(content: string | Uint8Array): Promise<void> {
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    this.hash.update(bytes);
    try {
      for (let at = 0; at < bytes.length;) {
        const { bytesWritten } = await this.handle.write(bytes, at);
        at += bytesWritten;
      }
    } catch (error) {
      throw refusal(this.path, error);
    }
    this.bytes += bytes.length;
  }

  /** Gives it its name. @returns the SHA-256 of what is in it. @throws InputError as `write` does. */
  async complete(): Promise<string> {
    try {
      await this.handle.sync();
      await this.handle.close();
      await rename(this.part, this.path);
      await syncFolder(dirname(this.path));
    } catch (error) {
      throw refusal(this.path, error);
    }
    return this.hash.digest("hex");
  }

  /** Removes what there is of it. */
  async abandon(): Promise<void> {
    await this.handle.close().catch(() => undefined);
    await rm(this.part, { force: true });
  }
}

const partOf = (path: string): string => `${path}.part`;

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  await handle.sync().finally(() => handle.close());
}

/** Writes a file as a whole, or leaves the former one. @throws InputError as {@link OutputFile} does. */
export async function writeWhole(path: string, content: string): Promise<void> {
  const output = await OutputFile.create(path);
  try {
    await output.write(content);
    await output.complete();
  } catch (error) {
    await output.abandon();
    throw error;
  }
}
