import { randomUUID } from "node:crypto";
import { open, unlink, type FileHandle } from "node:fs/promises";
import { join } from "node:path";

/**
 * A copy of a batch's input on the local disk, so that lines can be read in any order. Its name is
 * taken away as soon as it is open: the system frees it when this process ends, however it ends.
 */
export class InputFile {
  readonly #file: FileHandle;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** @param folder that is there */
  static async create(folder: string): Promise<InputFile> {
    const path = join(folder, `headrace-input-${randomUUID()}`);
    const file = await open(path, "wx+", 0o600);
    await unlink(path);
    return new InputFile(file);
  }

  /** Write the next bytes. */
  async append(chunk: Uint8Array): Promise<void> {
    let written = 0;
    while (written < chunk.length) {
      const { bytesWritten } = await this.#file.write(chunk, written);
      written += bytesWritten;
    }
  }

  /** Read a line. */
  async read(place: { readonly offset: number; readonly sizeBytes: number }): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(place.sizeBytes);
    let read = 0;
    while (read < bytes.length) {
      const at = place.offset + read;
      const { bytesRead } = await this.#file.read(bytes, read, bytes.length - read, at);
      if (bytesRead === 0) throw new RangeError("the copy of the input file is too short");
      read += bytesRead;
    }
    return bytes;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
