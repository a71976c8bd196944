import type { IngressBroker, WholeRecord } from "@headrace/broker";
import { findResponseJob, isTerminal, PlatformError, type Response } from "@headrace/contract";
import { readEndedResponse, toOpenResponse } from "@headrace/endpoints";

import type { Caller } from "../caller.ts";
import { pathParameter, type Exchange } from "../exchange.ts";
import type { Services } from "../services.ts";

/**
 * Find the job of the response that the path names.
 *
 * @throws PlatformError `response_not_found` for what is no id, an unknown response, another
 *   tenant's, a job that is no response, and one that was not to be stored
 */
export async function findResponse(
  { broker }: Services,
  exchange: Exchange,
  { tenant }: Caller,
): Promise<WholeRecord> {
  const job = findResponseJob(pathParameter(exchange, "id"));
  const record = job === null ? null : await broker.getJob(tenant, job).catch(orNull);
  if (record?.spec.response?.is_stored === true) return broker.getWhole(record);
  throw new PlatformError("response_not_found", "there is no such response");
}

/** Read a response as it stands: of one that has ended all that it says, of an open one its state. */
export async function readResponse(broker: IngressBroker, record: WholeRecord): Promise<Response> {
  return isTerminal(record.status) ? readEndedResponse(broker, record) : toOpenResponse(record);
}

function orNull(error: unknown): null {
  if (error instanceof PlatformError && error.code === "job_not_found") return null;
  throw error;
}
