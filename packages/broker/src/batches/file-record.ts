import { fileIdSchema, filePurposeSchema, PlatformError, type FileId } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { readRedisMs } from "../clock.ts";
import { keys } from "../keys.ts";

const fileSpecSchema = z.object({
  /** Id of the API key that it came with. */
  key: z.string(),
  /** As its uploader calls it: shown, never used as a path. */
  filename: z.string(),
  purpose: filePurposeSchema,
  sizeBytes: z.int().min(0),
});
/** What never changes about a file. */
export type FileSpec = z.infer<typeof fileSpecSchema>;

/** A file that is stored whole, under `objectOfFile(id)`. */
export interface FileRecord extends FileSpec {
  readonly id: FileId;
  readonly tenant: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null; // null = kept until it is deleted
}

/** Where the objects of files are. */
export const FILE_OBJECTS = "files/";

/** The key of a file's object in storage. */
export function objectOfFile(file: FileId): string {
  return FILE_OBJECTS + file;
}

const FIELDS = ["tenant", "spec", "created_at", "expires_at"] as const;
/** Records asked for in one go. */
const PAGE = 500;

/** Read files. @returns null for each that there is not, or whose time is over */
export async function findFiles(
  redis: Redis,
  ids: readonly FileId[],
): Promise<(FileRecord | null)[]> {
  const found: (FileRecord | null)[] = [];
  for (let start = 0; start < ids.length; start += PAGE) {
    const page = ids.slice(start, start + PAGE);
    const [nowMs, ...records] = await Promise.all([
      readRedisMs(redis),
      ...page.map((id) => redis.hmget(keys.file(id), ...FIELDS)),
    ]);
    found.push(...page.map((id, i) => toRecord(id, records[i] ?? [], nowMs)));
  }
  return found;
}

/** What is said of a file that does not exist, and alike of another tenant's. */
export function unknownFile(id: string, param?: string): PlatformError {
  const options = param === undefined ? {} : { param };
  return new PlatformError("file_not_found", `there is no file ${id}`, options);
}

function toRecord(
  id: FileId,
  [tenant, spec, createdAt, expiresAt]: readonly (string | null)[],
  nowMs: number,
): FileRecord | null {
  if (!tenant || !spec) return null;
  const expiresAtMs = expiresAt ? Number(expiresAt) : null;
  if (expiresAtMs !== null && expiresAtMs <= nowMs) return null;
  return {
    ...fileSpecSchema.parse(JSON.parse(spec)),
    id: fileIdSchema.parse(id),
    tenant,
    createdAtMs: Number(createdAt),
    expiresAtMs,
  };
}
