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

import { pause } from "./timing.ts";
import { Deadline, type Transport } from "./transport.ts";

const FILES = "/v1/files";
const BATCHES = "/v1/batches";
/** How often a batch is looked at that is waited for. */
const LOOK_MS = 2_000;

/** What every call takes: aborting the signal rejects with the signal's reason. */
interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** A file to upload. */
export interface FileUpload {
  /** Sent as it is read: `openAsBlob` of `node:fs` gives one of a file that is not in memory. */
  readonly content: Blob;
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
    const form = new FormData();
    form.set("purpose", "batch");
    if (file.expiresAfter !== undefined) {
      form.set("expires_after[anchor]", file.expiresAfter.anchor);
      form.set("expires_after[seconds]", String(file.expiresAfter.seconds));
    }
    form.set("file", file.content, file.filename);
    return this.#transport.sendForm({ method: "POST", path: FILES, signal }, form, fileSchema);
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
   * Look at a batch every two seconds, until it has ended.
   *
   * @yields the batch as it is then; last, as it ended
   */
  async *watch(id: string, { signal }: CallOptions = {}): AsyncGenerator<Batch> {
    for (;;) {
      const batch = await this.get(id, { signal });
      yield batch;
      if (isTerminalBatch(batch.status)) return;
      await pause(LOOK_MS, signal);
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
