import type { Durability } from "@headrace/contract";

import { LOCAL, toUrl } from "./address.ts";
import { nodeProgram, servicePath } from "./child.ts";
import type { PartPlan } from "./part.ts";

/** How long a process of ours may take to get ready, ms: a slow machine under load. */
const READY_MS = 30_000;

/**
 * Where there is memory, V8 would rather grow its heap than collect: without this a batcher that holds
 * 35 MB came to 300.
 */
const SMALL_NURSERY = "--max-semi-space-size=8";
const BATCHER_HEAP = "--max-old-space-size=160";

/** Plan the engine that needs no GPU. */
export function planEngine(port: number): PartPlan {
  // With its own account of each request, so that no stage of a job's time is guessed.
  const args = ["--port", String(port), "--profile", "fast", "--enable-per-request-metrics"];
  return {
    name: "engine",
    program: nodeProgram(servicePath("engine-sim"), args),
    readiness: { line: /"listening"/ },
    readyMs: READY_MS,
  };
}

/** Where a worker and what it works with are. */
export interface WorkerPlace {
  readonly name: string;
  readonly operationsPort: number;
  readonly redisUrl: string;
  readonly engineUrl: string;
}

/** Plan a worker. It is ready once it has found its engine. */
export function planWorker({ name, operationsPort, redisUrl, engineUrl }: WorkerPlace): PartPlan {
  return {
    name,
    program: nodeProgram(servicePath("worker"), [], {
      REDIS_URL: redisUrl,
      ENGINE_URL: engineUrl,
      WORKER_OPERATIONS_HOST: LOCAL,
      WORKER_OPERATIONS_PORT: String(operationsPort),
    }),
    readiness: { url: `${toUrl(LOCAL, operationsPort)}/readyz` },
    readyMs: READY_MS,
    advice: `Does ${engineUrl} answer? It must list its models at ${engineUrl}/v1/models.`,
  };
}

/** Where a webhooks process and what it works with are. */
export interface WebhooksPlace {
  readonly operationsPort: number;
  readonly redisUrl: string;
  /** Receivers that are sent to although they are not on the Internet; null = as the environment says. */
  readonly allow: string | null;
}

/** Plan the process that delivers webhooks. It is ready once it can reach Redis. */
export function planWebhooks({ operationsPort, redisUrl, allow }: WebhooksPlace): PartPlan {
  return {
    name: "webhooks",
    program: nodeProgram(servicePath("webhooks"), [], {
      REDIS_URL: redisUrl,
      WEBHOOKS_OPERATIONS_HOST: LOCAL,
      WEBHOOKS_OPERATIONS_PORT: String(operationsPort),
      ...(allow === null ? {} : { WEBHOOKS_ALLOW: allow }),
    }),
    readiness: { url: `${toUrl(LOCAL, operationsPort)}/readyz` },
    readyMs: READY_MS,
    advice: `Does Redis answer at ${new URL(redisUrl).host}?`,
  };
}

/** Where a batcher and what it works with are. */
export interface BatcherPlace {
  readonly operationsPort: number;
  readonly redisUrl: string;
  readonly durability: Durability;
  /** Where files are kept. */
  readonly storageUrl: string;
}

/** Plan the process that runs batches. It is ready once it can reach Redis. */
export function planBatcher(place: BatcherPlace): PartPlan {
  return {
    name: "batcher",
    program: nodeProgram(
      servicePath("batcher"),
      [],
      {
        HEADRACE_DURABILITY: place.durability,
        REDIS_URL: place.redisUrl,
        STORAGE_URL: place.storageUrl,
        BATCHER_OPERATIONS_HOST: LOCAL,
        BATCHER_OPERATIONS_PORT: String(place.operationsPort),
      },
      [SMALL_NURSERY, BATCHER_HEAP],
    ),
    readiness: { url: `${toUrl(LOCAL, place.operationsPort)}/readyz` },
    readyMs: READY_MS,
    advice: `Does Redis answer at ${new URL(place.redisUrl).host}?`,
  };
}

/** Where the ingress and what it works with are. */
export interface IngressPlace {
  readonly host: string;
  readonly port: number;
  readonly redisUrl: string;
  readonly apiKey: string;
  readonly durability: Durability;
  /** Where files are kept. */
  readonly storageUrl: string;
  /** URLs of the other processes' metrics. */
  readonly metricsPeers: readonly string[];
  /** As `WebhooksPlace` has it. */
  readonly allow: string | null;
}

/** Plan the ingress. It is ready once it can reach Redis. */
export function planIngress(place: IngressPlace): PartPlan {
  return {
    name: "ingress",
    program: nodeProgram(
      servicePath("ingress"),
      [],
      {
        HEADRACE_API_KEY: place.apiKey,
        HEADRACE_DURABILITY: place.durability,
        REDIS_URL: place.redisUrl,
        STORAGE_URL: place.storageUrl,
        INGRESS_HOST: place.host,
        INGRESS_PORT: String(place.port),
        INGRESS_OPERATIONS_PORT: "0",
        INGRESS_METRICS_PEERS: place.metricsPeers.join(","),
        ...(place.allow === null ? {} : { WEBHOOKS_ALLOW: place.allow }),
      },
      [SMALL_NURSERY],
    ),
    readiness: { url: `${toUrl(place.host, place.port)}/readyz` },
    readyMs: READY_MS,
    advice: `Does Redis answer at ${new URL(place.redisUrl).host}?`,
    adviceFits: /Redis (cannot be reached|does not answer)/,
  };
}
