import { engineRequestSchema, jobSpecSchema, type JobSpec } from "@headrace/contract";
import { z } from "zod";

/**
 * A job's spec as the ledger keeps it, in two fields: the request may be megabytes, and whoever lists
 * jobs, or asks how one fares, must not have them all read and parsed.
 */
export interface KeptSpec {
  /** JSON of everything but the request, of which it has the model. */
  readonly head: string;
  /** JSON of the request. */
  readonly request: string;
}

const headSchema = jobSpecSchema.omit({ request: true }).extend({
  /** As the caller wrote it. */
  model: z.string(),
});
/** A job's spec without its request, of which the model's name is left. */
export type SpecHead = z.infer<typeof headSchema>;

/** As builds before this one kept it: in one. */
const wholeSchema = jobSpecSchema.transform(({ request: { model }, ...head }): SpecHead => ({
  ...head,
  model,
}));

const anyHeadSchema = z.union([headSchema, wholeSchema]);

/** Write a spec for the ledger. */
export function writeSpec({ request, ...head }: JobSpec): KeptSpec {
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
 * @param request "" where an earlier build kept it with the rest
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
