import {
  auditIdSchema,
  cursorSchema,
  daySchema,
  jobIdSchema,
  jobStatusSchema,
  keyIdSchema,
  PlatformError,
  tenantNameSchema,
  USAGE_GROUPS,
  webhookDeliveryStatusSchema,
} from "@headrace/contract";
import { z } from "zod";

/** Longest that a caller may have an answer held back: load balancers give up at 60 s. */
export const LONGEST_WAIT_SECONDS = 60;
/** Jobs in a page, unless the caller says. */
export const DEFAULT_PAGE = 20;
/** Most jobs in a page: each costs two reads of Redis. */
export const LARGEST_PAGE = 100;
const LONGEST_MODEL_NAME = 256;

const wholeNumber = z
  .string()
  .regex(/^\d{1,9}$/, "expected a whole number")
  .transform(Number);

/** How many a page has. */
export const pageLimitSchema = wholeNumber
  .pipe(z.number().min(1).max(LARGEST_PAGE))
  .default(DEFAULT_PAGE);

/** Query of `GET /v1/jobs/{id}`. */
export const readQuerySchema = z.strictObject({
  wait: wholeNumber.pipe(z.number().max(LONGEST_WAIT_SECONDS)).optional(),
});

/** Query of `GET /v1/jobs`. */
export const listQuerySchema = z.strictObject({
  status: jobStatusSchema.optional(),
  model: z.string().min(1).max(LONGEST_MODEL_NAME).optional(),
  limit: pageLimitSchema,
  after: jobIdSchema.optional(),
});

const pageSize = wholeNumber.pipe(z.number().min(1).max(LARGEST_PAGE)).default(DEFAULT_PAGE);

/** Query of `GET /v1/webhook_endpoints`. */
export const endpointQuerySchema = z.strictObject({
  limit: pageSize,
  after: z.string().optional(),
});

/** Query of the lists of webhook deliveries. */
export const deliveryQuerySchema = z.strictObject({
  status: webhookDeliveryStatusSchema.optional(),
  limit: pageSize,
  after: z.string().optional(),
});

/** Query of `GET /v1/usage`. */
export const usageQuerySchema = z.strictObject({
  from: daySchema.optional(),
  to: daySchema.optional(),
  group_by: z
    .string()
    .default(USAGE_GROUPS.join(","))
    .transform((text) => text.split(","))
    .pipe(z.array(z.enum(USAGE_GROUPS, `expected some of ${USAGE_GROUPS.join(",")}`))),
  tenant: tenantNameSchema.optional(),
});

/** Query of `GET /admin/v1/keys`. */
export const keyListQuerySchema = z.strictObject({
  tenant: tenantNameSchema.optional(),
  limit: pageLimitSchema,
  after: keyIdSchema.optional(),
});

/** Query of `GET /admin/v1/tenants`. */
export const tenantListQuerySchema = z.strictObject({
  limit: pageLimitSchema,
  after: tenantNameSchema.optional(),
});

/** Query of `GET /admin/v1/audit`. */
export const auditQuerySchema = z.strictObject({
  limit: pageLimitSchema,
  after: auditIdSchema.optional(),
});

/** Query of `GET /v1/jobs/{id}/events`. */
export const eventsQuerySchema = z.strictObject({ starting_after: cursorSchema.optional() });

/** RFC 7240's `wait`, alone or among other preferences. */
const PREFER_WAIT = /(?:^|[,;]) *wait *(?:= *"?([^",; ]*)"?)? *(?:$|[,;])/i;

/**
 * Read how long a caller prefers to wait from its `Prefer` header; other preferences are not ours.
 *
 * @returns seconds, at most 60; null when it prefers not to wait. `wait` alone means as long as may be
 * @throws PlatformError `request_invalid` when it is no whole number of seconds
 */
export function readPreferredWait(prefer: string | undefined): number | null {
  const found = PREFER_WAIT.exec(prefer ?? "");
  if (found === null) return null;
  const parsed = wholeNumber.safeParse(found[1] ?? String(LONGEST_WAIT_SECONDS));
  if (!parsed.success) {
    throw new PlatformError("request_invalid", "Prefer: expected wait=<whole seconds>", {
      param: "Prefer",
    });
  }
  return Math.min(parsed.data, LONGEST_WAIT_SECONDS);
}
