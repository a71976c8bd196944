import type { IngressBroker, WholeRecord } from "@headrace/broker";
import {
  findResponseJob,
  isTerminal,
  PlatformError,
  responseIdOf,
  type JobId,
  type Response,
} from "@headrace/contract";
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
  if (job === null) throw unknownResponse();
  return asResponse(job, async () => {
    const record = await broker.getJob(tenant, job);
    if (record.spec.response?.is_stored !== true) throw unknownResponse();
    return broker.getWhole(record);
  });
}

/**
 * Do something with a response's job; what fails of it is told of the response, since its caller knows
 * of no job.
 *
 * @throws PlatformError `response_not_found` for `job_not_found`; others name the response
 */
export async function asResponse<Result>(job: JobId, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof PlatformError)) throw error;
    if (error.code === "job_not_found") throw unknownResponse();
    if (!error.message.includes(job)) throw error;
    const message = error.message.replaceAll(job, responseIdOf(job));
    throw new PlatformError(error.code, message, { cause: error });
  }
}

/** Read a response as it stands: of one that has ended all that it says, of an open one its state. */
export async function readResponse(broker: IngressBroker, record: WholeRecord): Promise<Response> {
  return isTerminal(record.status) ? readEndedResponse(broker, record) : toOpenResponse(record);
}

function unknownResponse(): PlatformError {
  return new PlatformError("response_not_found", "there is no such response");
}
