import { fileIdSchema, PlatformError, type FileId, type FilePurpose } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { guard } from "../guard.ts";
import { keys } from "../keys.ts";
import { script } from "../script.ts";
import {
  findFiles,
  objectOfFile,
  unknownFile,
  type FileRecord,
  type FileSpec,
} from "./file-record.ts";
import { Removals } from "./removals.ts";

const create = script(
  "file-create",
  z.union([z.tuple([z.literal(1), z.coerce.number(), z.string()]), z.tuple([z.literal([0, -1])])]),
);
const remove = script("file-delete", z.union([z.literal([0, 1]), z.string()]));

/** Files that a tenant may have, outputs of batches included when another is uploaded. */
const MOST_FILES = 10_000;
/** Files looked at side by side. */
const PAGE = 500;

/** A file on its way in, whose object is stored. */
export interface NewFile extends FileSpec {
  readonly id: FileId;
  readonly tenant: string;
  readonly lifetimeMs: number | null; // null = kept until it is deleted
}

/** Which of a tenant's files to list. */
export interface FileQuery {
  readonly purpose: FilePurpose | null;
  readonly isNewestFirst: boolean;
  readonly limit: number;
  readonly after: FileId | null;
}

/**
 * What files there are. Their bytes are in storage, under `objectOfFile(id)`: a record is made when
 * all of them are, and deleted before they are. All calls fail with `queue_unavailable` while Redis
 * is away.
 */
export class FileRegistry {
  readonly #redis: Redis;
  readonly #removals: Removals;

  constructor(redis: Redis) {
    this.#redis = redis;
    this.#removals = new Removals(redis);
  }

  /** Say that a file's object is about to be stored: without an end in 24 hours, it is swept. */
  async begin(id: FileId): Promise<void> {
    await this.#removals.plan(objectOfFile(id));
  }

  /** Say that nothing is stored of a file that was begun, or of one that was deleted. */
  async forgetObject(id: FileId): Promise<void> {
    await this.#removals.forget(objectOfFile(id));
  }

  /**
   * Enter a file that was begun and is stored whole. May be repeated.
   *
   * @throws PlatformError `file_limit` when the tenant has 10,000; `request_invalid` when it took
   *   longer than 24 hours. Its object is then the caller's to remove, else it is swept
   */
  async create({ id, tenant, lifetimeMs, ...spec }: NewFile): Promise<FileRecord> {
    const args = [
      keys.batchSlot,
      id,
      tenant,
      objectOfFile(id),
      JSON.stringify(spec),
      lifetimeMs ?? "",
      MOST_FILES,
    ];
    const [code, createdAtMs, expiresAt] = await guard(create(this.#redis, [keys.file(id)], args));
    if (code === 1) {
      const expiresAtMs = expiresAt === "" ? null : Number(expiresAt);
      return { ...spec, id, tenant, createdAtMs, expiresAtMs };
    }
    if (code === -1) {
      throw new PlatformError(
        "file_limit",
        `there are ${MOST_FILES} files; delete some that are no longer needed`,
      );
    }
    throw new PlatformError("request_invalid", "the upload took longer than 24 hours");
  }

  /** @throws PlatformError `file_not_found`, alike for another tenant's and one whose time is over */
  async get(tenant: string, id: FileId): Promise<FileRecord> {
    const [record = null] = await guard(findFiles(this.#redis, [id]));
    if (record === null || record.tenant !== tenant) throw unknownFile(id);
    return record;
  }

  /** A tenant's files in order of age. @throws PlatformError `file_not_found` for an unknown `after` */
  async list(
    tenant: string,
    query: FileQuery,
  ): Promise<{ readonly files: FileRecord[]; readonly hasMore: boolean }> {
    return guard(this.#list(tenant, query));
  }

  /**
   * Delete a file: from now on there is none. Its object is the caller's to remove, and to
   * `forgetObject` then, else it is swept.
   *
   * @throws PlatformError `file_not_found`; `file_in_use` when a batch that has not ended needs it
   */
  async delete(tenant: string, id: FileId): Promise<void> {
    const args = [keys.batchSlot, id, tenant, objectOfFile(id)];
    const answer = await guard(remove(this.#redis, [keys.file(id)], args));
    if (answer === 1) return;
    if (answer === 0) throw unknownFile(id);
    throw new PlatformError(
      "file_in_use",
      `${id} is the input of ${answer}, which has not ended; cancel that first, or wait for its end`,
    );
  }

  async #list(
    tenant: string,
    query: FileQuery,
  ): Promise<{ readonly files: FileRecord[]; readonly hasMore: boolean }> {
    const { purpose, limit } = query;
    const files: FileRecord[] = [];
    for (let rank = await this.#rankAfter(tenant, query); ; rank += PAGE) {
      const ids = await this.#readIds(tenant, query, rank);
      for (const record of await findFiles(this.#redis, ids)) {
        if (record === null || (purpose !== null && record.purpose !== purpose)) continue;
        if (files.length === limit) return { files, hasMore: true };
        files.push(record);
      }
      if (ids.length < PAGE) return { files, hasMore: false };
    }
  }

  async #readIds(tenant: string, { isNewestFirst }: FileQuery, rank: number): Promise<FileId[]> {
    const [list, stop] = [keys.files(tenant), rank + PAGE - 1];
    const ids = isNewestFirst
      ? await this.#redis.zrevrange(list, rank, stop)
      : await this.#redis.zrange(list, `${rank}`, `${stop}`);
    return fileIdSchema.array().parse(ids);
  }

  async #rankAfter(tenant: string, { isNewestFirst, after }: FileQuery): Promise<number> {
    if (after === null) return 0;
    const rank = isNewestFirst
      ? await this.#redis.zrevrank(keys.files(tenant), after)
      : await this.#redis.zrank(keys.files(tenant), after);
    if (rank === null) throw unknownFile(after, "after");
    return rank + 1;
  }
}
