import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { openObjects } from "@headrace/storage";
import { redisTest } from "@headrace/testkit";

import { Ingress, type IngressConfig } from "../ingress.ts";
import { TestClient } from "./client.ts";
import { LogRecorder } from "./log-recorder.ts";
import { SimulatedWorker } from "./simulated-worker.ts";

export const API_KEY = "hr_test_0123456789abcdef";

/** What the tests of the whole service start with. */
export function testConfig(redisUrl: string, logs: LogRecorder): IngressConfig {
  return {
    host: "127.0.0.1",
    port: 0,
    operationsPort: 0,
    redisUrl,
    durability: "redis",
    apiKey: API_KEY,
    bodyLimitBytes: 600_000,
    objects: null,
    fileLimitBytes: 1_000_000,
    maxStreams: 100,
    metricsPeers: [],
    corsOrigins: [],
    isBehindTls: false,
    defaultModel: null,
    contentFilter: {
      url: null,
      token: null,
      modulePath: null,
      timeoutMs: 2_000,
      passesOnFailure: false,
    },
    log: logs,
    patience: { heartbeatMs: 200, drainMs: 400, graceMs: 400 },
  };
}

/** A vitest `test` with the real service on a free port, a worker, and a client that has the key. */
export const ingressTest = redisTest
  .extend("logs", async ({}) => new LogRecorder())
  .extend("worker", async ({ redisServer, redis }, { onCleanup }) => {
    await redis.ping();
    const worker = await SimulatedWorker.start(redisServer.url);
    onCleanup(() => worker.close());
    return worker;
  })
  .extend("storageFolder", async ({}, { onCleanup }) => {
    const folder = await mkdtemp(join(tmpdir(), "headrace-ingress-"));
    onCleanup(() => rm(folder, { recursive: true, force: true }));
    return folder;
  })
  .extend("objects", async ({ storageFolder }) => openObjects(pathToFileURL(storageFolder).href))
  .extend("ingress", async ({ redisServer, worker: _registered, logs, objects }, { onCleanup }) => {
    const ingress = await Ingress.start({ ...testConfig(redisServer.url, logs), objects });
    onCleanup(() => ingress.close());
    return ingress;
  })
  .extend("otherIngress", async ({ redisServer, worker: _registered, logs }, { onCleanup }) => {
    const ingress = await Ingress.start(testConfig(redisServer.url, logs));
    onCleanup(() => ingress.close());
    return ingress;
  })
  .extend("client", async ({ ingress }) => new TestClient(ingress.port, API_KEY));
