import {
  jobEndSchema,
  jobIdSchema,
  jobStatusSchema,
  modelCodeOf,
  type BatchId,
  type JobEnd,
  type JobId,
  type JobStatus,
  type ModelCode,
} from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { toRefusal } from "../allowance.ts";
import { toBudgets } from "../booking-desk.ts";
import { toHold } from "../job-hold.ts";
import { giveBack, type Hold } from "../hold.ts";
import { keys } from "../keys.ts";
import { script } from "../script.ts";
import type { Submission } from "../submission.ts";
import type { SubmissionDesk } from "../submission-desk.ts";
import { enterTenant } from "../tenant-rounds.ts";
import { lineJobId, type LineTry } from "./line-id.ts";

const holdLine = script("hold-line", z.enum(["", "month_tokens", "month_cost"]));

/** Entries removed in one command: each is freed in the background. */
const PAGE = 250;

/** A line on its way in: what every job has that comes for later, and no limit but its key's budgets. */
export type LineSubmission = Omit<
  Submission,
  "batch" | "attachedTo" | "idempotencyKey" | "sdkTry" | "address" | "onAllowance"
>;

/** A line's job. */
export interface SubmittedLine {
  readonly id: JobId;
  /** As it stood when it was submitted: it may have ended, when it was submitted before. */
  readonly status: JobStatus;
  /** What is to be given back once it is forgotten; null where its key has no budget. */
  readonly hold: Hold | null;
}

/** How a line's job stands. */
export interface LineState {
  readonly status: JobStatus;
  readonly end: JobEnd | null; // null while the job is open
}

/**
 * Lines of batches as the batcher sees them: jobs that appear in no list, of whose ends nobody is
 * told but the batcher, that limits a minute do not count, and that are counted in usage and held to
 * budgets like all others.
 *
 * @see docs/adr/018-lines-are-jobs.md
 */
export class LineDesk {
  readonly #redis: Redis;
  readonly #desk: SubmissionDesk;

  constructor(redis: Redis, desk: SubmissionDesk) {
    this.#redis = redis;
    this.#desk = desk;
  }

  /**
   * Submit a line, once: submitting the same try again, by this batcher or the one after it, finds
   * the job of the first time until that is forgotten.
   *
   * @throws PlatformError `insufficient_quota` when a budget of its key is spent
   * @throws PlatformError `queue_unavailable`, `queue_full` or `deadline_unreachable`: later, again
   */
  async submit(line: LineTry, submission: LineSubmission): Promise<SubmittedLine> {
    const whole = { ...submission, batch: line.batch, attachedTo: null, idempotencyKey: null };
    const id = lineJobId(submission.model.code, line);
    const hold = await this.#hold(id, whole);
    return { id, status: await this.#desk.submitAs(id, whole), hold };
  }

  /**
   * Take the ids of lines that have ended since the last time, oldest first. A hint: some may never
   * come, since what is taken is gone, and some may come although they were forgotten.
   */
  async takeEnded(code: ModelCode, batch: BatchId, most: number): Promise<JobId[]> {
    return jobIdSchema.array().parse((await this.#redis.lpop(keys.ended(code, batch), most)) ?? []);
  }

  /** Look up lines, in order. @returns null for each that is not there (any more) */
  async find(jobs: readonly JobId[]): Promise<(LineState | null)[]> {
    const found = await Promise.all(
      jobs.map((job) => this.#redis.hmget(keys.entry(job), "state", "end")),
    );
    return found.map(([state, end]) => {
      if (!state) return null;
      const ended: unknown = JSON.parse(end ?? "null");
      return { status: jobStatusSchema.parse(state), end: jobEndSchema.nullable().parse(ended) };
    });
  }

  /** Remove all that is kept of lines, whose results are safe, and give back what they held. */
  async forget(lines: readonly Pick<SubmittedLine, "id" | "hold">[]): Promise<void> {
    const slots = Map.groupBy(lines, ({ id }) => modelCodeOf(id));
    for (const ofSlot of slots.values()) {
      for (let at = 0; at < ofSlot.length; at += PAGE) {
        const page = ofSlot.slice(at, at + PAGE);
        await this.#redis.unlink(...page.flatMap(({ id }) => [keys.entry(id), keys.log(id)]));
      }
    }
    // Last: what is not given back now, since this process dies, the sweep gives back.
    const holds = lines.flatMap(({ hold }) => hold ?? []);
    await Promise.all(holds.map((hold) => giveBack(this.#redis, hold, 0)));
  }

  async #hold(id: JobId, submission: Submission): Promise<Hold | null> {
    const { limits, spec } = submission;
    if (limits?.monthly_tokens === undefined && limits?.monthly_cost === undefined) return null;
    const hold = toHold(id, submission);
    const { tenant, key, kind, model, tokens } = hold;
    // The sweep looks through the tenants that are entered.
    await enterTenant(this.#redis, spec.tenant);
    const reason = await holdLine(
      this.#redis,
      [keys.held(tenant, key, kind), keys.owed(tenant), keys.holders(tenant)],
      [
        keys.tenantSlot(tenant),
        id,
        key,
        model,
        tokens,
        new Date().toISOString().slice(0, "2026-11".length),
        ...toBudgets(limits),
      ],
    );
    if (reason === "") return hold;
    throw toRefusal(reason, -1, { ...hold, limits, addressLimit: 0 });
  }
}
