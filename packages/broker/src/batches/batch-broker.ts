import { randomUUID } from "node:crypto";

import {
  PlatformError,
  type BatchId,
  type Cursor,
  type Durability,
  type JobId,
  type ModelCode,
} from "@headrace/contract";
import type { Redis } from "ioredis";

import { BookingDesk } from "../booking-desk.ts";
import { cancelJob } from "../cancel.ts";
import { readRedisMs } from "../clock.ts";
import { assertFit } from "../fitness.ts";
import { guard } from "../guard.ts";
import { CLASS_BAND, JobQueues, QUEUE_CLASSES } from "../job-queue.ts";
import { keys } from "../keys.ts";
import { ModelRegistry, type KnownModel } from "../model-registry.ts";
import { connectProducer, whenReady, type Report } from "../redis.ts";
import { RedisWatch } from "../redis-watch.ts";
import { ReplicaConfirmation } from "../replica-confirmation.ts";
import { SubmissionDesk } from "../submission-desk.ts";
import { readLog, type LogEntry } from "../token-log.ts";
import { UnwantedJobs } from "../unwanted-jobs.ts";
import { WebhookDesk } from "../webhooks/desk.ts";
import { EndpointRegistry } from "../webhooks/endpoint-registry.ts";
import { readWorkers, type WorkerStatus } from "../worker-presence.ts";
import { forgetBatchDemand, writeBatchDemand, type BatchDemand } from "./batch-demand.ts";
import { BatchDesk } from "./batch-desk.ts";
import { EndedBatches } from "./ended-batches.ts";
import { FileRegistry } from "./file-registry.ts";
import { LineDesk, type LineState, type LineSubmission, type SubmittedLine } from "./line-desk.ts";
import type { LineTry } from "./line-id.ts";
import { Removals } from "./removals.ts";

export interface BatchBrokerOptions {
  readonly redisUrl: string;
  /** What it is worth that a line was taken in. */
  readonly durability: Durability;
  /** Receives failures that no call can report, such as a lost connection. */
  readonly report: Report;
}

/** The broker as a batcher sees it: batches are claimed, their lines go in, their ends come out. */
export class BatchBroker {
  /** What this batcher calls itself when it claims. */
  readonly name = `b-${randomUUID()}`;
  readonly #redis: Redis;
  readonly #queues: JobQueues;
  readonly #models: ModelRegistry;
  readonly #watch: RedisWatch;
  readonly #confirmation: ReplicaConfirmation | null;
  readonly #unwanted: UnwantedJobs;
  readonly #lines: LineDesk;
  readonly batches: BatchDesk;
  readonly ended: EndedBatches;
  readonly files: FileRegistry;
  readonly removals: Removals;

