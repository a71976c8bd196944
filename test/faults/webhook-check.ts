import { Webhook } from "standardwebhooks";
import { z } from "zod";

import type { SunkWebhook } from "../webhook-sink.ts";
import type { JobFault } from "./finding.ts";

/** What receivers got while a run went on. */
export interface WebhookRecord {
  readonly received: readonly SunkWebhook[];
  /** What a job's webhook has to be signed with. */
  readonly secretOf: (job: string) => string;
}

const eventSchema = z.looseObject({ type: z.string(), data: z.looseObject({ id: z.string() }) });

/**
 * Check what a job's submitter was told of its end: at least once, always under one id, always
 * genuine, and nothing but the truth.
 */
export function findWebhookFaults(
  job: string,
  state: string,
  { received, secretOf }: WebhookRecord,
): JobFault[] {
  const told = received.filter(({ body }) => subjectOf(body) === job);
  const ids = new Set(told.map(({ headers }) => headers["webhook-id"]));
  const types = new Set(told.map(({ body }) => typeOf(body)));
  const forged = told.filter((webhook) => !isGenuine(webhook, secretOf(job)));
  const faults: JobFault[] = [];
  if (told.length === 0) faults.push(["untold", "its webhook was never received"]);
  if (ids.size > 1) faults.push(["webhook_ids", `told under ${ids.size} ids`]);
  if (forged.length > 0) faults.push(["forged_webhook", `${forged.length} do not verify`]);
  for (const type of types) {
    if (type !== `job.${state}`) faults.push(["wrong_webhook", `it is ${state}, told of ${type}`]);
  }
  return faults;
}

/** Read which job a webhook is about. */
export function subjectOf(body: string): string {
  return eventSchema.parse(JSON.parse(body)).data.id;
}

function typeOf(body: string): string {
  return eventSchema.parse(JSON.parse(body)).type;
}

/** By the standard's own package: what signs is checked by something else. */
function isGenuine({ body, headers }: SunkWebhook, secret: string): boolean {
  try {
    new Webhook(secret).verify(body, { ...headers });
    return true;
  } catch {
    return false;
  }
}
