import { randomUUID } from "node:crypto";
import { once } from "node:events";

import type { JobId, JobSpec } from "@headrace/contract";
import { redisTest } from "@headrace/testkit";
import type { Redis } from "ioredis";

import { claimJob as claim, type Attempt, type Claim, type Unclaimable } from "./claim.ts";
import type { Reader } from "./follower.ts";
import { IngressBroker, type IngressBrokerOptions } from "./ingress-broker.ts";
import type { Submission } from "./submission.ts";
import { isTerminalEntry, type LogEntry } from "./token-log.ts";
import type { LogItem, LossReason, Source } from "./token-writer.ts";
import { WorkerBroker } from "./worker-broker.ts";

const READY_MS = 5_000;
/** The model that every worker under test serves. */
export const MODEL = "tests/model:8b";

/** A worker of the test's own: takes attempts as they come, and does with them what it is told. */
export class TestWorker {
  readonly attempts: TestSource[] = [];
  readonly cancelled: string[] = [];
  readonly lockLost: string[] = [];
  readonly #arrivals = new EventTarget();
  readonly #controller = new AbortController();
  #broker: WorkerBroker | null = null;
  #running: Promise<void> = Promise.resolve();
  /** Jobs it takes at once. */
  slots = 8;
  /** How many of them may be batch work. */
  batchSlots = Number.POSITIVE_INFINITY;

