import { findKeyId, keyIdSchema, SCOPES, tenantNameSchema, weightSchema } from "@headrace/contract";
import { z } from "zod";

import { connectionFlags, durationWithin, jsonFlag, numberWithin } from "./flags.ts";

const YEAR_SECONDS = 366 * 24 * 3_600;
const MONTH_SECONDS = 30 * 24 * 3_600;
const MOST = 1_000_000_000;

const tenant = tenantNameSchema;
const limit = numberWithin(1, MOST, `expected a whole number, 1 to ${MOST}`).optional();

/** A key's id, or the key itself: its id is in it. */
const keyId = z
  .string()
  .transform((text) => findKeyId(text) ?? text)
  .pipe(keyIdSchema);

const overlap = durationWithin(0, MONTH_SECONDS, "expected a time such as 0, 30m or 24h, to 30d");

/** Flags of the commands on keys and tenants. */
export const keySchemas = {
  "keys create": z.strictObject({
    ...connectionFlags,
    ...jsonFlag,
    positionals: z.tuple(
      [z.string().trim().min(1, "expected a name").max(100, "expected a name to 100 characters")],
      "expected one name: who or what will have the key",
    ),
    tenant: tenant.optional(),
    scopes: z
      .string()
      .transform((text) => text.split(","))
      .pipe(z.array(z.enum(SCOPES, `expected some of ${SCOPES.join(",")}`)))
      .optional(),
    expires: durationWithin(1, 10 * YEAR_SECONDS, "expected a time such as 12h or 90d").optional(),
    "requests-per-minute": limit,
    "tokens-per-minute": limit,
    "queued-jobs": limit,
    "concurrent-jobs": limit,
    "monthly-tokens": limit,
    "monthly-cost": z.coerce.number().positive("expected an amount of money").optional(),
  }),
  "keys list": z.strictObject({
    ...connectionFlags,
    ...jsonFlag,
    tenant: tenant.optional(),
    all: z.boolean().default(false),
  }),
  "keys rotate": z.strictObject({
    ...connectionFlags,
    ...jsonFlag,
    positionals: z.tuple([keyId], "expected one key id"),
    overlap: overlap.optional(),
  }),
  "keys revoke": z.strictObject({
    ...connectionFlags,
    ...jsonFlag,
    positionals: z.tuple([keyId], "expected one key id"),
  }),
  "tenants list": z.strictObject({ ...connectionFlags, ...jsonFlag }),
  "tenants set": z.strictObject({
    ...connectionFlags,
    ...jsonFlag,
    positionals: z.tuple([tenant], "expected one tenant"),
    weight: z
      .string("required, a number from 0.01 to 100")
      .transform(Number)
      .refine((weight) => weightSchema.safeParse(weight).success, {
        error: "expected a number from 0.01 to 100",
      }),
  }),
};

export type KeyCreateOptions = z.infer<(typeof keySchemas)["keys create"]>;
export type KeyListOptions = z.infer<(typeof keySchemas)["keys list"]>;
export type KeyRotateOptions = z.infer<(typeof keySchemas)["keys rotate"]>;
export type KeyRevokeOptions = z.infer<(typeof keySchemas)["keys revoke"]>;
export type TenantListOptions = z.infer<(typeof keySchemas)["tenants list"]>;
export type TenantSetOptions = z.infer<(typeof keySchemas)["tenants set"]>;
