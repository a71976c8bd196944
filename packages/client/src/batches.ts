import {
  batchListSchema,
  batchSchema,
  fileDeletedSchema,
  fileListSchema,
  fileSchema,
  isTerminalBatch,
  type Batch,
  type BatchForm,
  type BatchList,
  type FileDeleted,
  type FileExpiry,
  type FileList,
  type FileObject,
  type FilePurpose,
} from "@headrace/contract";

import { writeMultipart, type Multipart } from "./multipart.ts";
import { Outage, pause } from "./timing.ts";
import { Deadline, type Transport } from "./transport.ts";

const FILES = "/v1/files";
const BATCHES = "/v1/batches";
/** How often a batch is looked at that is waited for: at first more often, since it may be small. */
const FIRST_LOOK_MS = 200;
const LOOK_MS = 2_000;

/** What every call takes: aborting the signal rejects with the signal's reason. */
interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** A file to upload. */
export interface FileUpload {
  /**
   * Bytes that come one by one are sent as they come, and no faster read than sent: `createReadStream`
   * of `node:fs` gives them of a file that is not in memory. A browser sends a Blob.
   */
  readonly content: Blob | AsyncIterable<Uint8Array>;
  readonly filename: string;
  /** How long it is kept; 30 days unless given. */
  readonly expiresAfter?: FileExpiry | undefined;
}

/** Which files to list. */
export interface FileQuery {
  readonly purpose?: FilePurpose | undefined;
  readonly order?: "asc" | "desc" | undefined;
  /** Files per page, 1 to 10,000. */
  readonly limit?: number | undefined;
  /** Id of the last file of the page before. */
  readonly after?: string | undefined;
}

/** Which page of batches. */
export interface BatchQuery {
  /** Batches per page, 1 to 100. */
  readonly limit?: number | undefined;
  /** Id of the last batch of the page before. */
  readonly after?: string | undefined;
}

/** Files: the input of batches, and what these have written. Calls fail as those of `Headrace` do. */
export class Files {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Upload a file as the input of batches. Tried once only, and for as long as it takes: who sees it
   * fail may upload it again, since of an upload that failed nothing is kept.
   *
   * @throws HeadraceError `request_too_large`, `share_exceeded`, `storage_unconfigured`, …
   */
  async upload(file: FileUpload, { signal }: CallOptions = {}): Promise<FileObject> {
    const call = { method: "POST", path: FILES, signal } as const;
    return this.#transport.sendForm(call, toForm(file), fileSchema);
  }

  /** Get one page of files, newest first unless asked otherwise. */
  async list(query: FileQuery = {}, { signal }: CallOptions = {}): Promise<FileList> {
    const call = { method: "GET", path: FILES, query: { ...query }, signal } as const;
    return this.#transport.json(call, fileListSchema);
  }

  /** @throws HeadraceError `file_not_found` */
  async get(id: string, { signal }: CallOptions = {}): Promise<FileObject> {
    return this.#transport.json({ method: "GET", path: filePath(id), signal }, fileSchema);
  }

  /** Delete a file. @throws HeadraceError `file_not_found`, also when an earlier try did; `file_in_use` */
  async delete(id: string, { signal }: CallOptions = {}): Promise<FileDeleted> {
    return this.#transport.json(
      { method: "DELETE", path: filePath(id), signal },
      fileDeletedSchema,
    );
  }

  /**
   * Read a file as it comes.
   *
   * @param from the first byte to read, where an earlier read broke off
   * @throws HeadraceError `file_not_found`, `range_not_satisfiable` at the end, or, from the stream,
   *   of a connection that broke or was silent
   */
  content(
    id: string,
    { from = 0, signal }: CallOptions & { readonly from?: number } = {},
  ): AsyncGenerator<Uint8Array> {
    const headers = from === 0 ? {} : { range: `bytes=${from}-` };
    return readBody(this.#transport, { path: `${filePath(id)}/content`, headers, signal });
  }
}

