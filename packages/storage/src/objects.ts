/** An object that is stored whole. */
export interface StoredObject {
  readonly key: string;
  readonly sizeBytes: number;
  /** Of its bytes, in hex. */
  readonly sha256: string;
}

/** Bytes by name: the one door to wherever they are kept. */
export interface ObjectStore {
  /**
   * Store an object, whole or not at all: a body that fails, or is aborted, leaves what was there. The
   * body is streamed, and no faster than it is stored.
   *
   * @throws PlatformError `storage_unavailable`, `storage_full`; whatever the body fails with
   */
  put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<StoredObject>;
  /**
   * Read an object, or a range of it, both ends included. `sizeBytes` is the whole's.
   *
   * @throws PlatformError `object_not_found`, `storage_unavailable`, also from the body
   */
  read(
    key: string,
    options?: {
      readonly range?: { readonly start: number; readonly end?: number };
      readonly signal?: AbortSignal;
    },
  ): Promise<{ readonly sizeBytes: number; readonly body: AsyncIterable<Uint8Array> }>;
  /** Remove an object. That of one that is not there does nothing. @throws PlatformError `storage_unavailable` */
  delete(key: string): Promise<void>;
  /** Make sure that objects can be stored. @throws PlatformError `storage_unavailable`, `storage_full` */
  check(): Promise<void>;
}
