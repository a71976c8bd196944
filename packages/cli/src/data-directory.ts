import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { CommandFailure, systemCodeOf, tellsOfFullDisk } from "./failure.ts";

/** Where the data is kept unless told otherwise, from the folder a command is run in. */
export const DEFAULT_DATA_DIRECTORY = ".data";
/** Bytes of a key's randomness. */
const KEY_BYTES = 24;
const OWNER_ONLY = 0o600;
const OWNER_ONLY_FOLDER = 0o700;

/** The folder that holds all that `up` keeps: the queue, the API key, the logs. */
export class DataDirectory {
  readonly path: string;

  /** @param path absolute */
  constructor(path: string) {
    this.path = path;
  }

  get apiKeyPath(): string {
    return join(this.path, "api-key");
  }

  get logsPath(): string {
    return join(this.path, "logs");
  }

  /** Files that were uploaded, and what batches have written. */
  get objectsPath(): string {
    return join(this.path, "objects");
  }

  get redisPath(): string {
    return join(this.path, "redis");
  }

  /** Says which supervisor runs here. */
  get runPath(): string {
    return join(this.path, "run.json");
  }

  /** Make the folders. @throws CommandFailure when they cannot be made or written to */
  create(): void {
    this.explain(() => {
      for (const folder of [this.path, this.logsPath, this.redisPath]) {
        makeFolder(folder);
      }
    });
  }

  /** Read the local API key. @returns null when none was made, or it may not be read */
  findApiKey(): string | null {
    try {
      return readFileSync(this.apiKeyPath, "utf8").trim() || null;
    } catch {
      return null;
    }
  }

  /** Read the local API key, or make one that only this user can read. @throws CommandFailure */
  ensureApiKey(): { readonly key: string; readonly isNew: boolean } {
    return this.explain(() => {
      const known = this.findApiKey();
      if (known !== null) {
        chmodSync(this.apiKeyPath, OWNER_ONLY);
        return { key: known, isNew: false };
      }
      const key = `hr_${randomBytes(KEY_BYTES).toString("base64url")}`;
      writeFileSync(this.apiKeyPath, `${key}\n`, { mode: OWNER_ONLY });
      return { key, isNew: true };
    });
  }

  /** Do file work here so that a full disk or a forbidden folder is told as such. */
  explain<Result>(work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      const code = systemCodeOf(error);
      if (code === null) throw error;
      throw new CommandFailure(`${this.path} cannot be used: ${adviceFor(code)}`, { cause: error });
    }
  }
}

/**
 * Make a folder, and those above it, for this user alone.
 *
 * Not by `recursive`: where no folder can be, as below /proc, Node 26.10 tries for ever.
 */
function makeFolder(path: string): void {
  if (isFolder(path)) return;
  if (dirname(path) !== path) makeFolder(dirname(path));
  try {
    mkdirSync(path, { mode: OWNER_ONLY_FOLDER });
  } catch (error) {
    // Another process may have made it in the meantime.
    if (!isFolder(path)) throw error;
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function adviceFor(code: string): string {
  if (tellsOfFullDisk(code))
    return "the disk is full. Free some space, or name another folder with --data-dir.";
  switch (code) {
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return "this user may not write there. Name another folder with --data-dir.";
    case "ENOENT":
      return "no folder can be made there. Name another folder with --data-dir.";
    case "ENOTDIR":
    case "EEXIST":
      return "part of the path is a file. Name another folder with --data-dir.";
    default:
      return `${code}. Name another folder with --data-dir.`;
  }
}
