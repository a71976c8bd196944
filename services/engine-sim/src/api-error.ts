/** vLLM's names for the kinds of refusal, as in the `type` of its errors. */
const TYPES: Readonly<Record<number, string>> = {
  400: "BadRequestError",
  404: "NotFoundError",
  405: "MethodNotAllowed",
  413: "RequestEntityTooLarge",
  429: "TooManyRequests",
  500: "InternalServerError",
  503: "ServiceUnavailableError",
};

interface ApiErrorOptions extends ErrorOptions {
  /** The request field at fault. */
  readonly param?: string | undefined;
  /** Sent as `retry-after`. */
  readonly retryAfterSeconds?: number | undefined;
}

/** A refusal as a caller of vLLM sees it. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly param: string | null;
  readonly retryAfterSeconds: number | null;

  constructor(status: number, message: string, options: ApiErrorOptions = {}) {
    super(message, options);
    this.status = status;
    this.param = options.param ?? null;
    this.retryAfterSeconds = options.retryAfterSeconds ?? null;
  }

  /** The body of the answer, in vLLM's shape. */
  get body(): object {
    return {
      error: {
        message: this.message,
        type: TYPES[this.status] ?? "Error",
        param: this.param,
        code: this.status,
      },
    };
  }
}
