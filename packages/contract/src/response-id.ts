import { findJobId, type JobId } from "./job-id.ts";

const JOB_PREFIX = "job_";
const RESPONSE_PREFIX = "resp_";

/** Tell the id that the Responses API knows a job by: `resp_<code>_<random>`. */
export function responseIdOf(job: JobId): string {
  return RESPONSE_PREFIX + job.slice(JOB_PREFIX.length);
}

/** Find the job behind a response's id. @returns null when it cannot be one */
export function findResponseJob(text: unknown): JobId | null {
  if (typeof text !== "string" || !text.startsWith(RESPONSE_PREFIX)) return null;
  return findJobId(JOB_PREFIX + text.slice(RESPONSE_PREFIX.length));
}
