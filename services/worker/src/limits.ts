import { z } from "zod";

const count = z.int().min(0).nullish();

/** The fields of a request that say where its output ends. */
export const limitsSchema = z.looseObject({
  max_tokens: count,
  max_completion_tokens: count,
  min_tokens: count,
  stop: z.union([z.string(), z.array(z.string())]).nullish(),
  include_stop_str_in_output: z.boolean().nullish(),
});

/** Where a request's output ends. */
export type Limits = z.infer<typeof limitsSchema>;

/** List the strings that end the text; the empty one, which ends none, is left out. */
export function stopsOf({ stop }: Pick<Limits, "stop">): readonly string[] {
  const stops = typeof stop === "string" ? [stop] : (stop ?? []);
  return stops.filter((text) => text !== "");
}
