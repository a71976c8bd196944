import { daySchema, USAGE_GROUPS } from "@headrace/contract";
import { z } from "zod";

import { connectionFlags, jsonFlag, numberWithin } from "./flags.ts";

const MAX_PORT = 65_535;
/** More workers than this on one machine is a typing error. */
const MAX_WORKERS = 64;
const DEFAULT_PORT = 8_080;

const port = numberWithin(0, MAX_PORT, `expected a port, 0 to ${MAX_PORT}`);
const ownPort = numberWithin(1, MAX_PORT, `expected a port, 1 to ${MAX_PORT}`);
const workers = numberWithin(1, MAX_WORKERS, `expected a whole number, 1 to ${MAX_WORKERS}`);

/** Flags of the commands on the platform as a whole. */
export const platformSchemas = {
  up: z.strictObject({
    port: port.default(DEFAULT_PORT),
    host: z.string().min(1).default("127.0.0.1"),
    "data-dir": connectionFlags["data-dir"],
    workers: workers.default(1),
    "engine-url": z
      .url({ protocol: /^https?$/, error: "expected http://host:port" })
      .transform((url) => url.replace(/\/(v1\/?)?$/, ""))
      .optional(),
    "redis-url": z.url({ protocol: /^rediss?$/, error: "expected redis://host:port" }).optional(),
    "redis-port": ownPort.optional(),
    once: z.boolean().default(false),
    verbose: z.boolean().default(false),
  }),
  doctor: z.strictObject({ ...connectionFlags, ...jsonFlag }),
  usage: z.strictObject({
    ...connectionFlags,
    ...jsonFlag,
    from: daySchema.optional(),
    to: daySchema.optional(),
    by: z
      .string()
      .default(USAGE_GROUPS.join(","))
      .transform((text) => text.split(","))
      .pipe(z.array(z.enum(USAGE_GROUPS, `expected some of ${USAGE_GROUPS.join(",")}`))),
    tenant: z.string().min(1).optional(),
  }),
};

export type UpOptions = z.infer<typeof platformSchemas.up>;
export type DoctorOptions = z.infer<typeof platformSchemas.doctor>;
export type UsageOptions = z.infer<typeof platformSchemas.usage>;
