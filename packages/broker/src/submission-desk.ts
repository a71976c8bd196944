import {
  jobStatusSchema,
  newJobId,
  PlatformError,
  type JobId,
  type JobStatus,
} from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { acceptJob, REFUSED, toInstants, toStandingOf, type Acceptance } from "./acceptance.ts";
import { toDeadlineRefusal } from "./allowance.ts";
import type { Booking, BookingDesk, Room } from "./booking-desk.ts";
import { QUEUE_CLASSES, type JobQueues, type Place } from "./job-queue.ts";
import { writeSpec, type KeptSpec } from "./kept-spec.ts";
import { keys } from "./keys.ts";
import { bytesOfRequest, type RedisWatch } from "./redis-watch.ts";
import type { Report } from "./redis.ts";
import type { ReplicaConfirmation } from "./replica-confirmation.ts";
import { script } from "./script.ts";
import type { Submission, Submitted } from "./submission.ts";
import type { UnwantedJobs } from "./unwanted-jobs.ts";

const adopt = script("adopt", z.string().nullable());

/** Of a job whose caller has come back: it is still to be followed, or its result is there. */
const USEFUL_STATES: ReadonlySet<string> = new Set(["queued", "in_progress", "completed"]);

/** A job that is let in, as far as that can be told before it is booked. */
interface Arrival {
  readonly spec: KeptSpec;
  readonly room: Room;
  /** It comes to nothing after all: it takes no room. */
  readonly uncount: () => void;
}

/** What the desk works with. */
export interface DeskTools {
  readonly redis: Redis;
  readonly bookings: BookingDesk;
  /** Of Redis' free memory and what a tenant's jobs take, what these may take; 1 = all. */
  readonly tenantShare: number;
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
  readonly #tenantShare: number;

  constructor(tools: DeskTools) {
    this.#bookings = tools.bookings;
    this.#tenantShare = tools.tenantShare;
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
   *   limit forbids it; `share_exceeded` while its tenant's jobs take as much of Redis as they may
   * @throws PlatformError `deadline_unreachable` when it could not start in time
   * @throws PlatformError `idempotency_key_reused` when the key was used for another request
   * @throws PlatformError `job_not_found` when the key's job has ended and is forgotten
   */
  async submit(
    submission: Submission,
    beforeAccept: (job: JobId) => void = () => {},
  ): Promise<Submitted> {
    const arrival = await this.#admit(submission);
    try {
      return await this.#submit(submission, arrival, beforeAccept);
    } catch (error) {
      // What is refused takes no room. Without an answer nobody knows.
      if (error instanceof PlatformError && error.code !== "queue_unavailable") arrival.uncount();
      throw error;
    }
  }

  /**
   * Take in a job under an id that the caller makes, and that stays its id however often it is
   * submitted: of a job that is there already, nothing changes. Nothing is booked for it.
   *
   * @returns how the job stands
   * @throws PlatformError `queue_unavailable`, `queue_full` or `deadline_unreachable` as `submit`
   */
  async submitAs(id: JobId, submission: Submission): Promise<JobStatus> {
    const { spec } = await this.#admit(submission);
    const accepted = await this.#accept(id, submission, spec);
    await this.#enqueue({ id, isNew: true, isOpen: true }, submission, accepted);
    return jobStatusSchema.parse(accepted[0]);
  }

  /** An unfit queue takes in nothing, a full one nothing new: a repeated key still finds its job. */
  async #admit({ spec: asked, idempotencyKey }: Submission): Promise<Arrival> {
    const spec = writeSpec(asked);
    const bytes = Buffer.byteLength(spec.head) + Buffer.byteLength(spec.request);
    this.#watch.assertFit();
    const isRepeated = async (key: string): Promise<boolean> =>
      (await this.#redis.exists(keys.once(asked.tenant, key))) === 1;
    if (
      !this.#watch.isAdmitting &&
      (idempotencyKey === null || !(await isRepeated(idempotencyKey)))
    ) {
      throw new PlatformError("queue_full", "the queue is full; the job is not accepted");
    }
    const uncount = this.#watch.countJob(bytes);
    const mostBytes = this.#watch.mostOfTenant(this.#tenantShare);
    return { spec, room: { bytes: bytesOfRequest(bytes), mostBytes }, uncount };
  }

  async #submit(
    submission: Submission,
    arrival: Arrival,
    beforeAccept: (job: JobId) => void,
  ): Promise<Submitted> {
    if (submission.idempotencyKey === null) {
      return (
        (await this.#findRepeated(submission)) ??
        (await this.#submitNew(submission, arrival, beforeAccept))
      );
    }
    const id = newJobId(submission.model.code);
    const booking = await this.#bookings.book(id, submission, arrival.room);
    if (!booking.isNew && !booking.isOpen) return this.#findFirst(booking.id, submission);
    if (booking.isNew) beforeAccept(booking.id);
    const whole = booking.isNew ? submission : await this.#asBooked(booking.id, submission);
    return this.#enqueue(booking, whole, await this.#accept(booking.id, whole, arrival.spec));
  }

  /** Take over from the call that booked the job, and did not come to its accept. */
  async #asBooked(id: JobId, submission: Submission): Promise<Submission> {
    const reservedTokens = await this.#bookings.findReserved(id, submission);
    return reservedTokens === undefined ? submission : { ...submission, reservedTokens };
  }

  /** Where nothing can refuse the booking, it travels with the accept. */
  async #submitNew(
    submission: Submission,
    { spec, room }: Arrival,
    beforeAccept: (job: JobId) => void,
  ): Promise<Submitted> {
    const id = newJobId(submission.model.code);
    const booked = this.#bookings.book(id, submission, room);
    if (this.#bookings.canRefuse(submission, room)) await booked;
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
    const job = { id, submission, kept, run: this.#watch.run };
    const accepted = await acceptJob(this.#redis, job);
    if (accepted[0] !== REFUSED) return accepted;
    await this.#bookings.undo(id, submission);
    const { etaSeconds } = toStandingOf(accepted, submission.spec.priority);
    throw toDeadlineRefusal(submission.deadlineMs, etaSeconds ?? 0);
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
    const standing = isQueued ? toStandingOf(accepted, spec.priority) : null;
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
