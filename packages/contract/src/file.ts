import { z } from "zod";

import { ALPHABET, randomText, writeBits } from "./random-text.ts";

/** 26 characters of 5 bits hold the 128 bits of an id. */
const CODE_LENGTH = 26;
const ID_BYTES = 16;
const HOUR_SECONDS = 3_600;
const MONTH_SECONDS = 30 * 24 * HOUR_SECONDS;

/** `file-<128 bits>`, as OpenAI's ids of files look: safe in a path, a Redis key and an object's key. */
export const fileIdSchema = z
  .string()
  .regex(new RegExp(`^file-[${ALPHABET}]{${CODE_LENGTH}}$`), "expected file-<26 characters>")
  .brand("FileId");
export type FileId = z.infer<typeof fileIdSchema>;

/** Make an id that nobody can guess, for a file on its way in. */
export function newFileId(): FileId {
  return fileIdSchema.parse(`file-${randomText(ID_BYTES)}`);
}

/** Make the id that stands for 128 bits: the same for the same bits. */
export function fileIdOf(bits: Uint8Array): FileId {
  return fileIdSchema.parse(`file-${writeBits(bits)}`);
}

/** Read an id that came from outside. @returns null when it cannot be one */
export function findFileId(text: unknown): FileId | null {
  const parsed = fileIdSchema.safeParse(text);
  return parsed.success ? parsed.data : null;
}

/** What a file is for: the input of batches, or what a batch has written. */
export const FILE_PURPOSES = ["batch", "batch_output"] as const;
export const filePurposeSchema = z.enum(FILE_PURPOSES);
export type FilePurpose = z.infer<typeof filePurposeSchema>;

/** How long files and batches that ended are kept where nobody says: OpenAI's 30 days for batches. */
export const DEFAULT_FILE_SECONDS = MONTH_SECONDS;

/** OpenAI's bounds on what may be said of a file's life: an hour to 30 days from its creation. */
export const fileExpirySchema = z.strictObject({
  anchor: z.literal("created_at"),
  seconds: z.int().min(HOUR_SECONDS).max(MONTH_SECONDS),
});
export type FileExpiry = z.infer<typeof fileExpirySchema>;

/** A file as the API shows it: OpenAI's shape. Instants are Unix seconds. */
export const fileSchema = z.object({
  id: z.string(),
  object: z.literal("file"),
  bytes: z.int().min(0),
  created_at: z.int(),
  /** Null = kept until it is deleted. */
  expires_at: z.int().nullable(),
  filename: z.string(),
  purpose: filePurposeSchema,
  /** Always `processed`: a file exists once all of it is stored. */
  status: z.literal("processed"),
  status_details: z.null(),
});
export type FileObject = z.infer<typeof fileSchema>;

/** A page of files. */
export const fileListSchema = z.object({
  object: z.literal("list"),
  data: z.array(fileSchema),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
});
export type FileList = z.infer<typeof fileListSchema>;

/** Answer of `DELETE /v1/files/{id}`. */
export const fileDeletedSchema = z.object({
  id: z.string(),
  object: z.literal("file"),
  deleted: z.literal(true),
});
export type FileDeleted = z.infer<typeof fileDeletedSchema>;
