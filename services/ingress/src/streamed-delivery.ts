import type { LogEntry } from "@headrace/broker";
import {
  jobEndSchema,
  toErrorBody,
  type ErrorBody,
  type JobId,
  type PlatformError,
  type TerminalStatus,
  type Usage,
} from "@headrace/contract";
import { responseId, toCallError } from "@headrace/endpoints";

import { sendError, type Headers } from "./answer.ts";
import { EventStream } from "./event-stream.ts";
import type { Exchange } from "./exchange.ts";
import type { Services } from "./services.ts";
import type { CallForm } from "./submission-form.ts";
import { JOB_HEADER, NO_RETRY, type Delivery } from "./synchronous-call.ts";

const DONE = "data: [DONE]\n\n";

/**
 * Answers a synchronous call with OpenAI's stream of chunks.
 *
 * The head is sent with the first output, so that a job that fails before any is answered with an
 * HTTP error; or after 15 s without output, so that nobody takes the connection for dead. From then
 * on a failure is an error chunk, and no `[DONE]`.
 */
export class StreamedDelivery implements Delivery {
  readonly #services: Services;
  readonly #exchange: Exchange;
  readonly #call: CallForm;
  #stream: EventStream | null = null;
  #headers: Headers = {};
  /** Every chunk up to its choices. */
  #prefix = "";
  #hasOutput = false;

  constructor(services: Services, exchange: Exchange, call: CallForm) {
    this.#services = services;
    this.#exchange = exchange;
    this.#call = call;
  }

  readonly begin = (job: JobId, onRoom: () => void): void => {
    const { endpoint, request } = this.#call.form.spec;
    this.#headers = { [JOB_HEADER]: job };
    this.#stream = new EventStream(this.#exchange, this.#services.patience, {
      onRoom,
      headers: this.#headers,
    });
    const head = {
      id: responseId(endpoint, job),
      object: endpoint === "/v1/completions" ? "text_completion" : "chat.completion.chunk",
      created: Math.floor(Date.now() / 1_000),
      model: request.model,
    };
    this.#prefix = `data: ${JSON.stringify(head).slice(0, -1)},"choices":`;
  };

  readonly take = ({ type, data }: LogEntry): boolean => {
    if (type === "delta") {
      const hasRoom = this.#stream?.write(`${this.#prefix}${data}}\n\n`) ?? true;
      if (!this.#hasOutput) {
        this.#hasOutput = true;
        this.#services.events.firstOutputSent(this.#exchange);
      }
      return hasRoom;
    }
    if (this.#hasOutput && type === "attempt" && data.includes('"reset":true')) {
      throw new TypeError("a stream that cannot be reset was reset");
    }
    return true;
  };

  readonly reset = (): boolean => !this.#hasOutput;

  readonly end = (status: TerminalStatus, { data }: LogEntry): void => {
    const end = jobEndSchema.parse(JSON.parse(data));
    const failure = toCallError(status, end);
    if (failure === null) {
      this.#stream?.end(this.#usageChunk(end.outcome.usage ?? null) + DONE);
      return;
    }
    this.#tell(failure.error, failure.status, NO_RETRY);
  };

  readonly fail = (error: PlatformError): void => {
    this.#tell(toErrorBody(error), error.status, {});
  };

  readonly tick = (nowMs: number): void => this.#stream?.tick(nowMs);

  #usageChunk(usage: Usage | null): string {
    if (!this.#call.includesUsage || usage === null) return "";
    return `${this.#prefix}[],"usage":${JSON.stringify(usage)}}\n\n`;
  }

  #tell(error: ErrorBody, status: number, headers: Headers): void {
    this.#services.events.errorTold(error.code);
    if (this.#stream?.hasBegun === true) {
      this.#stream.end(`data: ${JSON.stringify({ error })}\n\n`);
    } else {
      sendError(this.#exchange, status, { error, headers: { ...this.#headers, ...headers } });
    }
  }
}
