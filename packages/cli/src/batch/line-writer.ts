import { open, type FileHandle } from "node:fs/promises";

/** Written at once: a system call for each line would cost more than the lines, bytes. */
const PIECE_BYTES = 1_048_576;

/** Writes a file line by line, no faster than the disk takes it. */
export class LineWriter {
  readonly #handle: FileHandle;
  #held: Uint8Array[] = [];
  #heldBytes = 0;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Begin a file; one that is there is written over. @throws the system's error */
  static async open(path: string): Promise<LineWriter> {
    return new LineWriter(await open(path, "w"));
  }

  /** Write bytes that end a line. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
    if (this.#heldBytes >= PIECE_BYTES) await this.#flush();
  }

  /** Finish the file: once this has resolved, it is on the disk. */
  async close(): Promise<void> {
    await this.#flush();
    await this.#handle.sync();
    await this.#handle.close();
  }

  /** Give up the file as it is. */
  async abandon(): Promise<void> {
    await this.#handle.close();
  }

  async #flush(): Promise<void> {
    const piece = Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    await this.#handle.appendFile(piece);
  }
}
