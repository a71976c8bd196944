import { allowListVariable } from "@headrace/receivers";
import { integerVariable, LOG_LEVELS, portVariable } from "@headrace/runtime";
import { z } from "zod";

/** The webhooks service's environment: one field per variable. */
export const environmentSchema = z.object({
  REDIS_URL: z.url({ protocol: /^rediss?$/ }).default("redis://127.0.0.1:6379"),
  /**
   * Receivers that may be sent to although they are in a private network, speak plain HTTP or listen
   * on another port than 443 and 8443: networks, addresses and exact host names, comma-separated.
   * Anybody who may submit jobs can have requests sent to them. Every ingress needs the same list, to
   * refuse receivers that would never be sent to.
   */
  WEBHOOKS_ALLOW: allowListVariable,
  /** Webhooks sent at once. A tenant has at most 64 of them, one receiver 16. */
  WEBHOOKS_MAX_IN_FLIGHT: integerVariable(1, 10_000).default(512),
  /** Address of `/metrics`, `/healthz` and `/readyz`. A container sets 0.0.0.0. */
  WEBHOOKS_OPERATIONS_HOST: z.string().default("127.0.0.1"),
  /** Their port; 0 lets the system choose. */
  WEBHOOKS_OPERATIONS_PORT: portVariable.default(9_092),
  LOG_LEVEL: z.enum(LOG_LEVELS).default("info"),
});
export type WebhooksEnvironment = z.infer<typeof environmentSchema>;
