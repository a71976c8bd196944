import type { JobRecord } from "@headrace/broker";
import { findJobId, PlatformError } from "@headrace/contract";

import type { Caller } from "./caller.ts";
import { pathParameter, type Exchange } from "./exchange.ts";
import type { Services } from "./services.ts";

/**
 * Find the job that the path names.
 *
 * @throws PlatformError `job_not_found` for what is no id, an unknown job, and another tenant's
 */
export async function findRecord(
  { broker }: Services,
  exchange: Exchange,
  caller: Caller,
): Promise<JobRecord> {
  const job = findJobId(pathParameter(exchange, "id"));
  if (job === null) throw new PlatformError("job_not_found", "there is no such job");
  return broker.getJob(caller.tenant, job);
}
