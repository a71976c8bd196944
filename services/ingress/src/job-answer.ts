import type { JobRecord, Standing } from "@headrace/broker";
import { isTerminal, type JobId } from "@headrace/contract";
import { readEnding } from "@headrace/endpoints";

import { sendJson, type Headers } from "./answer.ts";
import { watchForEnd } from "./end-watch.ts";
import type { Exchange } from "./exchange.ts";
import { toJob } from "./job-view.ts";
import type { Services } from "./services.ts";

/** Give a job time to end. @returns the job as it stands then */
export async function waitFor(
  services: Services,
  exchange: Exchange,
  { record, waitSeconds }: { readonly record: JobRecord; readonly waitSeconds: number },
): Promise<JobRecord> {
  if (waitSeconds === 0 || isTerminal(record.status)) return record;
  await watchForEnd(services, exchange, { record, waitMs: waitSeconds * 1_000 });
  return services.broker.getJob(record.spec.tenant, record.id);
}

/** Answer with the whole job. One that was to be kept until delivered is delivered by that. */
export async function sendJob(
  services: Services,
  exchange: Exchange,
  answer: { readonly record: JobRecord; readonly status: number; readonly answerHeaders?: Headers },
): Promise<void> {
  const { broker, reads } = services;
  const { record, status, answerHeaders = {} } = answer;
  const ending = isTerminal(record.status)
    ? await reads.take(record.spec.tenant, () => readEnding(broker, record))
    : null;
  const body = toJob(record, {
    standing: await findStanding(broker, record),
    result: ending?.result ?? null,
  });
  if (ending !== null && record.retentionMs === 0) {
    forgetOnceDelivered(services, exchange, { tenant: record.spec.tenant, id: record.id });
  }
  sendJson(exchange, status, { body, headers: answerHeaders });
}

/** Delete what is stored of an ended job as soon as its caller has the answer. */
export function forgetOnceDelivered(
  { broker, events }: Services,
  { response }: Exchange,
  { tenant, id }: { readonly tenant: string; readonly id: JobId },
): void {
  response.once("finish", () => {
    broker.forget(tenant, id).catch((error: unknown) => events.forgetFailed(id, error));
  });
}

/** Where a job stands in its queue. @returns null unless it waits there */
export async function findStanding(
  broker: Services["broker"],
  record: JobRecord,
): Promise<Standing | null> {
  return record.status === "queued" ? broker.getStanding(record) : null;
}
