import { createHash, randomUUID } from "node:crypto";
import { access, type FileHandle, open, readdir, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";

import { PlatformError } from "@headrace/contract";

import { chunksOf } from "./body.ts";
import { makeFolder, moveIn, settleRemoval } from "./durable-folder.ts";
import { explain, guard, nullWhereMissing } from "./file-error.ts";
import { keysIn } from "./folder-keys.ts";
import { assertRange, listLimit, signedSeconds } from "./limits.ts";
import { assertKey, assertPrefix } from "./object-key.ts";
import type {
  FoundObject,
  ListOptions,
  ObjectStore,
  PutOptions,
  ReadOptions,
  StoredObject,
} from "./objects.ts";

/** Where what is not whole yet is: in the same file system, and under no key. */
const UNFINISHED = ".unfinished";
/** What was left there for longer was left by a process that died. */
const LEFT_MS = 24 * 3_600_000;
const READ_BYTES = 65_536;

/** Objects as files in a folder: written beside, synced, and moved to where they belong in one step. */
export class FolderObjects implements ObjectStore {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Use a folder, which is made where there is none. @throws PlatformError `storage_unavailable` */
  static async open(folder: string): Promise<FolderObjects> {
    const objects = new FolderObjects(resolve(folder));
    await guard(objects.#sweep());
    return objects;
  }

  async put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    { ifAbsent = false, signal }: PutOptions = {},
  ): Promise<StoredObject> {
    assertKey(key);
    const unfinished = join(this.#folder, UNFINISHED, randomUUID());
    const file = await guard(open(unfinished, "wx", 0o600));
    try {
      const written = await write(file, chunksOf(body, { signal }));
      signal?.throwIfAborted();
      const isMoved = await guard(moveIn({ from: unfinished, root: this.#folder, key }, ifAbsent));
      if (isMoved) return { key, ...written };
      throw new PlatformError("object_exists", "there is such an object already");
    } finally {
      await guard(file.close());
      // What cannot be removed now is swept later, and hides no reason.
      await rm(unfinished, { force: true }).catch(() => {});
    }
  }

  async read(
    key: string,
    options: ReadOptions = {},
  ): Promise<{ readonly sizeBytes: number; readonly body: AsyncIterable<Uint8Array> }> {
    assertRange(options.range);
    options.signal?.throwIfAborted();
    const found = await this.find(key);
    if (found === null) throw new PlatformError("object_not_found", "there is no such object");
    return { sizeBytes: found.sizeBytes, body: readFile(join(this.#folder, key), options) };
  }

  async find(key: string): Promise<FoundObject | null> {
    assertKey(key);
    const found = await guard(this.#find(key));
    if (found === null) await this.#assertThere();
    return found;
  }

  async list(
    prefix: string,
    { after = "", limit }: ListOptions = {},
  ): Promise<{ readonly objects: readonly FoundObject[]; readonly hasMore: boolean }> {
    assertPrefix(prefix);
    if (after !== "") assertKey(after);
    const most = listLimit(limit);
    await this.#assertThere();
    return guard(this.#list({ prefix, after }, most));
  }

  async delete(key: string): Promise<void> {
    assertKey(key);
    const path = join(this.#folder, key);
    const found = await guard(stat(path).catch(nullWhereMissing));
    if (found?.isFile() !== true) return this.#assertThere();
    await guard(rm(path, { force: true }));
    await guard(settleRemoval(this.#folder, key));
  }

  /** A folder has nobody who would answer a URL. */
  async sign(
    key: string,
    { lifetimeSeconds }: { readonly lifetimeSeconds: number },
  ): Promise<null> {
    assertKey(key);
    signedSeconds(lifetimeSeconds);
    return null;
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
  async #assertThere(): Promise<void> {
    await guard(access(join(this.#folder, UNFINISHED)));
  }

  async #find(key: string): Promise<FoundObject | null> {
    const found = await stat(join(this.#folder, key)).catch(nullWhereMissing);
    return found?.isFile() === true ? { key, sizeBytes: found.size } : null;
  }

  async #list(
    { prefix, after }: { readonly prefix: string; readonly after: string },
    most: number,
  ): Promise<{ readonly objects: readonly FoundObject[]; readonly hasMore: boolean }> {
    const objects: FoundObject[] = [];
    for await (const key of keysIn({ root: this.#folder, prefix, after })) {
      // Between its name and its size it may have been removed.
      const found = await this.#find(key);
      if (found === null) continue;
      if (objects.length === most) return { objects, hasMore: true };
      objects.push(found);
    }
    return { objects, hasMore: false };
  }

  /** Remove what processes that died have left half-written. */
  async #sweep(): Promise<void> {
    const folder = join(this.#folder, UNFINISHED);
    await makeFolder(folder, 0o700);
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      // Another process may finish it, or sweep it, at the same moment.
      const left = await stat(path).catch(nullWhereMissing);
      if (left !== null && Date.now() - left.mtimeMs > LEFT_MS) await rm(path, { force: true });
    }
  }
}

/** Write a file, and sync it. */
async function write(
  file: FileHandle,
  chunks: AsyncIterable<Uint8Array>,
): Promise<{ readonly sizeBytes: number; readonly sha256: string }> {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  for await (const chunk of chunks) {
    hash.update(chunk);
    sizeBytes += chunk.length;
    await guard(file.writeFile(chunk));
  }
  await guard(file.sync());
  return { sizeBytes, sha256: hash.digest("hex") };
}

async function* readFile(
  path: string,
  { range, signal }: ReadOptions,
): AsyncGenerator<Uint8Array, void, void> {
  signal?.throwIfAborted();
  const file = await guard(open(path, "r"));
  // It closes the file, whether it is read to its end or left.
  const stream = file.createReadStream({
    ...range,
    ...(signal === undefined ? {} : { signal }),
    highWaterMark: READ_BYTES,
  });
  try {
    for await (const chunk of stream) yield chunk;
  } catch (error) {
    signal?.throwIfAborted();
    throw explain(error);
  }
}
