/** What is known of an object without reading it. */
export interface FoundObject {
  readonly key: string;
  readonly sizeBytes: number;
}

/** An object that is stored whole. */
export interface StoredObject extends FoundObject {
  /** Of its bytes, in hex. */
  readonly sha256: string;
}

/** How an object is stored. */
export interface PutOptions {
  /** Refuse when there is an object of that key, or one is stored first by somebody else. */
  readonly ifAbsent?: boolean;
  /** Cuts off also a body that is silent. */
  readonly signal?: AbortSignal;
}

/** What of an object is read. */
export interface ReadOptions {
  /** Both ends included; what lies beyond the object's end is left out. */
  readonly range?: { readonly start: number; readonly end?: number };
  readonly signal?: AbortSignal;
}

/** Which objects are listed. */
export interface ListOptions {
  /** The key after which to begin, whether there is such an object or not. */
  readonly after?: string;
  /** From 1 to 1,000, which it is unless given. */
  readonly limit?: number;
}

/**
 * Bytes by name: the one door to wherever they are kept.
 *
 * Keys are made by us, and no key is a folder of another: `a` beside `a/b` is a bug, which a folder
 * answers with a RangeError, and not every store can tell. Every call that is given a key or prefix of no form throws a RangeError.
 */
export interface ObjectStore {
  /**
   * Store an object, whole or not at all: a body that fails, or is aborted, leaves what was there. The
   * body is streamed, and no faster than it is stored. Once it answers, the object outlasts a crash.
   *
   * @throws PlatformError `storage_unavailable`, `storage_full`, `object_exists` with `ifAbsent`;
   * whatever the body fails with, and the signal's reason
   */
  put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options?: PutOptions,
  ): Promise<StoredObject>;
  /**
   * Read an object, or a range of it. `sizeBytes` is the whole's. The body takes up nothing until it is
   * read, and is then read once, no faster than it is taken.
   *
   * @throws PlatformError `object_not_found`, `storage_unavailable`, also from the body; the signal's
   * reason
   */
  read(
    key: string,
    options?: ReadOptions,
  ): Promise<{ readonly sizeBytes: number; readonly body: AsyncIterable<Uint8Array> }>;
  /** Look whether there is an object. @throws PlatformError `storage_unavailable` */
  find(key: string): Promise<FoundObject | null>;
  /**
   * List the objects whose keys begin with a prefix, in the order of their keys' bytes. What is stored or
   * removed meanwhile may be listed or not.
   *
   * @throws PlatformError `storage_unavailable`
   */
  list(
    prefix: string,
    options?: ListOptions,
  ): Promise<{ readonly objects: readonly FoundObject[]; readonly hasMore: boolean }>;
  /** Remove an object. That of one that is not there does nothing. @throws PlatformError `storage_unavailable` */
  delete(key: string): Promise<void>;
  /**
   * Make a URL with which anybody may read the object for a while, from 1 s to 7 days; null where there
   * can be none. Whether there is such an object is not looked at.
   *
   * @throws PlatformError `storage_unavailable`
   */
  sign(key: string, options: { readonly lifetimeSeconds: number }): Promise<URL | null>;
  /** Make sure that objects can be stored. @throws PlatformError `storage_unavailable`, `storage_full` */
  check(): Promise<void>;
}
