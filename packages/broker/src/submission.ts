import {
  jobStatusSchema,
  modelCodeOf,
  newJobId,
  PlatformError,
  type BatchId,
  type EngineRequest,
  type JobId,
  type JobSpec,
  type JobStatus,
  type KeyLimits,
  type Priority,
} from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { costOf } from "./cost.ts";
import { toDeadlineRefusal, type Allowance } from "./allowance.ts";
import type { Booking, BookingDesk } from "./booking-desk.ts";
import { toOwner } from "./job-owner.ts";
import { QUEUE_CLASSES, type JobQueues, type Place } from "./job-queue.ts";
import { writeSpec, type KeptSpec } from "./kept-spec.ts";
import { endingKeys, keys } from "./keys.ts";
import type { RedisWatch } from "./redis-watch.ts";
import type { KnownModel } from "./model-registry.ts";
import type { Report } from "./redis.ts";
import type { ReplicaConfirmation } from "./replica-confirmation.ts";
import { script } from "./script.ts";
import { toStanding, type Standing } from "./standing.ts";
import type { UnwantedJobs } from "./unwanted-jobs.ts";

const acceptance = z.tuple([
  z.string(),
  z.string(),
  z.string(),
  z.string(),
  z.int(),
  z.int(),
  z.int(),
  z.int(),
  z.int(),
  z.int(),
  z.literal([0, 1]),
  z.literal([0, 1]),
]);
const adopt = script("adopt", z.string().nullable());
const accept = script("accept", acceptance);
type Acceptance = z.infer<typeof acceptance>;

/** Fewer starts than this in a minute say little of when the next will be. */
const RATE_EVIDENCE = 10;
/** The script's word for a job that it did not make. */
const REFUSED = "refused";

/** Of a job whose caller has come back: it is still to be followed, or its result is there. */
const USEFUL_STATES: ReadonlySet<string> = new Set(["queued", "in_progress", "completed"]);

/** A job on its way in. */
export interface Submission {
  readonly spec: JobSpec;
  readonly model: KnownModel;
  /** What the caller asked for, where the operator's filter made another request of it. */
  readonly askedRequest?: EngineRequest;
  /** How long the job may wait to start, ms. */
  readonly deadlineMs: number;
  /** How long it is kept once ended, ms; 0 = until delivered. */
  readonly retentionMs: number;
  /** Whether a second attempt may void output that was shown, where it cannot go on from it. */
  readonly canRestart: boolean;
  /** The caller's `Idempotency-Key`. */
  readonly idempotencyKey: string | null;
  /** Of the tenant's share between tenants whose jobs wait in the same class: 1 for most. */
  readonly weight: number;
  /** Set for a synchronous call, `<ingress> <call>`: the job lives only as long as that. */
  readonly attachedTo: string | null;
  /**
   * Set for a call of OpenAI's SDK: how often it has made the call before. It repeats calls by itself
   * and names no key, so the body is taken for one, for ten minutes.
   */
  readonly sdkTry?: number;
  /** What the caller's key may use; null = anything. */
  readonly limits: KeyLimits | null;
  /** The batch that it is a line of: nobody is told of its end but the batcher. @see LineDesk */
  readonly batch?: BatchId;
  /** Where the caller is, for limits by address. */
  readonly address?: string;
  /** Told what is left of the limits, before anything else comes of it; not where there are none. */
  readonly onAllowance?: (allowance: Allowance) => void;
}

export interface Submitted {
  readonly id: JobId;
  /** False when an earlier request with the same key had made the job. */
  readonly isNew: boolean;
  /** By Redis' clock, ms: as every later read of the job says. */
  readonly acceptedAtMs: number;
  readonly deadlineAtMs: number;
  /** Null unless the job waits in the queue. */
  readonly standing: Standing | null;
}

/** What the desk works with. */
export interface DeskTools {
  readonly redis: Redis;
  readonly bookings: BookingDesk;
  readonly queues: JobQueues;
  readonly watch: RedisWatch;
  /** Null where nobody waits for a replica. */
  readonly confirmation: ReplicaConfirmation | null;
  readonly unwanted: UnwantedJobs;
  readonly report: Report;
}

/**
 * The way in: book with the tenant, accept into the ledger, add to the queue. A step that may be
 * refused is awaited before the next: pipelined, the next would run all the same.
 *
 * Once `submit` has resolved the job is not lost. When it rejects, nobody has been told that the
 * job exists: repeating the call with the same key is safe, a job without a key is cancelled as
 * soon as Redis answers again, and the sweep undoes a booking that no accept followed.
 */
