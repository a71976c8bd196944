import { appendFileSync, renameSync, writeFileSync } from "node:fs";

/** At this size a log is set aside and begun anew; the one set aside before is dropped. */
const LARGEST_BYTES = 16 * 1_024 * 1_024;

/**
 * The log of one process, emptied at start and bounded in size. Written synchronously: lines are
 * few, and those before a crash are the ones that matter.
 */
export class LogFile {
  readonly #path: string;
  #sizeBytes = 0;
  #isBroken = false;

  /** Begin the file anew. Throws what the file system throws. */
  constructor(path: string) {
    this.#path = path;
    writeFileSync(path, "");
  }

  /** Add a line. A disk that is full costs the line, and nothing else. */
  write(line: string): void {
    const text = `${line}\n`;
    try {
      if (this.#sizeBytes > LARGEST_BYTES || this.#isBroken) this.#begin();
      appendFileSync(this.#path, text);
      this.#sizeBytes += Buffer.byteLength(text);
    } catch {
      this.#isBroken = true;
    }
  }

  #begin(): void {
    renameSync(this.#path, `${this.#path}.1`);
    writeFileSync(this.#path, "");
    this.#sizeBytes = 0;
    this.#isBroken = false;
  }
}
