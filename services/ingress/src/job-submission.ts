import type { Submitted } from "@headrace/broker";
import { isTerminal, PlatformError } from "@headrace/contract";

import { admit } from "./admission.ts";
import { sendJson, type Headers } from "./answer.ts";
import type { Caller } from "./caller.ts";
import type { Exchange } from "./exchange.ts";
import { sendJob, waitFor } from "./job-answer.ts";
import { findRecord } from "./job-record.ts";
import { toNewJob } from "./job-view.ts";
import { readPreferredWait } from "./query.ts";
import { readEmptyBody, readJsonBody } from "./request-body.ts";
import type { Services } from "./services.ts";
import { readJobForm, toRetryForm, type JobForm } from "./submission-form.ts";
import { assertDeliverable } from "./webhook-routes.ts";

/** `POST /v1/jobs`: take a job in. */
export async function submitJob(
  services: Services,
  exchange: Exchange,
  caller: Caller,
): Promise<void> {
  const waitSeconds = readWait(exchange);
  const body = await readJsonBody(exchange.request, services.bodyLimitBytes);
  const idempotencyKey = exchange.request.headers["idempotency-key"];
  const form = await readJobForm(services.broker, caller, { body, idempotencyKey });
  await assertDeliverable(services, caller, form.spec.webhook);
  await takeIn(services, exchange, { form, waitSeconds });
}

/**
 * `POST /v1/jobs/{id}/retry`: run again what failed, expired or was cancelled, as a new job that
 * names the old one. An end is final, so the old job stays as it ended.
 */
export async function retryJob(
  services: Services,
  exchange: Exchange,
  caller: Caller,
): Promise<void> {
  const waitSeconds = readWait(exchange);
  await readEmptyBody(exchange.request, services.bodyLimitBytes);
  const record = await findRecord(services, exchange, caller);
  const idempotencyKey = exchange.request.headers["idempotency-key"];
  const form = await toRetryForm(services.broker, caller, { record, idempotencyKey });
  await takeIn(services, exchange, { form, waitSeconds });
}

function readWait({ request }: Exchange): number | null {
  return readPreferredWait(request.headers["prefer"]?.toString());
}

async function takeIn(
  services: Services,
  exchange: Exchange,
  { form, waitSeconds }: { readonly form: JobForm; readonly waitSeconds: number | null },
): Promise<void> {
  const admitted = await admit(services, exchange, form);
  const submitted = await services.broker.submit({ ...admitted, attachedTo: null });
  const { id, isNew } = submitted;
  const answerHeaders: Headers = {
    location: `/v1/jobs/${id}`,
    ...(isNew ? {} : { "idempotent-replayed": "true" }),
  };
  if (waitSeconds !== null || !isNew) {
    const preference = waitSeconds === null ? {} : { "preference-applied": `wait=${waitSeconds}` };
    const wait = {
      tenant: form.spec.tenant,
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
    const cannotWait =
      error instanceof PlatformError &&
      (error.code === "queue_unavailable" || error.code === "share_exceeded");
    if (submitted.isNew && cannotWait) return false;
    throw error;
  }
}
