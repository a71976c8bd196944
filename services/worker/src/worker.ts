import { setTimeout as delay } from "node:timers/promises";

import { estimateTokens, WorkerBroker, type Attempt } from "@headrace/broker";
import { PlatformError, type Outcome } from "@headrace/contract";
import { Engine, EngineError, InFlightWindow, type EngineTraits } from "@headrace/engine";
import { createReport, processName, type Log, type Metrics } from "@headrace/runtime";

import { AttemptRun } from "./attempt-run.ts";
import { BatchRoom, type Entry } from "./batch-room.ts";
import type { WorkerConfig } from "./config.ts";
import { EngineHealth } from "./engine-health.ts";
import { WorkerEvents } from "./events.ts";
import { GpuClock } from "./gpu-clock.ts";
import { SlotBoard } from "./slot-board.ts";
import { AttemptLost, Draining, judge, type Verdict } from "./verdict.ts";

/** How often the engine is asked how full it is. */
const LOOK_MS = 500;
/** How often an engine that does not tell how full it is is asked for a sign of life. */
const PAGES_LOOK_MS = 5_000;
/** How often an engine that is not up yet is tried. */
const PROBE_MS = 1_000;
/** How often a drain looks whether the slots are empty. */
const DRAIN_LOOK_MS = 20;
/** How long handing back may take: with Redis away it cannot be done, and the locks run out. */
const HAND_BACK_MS = 2_000;

/** What watches the engine, and until when. */
interface Watch {
  readonly health: EngineHealth;
  readonly signal: AbortSignal;
}

/** Keeps one engine full: takes jobs from its model's queue while it has room, and runs them. */
export class Worker {
  readonly #config: WorkerConfig;
  readonly #log: Log;
  readonly #report: (error: Error) => void;
  readonly #engine: Engine;
  readonly #window: InFlightWindow;
  readonly #board: SlotBoard;
  readonly #batchRoom: BatchRoom;
  readonly #gpu: GpuClock;
  readonly #events: WorkerEvents;
  readonly #runs = new Map<string, AttemptRun>();
  readonly #endings = new Set<Promise<void>>();
  #broker: WorkerBroker | null = null;

