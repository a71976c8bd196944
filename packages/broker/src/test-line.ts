import { jobIdSchema, type JobId, type Priority } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { costOf } from "./cost.ts";
import { IngressBroker } from "./ingress-broker.ts";
import { endingKeys, keys } from "./keys.ts";
import { script } from "./script.ts";
import type { Submission } from "./submission.ts";
import { brokerTest, claimJob, submission } from "./test-bench.ts";

const finish = script("finish", z.literal(1));

/** What a test may choose about a job in the line. */
export interface Wish {
  readonly tenant: string;
  readonly priority?: Priority;
  readonly weight?: number;
  /** Most that its output may be; null = it does not say. */
  readonly tokens?: number | null;
}

/** A queue whose jobs nobody takes but the test, with two ingresses in front. */
export class Line {
  readonly #redis: Redis;
  readonly #ingresses: readonly IngressBroker[];
  readonly #template: Submission;
  #submits = 0;
  #claims = 0;

  constructor(redis: Redis, ingresses: readonly IngressBroker[], template: Submission) {
    this.#redis = redis;
    this.#ingresses = ingresses;
    this.#template = template;
  }

  get set(): string {
    return keys.queue(this.#template.model.code, "v1", "prioritized");
  }

  get turns(): string {
    return keys.turns(this.#template.model.code, "v1");
  }

  /** Submit by one ingress and the other in turn. */
  async submit({ tenant, priority = "standard", weight = 1, tokens = 100 }: Wish): Promise<JobId> {
    const { spec } = this.#template;
    const request = tokens === null ? spec.request : { ...spec.request, max_tokens: tokens };
    const ingress = this.#ingresses[this.#submits % this.#ingresses.length];
    this.#submits += 1;
    if (ingress === undefined) throw new Error("there is no ingress");
    const { id } = await ingress.submit({
      ...this.#template,
      weight,
      spec: { ...spec, tenant, priority, request },
    });
    return id;
  }

  /** Start the job whose turn it is. */
  async start(): Promise<JobId | null> {
    const [job] = await this.#redis.zpopmin(this.set);
    if (job === undefined) return null;
    this.#claims += 1;
    const claimed = await claimJob(this.#redis, jobIdSchema.parse(job), `w-test:${this.#claims}`);
    if (typeof claimed === "string") throw new Error(`${job} is ${claimed}`);
    return claimed.job;
  }

  /** Let a job that was started last end with so many tokens of output. */
  async end(job: JobId, completionTokens: number): Promise<void> {
    const [epoch = "", token = ""] = await this.#redis.hmget(keys.entry(job), "epoch", "token");
    const usage = { prompt_tokens: 1, completion_tokens: completionTokens, total_tokens: 0 };
    const args = [job, keys.slotOf(job), epoch ?? "", token ?? "", 1, "completed"];
    await finish(this.#redis, endingKeys(job), [...args, JSON.stringify({ usage })]);
  }

  async startAll(limit = Number.POSITIVE_INFINITY): Promise<JobId[]> {
    const started: JobId[] = [];
    while (started.length < limit) {
      const job = await this.start();
      if (job === null) break;
      started.push(job);
    }
    return started;
  }

  async cancel(tenant: string, job: JobId): Promise<void> {
    const [ingress] = this.#ingresses;
    if (ingress === undefined) throw new Error("there is no ingress");
    await ingress.cancel(await ingress.getJob(tenant, job));
  }

  costOf(tokens: number): number {
    const { spec, model } = this.#template;
    return costOf({ ...spec, request: { ...spec.request, max_tokens: tokens } }, model);
  }

  async clear(): Promise<void> {
    await this.#redis.del(this.set, this.turns);
  }
}

/** However slow the machine is, no job is refused since it could not start in time. */
const DEADLINE_MS = 24 * 3_600_000;

/** A line of its own for each test. */
export const lineTest = brokerTest.extend(
  "line",
  async ({ ingress, redis, redisServer, startWorker, reports }, { onCleanup }) => {
    const worker = await startWorker();
    worker.leave();
    const second = new IngressBroker({
      redisUrl: redisServer.url,
      durability: "redis",
      report: (error) => reports.push(error),
    });
    onCleanup(() => second.close());
    await second.assertReady(5_000);
    return new Line(
      redis,
      [ingress, second],
      await submission(ingress, { deadlineMs: DEADLINE_MS }),
    );
  },
);
