import { webhookFilterSchema, webhookUrlSchema } from "@headrace/contract";
import { z } from "zod";

import { connectionFlags, durationWithin, jsonFlag, numberWithin } from "./flags.ts";

const MAX_PORT = 65_535;
/** Deliveries are kept for so long. */
const WEEK_SECONDS = 7 * 24 * 3_600;

const endpointId = z
  .string()
  .regex(/^whe_\w+$/, "expected an id as `webhooks list` prints it: whe_…");
const targetId = z
  .string()
  .regex(/^wh[ed]_\w+$/, "expected the id of a delivery, whd_…, or of an endpoint, whe_…");
const events = z
  .string()
  .default("job.*,response.*,batch.*")
  .transform((text) => text.split(","))
  .pipe(
    z.array(
      z.enum(
        webhookFilterSchema.options,
        `expected some of ${webhookFilterSchema.options.join(",")}`,
      ),
    ),
  );
const now = z.boolean().default(false);

/** Flags of the commands on webhooks. */
export const webhookSchemas = {
  "webhooks listen": z.strictObject({
    ...connectionFlags,
    ...jsonFlag,
    port: numberWithin(0, MAX_PORT, `expected a port, 0 to ${MAX_PORT}`).default(0),
    host: z.string().min(1).default("127.0.0.1"),
    events,
    secret: z
      .string()
      .regex(/^(whsec_)?[A-Za-z0-9+/]+={0,2}$/, "expected a signing secret: whsec_…")
      .optional(),
  }),
  "webhooks list": z.strictObject({ ...connectionFlags, ...jsonFlag }),
  "webhooks create": z.strictObject({
    ...connectionFlags,
    ...jsonFlag,
    positionals: z.tuple([webhookUrlSchema], "expected one URL"),
    events,
    name: z.string().min(1).max(128).optional(),
  }),
  "webhooks enable": z.strictObject({
    ...connectionFlags,
    ...jsonFlag,
    positionals: z.tuple([endpointId], "expected one endpoint's id"),
  }),
  "webhooks delete": z.strictObject({
    ...connectionFlags,
    ...jsonFlag,
    positionals: z.tuple([endpointId], "expected one endpoint's id"),
  }),
  "webhooks rotate": z.strictObject({
    ...connectionFlags,
    ...jsonFlag,
    positionals: z.tuple([endpointId], "expected one endpoint's id"),
    now,
  }),
  "webhooks secret": z.strictObject({ ...connectionFlags, ...jsonFlag, now }),
  "webhooks log": z.strictObject({
    ...connectionFlags,
    ...jsonFlag,
    positionals: z.array(endpointId).max(1, "expected one endpoint's id at most"),
    failed: z.boolean().default(false),
  }),
  "webhooks replay": z.strictObject({
    ...connectionFlags,
    ...jsonFlag,
    positionals: z.tuple([targetId], "expected the id of a delivery or of an endpoint"),
    since: durationWithin(
      1,
      WEEK_SECONDS,
      "expected a time such as 30m, 2h or 1d, to 7d",
    ).optional(),
  }),
};

export type WebhookCommandName = keyof typeof webhookSchemas;
/** What was asked for of one of the commands on webhooks. */
export type WebhookOptions<Name extends WebhookCommandName> = z.infer<
  (typeof webhookSchemas)[Name]
>;

/** What a command line on webhooks asks for. */
export type WebhookCommand = {
  [Name in WebhookCommandName]: { readonly name: Name; readonly options: WebhookOptions<Name> };
}[WebhookCommandName];

/** Whether a command is one on webhooks. */
export function isWebhookName(name: string): name is WebhookCommandName {
  return Object.hasOwn(webhookSchemas, name);
}
