import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text as readText } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";

import {
  BatchBroker,
  BatchRegistry,
  FileRegistry,
  objectOfFile,
  type BatchRecord,
  type NewBatch,
} from "@headrace/broker";
import {
  batchOutputLineSchema,
  isTerminalBatch,
  newFileId,
  type BatchOutputLine,
  type FileId,
} from "@headrace/contract";
import { createLog, Metrics } from "@headrace/runtime";
import { openObjects } from "@headrace/storage";
import { redisTest } from "@headrace/testkit";

import { Batcher } from "../batcher.ts";
import { BatcherEvents } from "../events.ts";
import type { BatcherTools } from "../tools.ts";
import { BreakableObjects } from "./breakable-objects.ts";
import { MODEL, TestWorker } from "./test-worker.ts";

const READY_MS = 5_000;
const LOOK_MS = 20;

const TENANT = "acme";
const CHAT = "/v1/chat/completions";

/** Makes a line of an input file whose prompt is its id. */
export function line(id: string, more: object = {}): object {
  const body = { model: MODEL, messages: [{ role: "user", content: id }], ...more };
  return { custom_id: id, method: "POST", url: CHAT, body };
}

/** As many lines, whose prompts are their numbers. */
export function lines(count: number): object[] {
  return Array.from({ length: count }, (_, i) => line(String(i)));
}

/** A batcher of the test's own. */
export interface RunningBatcher {
  readonly broker: BatchBroker;
  readonly batcher: Batcher;
  /** What it waited out. */
  readonly troubles: Error[];
  /** Tell it to stop, and wait until it has. */
  readonly stop: () => Promise<void>;
}

/** Batches on a Redis and in a folder of their own, a worker that does as it is told, and batchers. */
export const batcherTest = redisTest
  .extend("folder", async ({}, { onCleanup }) => {
    const folder = await mkdtemp(join(tmpdir(), "headrace-batcher-test-"));
    onCleanup(() => rm(folder, { recursive: true, force: true }));
    return folder;
  })
  .extend(
    "objects",
    async ({ folder }) =>
      new BreakableObjects(await openObjects(pathToFileURL(join(folder, "objects")).href)),
  )
  .extend("registry", ({ redis }) => new BatchRegistry(redis))
  .extend("worker", async ({ redisServer, redis }, { onCleanup }) => {
    await redis.ping();
    const worker = await TestWorker.start(redisServer.url);
    onCleanup(() => worker.close());
    return worker;
  })
  .extend("startBatcher", async ({ redisServer, redis, objects, folder }, { onCleanup }) => {
    await redis.ping();
    const stops: (() => Promise<void>)[] = [];
    onCleanup(async () => {
      await Promise.all(stops.map((stop) => stop()));
    });
    return async (
      choices: Partial<BatcherTools> & { readonly mostBatches?: number } = {},
    ): Promise<RunningBatcher> => {
      const { mostBatches = 4, ...chosen } = choices;
      const troubles: Error[] = [];
      const report = (error: Error): void => void troubles.push(error);
      const broker = new BatchBroker({ redisUrl: redisServer.url, durability: "redis", report });
      await broker.assertReady(READY_MS);
      const log = createLog("batcher", "silent");
      const wiring = { report, countRunning: () => batcher.runningCount };
      const events = new BatcherEvents(new Metrics("batcher"), log, wiring);
      const batcher: Batcher = new Batcher(
        {
          broker,
          objects,
          events,
          mostLines: 50_000,
          scratchFolder: folder,
          gpuHourPrice: 0,
          ...chosen,
        },
        mostBatches,
      );
      const stopping = new AbortController();
      const running = batcher.run(stopping.signal);
      const stop = async (): Promise<void> => {
        stopping.abort();
        await running;
        await broker.close();
      };
      stops.push(stop);
      return { broker, batcher, troubles, stop };
    };
  })
  .extend(
    "upload",
    async ({ redis, objects }) =>
      async (content: Uint8Array, tenant = TENANT): Promise<FileId> => {
        const files = new FileRegistry(redis);
        const id = newFileId();
        await files.begin(id);
        const { sizeBytes } = await objects.put(objectOfFile(id), content);
        const spec = { key: "root", filename: "prompts.jsonl", purpose: "batch" as const };
        await files.create({ ...spec, id, tenant, sizeBytes, lifetimeMs: null });
        return id;
      },
  )
  .extend(
    "create",
    async ({ registry, upload }) =>
      async (
        content: readonly object[] | Uint8Array,
        choices: Partial<NewBatch> = {},
      ): Promise<BatchRecord> => {
        const bytes =
          content instanceof Uint8Array
            ? content
            : Buffer.from(content.map((each) => `${JSON.stringify(each)}\n`).join(""));
        const tenant = choices.tenant ?? TENANT;
        const inputFile = await upload(bytes, tenant);
        const { batch } = await registry.create({ ...plainBatch, ...choices, inputFile });
        return batch;
      },
  )
  .extend(
    "when",
    ({ registry }) =>
      async (
        { tenant, id }: BatchRecord,
        condition: (batch: BatchRecord) => boolean,
      ): Promise<BatchRecord> => {
        while (true) {
          const batch = await registry.get(tenant, id);
          if (condition(batch)) return batch;
          await delay(LOOK_MS);
        }
      },
  )
  .extend(
    "whenEnded",
    ({ when }) =>
      (batch: BatchRecord): Promise<BatchRecord> =>
        when(batch, ({ status }) => isTerminalBatch(status)),
  )
  .extend("read", ({ objects }) => async (file: FileId | null): Promise<BatchOutputLine[]> => {
    if (file === null) return [];
    const { body } = await objects.read(objectOfFile(file));
    const text = await readText(body);
    const written = text.split("\n").slice(0, -1);
    return written.map((each) => batchOutputLineSchema.parse(JSON.parse(each)));
  });

const plainBatch: Omit<NewBatch, "inputFile"> = {
  tenant: TENANT,
  key: "root",
  weight: 1,
  limits: null,
  endpoint: CHAT,
  completionWindow: "24h",
  windowMs: 86_400_000,
  metadata: null,
  outputLifetimeMs: null,
  idempotency: null,
};

/** The ids of lines, in order. */
export function idsOf(written: readonly BatchOutputLine[]): string[] {
  return written.map(({ custom_id: id }) => id).toSorted();
}
