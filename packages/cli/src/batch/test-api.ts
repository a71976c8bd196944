import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

import { newBatchId, newFileId, type Batch, type FileObject } from "@headrace/contract";
import { z } from "zod";

/** Answers a request instead of the server. @returns whether it did */
type Intruder = (request: IncomingMessage, response: ServerResponse) => boolean;

const inputLineSchema = z.looseObject({ custom_id: z.string() });
const formSchema = z.looseObject({ input_file_id: z.string(), endpoint: z.string() });
const PROGRESS = {
  tokens: 70,
  tokens_per_second: 10,
  lines_per_second: 1,
  eta_seconds: 7,
  cost: null,
  bottleneck: "engine",
  waiting_for: null,
} as const;

/**
 * The API's part on files and batches, as a test wants it: each line of what is uploaded is answered
 * by its own `custom_id`, the last line first; the first look at a batch finds it half done.
 */
export class TestApi {
  readonly url: string;
  /** Method and path of every request so far. */
  readonly calls: string[] = [];
  /** What was uploaded, by file id: its SHA-256 and size, and unless it is large its text. */
  readonly uploads = new Map<string, { sha256: string; sizeBytes: number; text: string }>();
  readonly batches = new Map<string, Batch>();
  /** These get no answer. */
  failing: readonly string[] = [];
  /** How batches end. */
  end: "completed" | "expired" | "failed" = "completed";
  intrude: Intruder = () => false;
  /** What becomes of a batch at the second look. */
  finish: (batch: Batch) => Batch = (batch) => this.#finish(batch, this.#idsOf(batch));
  readonly #files = new Map<string, string>();
  readonly #keys = new Map<string, string>();
  readonly #looks = new Map<string, number>();

  private constructor(url: string) {
    this.url = url;
  }

  /** Start one. @returns it, and what stops it */
  static async start(): Promise<{ readonly api: TestApi; readonly stop: () => void }> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const api = new TestApi(`http://127.0.0.1:${port}`);
    server.on("request", (request, response) => void api.#answer(request, response));
    const stop = (): void => {
      server.close();
      server.closeAllConnections();
    };
    return { api, stop };
  }