  constructor(config: WorkerConfig, log: Log, metrics: Metrics) {
    this.#config = config;
    this.#log = log;
    this.#report = createReport(log);
    this.#engine = new Engine({
      url: config.ENGINE_URL,
      ...(config.ENGINE_API_KEY === undefined ? {} : { apiKey: config.ENGINE_API_KEY }),
      maxConnections: config.WORKER_MAX_IN_FLIGHT,
      connectTimeoutMs: config.ENGINE_CONNECT_TIMEOUT_MS,
      firstTokenTimeoutMs: config.ENGINE_FIRST_TOKEN_TIMEOUT_MS,
      silenceTimeoutMs: config.ENGINE_SILENCE_TIMEOUT_MS,
      maxOutputBytes: config.ENGINE_MAX_OUTPUT_BYTES,
    });
    this.#window = new InFlightWindow({
      maxSize: config.WORKER_MAX_IN_FLIGHT,
      initialSize: config.WORKER_INITIAL_IN_FLIGHT,
    });
    this.#board = new SlotBoard(this.#window);
    this.#batchRoom = new BatchRoom(this.#board);
    this.#gpu = new GpuClock(config.WORKER_GPUS);
    this.#events = new WorkerEvents(metrics, {
      inFlight: () => this.#board.inFlight,
      window: () => this.#window.size,
    });
  }

  /** @throws PlatformError `engine_unavailable` until the engine has been found and jobs flow */
  async assertReady(): Promise<void> {
    if (this.#broker === null) {
      throw new PlatformError(
        "engine_unavailable",
        `waiting for the engine at ${this.#config.ENGINE_URL}`,
      );
    }
    await Promise.resolve();
  }

  /** Work until the signal is aborted, then give back what is still running. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      const traits = await this.#awaitEngine(signal);
      if (traits === null) return;
      const health = new EngineHealth(traits);
      const broker = await this.#open(traits, health);
      const over = new AbortController();
      const until = AbortSignal.any([signal, over.signal]);
      const looking = Promise.all([
        this.#watchLoad(traits, { health, signal: until }),
        traits.hasMetrics ? null : this.#watchPages({ health, signal: until }),
      ]);
      try {
        await broker.run(signal);
        await this.#drain();
      } finally {
        over.abort();
        await looking;
        await broker.close();
      }
    } finally {
      await this.#engine.close();
    }
  }

  /** Wait for an engine that serves a model. @returns null when told to stop before */
  async #awaitEngine(signal: AbortSignal): Promise<EngineTraits | null> {
    while (!signal.aborted) {
      try {
        const traits = await this.#engine.probe(signal);
        if (traits.models.length > 0) return traits;
        this.#report(new Error("the engine lists no model"));
      } catch (error) {
        if (!signal.aborted) this.#report(toError(error));
      }
      await delay(PROBE_MS, undefined, { signal }).catch(() => {});
    }
    return null;
  }

  async #open(traits: EngineTraits, health: EngineHealth): Promise<WorkerBroker> {
    const broker = await WorkerBroker.open(
      {
        redisUrl: this.#config.REDIS_URL,
        name: processName(),
        engine: () => health.state,
        modelNames: traits.models.map(({ id }) => id),
        model: {
          version: this.#config.WORKER_MODEL_VERSION,
          maxModelLength: traits.models[0]?.maxModelLength ?? null,
        },
        hasTokenIds: traits.hasTokenIds,
        report: this.#report,
      },
      {
        whenFree: (signal) => this.#board.whenFree(signal),
        countFree: () => this.#board.countFree(),
        batch: this.#batchRoom,
        start: (attempt) => this.#start(attempt, traits),
        onLockLost: (job) => this.#runs.get(job)?.onLost("lock_lost"),
      },
      // The ledger has the job's end already: to this worker it is lost like any other.
      (job) => this.#runs.get(job)?.stop(new AttemptLost("fenced")),
    );
    this.#broker = broker;
    const { kind, version, hasMetrics, hasTokenIds, models } = traits;
    this.#log.info(
      { engine: kind, version, hasMetrics, hasTokenIds, models: models.map(({ id }) => id) },
      "engine probed",
    );
    return broker;
  }

  async #watchLoad(traits: EngineTraits, { health, signal }: Watch): Promise<void> {
    while (!signal.aborted) {
      await delay(LOOK_MS, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      try {
        const inFlight = this.#board.inFlight;
        const load = traits.hasMetrics ? await this.#engine.load(signal) : null;
        if (traits.hasMetrics) health.answered();
        this.#window.onLoad(load, inFlight, performance.now());
        this.#board.check();
        this.#batchRoom.onLook();
      } catch (error) {
        if (signal.aborted) return;
        health.failed(error);
        this.#report(toError(error));
      }
    }
  }

  /** An engine without gauges is asked for its models, to see whether it still answers. */
  async #watchPages({ health, signal }: Watch): Promise<void> {
    while (!signal.aborted) {
      await delay(PAGES_LOOK_MS, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      try {
        await this.#engine.probe(signal);
        health.answered();
      } catch (error) {
        health.failed(error);
      }
    }
  }

  /** @returns whether it was taken: nothing may start beside a job that may be what kills workers */
  #start(attempt: Attempt, traits: EngineTraits): boolean {
    if (this.#broker === null || this.#board.isReserved) return false;
    this.#board.take();
    if (attempt.isSuspect) this.#board.reserve();
    const stay = this.#batchRoom.enter(toEntry(attempt));
    const run = new AttemptRun(attempt, {
      engine: this.#engine,
      traits,
      broker: this.#broker,
      gpu: this.#gpu,
      onAccepted: () => this.#window.onAccepted(performance.now()),
      onBegun: stay.begin,
      onMore: stay.beat,
    });
    this.#runs.set(attempt.job, run);
    const ending = this.#carryOut(run, this.#broker)
      .catch(this.#report)
      .finally(() => {
        // The job may be in a slot again already: only this run's own place is given up.
        if (this.#runs.get(attempt.job) === run) this.#runs.delete(attempt.job);
        this.#endings.delete(ending);
        if (attempt.isSuspect) this.#board.endReservation();
        this.#board.free();
        stay.leave();
      });
    this.#endings.add(ending);
    return true;
  }

  async #carryOut(run: AttemptRun, broker: WorkerBroker): Promise<void> {
    const generated = await this.#generate(run);
    if ("kind" in generated) return this.#settle(run, broker, generated);
    const outcome = { ...generated.outcome, gpu_ms: run.gpuMs };
    const lost = await broker.finish(run, { status: "completed", outcome, items: run.take() });
    this.#events.attemptEnded(lost === null ? "completed" : "lost");
    if (lost === null && outcome.usage) this.#events.tokensProcessed(outcome.usage);
  }

  /** Have the engine generate. What fails here is judged; a failure to tell Redis is none of the job's. */
  async #generate(run: AttemptRun): Promise<{ readonly outcome: Outcome } | Verdict> {
    try {
      if (run.attempt.isSuspect) await this.#board.whenAlone(run.signal);
      return { outcome: await run.generate() };
    } catch (error) {
      if (error instanceof PlatformError) this.#events.engineFailed(error.code);
      else if (!(error instanceof AttemptLost || error instanceof Draining)) {
        this.#report(toError(error));
      }
      const verdict = judge(error, run.attempt, {
        hasShown: run.hasShown,
        canContinue: run.canContinue,
        maxAttempts: this.#config.WORKER_MAX_ATTEMPTS,
      });
      if (verdict.kind === "hand_back" && verdict.isEngineFull) {
        const retryAfterMs = error instanceof EngineError ? error.retryAfterMs : null;
        this.#window.onFull(performance.now(), retryAfterMs);
      }
      return verdict;
    }
  }

  async #settle(run: AttemptRun, broker: WorkerBroker, verdict: Verdict): Promise<void> {
    switch (verdict.kind) {
      case "lost":
        this.#events.attemptEnded("lost");
        return broker.abandon(run, verdict.reason);
      case "hand_back":
        this.#events.attemptEnded("handed_back");
        return broker.release(run, "handed_back", null);
      case "restart":
        this.#events.attemptEnded("handed_back");
        return broker.release(run, "cannot_continue", null);
      case "retry":
        this.#events.attemptEnded("retried");
        await delay(verdict.pauseMs);
        return broker.release(run, "engine_error", verdict.failure);
      case "fail": {
        const outcome = { error: verdict.error, gpu_ms: run.gpuMs };
        const lost = await broker.finish(run, { status: "failed", outcome, items: run.take() });
        this.#events.attemptEnded(lost === null ? "failed" : "lost");
      }
    }
  }

  /** Let running jobs end for a while, then hand the rest back. */
  async #drain(): Promise<void> {
    const untilMs = performance.now() + this.#config.WORKER_DRAIN_MS;
    while (this.#runs.size > 0 && performance.now() < untilMs) await delay(DRAIN_LOOK_MS);
    const handedBack = this.#runs.size;
    for (const run of this.#runs.values()) run.stop(new Draining());
    await Promise.race([
      Promise.all(this.#endings),
      delay(HAND_BACK_MS, undefined, { ref: false }),
    ]);
    this.#log.info({ handedBack }, "drained");
  }
}

function toEntry({ spec }: Attempt): Entry {
  const { promptTokens } = estimateTokens(spec.endpoint, spec.request);
  return { isBatch: spec.priority === "batch", promptTokens };
}

/** What may be logged of a failure: an engine's own words can quote the prompt. */
function toError(error: unknown): Error {
  if (error instanceof EngineError) return new Error(error.logMessage);
  return error instanceof Error ? error : new Error(String(error));
}
