import { errors, type Dispatcher } from "undici";

import { RefusalReader } from "./body-reader.ts";
import { EngineError, transportError } from "./error.ts";
import type { Reader } from "./reader.ts";

/** A response may take this long to end after all that matters has come, in milliseconds. */
const CLOSING_MS = 1_000;

/** What one exchange may take. */
export interface ExchangeLimits {
  /** From asking for a connection to having one. */
  readonly connectMs: number;
  /** From the request's last byte to the first output. */
  readonly firstMs: number;
  /** Between outputs. */
  readonly silenceMs: number;
  /** Bytes of the response body. */
  readonly maxBytes: number;
}

type Phase = "connecting" | "waiting" | "flowing" | "closing" | "ended";

/**
 * One request and its response over undici, bounded in time and bytes.
 *
 * connecting → (request written) waiting → (first output) flowing → (all that matters came)
 * closing → ended. Every phase but the last has a budget; whichever way it ends, the timer and the
 * abort listener go, and unless the response was read to its end the socket is destroyed at once:
 * that is what makes vLLM abort the generation. One timer serves all phases and is not touched per
 * chunk: when it fires it looks how long ago output came, and sleeps on for the rest.
 */
export class Exchange<Result> implements Dispatcher.DispatchHandler {
  readonly #budgetsMs: Readonly<Record<Phase, number>>;
  readonly #maxBytes: number;
  readonly #signal: AbortSignal;
  readonly #settled = Promise.withResolvers<Result>();
  #reader: Reader<Result>;
  #controller: Dispatcher.DispatchController | null = null;
  #phase: Phase = "connecting";
  #phaseAt = performance.now();
  #timer: NodeJS.Timeout | null = null;
  #bytes = 0;
  #requestSentAt = 0;
  #headersAt = 0;

  constructor(reader: Reader<Result>, limits: ExchangeLimits, signal: AbortSignal) {
    this.#reader = reader;
    const { connectMs: connecting, firstMs: waiting, silenceMs: flowing } = limits;
    this.#budgetsMs = { connecting, waiting, flowing, closing: CLOSING_MS, ended: 0 };
    this.#maxBytes = limits.maxBytes;
    this.#signal = signal;
  }

  /**
   * Send the request and read the response.
   *
   * @throws EngineError, what the reader throws, or the signal's reason
   */
  run(dispatcher: Dispatcher, request: Dispatcher.DispatchOptions): Promise<Result> {
    this.#signal.throwIfAborted();
    this.#signal.addEventListener("abort", this.#onAbort, { once: true });
    this.#enter("connecting", performance.now());
    dispatcher.dispatch(request, this);
    return this.#settled.promise;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#phase === "ended") return this.#disconnect();
    this.#requestSentAt = performance.now();
    this.#enter("waiting", this.#requestSentAt);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    this.#headersAt = performance.now();
    const contentType = String(headers["content-type"] ?? "");
    const retryAfter = headers["retry-after"]?.toString() ?? null;
    const head = { status, contentType, retryAfter };
    try {
      if (!this.#reader.accepts(head)) this.#reader = new RefusalReader(head);
    } catch (error) {
      this.#fail(error);
    }
  }

  onResponseData(_controller: Dispatcher.DispatchController, bytes: Buffer): void {
    if (this.#phase === "ended") return;
    const at = performance.now();
    try {
      this.#bytes += bytes.length;
      if (this.#bytes > this.#maxBytes) throw this.#tooLarge();
      this.#reader.read(bytes, at);
    } catch (error) {
      return this.#fail(error);
    }
    if (this.#reader.isComplete) this.#enter("closing", at);
    else if (this.#phase === "waiting" && this.#reader.progressAt !== null) {
      this.#enter("flowing", at);
    }
  }

  onResponseEnd(): void {
    this.#finish();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#reader.isComplete) this.#finish();
    else if (error instanceof errors.ConnectTimeoutError) this.#fail(this.#timeout());
    else this.#fail(transportError(error, { wasSent: this.#wasSent, bytesRead: this.#bytes }));
  }

  get #wasSent(): boolean {
    return this.#requestSentAt > 0;
  }

  readonly #onAbort = (): void => this.#fail(this.#signal.reason);

  #finish(): void {
    if (this.#phase === "ended") return;
    this.#end();
    try {
      const times = { requestSentAt: this.#requestSentAt, headersAt: this.#headersAt };
      this.#settled.resolve(this.#reader.finish(times));
    } catch (error) {
      this.#settled.reject(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#phase === "ended") return;
    this.#end();
    this.#disconnect();
    this.#settled.reject(error);
  }

  #end(): void {
    this.#phase = "ended";
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#signal.removeEventListener("abort", this.#onAbort);
  }

  #disconnect(): void {
    this.#controller?.abort(new Error("the exchange has ended"));
  }

  #enter(phase: Exclude<Phase, "ended">, at: number): void {
    if (this.#phase === phase && this.#timer !== null) return;
    this.#phase = phase;
    this.#phaseAt = at;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#onTimer, this.#budgetsMs[this.#phase]);
  }

  readonly #onTimer = (): void => {
    const since = Math.max(this.#phaseAt, this.#reader.progressAt ?? 0);
    const leftMs = since + this.#budgetsMs[this.#phase] - performance.now();
    if (leftMs > 0) {
      this.#timer = setTimeout(this.#onTimer, Math.ceil(leftMs));
    } else if (this.#phase === "closing") {
      this.#disconnect();
      this.#finish();
    } else {
      this.#fail(this.#timeout());
    }
  };

  #timeout(): EngineError {
    const message = this.#timeoutMessage(`${this.#budgetsMs[this.#phase]} ms`);
    return new EngineError("engine_timeout", message, { wasSent: this.#wasSent });
  }

  #timeoutMessage(budget: string): string {
    if (this.#phase === "connecting") return `no connection to the engine within ${budget}`;
    if (this.#phase === "flowing") return `the engine went silent for ${budget}`;
    const answered = this.#headersAt > 0 ? "it accepted the request" : "it has not answered at all";
    return `no output from the engine within ${budget} of the request (${answered})`;
  }

  #tooLarge(): EngineError {
    return new EngineError("output_too_large", `the engine sent over ${this.#maxBytes} bytes`);
  }
}
