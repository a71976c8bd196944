import { randomBytes } from "node:crypto";

import type { ErrorCode, ModelCode, Outcome } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import type { Attempt, Claim } from "./claim.ts";
import { assertFit } from "./fitness.ts";
import { insist, Turns, type Insistence } from "./insist.ts";
import { Intake, type Slots, type Taker } from "./intake.ts";
import { endingKeys, keys } from "./keys.ts";
import { RedisWatch } from "./redis-watch.ts";
import { ModelRegistry, type ModelRegistration } from "./model-registry.ts";
import { connectSubscriber, connectWorker, whenReady, type Report } from "./redis.ts";
import { script } from "./script.ts";
import { readWritten, type WrittenOutput } from "./written-output.ts";
import { TokenWriter, type LogItem, type LossReason, type Source } from "./token-writer.ts";
import { WorkerPresence, type EngineState, type PresenceWiring } from "./worker-presence.ts";

/** What the scripts' codes say of an attempt. */
const LOSSES = { 1: null, 0: null, "-1": "fenced", "-2": "gap", "-3": "gone" } as const;

const finish = script("finish", z.literal([1, 0, -1, -2, -3]));
const spend = script("spend", z.literal([0, 1]));
const release = script("release", z.literal([1, -1, -3]));

/** How long a starting worker waits for Redis before it gives up and lets itself be restarted. */
const READY_MS = 30_000;
/** It is written into the entry of each job that the worker takes. */
const LONGEST_NAME = 40;
const RANDOM_NAME_BYTES = 4;

export interface WorkerBrokerOptions {
  readonly redisUrl: string;
  /** What people call the process: its host, say. Letters, digits, '.', '_' and '-'. */
  readonly name: string;
  /** The engine's model: its name first, then its aliases. */
  readonly modelNames: readonly string[];
  readonly model: ModelRegistration;
  /** Says how the worker finds its engine: asked every 5 s, for those who run Headrace. */
  readonly engine: () => EngineState;
  /** Whether the engine can go on from token ids. */
  readonly hasTokenIds: boolean;
  /** Receives failures that no call can report, such as a lost connection. */
  readonly report: Report;
}

/** What a worker does with an attempt's end. */
export interface Ending {
  readonly status: "completed" | "failed";
  readonly outcome: Outcome;
  /** Output that came with the end. */
  readonly items: readonly LogItem[];
}

/** Why a worker gives a job back. After `cannot_continue` the next attempt starts over. */
export type ReleaseReason = "handed_back" | "engine_error" | "cannot_continue";

/** The broker as a worker sees it: attempts come in, output and endings go out. */
export class WorkerBroker {
  readonly #redis: Redis;
  readonly #subscriber: Redis;
  readonly #blocking: Redis;
  readonly #code: ModelCode;
  readonly #writer: TokenWriter;
  readonly #intake: Intake;
  readonly #watch: RedisWatch;
  readonly #insistence: Insistence;
  readonly #patience = new AbortController();
  readonly #presence: WorkerPresence;

