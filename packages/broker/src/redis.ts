import { PlatformError } from "@headrace/contract";
import { Redis, type RedisOptions } from "ioredis";

/** How long a producer waits for Redis: a submit must answer 503 within 2 s, whatever Redis does. */
const PRODUCER_TIMEOUT_MS = 1_000;
/** How long a worker waits for one reply before it asks again; it holds jobs, so it has patience. */
const WORKER_TIMEOUT_MS = 3_000;
const CONNECT_TIMEOUT_MS = 2_000;
const RECONNECT_STEP_MS = 200;
const RECONNECT_MAX_MS = 1_000;

/** Receives what goes wrong outside any call: connections lost, messages that make no sense. */
export type Report = (error: Error) => void;

/*
 * `enableAutoPipelining` stays off: with BullMQ's scripts and other commands in one batch, ioredis
 * 6.0.0 throws "results[i] is not iterable" where nobody can catch it, and a submit cost 100 to
 * 118 µs with it, 82 to 95 without (2-core cloud machine, 24 November 2026).
 */
const common: RedisOptions = {
  connectTimeout: CONNECT_TIMEOUT_MS,
  retryStrategy: (times) => Math.min(times * RECONNECT_STEP_MS, RECONNECT_MAX_MS),
  // A failover leaves old connections on a replica that refuses writes: reconnect and resend.
  reconnectOnError: (error) => (error.message.startsWith("READONLY") ? 2 : false),
};

/**
 * Connect for a process that answers callers: fails fast, never queues while Redis is away, so that
 * no call outlives its caller and runs later as a ghost.
 */
export function connectProducer(url: string, report: Report): Redis {
  return connect(url, report, {
    commandTimeout: PRODUCER_TIMEOUT_MS,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
  });
}

/** Connect for a process that holds jobs: waits through an outage and resends. */
export function connectWorker(url: string, report: Report): Redis {
  return connect(url, report, { commandTimeout: WORKER_TIMEOUT_MS, maxRetriesPerRequest: null });
}

/** Connect for subscriptions: they may be silent for as long as nothing happens. */
export function connectSubscriber(url: string, report: Report): Redis {
  return connect(url, report, { maxRetriesPerRequest: null });
}

/**
 * Sends what is asked for in one turn of the event loop with one system call, in the same order: of
 * an ingress that takes jobs in, every third microsecond went into writing each command by itself.
 */
class GatheringRedis extends Redis {
  #corked: Redis["stream"] | null = null;

  override sendCommand(...sent: Parameters<Redis["sendCommand"]>): unknown {
    if (this.stream !== this.#corked && this.status === "ready") this.#cork(this.stream);
    return super.sendCommand(...sent);
  }

  #cork(stream: Redis["stream"]): void {
    this.#corked = stream;
    stream.cork();
    setImmediate(() => {
      this.#corked = null;
      stream.uncork();
    });
  }
}

function connect(url: string, report: Report, options: RedisOptions): Redis {
  const redis = new GatheringRedis(url, { ...common, ...options, replyMapping: "legacy" });
  redis.on("error", report);
  return redis;
}

/** Wait until the connection serves commands. @throws PlatformError `queue_unavailable` in time */
export async function whenReady(redis: Redis, timeoutMs: number): Promise<void> {
  if (redis.status === "ready") return;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    const { host, port } = redis.options;
    reject(
      new PlatformError("queue_unavailable", `no Redis at ${host}:${port} within ${timeoutMs} ms`),
    );
  }, timeoutMs);
  redis.once("ready", resolve);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    redis.off("ready", resolve);
  }
}
