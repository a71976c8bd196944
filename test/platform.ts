import { setTimeout as delay } from "node:timers/promises";

import { findFreePort, RedisServer, type ManagedProcess } from "@headrace/testkit/instruments";
import { z } from "zod";

import { startService, type ServiceOptions } from "./service.ts";

type Environment = Readonly<Record<string, string>>;

/** What a platform has beyond the usual: extra environment, flags, processes. */
export interface PlatformOptions {
  /** redis.conf directives. */
  readonly redis?: Environment;
  readonly engineFlags?: readonly string[];
  readonly ingress?: Environment;
  readonly worker?: Environment;
  /** How many to start with; one if nothing is said. */
  readonly ingresses?: number;
  readonly workers?: number;
}

/** Key of every platform under test. */
export const API_KEY = "hr_test_0123456789abcdef";
/** Where webhooks may be sent beside the Internet: to this machine, where tests listen. */
const RECEIVERS = "127.0.0.1";

/** The whole of Headrace on free ports: redis-server, engine-sim, ingress and workers. */
export class Platform {
  readonly redis: RedisServer;
  readonly #options: PlatformOptions;
  readonly #services: ManagedProcess[] = [];
  #engine: ManagedProcess | null = null;

  private constructor(redis: RedisServer, options: PlatformOptions) {
    this.redis = redis;
    this.#options = options;
  }

  /** Start all of it, and wait until jobs flow. */
  static async start(options: PlatformOptions = {}): Promise<Platform> {
    const { ingresses = 1, workers = 1 } = options;
    const platform = new Platform(await RedisServer.start(options.redis), options);
    try {
      platform.#engine = await platform.#startEngine();
      for (let count = 0; count < ingresses; count += 1) await platform.startIngress();
      for (let count = 0; count < workers; count += 1) await platform.startWorker();
      if (workers > 0) await Promise.all(platform.ingresses.map(whenModelIsKnown));
      return platform;
    } catch (error) {
      await platform.stop();
      throw error;
    }
  }

  get engine(): ManagedProcess {
    return getStarted(this.#engine);
  }

  /** The first ingress. */
  get ingress(): ManagedProcess {
    return getStarted(this.ingresses[0] ?? null);
  }

  /** Every process but Redis, in the order they were started. */
  get services(): readonly ManagedProcess[] {
    return this.#services;
  }

  get ingresses(): readonly ManagedProcess[] {
    return this.#services.filter(({ name }) => name === "ingress");
  }

  get workers(): readonly ManagedProcess[] {
    return this.#services.filter(({ name }) => name === "worker");
  }

  /** Address of the API. */
  get url(): string {
    return this.ingress.url;
  }

  /** Call the API. */
  async call(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = {
      authorization: `Bearer ${API_KEY}`,
      "content-type": "application/json",
      ...Object.fromEntries(new Headers(init.headers)),
    };
    return fetch(new URL(path, this.url), { ...init, headers });
  }

  /** What the engine has counted. */
  async engineCounts(): Promise<z.infer<typeof countsSchema>> {
    const response = await fetch(new URL("/sim/requests", this.engine.url));
    return countsSchema.parse(await response.json());
  }

  /**
   * Start one more ingress on the same Redis, or wherever `environment` says.
   *
   * @param build folder of the source tree it is of; this one if nothing is said
   */
  async startIngress(environment: Environment = {}, build?: string): Promise<ManagedProcess> {
    const { INGRESS_PORT = String(await findFreePort()) } = environment;
    const variables = {
      HEADRACE_API_KEY: API_KEY,
      REDIS_URL: this.redis.url,
      INGRESS_OPERATIONS_PORT: "0",
      WEBHOOKS_ALLOW: RECEIVERS,
      ...this.#options.ingress,
      ...environment,
      INGRESS_PORT,
    };
    const ingress = this.#spawn("ingress", Number(INGRESS_PORT), {
      environment: variables,
      ...(build === undefined ? {} : { build }),
    });
    await ingress.whenReady("/readyz");
    return ingress;
  }

  /**
   * Start one more worker beside the same engine, or wherever `environment` says.
   *
   * @param build folder of the source tree it is of; this one if nothing is said
   */
  async startWorker(environment: Environment = {}, build?: string): Promise<ManagedProcess> {
    const port = await findFreePort();
    const variables = {
      REDIS_URL: this.redis.url,
      ENGINE_URL: this.engine.url,
      WORKER_OPERATIONS_PORT: String(port),
      ...this.#options.worker,
      ...environment,
    };
    const worker = this.#spawn("worker", port, {
      environment: variables,
      ...(build === undefined ? {} : { build }),
    });
    await worker.whenReady("/readyz");
    return worker;
  }

  /** Start one more process that delivers webhooks: to this machine, too, where tests listen. */
  async startWebhooks(environment: Environment = {}): Promise<ManagedProcess> {
    const port = await findFreePort();
    const variables = {
      REDIS_URL: this.redis.url,
      WEBHOOKS_OPERATIONS_PORT: String(port),
      WEBHOOKS_ALLOW: RECEIVERS,
      ...environment,
    };
    const webhooks = this.#spawn("webhooks", port, { environment: variables });
    await webhooks.whenReady("/readyz");
    return webhooks;
  }

  /** Start one more process that runs batches. `environment` must say where their files are. */
  async startBatcher(environment: Environment): Promise<ManagedProcess> {
    const port = await findFreePort();
    const variables = {
      REDIS_URL: this.redis.url,
      BATCHER_OPERATIONS_PORT: String(port),
      ...environment,
    };
    const batcher = this.#spawn("batcher", port, { environment: variables });
    await batcher.whenReady("/readyz");
    return batcher;
  }

  /** End every process, workers before the Redis that they work on. */
  async stop(): Promise<void> {
    await Promise.all(this.#services.map((service) => service.stop()));
    await this.redis.stop();
  }

  async #startEngine(): Promise<ManagedProcess> {
    const port = await findFreePort();
    const flags = ["--port", String(port), ...(this.#options.engineFlags ?? [])];
    const engine = this.#spawn("engine-sim", port, { flags });
    await engine.whenReady("/health");
    return engine;
  }

  #spawn(
    name: string,
    port: number,
    options: Pick<ServiceOptions, "environment" | "flags" | "build">,
  ): ManagedProcess {
    const url = `http://127.0.0.1:${port}`;
    const service = startService({ name, url, ...options });
    this.#services.push(service);
    return service;
  }
}

const countsSchema = z.looseObject({
  started: z.int(),
  completed: z.int(),
  aborted: z.int(),
  running: z.int(),
  tokens_generated: z.int(),
});

function getStarted(service: ManagedProcess | null): ManagedProcess {
  if (service === null) throw new Error("the platform is not started");
  return service;
}

/** An ingress that had looked for models before there were any believes that for a moment. */
async function whenModelIsKnown({ url }: ManagedProcess): Promise<void> {
  const headers = { authorization: `Bearer ${API_KEY}` };
  for (let left = 100; left > 0; left -= 1) {
    const answer = await fetch(`${url}/v1/models`, { headers });
    if (answer.ok && (await answer.text()).includes('"object":"model"')) return;
    await delay(50);
  }
  throw new Error(`${url} knows of no model`);
}
