import { z } from "zod";

import { ALPHABET, randomText, writeBits } from "./random-text.ts";
import { DEFAULT_TENANT, tenantNameSchema } from "./tenant.ts";

/**
 * What a key may be used for: `submit` makes, cancels and deletes jobs, `read` reads what its tenant
 * has, `admin` manages the keys and tenants of the whole platform. None includes another.
 */
export const SCOPES = ["submit", "read", "admin"] as const;
export const scopeSchema = z.enum(SCOPES);
export type Scope = z.infer<typeof scopeSchema>;

const MOST_PER_MINUTE = 1_000_000_000;
const MOST_JOBS = 10_000_000;
const MOST_MONTHLY = 1_000_000_000_000_000;
/** Models that one key may have limits of their own for. */
const MOST_MODEL_LIMITS = 64;
const LONGEST_MODEL_NAME = 256;

const perMinute = {
  requests_per_minute: z.int().min(1).max(MOST_PER_MINUTE).optional(),
  tokens_per_minute: z.int().min(1).max(MOST_PER_MINUTE).optional(),
};

/** What a key may use at most. What is not given is not limited. */
export const keyLimitsSchema = z.strictObject({
  ...perMinute,
  /** Jobs accepted for later that have not ended. */
  queued_jobs: z.int().min(1).max(MOST_JOBS).optional(),
  /** Synchronous calls open at once. */
  concurrent_jobs: z.int().min(1).max(MOST_JOBS).optional(),
  /** Tokens in a calendar month (UTC), prompts and outputs together. */
  monthly_tokens: z.int().min(1).max(MOST_MONTHLY).optional(),
  /** Money in a calendar month (UTC), in the currency that the operator prices a GPU hour in. */
  monthly_cost: z.number().positive().max(MOST_MONTHLY).optional(),
  /** Limits within those above, by the model's name. */
  models: z
    .record(z.string().min(1).max(LONGEST_MODEL_NAME), z.strictObject(perMinute))
    .refine(
      (models) => Object.keys(models).length <= MOST_MODEL_LIMITS,
      `expected at most ${MOST_MODEL_LIMITS} models`,
    )
    .optional(),
});
export type KeyLimits = z.infer<typeof keyLimitsSchema>;

/** Id of the key that the operator's environment holds: it is in no registry. */
export const ROOT_KEY_ID = "root";

/** 40 bits: ids need not be secret, only different. */
const ID_BYTES = 5;
const ID_LENGTH = 8;
/** 240 bits: beyond guessing, so that a plain SHA-256 is digest enough. */
const SECRET_BYTES = 30;
const SECRET_LENGTH = 48;

const keyPattern = new RegExp(`^hr_([${ALPHABET}]{${ID_LENGTH}})_[${ALPHABET}]{${SECRET_LENGTH}}$`);

/** Public part of a key. */
export const keyIdSchema = z
  .string()
  .regex(new RegExp(`^[${ALPHABET}]{${ID_LENGTH}}$`), `expected the ${ID_LENGTH} characters`);

/** Make the id of a new key. */
export function newKeyId(): string {
  return randomText(ID_BYTES);
}

/** Make the id of a new key from a digest, so that the same digest makes the same. */
export function keyIdFrom(digest: Uint8Array): string {
  return writeBits(digest.subarray(0, ID_BYTES));
}

/** Make a key that nobody can guess: `hr_<id>_<secret>`. */
export function newApiKey(id: string): string {
  return `hr_${id}_${randomText(SECRET_BYTES)}`;
}

/** Read which key it is that was presented. @returns null when it has not the form of one */
export function findKeyId(presented: string): string | null {
  return keyPattern.exec(presented)?.[1] ?? null;
}

/** Names are shown in terminals and logs: nothing in them may steer one. */
const nameSchema = z
  .string()
  .trim()
  .min(1)
  .max(100)
  .regex(/^\P{Cc}*$/u, "expected no control characters");
const scopesSchema = z
  .array(scopeSchema)
  .min(1)
  .refine((scopes) => new Set(scopes).size === scopes.length, "expected each scope once");
/** Unix seconds; whether that is still to come is Redis' to say. */
const expirySchema = z.number().min(0).max(MOST_MONTHLY);

/** Body of `POST /admin/v1/keys`. */
export const keyCreateSchema = z.strictObject({
  name: nameSchema,
  tenant: tenantNameSchema.default(DEFAULT_TENANT),
  scopes: scopesSchema.default(["submit", "read"]),
  limits: keyLimitsSchema.nullish(),
  expires_at: expirySchema.nullish(),
});
export type KeyCreate = z.input<typeof keyCreateSchema>;

/** Body of `POST /admin/v1/keys/{id}`: what is not given stays. */
export const keyUpdateSchema = z
  .strictObject({
    name: nameSchema.optional(),
    scopes: scopesSchema.optional(),
    /** All limits anew; null = none. */
    limits: keyLimitsSchema.nullable().optional(),
    expires_at: expirySchema.nullable().optional(),
  })
  .refine((fields) => Object.keys(fields).length > 0, "expected at least one field to change");
export type KeyUpdate = z.infer<typeof keyUpdateSchema>;

const LONGEST_OVERLAP_SECONDS = 30 * 24 * 3_600;
const DEFAULT_OVERLAP_SECONDS = 24 * 3_600;

/** Body of `POST /admin/v1/keys/{id}/rotate`. */
export const keyRotateSchema = z.strictObject({
  /** How long the secrets there were stay valid; 0 = they end now. */
  overlap_seconds: z.number().min(0).max(LONGEST_OVERLAP_SECONDS).default(DEFAULT_OVERLAP_SECONDS),
});
export type KeyRotate = z.input<typeof keyRotateSchema>;

export const KEY_STATUSES = ["active", "expired", "revoked"] as const;

/** A key as the API shows it, without its secret. Instants are Unix seconds. */
export const apiKeySchema = z.object({
  id: z.string(),
  object: z.literal("api_key"),
  name: z.string(),
  tenant: z.string(),
  scopes: z.array(scopeSchema),
  limits: keyLimitsSchema.nullable(),
  status: z.enum(KEY_STATUSES),
  created_at: z.number(),
  expires_at: z.number().nullable(),
  /** To the minute; null when it never was. */
  last_used_at: z.number().nullable(),
  rotated_at: z.number().nullable(),
  /** Until when a secret from before the last rotation is valid as well; null when none is. */
  overlap_ends_at: z.number().nullable(),
  revoked_at: z.number().nullable(),
});
export type ApiKey = z.infer<typeof apiKeySchema>;

/** A key with its secret: shown when it is made, and never again. */
export const newKeySchema = apiKeySchema.extend({ key: z.string() });
export type NewKey = z.infer<typeof newKeySchema>;

/** A page of keys, newest first. */
export const keyListSchema = z.object({
  object: z.literal("list"),
  data: z.array(apiKeySchema),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
});
export type KeyList = z.infer<typeof keyListSchema>;

/** Answer of `DELETE /admin/v1/keys/{id}`. */
export const keyDeletedSchema = z.object({
  id: z.string(),
  object: z.literal("api_key"),
  deleted: z.literal(true),
});
export type KeyDeleted = z.infer<typeof keyDeletedSchema>;