  /** The broker it works through. */
  get broker(): WorkerBroker {
    if (this.#broker === null) throw new Error("the worker is not open");
    return this.#broker;
  }

  async open(
    redisUrl: string,
    { version, report }: { readonly version: string; readonly report: (error: Error) => void },
  ): Promise<void> {
    this.#broker = await WorkerBroker.open(
      {
        redisUrl,
        name: "test",
        engine: () => ({ kind: "test", version: "1", silentMs: 0, error: null }),
        modelNames: [MODEL],
        model: { version, maxModelLength: 4_096 },
        hasTokenIds: true,
        report,
      },
      {
        whenFree: async (signal) => {
          // `stop` sends a last one, so no wait outlives the worker.
          while (this.slots <= 0 && !signal.aborted) await once(this.#arrivals, "slot");
          return signal.aborted ? 0 : this.slots;
        },
        countFree: () => this.slots,
        start: (attempt) => {
          this.slots -= 1;
          if (attempt.spec.priority === "batch") this.batchSlots -= 1;
          this.attempts.push(new TestSource(attempt));
          this.#arrivals.dispatchEvent(new Event("attempt"));
          return true;
        },
        onLockLost: (job) => this.lockLost.push(job),
        batch: {
          countFree: () => this.batchSlots,
          whenFree: async (signal) => {
            while (this.batchSlots <= 0 && !signal.aborted) await once(this.#arrivals, "slot");
          },
        },
      },
      (job) => {
        this.cancelled.push(job);
        this.#arrivals.dispatchEvent(new Event("cancel"));
      },
    );
    this.#running = this.#broker.run(this.#controller.signal);
  }

  /** The next attempt that has not been returned before. */
  async next(): Promise<TestSource> {
    for (;;) {
      const source = this.attempts.shift();
      if (source !== undefined) {
        this.broker.open(source);
        return source;
      }
      await once(this.#arrivals, "attempt");
    }
  }

  /** Take so many more jobs. */
  takeMore(slots: number): void {
    this.slots += slots;
    this.#arrivals.dispatchEvent(new Event("slot"));
  }

  async whenCancelled(): Promise<void> {
    if (this.cancelled.length === 0) await once(this.#arrivals, "cancel");
  }

  /** Have room for this many jobs from now on. */
  free(slots: number): void {
    this.slots = slots;
    this.#arrivals.dispatchEvent(new Event("slot"));
  }

  /** Let so much batch work start from now on. */
  freeForBatch(slots: number): void {
    this.batchSlots = slots;
    this.#arrivals.dispatchEvent(new Event("slot"));
  }

  /** Take no more jobs; what it has, it keeps. */
  leave(): void {
    this.#controller.abort();
    this.#arrivals.dispatchEvent(new Event("slot"));
  }

  async stop(): Promise<void> {
    this.leave();
    await this.broker.close();
    await this.#running;
  }
}

/** An attempt whose output the test writes. */
export class TestSource implements Source {
  readonly attempt: Attempt;
  readonly #lost = Promise.withResolvers<LossReason>();
  #items: LogItem[] = [];
  gpuMs = 0;

  constructor(attempt: Attempt) {
    this.attempt = attempt;
  }

  /** Resolves once the broker says that the attempt is lost. */
  get lost(): Promise<LossReason> {
    return this.#lost.promise;
  }

  /** Write a text, with token ids as `writeTokenIds` spells them. */
  say(text: string, ids?: string): void {
    this.#items.push({ ...delta(text), ...(ids === undefined ? {} : { ids }) });
  }

  take(limit = Number.POSITIVE_INFINITY): LogItem[] {
    return this.#items.splice(0, limit);
  }

  onLost(reason: LossReason): void {
    this.#lost.resolve(reason);
  }
}

/** A reader that keeps all it is given. */
export class TestReader implements Reader {
  readonly entries: LogEntry[] = [];
  readonly #changed = new EventTarget();
  isGone = false;
  /** How often it was told that what it has is void. */
  voids = 0;
  /** Entries to take before asking for a pause. */
  appetite = Number.POSITIVE_INFINITY;

  readonly onEntry = (entry: LogEntry): boolean => {
    this.entries.push(entry);
    this.#changed.dispatchEvent(new Event("change"));
    this.appetite -= 1;
    return this.appetite > 0;
  };

  readonly onVoid = (): void => {
    this.voids += 1;
    this.entries.length = 0;
  };

  readonly onGone = (): void => {
    this.isGone = true;
    this.#changed.dispatchEvent(new Event("change"));
  };

  get text(): string {
    return this.entries
      .filter(({ type }) => type === "delta")
      .map(textOf)
      .join("");
  }

  /** What is left of the text: an attempt may void what came before it. */
  get textThatStands(): string {
    const from = this.entries.findLastIndex(({ data }) => data.includes('"reset":true'));
    return this.entries
      .slice(from + 1)
      .filter(({ type }) => type === "delta")
      .map(textOf)
      .join("");
  }

  /** Resolves once what it has been given fulfils the condition. */
  async when(condition: (reader: this) => boolean): Promise<void> {
    while (!condition(this)) await once(this.#changed, "change");
  }

  async whenEnded(): Promise<LogEntry> {
    await this.when(({ entries }) => entries.some(({ type }) => isTerminalEntry(type)));
    const end = this.entries.at(-1);
    if (end === undefined) throw new Error("ended without an entry");
    return end;
  }
}

/** One log item that says `text`. */
export function delta(text: string): LogItem {
  return { type: "delta", data: JSON.stringify([{ index: 0, delta: { content: text } }]) };
}

function textOf({ data }: LogEntry): string {
  const [choice]: [{ delta: { content: string } }] = JSON.parse(data);
  return choice.delta.content;
}

const spec: JobSpec = {
  tenant: "default",
  endpoint: "/v1/chat/completions",
  priority: "standard",
  on_retry: "continue",
  metadata: {},
  admit_ms: 0.5,
  request: { model: MODEL, messages: [{ role: "user", content: "Hi" }] },
};

/** What a test may choose about a job. */
type Choices = Partial<JobSpec> &
  Partial<Pick<Submission, "deadlineMs" | "retentionMs" | "idempotencyKey" | "weight" | "limits">>;

/** An ingress' broker and workers on a Redis of their own, released after the test. */
export const brokerTest = redisTest
  .extend("reports", () => new Array<Error>())
  .extend("startWorker", async ({ redisServer, redis, reports }, { onCleanup }) => {
    const workers: TestWorker[] = [];
    onCleanup(async () => {
      await Promise.all(workers.map((worker) => worker.stop()));
    });
    await redis.ping();
    return async ({ version = "v1", redisUrl = redisServer.url } = {}): Promise<TestWorker> => {
      const worker = new TestWorker();
      await worker.open(redisUrl, { version, report: (error) => reports.push(error) });
      workers.push(worker);
      return worker;
    };
  })
  .extend("openIngress", async ({ redis, reports }, { onCleanup }) => {
    const opened: IngressBroker[] = [];
    onCleanup(async () => {
      await Promise.all(opened.map((ingress) => ingress.close()));
    });
    await redis.ping();
    const report = (error: Error): void => void reports.push(error);
    return async (
      options: Pick<IngressBrokerOptions, "redisUrl"> & Partial<IngressBrokerOptions>,
    ): Promise<IngressBroker> => {
      const ingress = new IngressBroker({ durability: "redis", report, ...options });
      opened.push(ingress);
      await ingress.assertReady(READY_MS);
      return ingress;
    };
  })
  .extend("ingress", async ({ redisServer, redis, reports }, { onCleanup }) => {
    await redis.ping();
    const ingress = new IngressBroker({
      redisUrl: redisServer.url,
      durability: "redis",
      report: (error) => reports.push(error),
    });
    onCleanup(() => ingress.close());
    await ingress.assertReady(READY_MS);
    return ingress;
  })
  .extend("submit", async ({ ingress }) => async (choices: Choices = {}): Promise<JobId> => {
    return (await ingress.submit(await submission(ingress, choices))).id;
  });

/** A submission with the test's choices in it. */
export async function submission(
  ingress: IngressBroker,
  choices: Choices = {},
): Promise<Submission> {
  const { deadlineMs, retentionMs, idempotencyKey, weight = 1, limits = null, ...chosen } = choices;
  return {
    spec: { ...spec, ...chosen },
    model: await ingress.getModel(MODEL),
    canRestart: chosen.on_retry !== "fail",
    deadlineMs: deadlineMs ?? 60_000,
    retentionMs: retentionMs ?? 60_000,
    idempotencyKey: idempotencyKey ?? null,
    weight,
    attachedTo: null,
    limits,
  };
}

/** Claim a job for a worker of the first version, whose engine has no token ids. */
export async function claimJob(
  redis: Redis,
  job: JobId,
  token: string,
  lock: string | null = null,
): Promise<Attempt | Claim | Unclaimable> {
  return claim(redis, job, { token, version: "v1", hasTokenIds: false, lock });
}

/** A key that no other test uses. */
export function newKey(): string {
  return randomUUID();
}
