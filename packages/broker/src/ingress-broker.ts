import { randomUUID } from "node:crypto";

import {
  isTerminal,
  PlatformError,
  START,
  type Cursor,
  type Durability,
  type JobId,
  type ModelDemand,
} from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import type { Allowance } from "./allowance.ts";
import { readAllowance, type LimitedKey } from "./allowance-reading.ts";
import { ApiKeyCache, type KeyEndListener } from "./api-key-cache.ts";
import { ApiKeyDesk } from "./api-key-desk.ts";
import { readAttempts, type AttemptHistory } from "./attempt-history.ts";
import { AuditLog, type AuditListener } from "./audit-log.ts";
import { BatchRegistry } from "./batches/batch-registry.ts";
import { FileRegistry } from "./batches/file-registry.ts";
import type { Follower, Reader } from "./follower.ts";
import { ChangeConfirmation } from "./change-confirmation.ts";
import { readDemand } from "./demand.ts";
import { guard } from "./guard.ts";
import { giveBack } from "./hold.ts";
import { HoldingReader } from "./holding-reader.ts";
import { Inbox } from "./inbox.ts";
import { inspect, type Inspection } from "./inspection.ts";
import { JobQueues } from "./job-queue.ts";
import { listJobs, type JobQuery } from "./job-list.ts";
import { findRecords, readWhole, type JobRecord, type WholeRecord } from "./job-record.ts";
import { BookingDesk } from "./booking-desk.ts";
import { toHold } from "./job-hold.ts";
import { cancelJob } from "./cancel.ts";
import { keys } from "./keys.ts";
import { RedisWatch } from "./redis-watch.ts";
import { ModelRegistry, type KnownModel } from "./model-registry.ts";
import { connectSubscriber, connectProducer, type Report } from "./redis.ts";
import { Readiness } from "./redis-readiness.ts";
import { ReplicaConfirmation } from "./replica-confirmation.ts";
import { script } from "./script.ts";
import { readStanding, type Standing } from "./standing.ts";
import { Settler } from "./settler.ts";
import type { Submission, Submitted } from "./submission.ts";
import { SubmissionDesk } from "./submission-desk.ts";
import { Sweep, type SweepCounts } from "./sweep.ts";
import { TenantDesk } from "./tenant-desk.ts";
import { readLog, type LogEntry } from "./token-log.ts";
import { TypicalOutputs } from "./typical-output.ts";
import { readUsage, UsageBook, type DayUsage } from "./usage-book.ts";
import { UnwantedJobs } from "./unwanted-jobs.ts";
import { readWorkers, type WorkerStatus } from "./worker-presence.ts";
import { WebhookDesk } from "./webhooks/desk.ts";
import { EndedJobs } from "./webhooks/ended-jobs.ts";
import { EndpointRegistry } from "./webhooks/endpoint-registry.ts";
import { IngressWebhooks } from "./webhooks/ingress-webhooks.ts";

const strike = script("strike", z.int());

/** As of all that one tenant may hold of a process. */
export const TENANT_SHARE = 0.75;

export interface IngressBrokerOptions {
  readonly redisUrl: string;
  /** What a submit's answer is worth. */
  readonly durability: Durability;
  /** Requests a minute from one address, of each tenant; 0 = any number. */
  readonly addressLimit?: number;
  /**
   * What one tenant's jobs may take of Redis: this share of what they take and what is free together;
   * 1 = all.
   */
  readonly tenantShare?: number;
  /** What an hour of one GPU costs, in the operator's unit of money; 0 where nobody says. */
  readonly gpuHourPrice?: number;
  /** Receives failures that no call can report, such as a lost connection. */
  readonly report: Report;
  /** Receives every entry of the audit log that is made here. */
  readonly onAudited?: AuditListener;
  /** Told of every API key met here that has ended, and every secret, however that came. */
  readonly onKeyEnded?: KeyEndListener;
}

/** A synchronous call that has its job. */
export interface AttachedCall {
  readonly id: JobId;
  /** False when the SDK's call before this one had made the job. */
  readonly isNew: boolean;
  readonly acceptedAtMs: number;
  readonly follower: Follower;
  /**
   * The caller is gone: cancel the job now, or as soon as Redis answers, unless another call lives on
   * it by then. Resolves when it has been tried.
   */
  readonly hangUp: () => Promise<void>;
}

