import type { JobRecord, Standing, Submitted } from "@headrace/broker";
import {
  isTerminal,
  PlatformError,
  type Job,
  type JobDeleted,
  type JobList,
} from "@headrace/contract";
import { latencyOf } from "@headrace/latency";

import { sendJson, type Headers } from "./answer.ts";
import { watchForEnd } from "./end-watch.ts";
import type { Exchange, Handler, Route } from "./exchange.ts";
import { streamJobEvents } from "./job-events.ts";
import { findRecord } from "./job-record.ts";
import { toJob, toNewJob } from "./job-view.ts";
import { listQuerySchema, readPreferredWait, readQuerySchema } from "./query.ts";
import { readJsonBody } from "./request-body.ts";
import { readEnding } from "./result-collector.ts";
import type { Services } from "./services.ts";
import { readJobForm, sign } from "./submission-form.ts";
import { validate } from "./validation.ts";

/** The jobs API. */
export function jobRoutes(services: Services): Route[] {
  const handle =
    (answer: (services: Services, exchange: Exchange, tenant: string) => Promise<void>): Handler =>
    (exchange, tenant) =>
      answer(services, exchange, tenant);
  return [
    { path: "/v1/jobs", methods: { POST: handle(submitJob), GET: handle(listJobs) } },
    { path: "/v1/jobs/{id}", methods: { GET: handle(readJob), DELETE: handle(deleteJob) } },
    { path: "/v1/jobs/{id}/events", methods: { GET: handle(streamJobEvents) } },
    { path: "/v1/jobs/{id}/cancel", methods: { POST: handle(cancelJob) } },
    { path: "/v1/jobs/{id}/latency", methods: { GET: handle(readLatency) } },
  ];
}

async function submitJob(services: Services, exchange: Exchange, tenant: string): Promise<void> {
  const { broker, bodyLimitBytes } = services;
  const { headers } = exchange.request;
  const waitSeconds = readPreferredWait(headers["prefer"]?.toString());
  const body = await readJsonBody(exchange.request, bodyLimitBytes);
  const form = await readJobForm(broker, tenant, {
    body,
    idempotencyKey: headers["idempotency-key"],
  });

  const submitted = await broker.submit({ ...sign(form, exchange), attachedTo: null });
  const { id, isNew } = submitted;
  const answerHeaders: Headers = {
    location: `/v1/jobs/${id}`,
    ...(isNew ? {} : { "idempotent-replayed": "true" }),
  };
  if (waitSeconds !== null || !isNew) {
    const preference = waitSeconds === null ? {} : { "preference-applied": `wait=${waitSeconds}` };
    const wait = {
      tenant,
      waitSeconds: waitSeconds ?? 0,
      answerHeaders: { ...answerHeaders, ...preference },
    };
    if (await answerWithRecord(services, exchange, { ...wait, submitted })) return;
  }
  sendJson(exchange, 202, { body: toNewJob(submitted, form.spec), headers: answerHeaders });
}

/**
 * Answer a submit with what the ledger has, once the wait is over.
 *
 * @returns false, with nothing answered, when that cannot be had of a job that is new: it is
 *   accepted all the same, and no 503 may say otherwise
 */
async function answerWithRecord(
  services: Services,
  exchange: Exchange,
  wait: {
    readonly submitted: Submitted;
    readonly tenant: string;
    readonly waitSeconds: number;
    readonly answerHeaders: Headers;
  },
): Promise<boolean> {
  const { submitted, tenant, waitSeconds, answerHeaders } = wait;
  try {
    const found = await services.broker.getJob(tenant, submitted.id);
    const record = await waitFor(services, exchange, { record: found, waitSeconds });
    const status = waitSeconds > 0 && isTerminal(record.status) ? 200 : 202;
    await sendJob(services, exchange, { record, status, answerHeaders });
    return true;
  } catch (error) {
    const isAway = error instanceof PlatformError && error.code === "queue_unavailable";
    if (submitted.isNew && isAway) return false;
    throw error;
  }
}

async function readJob(services: Services, exchange: Exchange, tenant: string): Promise<void> {
  const { wait } = validate(readQuerySchema, { ...exchange.request.query });
  const found = await findRecord(services, exchange, tenant);
  const record = await waitFor(services, exchange, { record: found, waitSeconds: wait ?? 0 });
  await sendJob(services, exchange, { record, status: 200 });
}

async function listJobs({ broker }: Services, exchange: Exchange, tenant: string): Promise<void> {
  const query = validate(listQuerySchema, { ...exchange.request.query });
  const { jobs, hasMore } = await broker.listJobs(tenant, {
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
  const body: JobList = {
    object: "list",
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: hasMore,
  };
  sendJson(exchange, 200, { body });
}

async function cancelJob(services: Services, exchange: Exchange, tenant: string): Promise<void> {
  const { broker } = services;
  const record = await findRecord(services, exchange, tenant);
  await broker.cancel(record);
  const after = await broker.getJob(tenant, record.id);
  const result = (await readEnding(broker, after))?.result ?? null;
  sendJson(exchange, 200, { body: toJob(after, { standing: null, result }) });
}

async function deleteJob(services: Services, exchange: Exchange, tenant: string): Promise<void> {
  const record = await findRecord(services, exchange, tenant);
  await services.broker.deleteJob(record);
  const body: JobDeleted = { id: record.id, object: "job", deleted: true };
  sendJson(exchange, 200, { body });
}

async function readLatency(services: Services, exchange: Exchange, tenant: string): Promise<void> {
  const { id, spec, status, end } = await findRecord(services, exchange, tenant);
  if (end === null) {
    throw new PlatformError("job_not_ended", `${id} is ${status}; its time is known at its end`);
  }
  sendJson(exchange, 200, { body: latencyOf({ id, admitMs: spec.admit_ms, end }) });
}

async function waitFor(
  services: Services,
  exchange: Exchange,
  { record, waitSeconds }: { readonly record: JobRecord; readonly waitSeconds: number },
): Promise<JobRecord> {
  if (waitSeconds === 0 || isTerminal(record.status)) return record;
  await watchForEnd(services, exchange, { record, waitMs: waitSeconds * 1_000 });
  return services.broker.getJob(record.spec.tenant, record.id);
}

/** Answer with the whole job; one that was to be kept until delivered is delivered by that. */
async function sendJob(
  { broker, events }: Services,
  exchange: Exchange,
  answer: { readonly record: JobRecord; readonly status: number; readonly answerHeaders?: Headers },
): Promise<void> {
  const { record, status, answerHeaders = {} } = answer;
  const ending = isTerminal(record.status) ? await readEnding(broker, record) : null;
  const body = toJob(record, {
    standing: await findStanding(broker, record),
    result: ending?.result ?? null,
  });
  if (ending !== null && record.retentionMs === 0) {
    exchange.response.once("finish", () => {
      broker
        .forget(record.spec.tenant, record.id)
        .catch((error: unknown) => events.forgetFailed(record.id, error));
    });
  }
  sendJson(exchange, status, { body, headers: answerHeaders });
}

async function findStanding(
  broker: Services["broker"],
  record: JobRecord,
): Promise<Standing | null> {
  return record.status === "queued" ? broker.getStanding(record) : null;
}
