import { responseIdOf, type ModelCode, type WebhookEventType } from "@headrace/contract";

import type { EndedJob } from "../outbox.ts";
import type { EndTaker } from "../settler.ts";
import type { Occurrence, WebhookDesk } from "./desk.ts";

/** Reasons why an engine ended what it had not said to its end, as the Responses API sees it. */
const INCOMPLETE: ReadonlySet<string | undefined> = new Set(["length", "content_filter"]);

/**
 * Has tenants told of the jobs that end, except those whose callers waited and have the answer. The
 * desk knows events by what happened, so that a job that comes twice is told of once.
 */
export class EndedJobs implements EndTaker {
  readonly #desk: WebhookDesk;

  constructor(desk: WebhookDesk) {
    this.#desk = desk;
  }

  async take(_code: ModelCode, jobs: readonly EndedJob[]): Promise<void> {
    await this.#desk.enqueue(jobs.flatMap(toOccurrences));
  }
}

function toOccurrences(job: EndedJob): Occurrence[] {
  const { id, owner, status, end } = job;
  if (owner.attached === true) return [];
  const { tenant, webhook = null } = owner;
  const common = { tenant, atMs: end.at.ended };
  const ofJob: Occurrence = { ...common, type: `job.${status}`, subject: id, webhook };
  if (owner.response === undefined) return [ofJob];
  return [
    ofJob,
    { ...common, type: toResponseEvent(job), subject: responseIdOf(id), webhook: null },
  ];
}

/** The Responses API has no word for expired: it shows such a one as failed. */
function toResponseEvent({ status, end }: EndedJob): WebhookEventType {
  switch (status) {
    case "completed":
      return INCOMPLETE.has(end.outcome.finish_reason)
        ? "response.incomplete"
        : "response.completed";
    case "cancelled":
      return "response.cancelled";
    case "failed":
    case "expired":
      return "response.failed";
  }
}