export class SubmissionDesk {
  readonly #redis: Redis;
  readonly #queues: JobQueues;
  readonly #watch: RedisWatch;
  readonly #confirmation: ReplicaConfirmation | null;
  readonly #report: Report;
  readonly #unwanted: UnwantedJobs;
  readonly #bookings: BookingDesk;

  constructor(tools: DeskTools) {
    this.#bookings = tools.bookings;
    this.#redis = tools.redis;
    this.#queues = tools.queues;
    this.#watch = tools.watch;
    this.#confirmation = tools.confirmation;
    this.#unwanted = tools.unwanted;
    this.#report = tools.report;
  }

  /**
   * Take a job in.
   *
   * @param beforeAccept runs with the job's id before anything can happen to the job, so that a
   *   reader is in place before the first entry; not called for a job that already exists
   * @throws PlatformError `queue_unavailable` while Redis is unfit, or where no replica confirms it
   * @throws PlatformError `queue_full` while Redis is at 70 % of its memory
   * @throws PlatformError `rate_limit_exceeded`, `job_limit_exceeded` or `insufficient_quota` where a
   *   limit forbids it
   * @throws PlatformError `deadline_unreachable` when it could not start in time
   * @throws PlatformError `idempotency_key_reused` when the key was used for another request
   * @throws PlatformError `job_not_found` when the key's job has ended and is forgotten
   */
  async submit(
    submission: Submission,
    beforeAccept: (job: JobId) => void = () => {},
  ): Promise<Submitted> {
    const spec = writeSpec(submission.spec);
    await this.#admit(submission, spec);
    if (submission.idempotencyKey === null) {
      return (
        (await this.#findRepeated(submission)) ??
        (await this.#submitNew(submission, spec, beforeAccept))
      );
    }
    const booking = await this.#bookings.book(newJobId(submission.model.code), submission);
    if (!booking.isNew && !booking.isOpen) return this.#findFirst(booking.id, submission);
    if (booking.isNew) beforeAccept(booking.id);
    return this.#enqueue(booking, submission, await this.#accept(booking.id, submission, spec));
  }

  /**
   * Take in a job under an id that the caller makes, and that stays its id however often it is
   * submitted: of a job that is there already, nothing changes. Nothing is booked for it.
   *
   * @returns how the job stands
   * @throws PlatformError `queue_unavailable`, `queue_full` or `deadline_unreachable` as `submit`
   */
  async submitAs(id: JobId, submission: Submission): Promise<JobStatus> {
    const spec = writeSpec(submission.spec);
    await this.#admit(submission, spec);
    const accepted = await this.#accept(id, submission, spec);
    await this.#enqueue({ id, isNew: true, isOpen: true }, submission, accepted);
    return jobStatusSchema.parse(accepted[0]);
  }

  /** An unfit queue takes in nothing, a full one nothing new: a repeated key still finds its job. */
  async #admit({ spec, idempotencyKey }: Submission, { head, request }: KeptSpec): Promise<void> {
    this.#watch.assertFit();
    const isRepeated = async (key: string): Promise<boolean> =>
      (await this.#redis.exists(keys.once(spec.tenant, key))) === 1;
    if (this.#watch.isAdmitting) {
      this.#watch.countJob(Buffer.byteLength(head) + Buffer.byteLength(request));
    } else if (idempotencyKey === null || !(await isRepeated(idempotencyKey))) {
      throw new PlatformError("queue_full", "the queue is full; the job is not accepted");
    }
  }

  /** Where nothing can refuse the booking, it travels with the accept. */
  async #submitNew(
    submission: Submission,
    spec: KeptSpec,
    beforeAccept: (job: JobId) => void,
  ): Promise<Submitted> {
    const id = newJobId(submission.model.code);
    const booked = this.#bookings.book(id, submission);
    if (this.#bookings.canRefuse(submission)) await booked;
    beforeAccept(id);
    try {
      const [booking, accepted] = await Promise.all([booked, this.#accept(id, submission, spec)]);
      return await this.#enqueue(booking, submission, accepted);
    } catch (error) {
      // It was never made.
      if (error instanceof PlatformError && error.code === "deadline_unreachable") throw error;
      // With a key, or the SDK, the caller asks again and wants the job; else it would be a ghost.
      const { sdkTry, attachedTo, model } = submission;
      if (sdkTry === undefined || attachedTo !== null) {
        this.#unwanted.remember({ job: id, version: model.version, attachedTo });
      }
      throw error;
    }
  }

  /**
   * Find the job that a call of OpenAI's SDK made when it was made before. One whose caller waits is
   * this call's from now on, unless it came to nothing: then the call is made anew.
   */
  async #findRepeated(submission: Submission): Promise<Submitted | null> {
    if (!submission.sdkTry) return null;
    const id = await this.#bookings.findRepeated(submission);
    if (id === null) return null;
    const { attachedTo } = submission;
    const state =
      attachedTo === null
        ? await this.#redis.hget(keys.entry(id), "state")
        : await adopt(this.#redis, [keys.entry(id)], [attachedTo]);
    const isOfUse = attachedTo === null ? state !== null : USEFUL_STATES.has(state ?? "");
    return isOfUse ? this.#findFirst(id, submission) : null;
  }

  async #findFirst(id: JobId, submission: Submission): Promise<Submitted> {
    const [acceptedAt, deadlineAt] = await this.#redis.hmget(
      keys.entry(id),
      "accepted_at",
      "deadline_at",
    );
    if (acceptedAt && deadlineAt) {
      await this.#confirm(id, submission);
      return { id, isNew: false, ...toInstants(acceptedAt, deadlineAt), standing: null };
    }
    throw new PlatformError(
      "job_not_found",
      `the job of this Idempotency-Key, ${id}, has ended and is forgotten; use a new key to run it again`,
    );
  }

  /** @throws PlatformError `deadline_unreachable`, with nothing left of the job */
  async #accept(id: JobId, submission: Submission, kept: KeptSpec): Promise<Acceptance> {
    const { spec, model, deadlineMs, retentionMs, attachedTo } = submission;
    const code = modelCodeOf(id);
    const [entry, , open, deadline, attached] = endingKeys(id);
    const accepted = await accept(
      this.#redis,
      [
        ...[entry, open, deadline, attached].filter((key) => key !== undefined),
        keys.flow(code),
        keys.workers(code),
        keys.queue(code, model.version, "prioritized"),
        keys.versions(code),
        keys.idle(code, model.version),
        keys.turns(code, model.version),
        keys.queue(code, model.version, "wait"),
        keys.picky(code, model.version),
      ],
      [
        id,
        kept.head,
        deadlineMs,
        retentionMs,
        QUEUE_CLASSES[spec.priority],
        model.version,
        attachedTo?.split(" ")[0] ?? "",
        attachedTo ?? "",
        submission.canRestart ? "" : "1",
        this.#watch.run,
        JSON.stringify(toOwner(id, submission)),
        costOf(spec),
        submission.weight,
        spec.tenant,
        RATE_EVIDENCE,
        kept.request,
        submission.batch ?? "",
      ],
    );
    if (accepted[0] !== REFUSED) return accepted;
    await this.#bookings.undo(id, submission);
    throw toDeadlineRefusal(deadlineMs, judge(accepted, spec.priority).etaSeconds ?? 0);
  }

  /** The job is accepted: whatever happens to this add, the sweep sees that it is queued. */
  async #enqueue(
    { id, isNew }: Booking,
    submission: Submission,
    accepted: Acceptance,
  ): Promise<Submitted> {
    const { model, spec } = submission;
    const [state, score, acceptedAt, deadlineAt] = accepted;
    const picky = accepted[11];
    const isQueued = state === "queued";
    const place = { class: QUEUE_CLASSES[spec.priority], score, isAwaited: picky === 1 };
    await Promise.all([
      isQueued ? this.#add(id, model.version, place) : null,
      this.#bookings.settle(id, submission),
      this.#confirm(id, submission),
    ]);
    const standing = isQueued ? judge(accepted, spec.priority) : null;
    return { id, isNew, ...toInstants(acceptedAt, deadlineAt), standing };
  }

  async #add(id: JobId, version: string, place: Place): Promise<void> {
    try {
      await this.#queues.add(id, version, place);
    } catch (error) {
      this.#report(new Error(`queueing ${id} is left to the sweep`, { cause: error }));
    }
  }

  /** A caller that stays for the answer learns of a loss by itself, and need not wait for this. */
  async #confirm(id: JobId, { attachedTo }: Submission): Promise<void> {
    if (attachedTo === null) await this.#confirmation?.confirm(id);
  }
}

function judge(accepted: Acceptance, priority: Priority): Standing {
  const [, , , , ahead, peers, starts, sooner, spanMs, workers, idle] = accepted;
  return toStanding(
    { ahead, peers, starts, sooner, spanMs, workers, isIdle: idle === 1 },
    priority,
  );
}

function toInstants(
  acceptedAt: string,
  deadlineAt: string,
): Pick<Submitted, "acceptedAtMs" | "deadlineAtMs"> {
  return { acceptedAtMs: Number(acceptedAt), deadlineAtMs: Number(deadlineAt) };
}
