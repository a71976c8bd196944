import { objectOfFile, type FileRecord } from "@headrace/broker";
import {
  DEFAULT_FILE_SECONDS,
  fileExpirySchema,
  filePurposeSchema,
  findFileId,
  newFileId,
  PlatformError,
  type FileDeleted,
  type FileId,
  type FileList,
} from "@headrace/contract";
import { validate } from "@headrace/endpoints";
import { z } from "zod";

import { sendJson, type Headers } from "../answer.ts";
import { handlersOf, type Answer } from "../handler.ts";
import { toPage } from "../page.ts";
import { boundByIdleness } from "../body-deadline.ts";
import type { Caller } from "../caller.ts";
import { pathParameter, type Exchange, type Route } from "../exchange.ts";
import type { Services } from "../services.ts";
import { readRange } from "./byte-range.ts";
import { toDisposition, toFile } from "./file-view.ts";
import { sendObjects } from "./send-objects.ts";
import { receiveUpload, type Upload } from "./upload.ts";

const LARGEST_PAGE = 10_000;
const LONGEST_FILENAME = 255;
const MS_PER_SECOND = 1_000;

/** OpenAI's files API. */
export function fileRoutes(services: Services): Route[] {
  const handle = handlersOf(services);
  return [
    {
      path: "/v1/files",
      streamsBody: true,
      isUnlimited: true,
      methods: { POST: handle(createFile), GET: handle(listFiles) },
    },
    { path: "/v1/files/{id}", methods: { GET: handle(readFile), DELETE: handle(deleteFile) } },
    { path: "/v1/files/{id}/content", isHeldOpen: true, methods: { GET: handle(readContent) } },
  ];
}

const uploadFormSchema = z
  .strictObject({
    purpose: z.literal("batch", 'expected "batch": files are taken as the input of batches'),
    "expires_after[anchor]": fileExpirySchema.shape.anchor.optional(),
    "expires_after[seconds]": z
      .string()
      .regex(/^\d{1,9}$/, "expected a whole number")
      .transform(Number)
      .pipe(fileExpirySchema.shape.seconds)
      .optional(),
  })
  .refine(
    (form) => "expires_after[anchor]" in form === "expires_after[seconds]" in form,
    "expires_after: expected both anchor and seconds",
  );
const filenameSchema = z.string().min(1).max(LONGEST_FILENAME);

const listQuerySchema = z.strictObject({
  purpose: filePurposeSchema.optional(),
  limit: z
    .string()
    .regex(/^\d{1,9}$/, "expected a whole number")
    .transform(Number)
    .pipe(z.number().min(1).max(LARGEST_PAGE))
    .default(LARGEST_PAGE),
  order: z.enum(["asc", "desc"]).default("desc"),
  after: z.string().optional(),
});

/** A file's bytes are stored first, its record is made when all of them are, and nothing is left else. */
const createFile: Answer = async ({ broker, fileStore, patience }, exchange, caller) => {
  const { tenant, keyId } = caller;
  const { objects, limitBytes, uploads } = fileStore;
  uploads.take(tenant);
  const id = newFileId();
  try {
    await broker.files.begin(id);
    const upload = await receiveUpload(exchange.request, {
      limitBytes,
      onProgress: boundByIdleness(exchange.request, patience.uploadIdleMs),
      store: (body, signal) => objects.put(objectOfFile(id), body, { signal }),
    });
    const { filename, lifetimeMs } = readForm(upload);
    const { sizeBytes } = upload;
    const spec = { key: keyId, filename, purpose: "batch", sizeBytes } as const;
    const record = await broker.files.create({ id, tenant, lifetimeMs, ...spec });
    sendJson(exchange, 200, { body: toFile(record) });
  } catch (error) {
    await removeObject({ broker, fileStore }, id);
    throw error;
  } finally {
    uploads.give(tenant);
  }
};

const listFiles: Answer = async ({ broker }, exchange, { tenant }) => {
  const query = validate(listQuerySchema, { ...exchange.request.query });
  const after = query.after === undefined ? null : findFileId(query.after);
  if (after === null && query.after !== undefined) throw unknownFile(query.after, "after");
  const { files, hasMore } = await broker.files.list(tenant, {
    purpose: query.purpose ?? null,
    isNewestFirst: query.order === "desc",
    limit: query.limit,
    after,
  });
  const data = files.map(toFile);
  const body: FileList = toPage(data, hasMore);
  sendJson(exchange, 200, { body });
};

const readFile: Answer = async (services, exchange, caller) => {
  sendJson(exchange, 200, { body: toFile(await findFile(services, exchange, caller)) });
};

const deleteFile: Answer = async (services, exchange, { tenant }) => {
  const id = idOf(exchange);
  await services.broker.files.delete(tenant, id);
  await removeObject(services, id);
  const body: FileDeleted = { id, object: "file", deleted: true };
  sendJson(exchange, 200, { body });
};

const readContent: Answer = async (services, exchange, caller) => {
  const { fileStore, patience } = services;
  const record = await findFile(services, exchange, caller);
  const { sizeBytes } = record;
  const range = sizeBytes === 0 ? null : readRange(exchange.request.headers.range, sizeBytes);
  fileStore.downloads.take(caller.tenant);
  try {
    const { body } = await fileStore.objects.read(
      objectOfFile(record.id),
      range === null ? {} : { range },
    );
    const length = range === null ? sizeBytes : range.end - range.start + 1;
    const part: Headers =
      range === null ? {} : { "content-range": `bytes ${range.start}-${range.end}/${sizeBytes}` };
    await sendObjects(exchange, {
      status: range === null ? 200 : 206,
      headers: {
        "content-type": "application/octet-stream",
        "content-length": String(length),
        "content-disposition": toDisposition(record),
        "accept-ranges": "bytes",
        ...part,
      },
      bodies: only(body),
      drainMs: patience.drainMs,
    });
  } finally {
    fileStore.downloads.give(caller.tenant);
  }
};

async function* only<Item>(item: Item): AsyncGenerator<Item> {
  yield item;
}

function readForm({ fields, filename }: Upload): {
  readonly filename: string;
  readonly lifetimeMs: number;
} {
  const form = validate(uploadFormSchema, fields);
  const seconds = form["expires_after[seconds]"] ?? DEFAULT_FILE_SECONDS;
  return {
    filename: validate(filenameSchema, filename, "file.filename"),
    lifetimeMs: seconds * MS_PER_SECOND,
  };
}

/** What cannot be removed now is swept by the batcher. */
async function removeObject(
  { broker, fileStore }: Pick<Services, "broker" | "fileStore">,
  id: FileId,
): Promise<void> {
  try {
    await fileStore.objects.delete(objectOfFile(id));
    await broker.files.forgetObject(id);
  } catch {
    // That it is to be removed is written down.
  }
}

async function findFile(
  { broker }: Services,
  exchange: Exchange,
  { tenant }: Caller,
): Promise<FileRecord> {
  return broker.files.get(tenant, idOf(exchange));
}

function idOf(exchange: Exchange): FileId {
  const text = pathParameter(exchange, "id");
  const id = findFileId(text);
  if (id === null) throw unknownFile(text);
  return id;
}

function unknownFile(id: string, param?: string): PlatformError {
  const options = param === undefined ? {} : { param };
  return new PlatformError("file_not_found", `there is no file ${id}`, options);
}
