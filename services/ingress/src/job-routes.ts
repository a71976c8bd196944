import { PlatformError, type Job, type JobDeleted, type JobList } from "@headrace/contract";
import { readEnding, validate } from "@headrace/endpoints";
import { latencyOf } from "@headrace/latency";

import { sendJson } from "./answer.ts";
import { handlersOf } from "./handler.ts";
import { toPage } from "./page.ts";
import { mayRead, type Caller } from "./caller.ts";
import type { Exchange, Route } from "./exchange.ts";
import { findStanding, sendJob, waitFor } from "./job-answer.ts";
import { streamJobEvents } from "./job-events.ts";
import { findRecord } from "./job-record.ts";
import { retryJob, submitJob } from "./job-submission.ts";
import { toJob } from "./job-view.ts";
import { listQuerySchema, readQuerySchema } from "./query.ts";
import type { Services } from "./services.ts";
import { readTimeline } from "./timeline.ts";

/** The jobs API. */
export function jobRoutes(services: Services): Route[] {
  const handle = handlersOf(services);
  return [
    { path: "/v1/jobs", methods: { POST: handle(submitJob), GET: handle(listJobs) } },
    {
      path: "/v1/jobs/{id}",
      isHeldOpen: true,
      methods: { GET: handle(readJob), DELETE: handle(deleteJob) },
    },
    { path: "/v1/jobs/{id}/events", isHeldOpen: true, methods: { GET: handle(streamJobEvents) } },
    { path: "/v1/jobs/{id}/cancel", methods: { POST: handle(cancelJob) } },
    { path: "/v1/jobs/{id}/retry", methods: { POST: handle(retryJob) } },
    { path: "/v1/jobs/{id}/timeline", methods: { GET: handle(readTimeline) } },
    { path: "/v1/jobs/{id}/latency", methods: { GET: handle(readLatency) } },
  ];
}

async function readJob(services: Services, exchange: Exchange, caller: Caller): Promise<void> {
  const { wait } = validate(readQuerySchema, { ...exchange.request.query });
  const found = await findRecord(services, exchange, caller);
  const record = await waitFor(services, exchange, { record: found, waitSeconds: wait ?? 0 });
  await sendJob(services, exchange, { record, status: 200 });
}

async function listJobs({ broker }: Services, exchange: Exchange, caller: Caller): Promise<void> {
  const query = validate(listQuerySchema, { ...exchange.request.query });
  const { jobs, hasMore } = await broker.listJobs(caller.tenant, {
    status: query.status ?? null,
    model: query.model ?? null,
    limit: query.limit,
    after: query.after ?? null,
  });
  const data = await Promise.all(
    jobs.map(async (record): Promise<Job> => {
      const standing = await findStanding(broker, record);
      return toJob(record, { standing, result: null });
    }),
  );
  const body: JobList = toPage(data, hasMore);
  sendJson(exchange, 200, { body });
}

async function cancelJob(services: Services, exchange: Exchange, caller: Caller): Promise<void> {
  const { broker, reads } = services;
  const record = await findRecord(services, exchange, caller);
  await broker.cancel(record);
  const after = await broker.getJob(caller.tenant, record.id);
  const isShown = mayRead(caller);
  const ending = isShown ? await reads.take(caller.tenant, () => readEnding(broker, after)) : null;
  const result = ending?.result ?? null;
  const job = toJob(after, { standing: null, result });
  sendJson(exchange, 200, { body: isShown ? job : { ...job, metadata: {} } });
}

async function deleteJob(services: Services, exchange: Exchange, caller: Caller): Promise<void> {
  const record = await findRecord(services, exchange, caller);
  await services.broker.deleteJob(record);
  const body: JobDeleted = { id: record.id, object: "job", deleted: true };
  sendJson(exchange, 200, { body });
}

async function readLatency(services: Services, exchange: Exchange, caller: Caller): Promise<void> {
  const { id, spec, status, end } = await findRecord(services, exchange, caller);
  if (end === null) {
    throw new PlatformError("job_not_ended", `${id} is ${status}; its time is known at its end`);
  }
  sendJson(exchange, 200, { body: latencyOf({ id, admitMs: spec.admit_ms, end }) });
}
