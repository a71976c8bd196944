import { z } from "zod";

/** What became of a call: `unknown` when Redis did not say whether the change was made. */
export const AUDIT_OUTCOMES = ["done", "refused", "denied", "unknown"] as const;

/** Redis' own `<ms>-<n>`; with an `r` behind it that of a call that was refused, with a `v` of one that read. */
export const auditIdSchema = z
  .string()
  .regex(/^\d{1,15}-\d{1,15}[rv]?$/, "expected the id of an entry");

/** One entry of the audit log: an operator's call, and what came of it. Never holds a secret. */
export const auditEntrySchema = z.object({
  id: z.string(),
  object: z.literal("audit_entry"),
  /** Unix seconds, by Redis' clock. */
  at: z.number(),
  /** Id of the key that the call came with. */
  actor: z.string(),
  /** What was to be done: `key.rotate`. */
  action: z.string(),
  /** Id of the key, or name of the tenant, that it was done to. */
  target: z.string().nullable(),
  /** Whose key it is. */
  tenant: z.string().nullable(),
  request_id: z.string(),
  outcome: z.enum(AUDIT_OUTCOMES),
  /** Code of the error that the caller was told; null when it is done. */
  error_code: z.string().nullable(),
  /** What was set, or for a change `{field: {from, to}}`. */
  details: z.record(z.string(), z.unknown()),
});
export type AuditEntry = z.infer<typeof auditEntrySchema>;

/** A page of the audit log, newest first. */
export const auditListSchema = z.object({
  object: z.literal("list"),
  data: z.array(auditEntrySchema),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
});
export type AuditList = z.infer<typeof auditListSchema>;