  private constructor(
    connections: Connections,
    holder: Taker,
    wiring: PresenceWiring & { readonly slots: Slots },
  ) {
    this.#redis = connections.redis;
    this.#subscriber = connections.subscriber;
    this.#blocking = connections.blocking;
    this.#code = holder.code;
    const { slots, report } = wiring;
    this.#insistence = {
      redis: this.#redis,
      turns: new Turns(),
      report,
      signal: this.#patience.signal,
    };
    this.#writer = new TokenWriter(this.#redis, holder.code, this.#insistence);
    this.#watch = new RedisWatch(this.#redis, report);
    this.#intake = new Intake(connections, holder, {
      slots: {
        ...slots,
        whenFree: (signal) => this.#whenStartable(slots, signal),
        decline: (claim) => this.#letGo(claim, "handed_back"),
      },
      insistence: this.#insistence,
    });
    this.#presence = new WorkerPresence(this.#redis, holder, wiring);
  }

  /**
   * Connect, register the model, and listen for cancellations.
   *
   * @param onCancel a job's owner wants it stopped. The ledger has its end already; the message may
   *   be lost, and then the attempt is reported lost within 500 ms
   * @throws PlatformError `queue_unavailable` when Redis is away for 30 s, or unfit
   */
  static async open(
    options: WorkerBrokerOptions,
    slots: Slots,
    onCancel: (job: string) => void,
  ): Promise<WorkerBroker> {
    const { redisUrl, report } = options;
    const connections = {
      redis: connectWorker(redisUrl, report),
      subscriber: connectSubscriber(redisUrl, report),
      blocking: connectWorker(redisUrl, report),
    };
    try {
      await whenReady(connections.redis, READY_MS);
      await assertFit(connections.redis);
      const registry = new ModelRegistry(connections.redis);
      const code = await registry.register(options.modelNames, options.model);
      const holder = {
        code,
        worker: newWorkerName(options),
        version: options.model.version,
        hasTokenIds: options.hasTokenIds,
      };
      connections.subscriber.on("smessage", (_channel: string, message: string) => {
        const [kind, job] = message.split("\t", 2);
        if (kind === "cancel" && job !== undefined) onCancel(job);
      });
      await connections.subscriber.ssubscribe(keys.inbox(code, holder.worker));
      const { engine, modelNames, model } = options;
      const reenter = (): Promise<void> => registry.reenter(modelNames, model, code);
      const broker = new WorkerBroker(connections, holder, { slots, engine, reenter, report });
      await broker.#presence.announce();
      return broker;
    } catch (error) {
      for (const redis of Object.values(connections)) redis.disconnect();
      throw error;
    }
  }

  /** Pull jobs into the slots until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#intake.run(signal);
  }

  /** Begin writing an attempt's output. */
  open(source: Source): void {
    this.#writer.open(source);
  }

  /** An open attempt has output to write; `isUrgent` for its first token. */
  notify(source: Source, isUrgent: boolean): void {
    this.#writer.notify(source, isUrgent);
  }

  /**
   * End the job.
   *
   * @returns why it could not be ended: the attempt was lost before; null when it was
   * @throws what Redis says for good, or its silence after 5 minutes; so do `release` and `abandon`.
   *   The job is another claim's then, and nothing more can be told of this attempt
   */
  async finish(source: Source, ending: Ending): Promise<LossReason | null> {
    return this.#tell(source.attempt, async () => {
      const lost = LOSSES[await this.#writeEnd(source, ending)];
      if (lost === null) await this.#intake.acknowledge(source.attempt);
      else await this.#letGo(source.attempt, "log_lost");
      if (lost === "fenced") await this.#spend(source);
      return lost;
    });
  }

  /**
   * Write what the source still has, and give the job back to the queue.
   *
   * @param failure what makes the attempt count against the job; null when it does not count
   */
  async release(source: Source, reason: ReleaseReason, failure: ErrorCode | null): Promise<void> {
    await this.#tell(source.attempt, async () => {
      await this.#writer.flush(source);
      await this.#writer.close(source);
      await this.#letGo(source.attempt, reason, { failure, gpuMs: source.gpuMs });
    });
  }

  /**
   * Read what earlier attempts wrote that this one goes on from.
   *
   * @returns null when it cannot be gone on from: ids are missing
   */
  async readWritten(attempt: Attempt): Promise<WrittenOutput | null> {
    return insist(() => readWritten(this.#redis, attempt), this.#insistence);
  }

  /** The attempt was lost: stop holding the job. */
  async abandon(source: Source, reason: LossReason): Promise<void> {
    const { attempt } = source;
    await this.#tell(attempt, async () => {
      await this.#writer.close(source);
      if (reason === "lock_lost") this.#intake.forget(attempt);
      else await this.#letGo(attempt, "log_lost");
      if (reason === "fenced") await this.#spend(source);
    });
  }

  /** Leave: nothing is renewed, written or insisted on. Attempts still open are taken up by others. */
  async close(): Promise<void> {
    this.#watch.close();
    // A claim that is answered only now is handed back, which takes patience.
    await this.#intake.settle();
    this.#patience.abort();
    this.#writer.shutdown();
    await Promise.all([this.#presence.leave(), this.#intake.close()]);
    for (const redis of [this.#redis, this.#subscriber, this.#blocking]) redis.disconnect();
  }

  /** Have what the attempt has cost counted, where its job was cancelled: nobody else knows. */
  async #spend({ attempt: { job, epoch }, gpuMs }: Source): Promise<void> {
    if (gpuMs <= 0) return;
    const spendKeys = [keys.entry(job), keys.outbox(this.#code)];
    await insist(() => spend(this.#redis, spendKeys, [job, epoch, gpuMs]), this.#insistence);
  }

  /** Slots that are free while Redis has room for what they would write. */
  async #whenStartable(slots: Slots, signal: AbortSignal): Promise<number> {
    const free = await slots.whenFree(signal);
    await this.#watch.whenStartable(signal);
    return signal.aborted ? 0 : free;
  }

  /**
   * Tell Redis what becomes of an attempt. Where that fails for good the job is let go of all the
   * same: its lock runs out, and the next claim takes it; held on to, it would be nobody's for ever.
   */
  async #tell<Answer>(attempt: Attempt, telling: () => Promise<Answer>): Promise<Answer> {
    try {
      return await telling();
    } catch (error) {
      this.#intake.forget(attempt);
      throw error;
    }
  }

  async #writeEnd(source: Source, ending: Ending): Promise<1 | 0 | -1 | -2 | -3> {
    const { job, epoch, token } = source.attempt;
    const { index, items } = await this.#writer.conclude(source, ending.items);
    const args = [
      job,
      keys.slot(this.#code),
      epoch,
      token,
      index,
      ending.status,
      JSON.stringify(ending.outcome),
      ...items.flatMap(({ type, data }) => [type, data]),
    ];
    return insist(() => finish(this.#redis, endingKeys(job), args), this.#insistence);
  }

  /**
   * Give the job back where that is this attempt's to do. What Redis lost of its output another
   * makes anew, also where the claim itself is lost, and only the queue still says whose the job is.
   */
  async #letGo(
    attempt: Claim,
    reason: ReleaseReason | "log_lost",
    {
      failure = null,
      gpuMs = 0,
    }: { readonly failure?: ErrorCode | null; readonly gpuMs?: number } = {},
  ): Promise<void> {
    const { job, epoch, token } = attempt;
    const releaseKeys = [keys.entry(job), keys.deadline(this.#code)];
    const isBurned = failure === null ? "" : "1";
    const args = [job, epoch, token, reason, isBurned, failure ?? "", gpuMs];
    const code = await insist(() => release(this.#redis, releaseKeys, args), this.#insistence);
    // Fenced or gone: the ledger has other plans for the job, and the queue need not keep it.
    if (code === 1) await this.#intake.handBack(attempt);
    else await this.#intake.acknowledge(attempt);
  }
}

/** One for commands, one for messages, one that waits for jobs. */
interface Connections {
  readonly redis: Redis;
  readonly subscriber: Redis;
  readonly blocking: Redis;
}

/** A name that people can trace to its process, and that no other worker has. */
function newWorkerName({ name }: WorkerBrokerOptions): string {
  const random = randomBytes(RANDOM_NAME_BYTES).toString("hex");
  return `w-${name.replaceAll(/[^\w.-]/g, "-").slice(0, LONGEST_NAME)}-${random}`;
}
