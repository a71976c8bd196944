import type { IncomingMessage } from "node:http";

import { refusal, validate } from "@headrace/endpoints";
import { z } from "zod";

import { pageLimitSchema } from "../query.ts";

const flag = z.enum(["true", "false"]);
const sequenceNumber = z
  .string()
  .regex(/^\d{1,16}$/, "expected the sequence_number of an event")
  .transform(Number)
  .pipe(z.int());

/** Query of `GET /v1/responses/{id}`. */
const querySchema = z.strictObject({
  stream: flag.optional(),
  starting_after: sequenceNumber.optional(),
  include_obfuscation: flag.optional(),
});

/** What to include is decided when the response is made; clients spell lists in several ways. */
const INCLUDE = /^include(\[\d*\])?$/;

/** How a caller wants a response told. */
export interface ResponseQuery {
  readonly isStreamed: boolean;
  /** Number of the last event that the caller has; null for none. */
  readonly startingAfter: number | null;
}

/**
 * Read how a caller wants a response told.
 *
 * The header of a reader that comes back wins: it is newer than the URL it began with.
 *
 * @throws PlatformError `request_invalid` naming the parameter
 */
export function readResponseQuery(
  request: IncomingMessage & { readonly query: object },
): ResponseQuery {
  const query = validate(querySchema, withoutInclude(request.query));
  const isStreamed = query.stream === "true";
  const header = request.headers["last-event-id"];
  const sent =
    header === undefined ? query.starting_after : validate(sequenceNumber, header, "Last-Event-ID");
  if (!isStreamed && query.starting_after !== undefined) {
    throw refusal("starting_after", "only a stream has a place to start at; send stream=true too");
  }
  if (query.include_obfuscation === "true") {
    throw refusal("include_obfuscation", "streams are not obfuscated; leave it out or send false");
  }
  return { isStreamed, startingAfter: sent ?? null };
}

const itemsQuerySchema = z.strictObject({
  limit: pageLimitSchema,
  order: z.enum(["asc", "desc"]).default("desc"),
  after: z.string().min(1).optional(),
});

/** Read which of a response's input items a caller wants. @throws PlatformError `request_invalid` */
export function readItemsQuery(request: {
  readonly query: object;
}): z.infer<typeof itemsQuerySchema> {
  return validate(itemsQuerySchema, withoutInclude(request.query));
}

function withoutInclude(query: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(query).filter(([name]) => !INCLUDE.test(name)));
}
