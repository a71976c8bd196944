import { engineRequestSchema, jobSpecSchema, type JobSpec } from "@headrace/contract";
import { z } from "zod";

/**
 * Longest spec that is kept in one, bytes: whoever lists a hundred jobs reads as much of each. A field
 * of its own would cost a small job 200 bytes.
 */
const LONGEST_WHOLE = 16_384;

/**
 * A job's spec as the ledger keeps it: a large request in a field of its own, since it may be
 * megabytes, and whoever lists jobs, or asks how one fares, must not have them all read and parsed.
 */
export interface KeptSpec {
  /** JSON of the spec, or of all but the request, of which it has the model. */
  readonly head: string;
  /** JSON of the request; "" where it is in the head. */
  readonly request: string;
}

const headSchema = jobSpecSchema.omit({ request: true }).extend({
  /** As the caller wrote it. */
  model: z.string(),
});
/** A job's spec without its request, of which the model's name is left. */
export type SpecHead = z.infer<typeof headSchema>;

/** With the request in it: a small one, or one that an earlier build made. */
const wholeSchema = jobSpecSchema.transform(({ request: { model }, ...head }): SpecHead => ({
  ...head,
  model,
}));

const anyHeadSchema = z.union([headSchema, wholeSchema]);

/** Write a spec for the ledger. */
export function writeSpec(spec: JobSpec): KeptSpec {
  const whole = JSON.stringify(spec);
  if (whole.length <= LONGEST_WHOLE) return { head: whole, request: "" };
  const { request, ...head } = spec;
  return {
    head: JSON.stringify({ ...head, model: request.model }),
    request: JSON.stringify(request),
  };
}

/**
 * Read all of a spec but its request.
 *
 * @param head parsed JSON of what is kept
 * @returns null when only a later version of Headrace can
 */
export function readSpecHead(head: unknown): SpecHead | null {
  return anyHeadSchema.safeParse(head).data ?? null;
}

/**
 * Read a whole spec.
 *
 * @returns null when only a later version of Headrace can
 */
export function readSpec({ head, request }: KeptSpec): JobSpec | null {
  const written: unknown = JSON.parse(head);
  if (request === "") return jobSpecSchema.safeParse(written).data ?? null;
  const readable = headSchema.safeParse(written);
  const sent = engineRequestSchema.safeParse(JSON.parse(request));
  if (!readable.success || !sent.success) return null;
  const { model: _inTheRequest, ...rest } = readable.data;
  return { ...rest, request: sent.data };
}
