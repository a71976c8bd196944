import { PlatformError } from "@headrace/contract";

import type { ObjectStore } from "@headrace/storage";

import { Shares } from "../shares.ts";

/** Uploads at once, and of them one tenant's: each holds a part of its file in memory. */
const UPLOADS = { whole: 16, share: 6, what: "uploads" };
/** Files that are being read at once, and of them one tenant's. */
const DOWNLOADS = { whole: 64, share: 24, what: "downloads" };

/** Where files' bytes are, how large they may be, and how many are moved at once. */
export class FileStore {
  readonly limitBytes: number;
  readonly uploads: Shares = new Shares(UPLOADS);
  readonly downloads: Shares = new Shares(DOWNLOADS);
  readonly #objects: ObjectStore | null;

  /** @param objects null where the operator has set no storage up */
  constructor(objects: ObjectStore | null, limitBytes: number) {
    this.#objects = objects;
    this.limitBytes = limitBytes;
  }

  /** @throws PlatformError `storage_unconfigured` */
  assertConfigured(): void {
    void this.objects;
  }

  /** @throws PlatformError `storage_unconfigured` */
  get objects(): ObjectStore {
    if (this.#objects !== null) return this.#objects;
    throw new PlatformError(
      "storage_unconfigured",
      "this server has no storage for files; set STORAGE_URL to file:///path or s3://bucket/prefix",
    );
  }
}
