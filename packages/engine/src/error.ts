import { PlatformError, type ErrorCode, type PlatformErrorOptions } from "@headrace/contract";
import { z } from "zod";

/** A user gets at most this much of an engine's own words, in UTF-16 units. */
const MAX_WORDS = 1_000;

export interface EngineErrorOptions extends PlatformErrorOptions {
  /** How long the engine asked to be left alone. */
  readonly retryAfterMs?: number | null;
  /** Default true. */
  readonly wasSent?: boolean;
  /** What a log may say instead of the message. Left out when the message itself may be logged. */
  readonly logMessage?: string;
}

/**
 * Every failure of a call to the engine.
 *
 * Engines quote prompts in their errors, so `message` is for the job's owner alone: a log line, a
 * metric or a span takes `logMessage`, which never holds the engine's own words. For the same
 * reason nothing that quotes the stream (a JSON or HTTP parser's error) becomes a `cause`.
 */
export class EngineError extends PlatformError {
  /** How long the engine asked to be left alone, in milliseconds; null when it did not say. */
  readonly retryAfterMs: number | null;
  /** Whether the request had gone to the engine: if not, no work was begun and none is lost. */
  readonly wasSent: boolean;
  /** Says what happened without quoting the engine. */
  readonly logMessage: string;

  constructor(code: ErrorCode, message: string, options: EngineErrorOptions = {}) {
    const { retryAfterMs = null, wasSent = true, logMessage = message, ...rest } = options;
    super(code, message, rest);
    this.wasSent = wasSent;
    this.retryAfterMs = retryAfterMs;
    this.logMessage = logMessage;
  }
}

/** An engine's answer that is not the one asked for. */
export interface Refusal {
  readonly status: number;
  readonly contentType: string;
  /** The body, which may be JSON, HTML or nothing. */
  readonly body: string;
  readonly retryAfterMs: number | null;
}

/** Turn an engine's refusal into the error its status stands for. */
export function refusalError({ status, contentType, body, retryAfterMs }: Refusal): EngineError {
  if (status >= 400) return wordedError(status, findWords(body), retryAfterMs);
  const logMessage = `the engine answered ${status} with ${contentType || "no content type"}`;
  const said = findWords(body)?.message.slice(0, MAX_WORDS).toWellFormed() ?? "nothing";
  return new EngineError("engine_failed", `${logMessage}: ${said}`, { logMessage });
}

/** Turn the `error` object of an event inside a 200 stream into the error its code stands for. */
export function eventError(error: unknown): EngineError {
  const parsed = wordsSchema.safeParse(error);
  if (parsed.success) {
    const code = Number(parsed.data.code ?? 500);
    return wordedError(Number.isInteger(code) ? code : 500, parsed.data, null);
  }
  return wordedError(500, typeof error === "string" ? { message: error } : null, null);
}

/** An error as vLLM, llama.cpp, Ollama and OpenAI write it. */
const wordsSchema = z.object({
  message: z.string(),
  param: z.string().nullish(),
  code: z.union([z.number(), z.string()]).nullish(),
});
type Words = Pick<z.infer<typeof wordsSchema>, "message" | "param">;

/** `{"error": {…}}` (OpenAI's shape), the bare object (vLLM before 0.10), `{"detail": …}` (FastAPI). */
const bodySchema = z.union([
  z.object({ error: wordsSchema }).transform(({ error }): Words => error),
  z.object({ error: z.string() }).transform(({ error }): Words => ({ message: error })),
  wordsSchema,
  z.object({ detail: z.unknown() }).transform(({ detail }): Words => ({
    message: typeof detail === "string" ? detail : JSON.stringify(detail),
  })),
]);

function findWords(body: string): Words | null {
  if (body.trim() === "") return null;
  try {
    const parsed = bodySchema.safeParse(JSON.parse(body));
    return parsed.success ? parsed.data : { message: body };
  } catch {
    return { message: body };
  }
}

function wordedError(
  status: number,
  words: Words | null,
  retryAfterMs: number | null,
): EngineError {
  const code = codeOf(status);
  const logMessage = `the engine answered ${status}`;
  const said = words?.message.slice(0, MAX_WORDS).toWellFormed() ?? "";
  const param = words?.param?.slice(0, MAX_WORDS) ?? null;
  const message =
    code === "engine_rejected" && said !== ""
      ? said
      : [logMessage, said].filter(Boolean).join(": ");
  return new EngineError(code, message, {
    retryAfterMs,
    logMessage,
    ...(param === null ? {} : { param }),
  });
}

/**
 * 401 and 403 are about our API key, not about the request, so another attempt (with the key
 * mended) can fare better. vLLM's admission control answers 503 when it is full; 429 is its
 * like elsewhere.
 *
 * @see https://github.com/vllm-project/vllm/pull/49445
 */
function codeOf(status: number): ErrorCode {
  if (status === 429 || status === 503) return "engine_full";
  if (status === 401 || status === 403) return "engine_failed";
  return status >= 400 && status < 500 ? "engine_rejected" : "engine_failed";
}

/** vLLM's words for a priority that is not 0 without `--scheduling-policy priority`. */
const PRIORITY_REFUSED = /^Got priority -?\d+ but Priority scheduling is not enabled/;

/** Whether the engine refused a request for its priority alone. */
export function isPriorityRefused(error: unknown): boolean {
  return (
    error instanceof EngineError &&
    error.code === "engine_rejected" &&
    PRIORITY_REFUSED.test(error.message)
  );
}

const codedSchema = z.object({ code: z.string() });

/** Not HTTP, or not within its bounds; their errors carry raw bytes of the stream. */
const PROTOCOL_ERROR = /^(HPE_|HTTPParserError$|UND_ERR_HEADERS_OVERFLOW$)/;
/** Our own mistake in calling undici, not the engine's. */
const MISUSE = new Set(["UND_ERR_INVALID_ARG", "UND_ERR_NOT_SUPPORTED"]);

/** How far an exchange had come when its connection failed. */
export interface Progress {
  readonly wasSent: boolean;
  readonly bytesRead: number;
}

/** Turn what undici reports of a connection into a platform error. Bugs of ours pass through. */
export function transportError(error: Error, { wasSent, bytesRead }: Progress): Error {
  const parsed = codedSchema.safeParse(error);
  const code = parsed.success ? parsed.data.code : error.name;
  if (MISUSE.has(code)) return error;
  if (PROTOCOL_ERROR.test(code)) {
    return new EngineError(
      "engine_failed",
      `the engine does not speak HTTP as it should (${code})`,
    );
  }
  const when = bytesRead === 0 ? "before it answered" : `after ${bytesRead} bytes of its answer`;
  const message = `the connection to the engine failed ${when} (${code})`;
  return new EngineError("engine_unavailable", message, { cause: error, wasSent });
}
