import { durabilitySchema } from "@headrace/contract";
import { readEnvironment } from "@headrace/runtime";
import { z } from "zod";

/** Shorter keys are refused by the ingress: one that can be guessed is none. */
const SHORTEST_KEY = 16;

const environmentSchema = z.object({
  /** Where the API serves, for the commands that use one. */
  HEADRACE_URL: z.url({ protocol: /^https?$/ }).optional(),
  HEADRACE_API_KEY: z
    .string()
    .min(SHORTEST_KEY, `expected at least ${SHORTEST_KEY} characters`)
    .optional(),
  /** What a 202 is worth: `up` starts Redis and the ingress accordingly. */
  HEADRACE_DURABILITY: durabilitySchema.default("redis"),
  /** Path of the redis-server or valkey-server that `up` starts; the set-up names it. */
  HEADRACE_REDIS_SERVER: z.string().optional(),
  /** Receivers in private networks that webhooks may go to: handed on to what delivers them. */
  WEBHOOKS_ALLOW: z.string().optional(),
  /** Where `up` looks for one otherwise. */
  PATH: z.string().default(""),
});

export type Environment = z.infer<typeof environmentSchema>;

/** Read what this program takes from its environment. @throws ConfigurationError */
export function readOwnEnvironment(): Environment {
  return readEnvironment(environmentSchema);
}