  /** Answer what a file is. */
  tellOfFile(response: ServerResponse, id: string, bytes: number): void {
    json(response, 200, toFile(id, bytes));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? "/", this.url);
    this.calls.push(`${request.method} ${pathname}`);
    if (this.intrude(request, response)) return;
    if (pathname === "/v1/models") {
      const model = { id: "m", object: "model", created: 1, owned_by: "h", max_model_len: null };
      return json(response, 200, { object: "list", data: [model] });
    }
    if (request.method === "GET" && pathname === "/v1/batches") {
      const page = { data: [], first_id: null, last_id: null, has_more: false };
      return json(response, 200, { object: "list", ...page });
    }
    if (request.method === "POST" && pathname === "/v1/files") return this.#take(request, response);
    if (request.method === "POST" && pathname === "/v1/batches") {
      return this.#make(request, response);
    }
    const [, , kind, id = "", rest] = pathname.split("/");
    if (kind === "files")
      return this.#give(request, response, { id, isContent: rest === "content" });
    if (kind === "batches" && rest === "results") return this.#results(id, response);
    if (kind === "batches") return this.#look(id, response);
    refuse(response, "not_found");
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { sha256, sizeBytes, text } = await readFile(request);
    const id = newFileId();
    this.uploads.set(id, { sha256, sizeBytes, text });
    json(response, 200, toFile(id, sizeBytes));
  }

  async #make(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    const { input_file_id: fileId, endpoint } = formSchema.parse(JSON.parse(body));
    const key = String(request.headers["idempotency-key"]);
    const id = this.#keys.get(key) ?? newBatchId();
    this.#keys.set(key, id);
    const made = toBatch(id, fileId, endpoint);
    if (!this.batches.has(id)) this.batches.set(id, made);
    json(response, 200, this.batches.get(id) ?? made);
  }

  #look(id: string, response: ServerResponse): void {
    const batch = this.batches.get(id);
    if (batch === undefined) return refuse(response, "batch_not_found");
    const looks = (this.#looks.get(id) ?? 0) + 1;
    this.#looks.set(id, looks);
    const ids = this.#idsOf(batch);
    if (looks === 1) {
      const counts = { total: ids.length, completed: Math.floor(ids.length / 2), failed: 0 };
      return json(response, 200, { ...batch, status: "in_progress", request_counts: counts });
    }
    if (batch.completed_at === null) this.batches.set(id, this.finish(batch));
    json(response, 200, this.batches.get(id) ?? batch);
  }

  #idsOf({ input_file_id: fileId }: Batch): string[] {
    const lines =
      this.uploads
        .get(fileId)
        ?.text.split("\n")
        .filter((line) => line !== "") ?? [];
    return lines.map((line) => inputLineSchema.parse(JSON.parse(line)).custom_id);
  }

  #finish(batch: Batch, ids: readonly string[]): Batch {
    if (this.end === "failed") {
      const fault = { code: "model_not_found", line: 2, message: "no such model", param: "model" };
      return { ...batch, status: "failed", errors: { object: "list", data: [fault] } };
    }
    const failed = ids.filter((id) => this.failing.includes(id));
    const answered = ids.filter((id) => !this.failing.includes(id));
    const counts = { total: ids.length, completed: answered.length, failed: failed.length };
    return {
      ...batch,
      status: this.end,
      completed_at: 9,
      output_file_id: this.#keep(answered.toReversed().map(answerOf)),
      error_file_id: this.#keep(failed.toReversed().map(failureOf)),
      request_counts: counts,
    };
  }

  #keep(lines: readonly string[]): string | null {
    if (lines.length === 0) return null;
    const id = newFileId();
    this.#files.set(id, `${lines.join("\n")}\n`);
    return id;
  }

  #give(
    request: IncomingMessage,
    response: ServerResponse,
    { id, isContent }: { readonly id: string; readonly isContent: boolean },
  ): void {
    const content = Buffer.from(this.#files.get(id) ?? "");
    if (!isContent) return json(response, 200, toFile(id, content.length));
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    response.writeHead(from === 0 ? 200 : 206);
    response.end(content.subarray(from));
  }

  #results(id: string, response: ServerResponse): void {
    const { output_file_id: output, error_file_id: error } = this.batches.get(id) ?? {};
    response.writeHead(200);
    response.end((this.#files.get(output ?? "") ?? "") + (this.#files.get(error ?? "") ?? ""));
  }
}

/** The line that answers a request. */
export function answerOf(customId: string): string {
  const message = { role: "assistant", content: `answer to ${customId}` };
  const body = { choices: [{ index: 0, message, finish_reason: "stop" }] };
  const response = { status_code: 200, request_id: "r", body };
  return JSON.stringify({
    id: `batch_req_${customId}`,
    custom_id: customId,
    response,
    error: null,
  });
}

function failureOf(customId: string): string {
  const error = { code: "batch_expired", message: "too late" };
  return JSON.stringify({
    id: `batch_req_${customId}`,
    custom_id: customId,
    response: null,
    error,
  });
}

/** Larger files are not kept: they test memory, not text. */
const LARGEST_KEPT_BYTES = 1_048_576;

/** Read the file of a form, which is its last part, without holding a large one. */
async function readFile(
  request: IncomingMessage,
): Promise<{ readonly sha256: string; readonly sizeBytes: number; readonly text: string }> {
  const boundary = /boundary=(.+)$/.exec(request.headers["content-type"] ?? "")?.[1] ?? "";
  const end = Buffer.from(`\r\n--${boundary}--`);
  const digest = createHash("sha256");
  let held: Buffer = Buffer.alloc(0);
  let isInFile = false;
  let text = "";
  let sizeBytes = 0;
  const pass = (piece: Buffer): void => {
    digest.update(piece);
    sizeBytes += piece.length;
    text = sizeBytes <= LARGEST_KEPT_BYTES ? text + piece.toString() : "";
  };
  for await (const chunk of request) {
    held = Buffer.concat([held, Buffer.from(chunk)]);
    const head = isInFile ? -1 : held.indexOf("\r\n\r\n", held.indexOf('filename="'));
    if (head !== -1 && held.includes('filename="')) {
      isInFile = true;
      held = held.subarray(head + 4);
    }
    if (!isInFile || held.length < 2 * end.length) continue;
    pass(held.subarray(0, -2 * end.length));
    held = held.subarray(-2 * end.length);
  }
  pass(held.subarray(0, held.indexOf(end)));
  return { sha256: digest.digest("hex"), sizeBytes, text };
}

function toFile(id: string, bytes: number): FileObject {
  return {
    id,
    object: "file",
    bytes,
    created_at: 1,
    expires_at: null,
    filename: "f.jsonl",
    purpose: "batch",
    status: "processed",
    status_details: null,
  };
}

function toBatch(id: string, fileId: string, endpoint: string): Batch {
  const none = { in_progress_at: null, finalizing_at: null, completed_at: null, failed_at: null };
  const gone = { expired_at: null, cancelling_at: null, cancelled_at: null };
  return {
    id,
    object: "batch",
    endpoint: z.literal("/v1/chat/completions").parse(endpoint),
    model: "m",
    errors: null,
    input_file_id: fileId,
    completion_window: "24h",
    status: "validating",
    output_file_id: null,
    error_file_id: null,
    created_at: 1,
    expires_at: 86_401,
    ...none,
    ...gone,
    request_counts: { total: 0, completed: 0, failed: 0 },
    usage: null,
    metadata: null,
    progress: PROGRESS,
  };
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

function refuse(response: ServerResponse, code: string, status = 404): void {
  const error = { message: `this is ${code}`, type: "invalid_request_error", param: null, code };
  json(response, status, { error });
}