/** The broker as an ingress sees it: jobs go in, entries come out. */
export class IngressBroker {
  readonly #redis: Redis;
  readonly #subscriber: Redis;
  readonly #readiness: Readiness;
  readonly #report: Report;
  readonly #ingress = `i-${randomUUID()}`;
  readonly #models: ModelRegistry;
  readonly #queues: JobQueues;
  readonly #unwanted: UnwantedJobs;
  readonly #confirmation: ReplicaConfirmation | null;
  readonly #changeConfirmation: ChangeConfirmation | null;
  readonly #desk: SubmissionDesk;
  /** Synchronous calls so far: the number of each tells it from the others of this ingress. */
  #calls = 0;
  readonly #inbox: Inbox;
  readonly #watch: RedisWatch;
  readonly #sweep: Sweep;
  readonly #settler: Settler;
  /** The keys that callers present. */
  readonly knownKeys: ApiKeyCache;
  /** What operators do with keys. */
  readonly apiKeys: ApiKeyDesk;
  readonly tenants: TenantDesk;
  readonly audit: AuditLog;
  /** Webhook endpoints and what became of their deliveries. */
  readonly webhooks: IngressWebhooks;
  readonly files: FileRegistry;
  readonly batches: BatchRegistry;

  /** Connects in the background: until Redis answers, calls fail with `queue_unavailable`. */
  constructor(options: IngressBrokerOptions) {
    const { redisUrl, durability, report, gpuHourPrice = 0, addressLimit = 0 } = options;
    this.#report = report;
    this.#redis = connectProducer(redisUrl, report);
    this.#readiness = new Readiness(this.#redis, durability, report);
    this.#subscriber = connectSubscriber(redisUrl, report);
    this.#models = new ModelRegistry(this.#redis);
    this.#queues = new JobQueues(this.#redis, report);
    this.#watch = new RedisWatch(this.#redis, report, durability);
    this.#confirmation =
      durability === "replicated" ? new ReplicaConfirmation(redisUrl, report) : null;
    const tools = { redis: this.#redis, queues: this.#queues };
    this.#unwanted = new UnwantedJobs(tools, report);
    this.#desk = new SubmissionDesk({
      ...tools,
      bookings: new BookingDesk(this.#redis, addressLimit, report),
      tenantShare: options.tenantShare ?? TENANT_SHARE,
      watch: this.#watch,
      confirmation: this.#confirmation,
      unwanted: this.#unwanted,
      report,
    });
    this.#inbox = new Inbox(this.#redis, this.#subscriber, this.#ingress);
    this.knownKeys = new ApiKeyCache(this.#redis, report, options.onKeyEnded ?? (() => {}));
    this.audit = new AuditLog(this.#redis, options.onAudited ?? (() => {}));
    this.#changeConfirmation =
      durability === "replicated" ? new ChangeConfirmation(redisUrl, report) : null;
    const desk = { redis: this.#redis, audit: this.audit, confirmation: this.#changeConfirmation };
    this.apiKeys = new ApiKeyDesk(desk);
    this.tenants = new TenantDesk(desk);
    this.#sweep = new Sweep({ ...tools, models: this.#models }, this.#ingress, report);
    const registry = new EndpointRegistry(this.#redis, Date.now);
    this.webhooks = new IngressWebhooks(this.#redis, registry);
    this.files = new FileRegistry(this.#redis);
    this.batches = new BatchRegistry(this.#redis);
    const endedJobs = new EndedJobs(new WebhookDesk(this.#redis, registry));
    const usageBook = new UsageBook(this.#redis, gpuHourPrice);
    const takers = [usageBook, endedJobs, new TypicalOutputs(this.#redis)];
    const settling = { redis: this.#redis, models: this.#models, takers, report };
    this.#settler = new Settler(settling, this.#ingress);
  }

  /** Readers now attached, of all jobs. */
  get readerCount(): number {
    return this.#inbox.readerCount;
  }

  /** Redis' memory in use over its limit; 0 when it has none. */
  get memoryFullness(): number {
    return this.#watch.fullness;
  }

  /** @see Readiness.assertReady */
  async assertReady(timeoutMs: number): Promise<void> {
    await this.#readiness.assertReady(timeoutMs);
  }

  /** @see Readiness.assertConfirmable */
  async assertConfirmable(): Promise<void> {
    await this.#readiness.assertConfirmable();
  }

  /** Sweep every 5 s, and settle what ends, unless another ingress does. */
  startSweep(onPass: (counts: SweepCounts) => void): void {
    this.#sweep.start(onPass);
    this.#settler.start();
  }

  /** Settle what has ended now. @returns how many jobs */
  async settleNow(): Promise<number> {
    return guard(this.#settler.run());
  }

  /** What is left of a key's limits a minute; looking takes nothing. */
  async readAllowance(key: LimitedKey): Promise<Allowance> {
    return guard(readAllowance(this.#redis, key));
  }

  /** What a tenant's keys have used, from day to day (`2026-11-25`, UTC), both included. */
  async readUsage(
    tenant: string,
    range: { readonly from: string; readonly to: string },
  ): Promise<DayUsage[]> {
    return guard(readUsage(this.#redis, tenant, range));
  }

  /** Make one pass of the sweep now. @returns what it mended */
  async sweepNow(): Promise<SweepCounts> {
    await this.#unwanted.cancelAll();
    return guard(this.#sweep.run());
  }

  /**
   * Look at all that can go wrong with jobs, workers and Redis. Changes nothing.
   *
   * @throws PlatformError `queue_unavailable` with what keeps Redis away as its cause
   */
  async inspect(): Promise<Inspection> {
    this.#readiness.assertConnected();
    return guard(inspect(this.#redis, this.#models));
  }

  /** Ask Redis for a sign of life. @throws PlatformError `queue_unavailable` within a second */
  async ping(): Promise<void> {
    await guard(this.#redis.ping());
  }

  /** What is asked of each version of each model. */
  async readDemand(): Promise<ModelDemand[]> {
    return guard(readDemand(this.#redis, this.#models));
  }

  /** Every model that ever had a worker, by name and alias. */
  async models(): Promise<ReadonlyMap<string, KnownModel>> {
    return guard(this.#models.list());
  }

  /** What the live workers of a model say of themselves. */
  async readWorkers({ code }: KnownModel): Promise<WorkerStatus[]> {
    return guard(readWorkers(this.#redis, code));
  }

  /** @throws PlatformError `model_not_found` when no worker ever served it */
  async getModel(name: string): Promise<KnownModel> {
    const model = await guard(this.#models.find(name));
    if (model === null) {
      throw new PlatformError("model_not_found", `no worker has ever served the model ${name}`, {
        param: "model",
      });
    }
    return model;
  }

  /** Take a job in. @see SubmissionDesk.submit */
  async submit(submission: Submission): Promise<Submitted> {
    return guard(this.#desk.submit(submission));
  }

  /**
   * Take in a synchronous job that lives only as long as this call, and follow it from its first
   * entry, without a read. A call that OpenAI's SDK repeats gets the job that it made before.
   */
  async submitAndFollow(
    submission: Omit<Submission, "attachedTo" | "idempotencyKey">,
    reader: Reader,
  ): Promise<AttachedCall> {
    this.#calls += 1;
    const attachedTo = `${this.#ingress} ${this.#calls}`;
    const whole = { ...submission, attachedTo, idempotencyKey: null };
    const { code, version } = submission.model;
    await guard(this.#inbox.listen(code));
    const followers: Follower[] = [];
    try {
      const { id, isNew, acceptedAtMs } = await guard(
        this.#desk.submit(whole, (job) =>
          followers.push(this.#inbox.followNew(job, this.#holding(job, whole, reader))),
        ),
      );
      const [own] = followers;
      const follower = own ?? (await this.follow(id, START, this.#holding(id, whole, reader)));
      const hangUp = (): Promise<void> => this.#unwanted.cancel({ job: id, version, attachedTo });
      return { id, isNew, acceptedAtMs, follower, hangUp };
    } catch (error) {
      for (const follower of followers) follower.close();
      throw error;
    }
  }

  /** Have what the call holds of its key's limits given back before the reader learns of its end. */
  #holding(job: JobId, submission: Submission, reader: Reader): Reader {
    if (submission.limits === null) return reader;
    const hold = toHold(job, submission);
    return new HoldingReader(reader, (tokens) => {
      giveBack(this.#redis, hold, tokens).catch((cause: unknown) =>
        this.#report(new Error("what a call held is left to the settler", { cause })),
      );
    });
  }

  /** Follow a job: replay its log after the cursor, then go on live. */
  async follow(job: JobId, after: Cursor, reader: Reader): Promise<Follower> {
    return guard(this.#inbox.follow(job, after, reader));
  }

  /** Read the log of a job, up to `limit` entries after the cursor. */
  async readLog(job: JobId, after: Cursor, limit: number): Promise<LogEntry[]> {
    return guard(readLog(this.#redis, job, { after, limit }));
  }

  /**
   * @throws PlatformError `job_not_found` for an unknown job, and alike for another tenant's;
   *   `job_of_later_version` for one that only a later version of Headrace can read
   */
  async getJob(tenant: string, job: JobId): Promise<JobRecord> {
    const [record = null] = await guard(findRecords(this.#redis, [job]));
    const owner = record?.spec === null ? record.tenant : record?.spec.tenant;
    if (record === null || owner !== tenant) {
      throw new PlatformError("job_not_found", `there is no job ${job}`);
    }
    if (record.spec !== null) return record;
    throw new PlatformError(
      "job_of_later_version",
      `${job} was made by a later version of Headrace than this ingress; an ingress of that version can tell of it`,
    );
  }

  /** Read the request of a job too: megabytes perhaps. @throws PlatformError as `getJob` */
  async getWhole(record: JobRecord): Promise<WholeRecord> {
    const whole = await guard(readWhole(this.#redis, record));
    if (whole !== null) return whole;
    throw new PlatformError("job_not_found", `there is no job ${record.id}`);
  }

  /** What became of a job's attempts. */
  async getAttempts(job: JobId): Promise<AttemptHistory> {
    return guard(readAttempts(this.#redis, job));
  }

  /** Where a queued job stands. */
  async getStanding(record: JobRecord): Promise<Standing> {
    return guard(readStanding(this.#redis, record));
  }

  /** A tenant's jobs, newest first. @throws PlatformError `job_not_found` for an unknown `after` */
  async listJobs(
    tenant: string,
    query: JobQuery,
  ): Promise<{ readonly jobs: JobRecord[]; readonly hasMore: boolean }> {
    return guard(listJobs(this.#redis, tenant, query));
  }

  /** End an open job, stop the worker that runs it. Cancelling an ended job changes nothing. */
  async cancel(record: JobRecord): Promise<void> {
    const tools = { redis: this.#redis, queues: this.#queues };
    const { id: job, version } = record;
    await guard(cancelJob(tools, { job, version, attachedTo: null }));
  }

  /** Remove an ended job and all that is stored of it. @throws PlatformError `job_not_ended` */
  async deleteJob(record: JobRecord): Promise<void> {
    if (!isTerminal(record.status)) {
      throw new PlatformError(
        "job_not_ended",
        `${record.id} is ${record.status}; cancel it before deleting it`,
      );
    }
    await guard(this.forget(record.spec.tenant, record.id));
  }

  /** Delete what is stored of an ended job: its owner has the result and wants none kept. */
  async forget(tenant: string, job: JobId): Promise<void> {
    await this.#redis.del(keys.log(job), keys.entry(job));
    await strike(this.#redis, [keys.jobs(tenant), keys.stored(tenant)], [job]);
  }

  async close(): Promise<void> {
    await this.#settler.stop();
    await this.#sweep.stop();
    await this.knownKeys.close();
    this.#unwanted.close();
    this.#watch.close();
    this.#confirmation?.close();
    this.#changeConfirmation?.close();
    this.#inbox.close();
    await this.#queues.close();
    for (const redis of [this.#redis, this.#subscriber]) redis.disconnect();
  }
}
