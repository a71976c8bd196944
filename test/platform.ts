import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

import { findFreePort, RedisServer } from "@headrace/testkit";
import { z } from "zod";

const START_MS = 15_000;
const STOP_MS = 10_000;
const LOOK_MS = 50;
/** Lines of a process' output kept for whoever asks what it said. */
const KEPT_LINES = 2_000;

/** Extra environment for a service, or extra flags for the engine. */
export interface PlatformOptions {
  readonly engineFlags?: readonly string[];
  readonly ingress?: Readonly<Record<string, string>>;
  readonly worker?: Readonly<Record<string, string>>;
}

/** One of the platform's processes, as it really runs. */
export class Service {
  readonly name: string;
  readonly url: string;
  readonly lines: string[] = [];
  readonly #process: ChildProcess;

  constructor(name: string, url: string, child: ChildProcess) {
    this.name = name;
    this.url = url;
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.lines.push(...text.split("\n").filter(Boolean));
        this.lines.splice(0, this.lines.length - KEPT_LINES);
      });
    }
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get hasExited(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  /** Wait for `path` to answer 200. */
  async whenReady(path: string): Promise<void> {
    const deadline = performance.now() + START_MS;
    while (performance.now() < deadline && !this.hasExited) {
      const response = await fetch(new URL(path, this.url)).catch(() => null);
      await response?.body?.cancel();
      if (response?.status === 200) return;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    throw new Error(`${this.name} is not ready:\n${this.lines.slice(-20).join("\n")}`);
  }

  /** Ask it to stop, and wait until it has. @returns its exit code, null when it had to be killed */
  async stop(): Promise<number | null> {
    if (this.hasExited) return this.#process.exitCode;
    const exit = once(this.#process, "exit");
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.signal("SIGKILL"), STOP_MS);
    await exit;
    clearTimeout(timer);
    return this.#process.exitCode;
  }
}

/** Key of every platform under test. */
export const API_KEY = "hr_test_0123456789abcdef";

/** The whole of Headrace on free ports: redis-server, engine-sim, ingress and workers. */
export class Platform {
  readonly redis: RedisServer;
  readonly #options: PlatformOptions;
  readonly #services: Service[] = [];
  #engine: Service | null = null;
  #ingress: Service | null = null;

  private constructor(redis: RedisServer, options: PlatformOptions) {
    this.redis = redis;
    this.#options = options;
  }

  /** Start all of it, and wait until jobs flow. */
  static async start(options: PlatformOptions = {}): Promise<Platform> {
    const platform = new Platform(await RedisServer.start(), options);
    try {
      platform.#engine = await platform.#startEngine();
      platform.#ingress = await platform.startIngress();
      await platform.startWorker();
      return platform;
    } catch (error) {
      await platform.stop();
      throw error;
    }
  }

  get engine(): Service {
    return getStarted(this.#engine);
  }

  get ingress(): Service {
    return getStarted(this.#ingress);
  }

  /** Every process but Redis, in the order they were started. */
  get services(): readonly Service[] {
    return this.#services;
  }

  get workers(): readonly Service[] {
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

  /** Start one more ingress on the same Redis. */
  async startIngress(): Promise<Service> {
    const port = await findFreePort();
    const ingress = this.#spawn("ingress", port, {
      HEADRACE_API_KEY: API_KEY,
      REDIS_URL: this.redis.url,
      INGRESS_PORT: String(port),
      INGRESS_OPERATIONS_PORT: "0",
      ...this.#options.ingress,
    });
    await ingress.whenReady("/readyz");
    return ingress;
  }

  /** Start one more worker beside the same engine. */
  async startWorker(): Promise<Service> {
    const port = await findFreePort();
    const worker = this.#spawn("worker", port, {
      REDIS_URL: this.redis.url,
      ENGINE_URL: this.engine.url,
      WORKER_OPERATIONS_PORT: String(port),
      ...this.#options.worker,
    });
    await worker.whenReady("/readyz");
    return worker;
  }

  /** End every process, workers before the Redis that they work on. */
  async stop(): Promise<void> {
    await Promise.all(this.#services.map((service) => service.stop()));
    await this.redis.stop();
  }

  async #startEngine(): Promise<Service> {
    const port = await findFreePort();
    const flags = ["--port", String(port), ...(this.#options.engineFlags ?? [])];
    const engine = this.#spawn("engine-sim", port, {}, flags);
    await engine.whenReady("/health");
    return engine;
  }

  #spawn(
    name: string,
    port: number,
    environment: Readonly<Record<string, string>>,
    flags: readonly string[] = [],
  ): Service {
    const main = fileURLToPath(new URL(`../services/${name}/src/main.ts`, import.meta.url));
    const child = spawn(process.execPath, [main, ...flags], {
      env: environment,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const service = new Service(name, `http://127.0.0.1:${port}`, child);
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

function getStarted(service: Service | null): Service {
  if (service === null) throw new Error("the platform is not started");
  return service;
}
