import { readEnvironment } from "@headrace/runtime";
import { z } from "zod";

/** Shorter keys are refused by the ingress: one that can be guessed is none. */
const SHORTEST_KEY = 16;

const environmentSchema = z.object({
  /** Where the API serves, for the commands that use one. */
  HEADRACE_URL: z.url({ protocol: /^https?$/ }).optional(),
  HEADRACE_API_KEY: z.string().min(SHORTEST_KEY).optional(),
  /** Path of the redis-server or valkey-server that `up` starts; the set-up names it. */
  HEADRACE_REDIS_SERVER: z.string().optional(),
  /** Where `up` looks for one otherwise. */
  PATH: z.string().default(""),
});

export type Environment = z.infer<typeof environmentSchema>;

/** Read what this program takes from its environment. @throws ConfigurationError */
export function readOwnEnvironment(): Environment {
  return readEnvironment(environmentSchema);
}

/**
 * Make a child's environment: all of ours, with `variables` on top.
 *
 * A file variant of one that we set would contradict it, so it is left out.
 */
export function childEnvironment(
  variables: Readonly<Record<string, string>>,
): Record<string, string | undefined> {
  const inherited: Record<string, string | undefined> = {
    LOG_LEVEL: "info",
    ...process.env, // oxlint-disable-line node/no-process-env -- handed on whole, not read
  };
  for (const name of Object.keys(variables)) delete inherited[`${name}_FILE`];
  return { ...inherited, ...variables };
}
