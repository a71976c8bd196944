import { findFreePort, RedisServer, type ManagedProcess } from "@headrace/testkit/instruments";
import { Redis } from "ioredis";

import { startService, type ServiceOptions } from "../service.ts";
import { LoadProcess } from "./load-process.ts";

/** The engine's only model. */
export const MODEL = "headrace-sim-8b";

const API_KEY = "hr_bench_0123456789abcdef";
const JSON_TYPE = { "content-type": "application/json" } as const;

/** What `npm start` tells the processes that batches go through. */
const SMALL_NURSERY = "--max-semi-space-size=8";
const BATCHER_HEAP = "--max-old-space-size=160";

/** What every benchmark is given. */
export interface Bench {
  /** Aborted when the user wants no more. */
  readonly signal: AbortSignal;
  /** Folder for CPU profiles of ingress and worker; null for none. */
  readonly profile: string | null;
  /** Tell the user what is being done. */
  readonly say: (progress: string) => void;
}

/** What a benchmark wants of the platform. */
export interface StackOptions {
  readonly engineFlags?: readonly string[];
  /** More of the worker's environment. */
  readonly worker?: Readonly<Record<string, string>>;
  /** More of the ingress' environment. */
  readonly ingress?: Readonly<Record<string, string>>;
  /** Where files are, for a stack with a batcher; without it there is none. */
  readonly storageUrl?: string;
  /** More of redis.conf. */
  readonly redis?: Readonly<Record<string, string>>;
  /** Done once Redis serves, before anything else is started. */
  readonly prepare?: (server: RedisServer) => Promise<void>;
}

/** Where something that speaks OpenAI's API listens, and what to send with each request. */
export interface Target {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A service, and the path at which it answers 200 once it is ready. */
interface Launch extends ServiceOptions {
  readonly readyPath: string;
}

/**
 * The platform as it really runs, each part a process of its own: Redis, engine, one ingress, one
 * worker. And the processes that put load on it.
 */
export class Stack {
  readonly #bench: Bench;
  readonly #options: StackOptions;
  readonly #server: RedisServer;
  readonly #redis: Redis;
  readonly #services = new Map<string, ManagedProcess>();
  readonly #loads: LoadProcess[] = [];

  private constructor(bench: Bench, options: StackOptions, server: RedisServer) {
    this.#bench = bench;
    this.#options = options;
    this.#server = server;
    this.#redis = new Redis(server.url, { replyMapping: "legacy" });
    // A command that fails rejects; the connection itself has nothing to add.
    this.#redis.on("error", () => {});
  }

