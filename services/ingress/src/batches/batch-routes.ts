import { createHash } from "node:crypto";

import { objectOfFile, objectsOfBatch, type BatchRecord } from "@headrace/broker";
import {
  batchFormSchema,
  findBatchId,
  findFileId,
  isTerminalBatch,
  PlatformError,
  windowMsOf,
  type BatchId,
  type BatchList,
} from "@headrace/contract";
import { validate } from "@headrace/endpoints";
import { z } from "zod";

import { sendJson } from "../answer.ts";
import { handlersOf, type Answer } from "../handler.ts";
import { toPage } from "../page.ts";
import { mayRead } from "../caller.ts";
import { pathParameter, type Exchange, type Route } from "../exchange.ts";
import { sendObjects } from "../files/send-objects.ts";
import { pageLimitSchema } from "../query.ts";
import { readEmptyBody, readJsonBody } from "../request-body.ts";
import type { Services } from "../services.ts";
import { readIdempotencyKey, toMs } from "../submission-form.ts";
import { toBatch } from "./batch-view.ts";

/** OpenAI's batches API, and a batch's results before its end. */
export function batchRoutes(services: Services): Route[] {
  const handle = handlersOf(services);
  return [
    {
      path: "/v1/batches",
      isUnlimited: true,
      methods: { POST: handle(createBatch), GET: handle(listBatches) },
    },
    { path: "/v1/batches/{id}", methods: { GET: handle(readBatch) } },
    { path: "/v1/batches/{id}/cancel", methods: { POST: handle(cancelBatch) } },
    { path: "/v1/batches/{id}/results", isHeldOpen: true, methods: { GET: handle(readResults) } },
  ];
}

const listQuerySchema = z.strictObject({ limit: pageLimitSchema, after: z.string().optional() });

const createBatch: Answer = async (services, exchange, caller) => {
  const { broker, fileStore, bodyLimitBytes } = services;
  const { request } = exchange;
  assertUnfiltered(services);
  const body = await readJsonBody(request, bodyLimitBytes);
  const form = validate(batchFormSchema, body);
  const key = readIdempotencyKey(request.headers["idempotency-key"]);
  const inputFile = findFileId(form.input_file_id);
  if (inputFile === null) throw unknownInput(form.input_file_id);
  // Without storage nobody could run it.
  fileStore.assertConfigured();
  const { batch, isNew } = await broker.batches.create({
    tenant: caller.tenant,
    key: caller.keyId,
    weight: caller.weight,
    limits: caller.limits,
    endpoint: form.endpoint,
    inputFile,
    completionWindow: form.completion_window,
    windowMs: windowMsOf(form.completion_window),
    metadata: form.metadata ?? null,
    outputLifetimeMs: form.output_expires_after ? toMs(form.output_expires_after.seconds) : null,
    idempotency: key === null ? null : { key, digest: digestOf(form) },
  });
  const headers = isNew ? {} : { "idempotent-replayed": "true" };
  sendJson(exchange, 200, { body: toBatch(batch), headers });
};

/** Lines reach the queue from the batcher, which asks no filter: nothing may pass unseen. */
function assertUnfiltered({ contentFilter }: Services): void {
  if (contentFilter === null) return;
  throw new PlatformError(
    "batches_disabled",
    "this server has a content filter, which sees no lines of batches: send the requests one by one",
  );
}

const listBatches: Answer = async ({ broker }, exchange, { tenant }) => {
  const query = validate(listQuerySchema, { ...exchange.request.query });
  const after = query.after === undefined ? null : findBatchId(query.after);
  if (after === null && query.after !== undefined) throw unknownBatch(query.after, "after");
  const { batches, hasMore } = await broker.batches.list(tenant, { limit: query.limit, after });
  const data = batches.map(toBatch);
  const body: BatchList = toPage(data, hasMore);
  sendJson(exchange, 200, { body });
};

const readBatch: Answer = async ({ broker }, exchange, { tenant }) => {
  sendJson(exchange, 200, { body: toBatch(await broker.batches.get(tenant, idOf(exchange))) });
};

const cancelBatch: Answer = async ({ broker, bodyLimitBytes }, exchange, caller) => {
  await readEmptyBody(exchange.request, bodyLimitBytes);
  const batch = toBatch(await broker.batches.cancel(caller.tenant, idOf(exchange)));
  sendJson(exchange, 200, { body: mayRead(caller) ? batch : { ...batch, metadata: null } });
};

/** What a batch has so far; once it has ended, its output and then its errors. */
const readResults: Answer = async (services, exchange, { tenant }) => {
  const { broker, fileStore, patience } = services;
  const record = await broker.batches.get(tenant, idOf(exchange));
  fileStore.downloads.take(tenant);
  try {
    await sendObjects(exchange, {
      status: 200,
      headers: { "content-type": "application/jsonl", "x-batch-status": record.status },
      bodies: readAll(services, await listResults(services, record)),
      drainMs: patience.drainMs,
    });
  } finally {
    fileStore.downloads.give(tenant);
  }
};

async function listResults({ broker }: Services, record: BatchRecord): Promise<string[]> {
  const { id, tenant, status } = record;
  const segments = isTerminalBatch(status) ? [] : await broker.batches.readSegments(id);
  if (segments.length > 0) return segments.map((name) => objectsOfBatch(id) + name);
  // It may have ended since: then its segments are no longer named, and its files are there.
  const last = isTerminalBatch(status) ? record : await broker.batches.get(tenant, id);
  return [last.outputFile, last.errorFile].flatMap((file) =>
    file === null ? [] : [objectOfFile(file)],
  );
}

async function* readAll(
  { fileStore }: Services,
  objects: readonly string[],
): AsyncGenerator<AsyncIterable<Uint8Array>> {
  for (const object of objects) {
    const { body } = await fileStore.objects.read(object);
    yield body;
  }
}

function digestOf(form: unknown): string {
  return createHash("sha256").update(JSON.stringify(form)).digest("base64url");
}

function idOf(exchange: Exchange): BatchId {
  const text = pathParameter(exchange, "id");
  const id = findBatchId(text);
  if (id === null) throw unknownBatch(text);
  return id;
}

function unknownBatch(id: string, param?: string): PlatformError {
  const options = param === undefined ? {} : { param };
  return new PlatformError("batch_not_found", `there is no batch ${id}`, options);
}

function unknownInput(id: string): PlatformError {
  const options = { param: "input_file_id" };
  return new PlatformError("file_not_found", `there is no file ${id}`, options);
}
