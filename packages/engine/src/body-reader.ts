import { isUtf8 } from "node:buffer";

import { EngineError, refusalError } from "./error.ts";
import type { ExchangeTimes, Reader, ResponseHead } from "./reader.ts";

/** A whole answer, for the endpoints that do not stream. */
export interface BodyReply {
  readonly status: number;
  readonly text: string;
  readonly times: ExchangeTimes & { readonly endedAt: number };
}

/** Collects a whole body of any size (the exchange bounds it). */
export class BodyReader implements Reader<BodyReply> {
  readonly #statuses: readonly number[];
  readonly #pieces: Buffer[] = [];
  #status = 0;
  progressAt: number | null = null;
  readonly isComplete = false;

  /** @param statuses what is an answer; any other status is a refusal */
  constructor(statuses: readonly number[]) {
    this.#statuses = statuses;
  }

  accepts(head: ResponseHead): boolean {
    this.#status = head.status;
    return this.#statuses.includes(head.status);
  }

  read(bytes: Buffer, at: number): void {
    this.progressAt = at;
    this.#pieces.push(bytes);
  }

  /** @throws EngineError engine_failed when the body is not UTF-8 */
  finish(times: ExchangeTimes): BodyReply {
    const body = Buffer.concat(this.#pieces);
    if (!isUtf8(body)) throw new EngineError("engine_failed", "the engine's answer is not UTF-8");
    const endedAt = performance.now();
    return { status: this.#status, text: body.toString("utf8"), times: { ...times, endedAt } };
  }
}

/** What is read of a refusal, in bytes: errors are short, and a proxy's error page is no use. */
const MAX_REFUSAL_BYTES = 65_536;

/** Reads an answer that is not the one asked for, and throws what it means. */
export class RefusalReader implements Reader<never> {
  readonly #head: ResponseHead;
  readonly #pieces: Buffer[] = [];
  #bytes = 0;
  progressAt: number | null = null;

  constructor(head: ResponseHead) {
    this.#head = head;
  }

  get isComplete(): boolean {
    return this.#bytes >= MAX_REFUSAL_BYTES;
  }

  accepts(): boolean {
    return true;
  }

  read(bytes: Buffer, at: number): void {
    this.progressAt = at;
    if (this.isComplete) return;
    this.#pieces.push(bytes);
    this.#bytes += bytes.length;
  }

  /** @throws EngineError what the status stands for */
  finish(): never {
    const { status, contentType, retryAfter } = this.#head;
    const body = Buffer.concat(this.#pieces).toString("utf8", 0, MAX_REFUSAL_BYTES);
    throw refusalError({ status, contentType, body, retryAfterMs: toMs(retryAfter) });
  }
}

/** `Retry-After` holds seconds or a date (RFC 9110, 10.2.3). */
function toMs(retryAfter: string | null): number | null {
  if (retryAfter === null) return null;
  const delayMs = /^\d+(\.\d+)?$/.test(retryAfter)
    ? Number(retryAfter) * 1_000
    : Date.parse(retryAfter) - Date.now();
  return Number.isNaN(delayMs) ? null : Math.max(0, delayMs);
}
