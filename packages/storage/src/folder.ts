import { createHash, randomUUID } from "node:crypto";
import { access, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

import { PlatformError } from "@headrace/contract";

import { assertKey } from "./object-key.ts";
import type { ObjectStore, StoredObject } from "./objects.ts";

/** Where what is not whole yet is: in the same file system, and under no key. */
const UNFINISHED = ".unfinished";
/** What was left there for longer was left by a process that died. */
const LEFT_MS = 24 * 3_600_000;
const READ_BYTES = 65_536;
const FULL: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT"]);

/** Objects as files in a folder: written beside, synced, and moved to where they belong in one step. */
export class FolderObjects implements ObjectStore {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Use a folder, which is made where there is none. @throws PlatformError `storage_unavailable` */
  static async open(folder: string): Promise<FolderObjects> {
    const objects = new FolderObjects(folder);
    await guard(objects.#sweep());
    return objects;
  }

  async put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<StoredObject> {
    assertKey(key);
    const unfinished = join(this.#folder, UNFINISHED, randomUUID());
    const path = join(this.#folder, key);
    const hash = createHash("sha256");
    let sizeBytes = 0;
    const file = await guard(open(unfinished, "wx", 0o600));
    try {
      for await (const chunk of body instanceof Uint8Array ? [body] : body) {
        signal?.throwIfAborted();
        hash.update(chunk);
        sizeBytes += chunk.length;
        await guard(file.writeFile(chunk));
      }
      signal?.throwIfAborted();
      await guard(file.sync());
      await guard(mkdir(dirname(path), { recursive: true }));
      await guard(rename(unfinished, path));
      await guard(syncFolder(dirname(path)));
    } catch (error) {
      // What cannot be removed now is swept later, and hides no reason.
      await rm(unfinished, { force: true }).catch(() => {});
      throw error;
    } finally {
      await file.close();
    }
    return { key, sizeBytes, sha256: hash.digest("hex") };
  }

  async read(
    key: string,
    {
      range,
      signal,
    }: {
      readonly range?: { readonly start: number; readonly end?: number };
      readonly signal?: AbortSignal;
    } = {},
  ): Promise<{ readonly sizeBytes: number; readonly body: AsyncIterable<Uint8Array> }> {
    assertKey(key);
    const path = join(this.#folder, key);
    const found = await guard(stat(path).catch(nullWhereMissing));
    if (found === null) return this.#miss();
    const { size: sizeBytes } = found;
    return {
      sizeBytes,
      body: readFile(path, { ...range, ...(signal === undefined ? {} : { signal }) }),
    };
  }

  async delete(key: string): Promise<void> {
    assertKey(key);
    await guard(rm(join(this.#folder, key), { force: true }));
  }

  async check(): Promise<void> {
    const path = join(this.#folder, UNFINISHED, randomUUID());
    const file = await guard(open(path, "wx", 0o600));
    try {
      await guard(file.writeFile("1"));
    } finally {
      await file.close();
      await rm(path, { force: true });
    }
  }

  /** Tell an object that is not there from a folder that has gone: an unmounted volume, say. */
  async #miss(): Promise<never> {
    await guard(access(join(this.#folder, UNFINISHED)));
    throw new PlatformError("object_not_found", "there is no such object");
  }

  /** Remove what processes that died have left half-written. */
  async #sweep(): Promise<void> {
    const folder = join(this.#folder, UNFINISHED);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      // Another process may finish it, or sweep it, at the same moment.
      const left = await stat(path).catch(nullWhereMissing);
      if (left !== null && Date.now() - left.mtimeMs > LEFT_MS) await rm(path, { force: true });
    }
  }
}

function nullWhereMissing(error: unknown): null {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
  throw error;
}

/** A rename lasts once the folder that it is in does. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function* readFile(
  path: string,
  options: { readonly start?: number; readonly end?: number; readonly signal?: AbortSignal },
): AsyncGenerator<Uint8Array> {
  const file = await guard(open(path, "r"));
  // It closes the file, whether it is read to its end or left.
  const stream = file.createReadStream({ ...options, highWaterMark: READ_BYTES });
  try {
    for await (const chunk of stream) yield chunk;
  } catch (error) {
    throw explain(error);
  }
}

async function guard<Answer>(answer: Promise<Answer>): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    throw explain(error);
  }
}

function explain(cause: unknown): unknown {
  const code = cause instanceof Error && "code" in cause ? cause.code : null;
  if (cause instanceof PlatformError || typeof code !== "string") return cause;
  if (FULL.has(code)) return new PlatformError("storage_full", "storage has no room", { cause });
  return new PlatformError("storage_unavailable", `storage cannot be used (${code})`, { cause });
}
