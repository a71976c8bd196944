import { z } from "zod";

/** What the tenant of the environment's own key is called. */
export const DEFAULT_TENANT = "default";

/** A tenant's name: part of Redis keys, log lines and file names, so it holds nothing but these. */
export const tenantNameSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
    "expected up to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit",
  )
  .regex(/^(?!hr_)/i, "expected a name, not a key: none begins with hr_");

/** What a tenant's share of the GPUs is weighed by, against others that also have jobs waiting. */
export const weightSchema = z.number().min(0.01).max(100);
/** The weight of a tenant of whom nothing else was said. */
export const DEFAULT_WEIGHT = 1;

/** What an operator may say of a tenant. */
export const tenantSettingsSchema = z.strictObject({ weight: weightSchema });
export type TenantSettings = z.infer<typeof tenantSettingsSchema>;

/** A tenant as the API shows it. */
export const tenantSchema = z.object({
  id: z.string(),
  object: z.literal("tenant"),
  weight: z.number(),
});
export type Tenant = z.infer<typeof tenantSchema>;

/** A page of tenants, by name. */
export const tenantListSchema = z.object({
  object: z.literal("list"),
  data: z.array(tenantSchema),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
});
export type TenantList = z.infer<typeof tenantListSchema>;
