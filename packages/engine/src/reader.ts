/** When a request went and its answer began, in milliseconds of `performance.now()`. */
export interface ExchangeTimes {
  readonly requestSentAt: number;
  readonly headersAt: number;
}

/** The head of a response, as far as readers look at it. */
export interface ResponseHead {
  readonly status: number;
  readonly contentType: string;
  /** The header as sent: seconds, or a date. */
  readonly retryAfter: string | null;
}

/** Makes sense of one response. Whatever its methods throw ends the exchange and is thrown by it. */
export interface Reader<Result> {
  /** When output last came (`performance.now()`), null before the first. Keep-alives are none. */
  readonly progressAt: number | null;
  /** Whether all that matters has come: what becomes of the connection then is no failure. */
  readonly isComplete: boolean;
  /** Say whether this is a response to read; any other is read as the engine's refusal. */
  accepts(head: ResponseHead): boolean;
  /** Take the next bytes, which came at `at`. */
  read(bytes: Buffer, at: number): void;
  /** Give the result of a response that ended, or throw what is wrong with it. */
  finish(times: ExchangeTimes): Result;
}
