import { hash } from "node:crypto";
import { Readable } from "node:stream";

import { PlatformError } from "@headrace/contract";
import type { ObjectStore, StoredObject } from "@headrace/storage";

/** Objects in memory, as storage keeps them elsewhere: whole or not at all. */
export class MemoryObjects implements ObjectStore {
  readonly objects = new Map<string, Buffer>();
  /** What keeps all from being stored; null = nothing. */
  failure: PlatformError | null = null;

  async put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<StoredObject> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of body instanceof Uint8Array ? [body] : body) {
      if (this.failure !== null) throw this.failure;
      chunks.push(chunk);
    }
    signal?.throwIfAborted();
    const whole = Buffer.concat(chunks);
    this.objects.set(key, whole);
    return { key, sizeBytes: whole.length, sha256: hash("sha256", whole) };
  }

  async read(
    key: string,
    { range }: { readonly range?: { readonly start: number; readonly end?: number } } = {},
  ): Promise<{ readonly sizeBytes: number; readonly body: AsyncIterable<Uint8Array> }> {
    const whole = this.objects.get(key);
    if (whole === undefined)
      throw new PlatformError("object_not_found", `there is no object ${key}`);
    const end = range?.end ?? whole.length - 1;
    const part = range === undefined ? whole : whole.subarray(range.start, end + 1);
    return { sizeBytes: whole.length, body: Readable.from(part.length === 0 ? [] : [part]) };
  }

  async check(): Promise<void> {
    if (this.failure !== null) throw this.failure;
  }

  async delete(key: string): Promise<void> {
    this.objects.delete(key);
  }
}