function toForm({ content, filename, expiresAfter }: FileUpload): FormData | Multipart {
  const expiry =
    expiresAfter === undefined
      ? {}
      : {
          "expires_after[anchor]": expiresAfter.anchor,
          "expires_after[seconds]": String(expiresAfter.seconds),
        };
  const fields = { purpose: "batch", ...expiry };
  if (!(content instanceof Blob))
    return writeMultipart(fields, { name: "file", filename, content });
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  form.set("file", content, filename);
  return form;
}

/** Batches: a file's lines, each answered. Calls fail as those of `Headrace` do. */
export class Batches {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Have every line of a file answered. Repeating under one key makes one batch, and a key is made up
   * when none is given.
   *
   * @throws HeadraceError `request_invalid`, `file_not_found`, `idempotency_key_reused`, …
   */
  async create(
    form: BatchForm,
    { idempotencyKey, signal }: CallOptions & { readonly idempotencyKey?: string } = {},
  ): Promise<Batch> {
    const key = idempotencyKey ?? globalThis.crypto.randomUUID();
    const headers = { "idempotency-key": key };
    return this.#transport.json(
      { method: "POST", path: BATCHES, headers, body: form, signal },
      batchSchema,
    );
  }

  /** Get one page of batches, newest first. */
  async list(query: BatchQuery = {}, { signal }: CallOptions = {}): Promise<BatchList> {
    const call = { method: "GET", path: BATCHES, query: { ...query }, signal } as const;
    return this.#transport.json(call, batchListSchema);
  }

  /** @throws HeadraceError `batch_not_found` */
  async get(id: string, { signal }: CallOptions = {}): Promise<Batch> {
    return this.#transport.json({ method: "GET", path: batchPath(id), signal }, batchSchema);
  }

  /** Have it end with what it has done. @throws HeadraceError `batch_not_found`, `batch_not_cancellable` */
  async cancel(id: string, { signal }: CallOptions = {}): Promise<Batch> {
    const path = `${batchPath(id)}/cancel`;
    return this.#transport.json({ method: "POST", path, signal }, batchSchema);
  }

  /**
   * Look at a batch, in the end every two seconds, until it has ended. Survives five minutes without a server.
   *
   * @yields the batch as it is then; last, as it ended
   * @throws HeadraceError `batch_not_found`; `connection_failed` and its kind after five minutes
   */
  async *watch(id: string, { signal }: CallOptions = {}): AsyncGenerator<Batch> {
    const outage = new Outage(this.#transport.timing, this.#transport.onRetry);
    for (let looks = 0; ; looks += 1) {
      const batch = await this.#look(id, outage, signal);
      if (batch === null) continue;
      yield batch;
      if (isTerminalBatch(batch.status)) return;
      await pause(Math.min(FIRST_LOOK_MS * 2 ** looks, LOOK_MS), signal);
    }
  }

  async #look(id: string, outage: Outage, signal?: AbortSignal): Promise<Batch | null> {
    try {
      const batch = await this.get(id, { signal });
      outage.end();
      return batch;
    } catch (error) {
      await outage.pause(error, signal);
      return null;
    }
  }

  /** Read what a batch has so far, JSON Lines; once it has ended, its output and then its errors. */
  results(id: string, { signal }: CallOptions = {}): AsyncGenerator<Uint8Array> {
    return readBody(this.#transport, { path: `${batchPath(id)}/results`, headers: {}, signal });
  }
}

/**
 * Read an answer's body as it comes; silence ends it, however long the whole takes.
 *
 * @yields its bytes
 */
async function* readBody(
  transport: Transport,
  call: {
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly signal: AbortSignal | undefined;
  },
): AsyncGenerator<Uint8Array> {
  const { answerMs } = transport.timing;
  const silence = new Deadline(answerMs, "nothing came");
  try {
    const response = await transport.open({ method: "GET", ...call }, silence.signal);
    for await (const chunk of response.body ?? []) {
      silence.restart(answerMs);
      yield chunk;
      silence.restart(answerMs);
    }
  } catch (error) {
    throw transport.explain(error, call.signal);
  } finally {
    silence.clear();
  }
}

function filePath(id: string): string {
  return `${FILES}/${encodeURIComponent(id)}`;
}

function batchPath(id: string): string {
  return `${BATCHES}/${encodeURIComponent(id)}`;
}