  /** Start a platform, measure, and stop all of it, however the measuring ends. */
  static async with<Found>(
    bench: Bench,
    options: StackOptions,
    measure: (stack: Stack) => Promise<Found>,
  ): Promise<Found> {
    bench.signal.throwIfAborted();
    const stack = new Stack(bench, options, await RedisServer.start(options.redis));
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(bench.signal.reason);
    bench.signal.addEventListener("abort", onAbort);
    try {
      bench.signal.throwIfAborted();
      return await Promise.race([stack.#start().then(() => measure(stack)), aborted]);
    } catch (error) {
      throw stack.#explain(error);
    } finally {
      bench.signal.removeEventListener("abort", onAbort);
      await stack.#stop();
    }
  }

  /** The API. */
  get api(): Target {
    const headers = { ...JSON_TYPE, authorization: `Bearer ${API_KEY}` };
    return { url: this.#service("ingress").url, headers };
  }

  /** The engine itself. */
  get engine(): Target {
    return { url: this.#service("engine-sim").url, headers: JSON_TYPE };
  }

  get redisUrl(): string {
    return this.#server.url;
  }

  /** Redis itself, to be killed and started again. */
  get server(): RedisServer {
    return this.#server;
  }

  /** The same Redis, apart from the platform's keys: for what Headrace is compared with. */
  get otherDatabaseUrl(): string {
    return `${this.redisUrl}/1`;
  }

  /** A connection to the platform's Redis. */
  get redis(): Redis {
    return this.#redis;
  }

  /** The process that runs batches. */
  get batcherPid(): number {
    return this.#service("batcher").pid;
  }

  /** Processes of the platform, the engine apart. */
  get pids(): { readonly ingress: number; readonly worker: number; readonly redis: number } {
    return {
      ingress: this.#service("ingress").pid,
      worker: this.#service("worker").pid,
      redis: this.#server.pid,
    };
  }

  /** Start a process that will carry out loads; it ends with the stack. */
  startLoad(): LoadProcess {
    const load = new LoadProcess();
    this.#loads.push(load);
    return load;
  }

  /** End the worker: from now on jobs only queue. Its model stays known. */
  async stopWorker(): Promise<void> {
    await this.#service("worker").stop();
    // Its end is no failure.
    this.#services.delete("worker");
  }

  async #start(): Promise<void> {
    const { profile } = this.#bench;
    const { engineFlags = [], worker = {}, ingress = {}, storageUrl, prepare } = this.#options;
    await prepare?.(this.#server);
    const [engineUrl, ingressUrl, workerUrl] = await Promise.all([freeUrl(), freeUrl(), freeUrl()]);
    await this.#launch({
      name: "engine-sim",
      url: engineUrl,
      readyPath: "/health",
      flags: ["--port", portOf(engineUrl), ...engineFlags],
    });
    await this.#launch({
      name: "ingress",
      url: ingressUrl,
      readyPath: "/readyz",
      profile,
      environment: {
        HEADRACE_API_KEY: API_KEY,
        REDIS_URL: this.redisUrl,
        INGRESS_PORT: portOf(ingressUrl),
        INGRESS_OPERATIONS_PORT: "0",
        ...(storageUrl === undefined ? {} : { STORAGE_URL: storageUrl }),
        ...ingress,
      },
      ...(storageUrl === undefined ? {} : { nodeOptions: [SMALL_NURSERY] }),
    });
    await this.#launch({
      name: "worker",
      url: workerUrl,
      readyPath: "/readyz",
      profile,
      environment: {
        REDIS_URL: this.redisUrl,
        ENGINE_URL: engineUrl,
        WORKER_OPERATIONS_PORT: portOf(workerUrl),
        ...worker,
      },
    });
    if (storageUrl !== undefined) await this.#startBatcher(storageUrl);
  }

  async #startBatcher(storageUrl: string): Promise<void> {
    const url = await freeUrl();
    await this.#launch({
      name: "batcher",
      url,
      readyPath: "/readyz",
      environment: {
        REDIS_URL: this.redisUrl,
        STORAGE_URL: storageUrl,
        BATCHER_OPERATIONS_PORT: portOf(url),
      },
      nodeOptions: [SMALL_NURSERY, BATCHER_HEAP],
    });
  }

  async #launch({ readyPath, ...options }: Launch): Promise<void> {
    // Nobody waits for this start any more, and nobody would stop what it starts.
    this.#bench.signal.throwIfAborted();
    const service = startService(options);
    this.#services.set(options.name, service);
    await service.whenReady(readyPath);
  }

  #service(name: string): ManagedProcess {
    const service = this.#services.get(name);
    if (service === undefined) throw new Error(`${name} is not started`);
    return service;
  }

  /** What fails because a service has died says nothing of why. */
  #explain(error: unknown): unknown {
    const ends = [...this.#services.values()].flatMap((service) => service.findEnd() ?? []);
    return ends.length === 0 ? error : new Error(ends.join("\n"), { cause: error });
  }

  async #stop(): Promise<void> {
    this.#redis.disconnect();
    await Promise.all(this.#loads.map((load) => load.stop()));
    await Promise.all(this.#services.values().map((service) => service.stop()));
    await this.#server.stop();
  }
}

async function freeUrl(): Promise<string> {
  return `http://127.0.0.1:${await findFreePort()}`;
}

function portOf(url: string): string {
  return new URL(url).port;
}