  /** Connects in the background: until Redis answers, calls fail with `queue_unavailable`. */
  constructor({ redisUrl, durability, report }: BatchBrokerOptions) {
    this.#redis = connectProducer(redisUrl, report);
    this.#queues = new JobQueues(this.#redis, report);
    this.#models = new ModelRegistry(this.#redis);
    this.#watch = new RedisWatch(this.#redis, report, durability);
    this.#confirmation =
      durability === "replicated" ? new ReplicaConfirmation(redisUrl, report) : null;
    const tools = { redis: this.#redis, queues: this.#queues };
    this.#unwanted = new UnwantedJobs(tools, report);
    const desk = new SubmissionDesk({
      ...tools,
      bookings: new BookingDesk(this.#redis, 0, report),
      // Lines are booked with nobody: how many are open at once is the batcher's to bound.
      tenantShare: 1,
      watch: this.#watch,
      confirmation: this.#confirmation,
      unwanted: this.#unwanted,
      report,
    });
    this.#lines = new LineDesk(this.#redis, desk);
    this.batches = new BatchDesk(this.#redis);
    this.files = new FileRegistry(this.#redis);
    this.removals = new Removals(this.#redis);
    const registry = new EndpointRegistry(this.#redis, Date.now);
    this.ended = new EndedBatches(this.#redis, new WebhookDesk(this.#redis, registry));
  }

  /** Wait for Redis and check that it is fit. @throws PlatformError `queue_unavailable` */
  async assertReady(timeoutMs: number): Promise<void> {
    try {
      await whenReady(this.#redis, timeoutMs);
    } catch (cause) {
      throw new PlatformError("queue_unavailable", "Redis cannot be reached", { cause });
    }
    await assertFit(this.#redis);
  }

  /** Ask Redis for a sign of life. @throws PlatformError `queue_unavailable` within a second */
  async ping(): Promise<void> {
    await guard(this.#redis.ping());
  }

  /** Find a model by its name or alias. @returns null when no worker ever served it */
  async findModel(name: string): Promise<KnownModel | null> {
    return guard(this.#models.find(name));
  }

  /** The present by Redis' clock, ms. */
  async readClock(): Promise<number> {
    return guard(readRedisMs(this.#redis));
  }

  /** Whether jobs that go before all batch work wait for a model. */
  async hasUrgentJobs({ code, version }: KnownModel): Promise<boolean> {
    const batchClass = QUEUE_CLASSES.batch * CLASS_BAND;
    const [prioritized, wait] = await guard(
      Promise.all([
        this.#redis.zcount(keys.queue(code, version, "prioritized"), "-inf", `(${batchClass}`),
        this.#redis.llen(keys.queue(code, version, "wait")),
      ]),
    );
    return prioritized + wait > 0;
  }

  /** Say what a batch asks of its model: lines that are in no queue yet count in what scaling reads. */
  async tellDemand({ code }: KnownModel, batch: BatchId, demand: BatchDemand): Promise<void> {
    await guard(writeBatchDemand(this.#redis, { code, batch }, demand));
  }

  /** Say that a batch asks nothing more. */
  async forgetDemand({ code }: KnownModel, batch: BatchId): Promise<void> {
    await guard(forgetBatchDemand(this.#redis, { code, batch }));
  }

  /** What the live workers of a model say of themselves. */
  async readWorkers({ code }: KnownModel): Promise<WorkerStatus[]> {
    return guard(readWorkers(this.#redis, code));
  }

  /** Submit a line. @see LineDesk.submit */
  async submitLine(line: LineTry, submission: LineSubmission): Promise<SubmittedLine> {
    return guard(this.#lines.submit(line, submission));
  }

  /** Take ids of lines that have ended. @see LineDesk.takeEnded */
  async takeEndedLines(code: ModelCode, batch: BatchId, most: number): Promise<JobId[]> {
    return guard(this.#lines.takeEnded(code, batch, most));
  }

  /** Look up lines, in order. @returns null for each that is not there (any more) */
  async findLines(jobs: readonly JobId[]): Promise<(LineState | null)[]> {
    return guard(this.#lines.find(jobs));
  }

  /** Read the log of a line, up to `limit` entries after the cursor. */
  async readLog(job: JobId, after: Cursor, limit: number): Promise<LogEntry[]> {
    return guard(readLog(this.#redis, job, { after, limit }));
  }

  /** End a line that is open; one that has ended, or is unknown, stays as it is. */
  async cancelLine(job: JobId, version: string): Promise<void> {
    const tools = { redis: this.#redis, queues: this.#queues };
    await guard(cancelJob(tools, { job, version, attachedTo: null }));
  }

  /** Remove all that is kept of lines. @see LineDesk.forget */
  async forgetLines(lines: readonly Pick<SubmittedLine, "id" | "hold">[]): Promise<void> {
    await guard(this.#lines.forget(lines));
  }

  async close(): Promise<void> {
    this.#unwanted.close();
    this.#watch.close();
    this.#confirmation?.close();
    await this.#queues.close();
    this.#redis.disconnect();
  }
}
