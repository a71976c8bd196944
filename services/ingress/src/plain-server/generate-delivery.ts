import type { LogEntry } from "@headrace/broker";
import {
  choiceDeltaSchema,
  jobEndSchema,
  toErrorBody,
  type ErrorBody,
  type JobEnd,
  type JobId,
  type PlatformError,
  type TerminalStatus,
} from "@headrace/contract";
import { toCallError } from "@headrace/endpoints";
import { latencyOf } from "@headrace/latency";
import { z } from "zod";

import type { Admitted } from "../admission.ts";
import { sendError, sendJson, type Headers } from "../answer.ts";
import { EventStream } from "../event-stream.ts";
import type { Exchange } from "../exchange.ts";
import type { Services } from "../services.ts";
import { JOB_HEADER, NO_RETRY, type Delivery } from "../synchronous-call.ts";
import type { GenerateSummary } from "./shapes.ts";

const deltasSchema = z.array(choiceDeltaSchema);

/** A generation that may start. */
export interface GenerateCall {
  readonly form: Admitted;
  readonly isStreamed: boolean;
}

/**
 * Answers `POST /generate`: with one JSON object, or with a stream of texts that ends with the rest
 * of that object.
 */
export class GenerateDelivery implements Delivery {
  readonly #services: Services;
  readonly #exchange: Exchange;
  readonly #call: GenerateCall;
  #stream: EventStream | null = null;
  #headers: Headers = {};
  #job = "";
  /** What there is to tell of the text; of a stream nothing. */
  #pieces: string[] = [];
  /** The reader has text that cannot be taken back. */
  #isShown = false;

  constructor(services: Services, exchange: Exchange, call: GenerateCall) {
    this.#services = services;
    this.#exchange = exchange;
    this.#call = call;
  }

  readonly begin = (job: JobId, onRoom: () => void): void => {
    this.#job = job;
    this.#headers = { [JOB_HEADER]: job };
    if (!this.#call.isStreamed) return;
    const { patience } = this.#services;
    this.#stream = new EventStream(this.#exchange, patience, { onRoom, headers: this.#headers });
  };

  readonly take = ({ type, data }: LogEntry): boolean => {
    if (type === "attempt" && data.includes('"reset":true') && !this.reset()) {
      throw new TypeError("a stream that cannot be reset was reset");
    }
    const text = type === "delta" ? textOf(data) : "";
    if (text === "") return true;
    if (this.#stream === null) {
      this.#pieces.push(text);
      return true;
    }
    const hasRoom = this.#stream.write(toEvent({ text }));
    if (!this.#isShown) this.#services.events.firstOutputSent(this.#exchange);
    this.#isShown = true;
    return hasRoom;
  };

  readonly reset = (): boolean => {
    this.#pieces = [];
    return !this.#isShown;
  };

  readonly end = (status: TerminalStatus, { data }: LogEntry): void => {
    const end = jobEndSchema.parse(JSON.parse(data));
    const failure = toCallError(status, end);
    if (failure !== null) {
      this.#tell(failure.error, failure.status, NO_RETRY);
      return;
    }
    const summary = this.#summarise(end);
    if (this.#stream === null) {
      const body = { text: this.#pieces.join(""), ...summary };
      sendJson(this.#exchange, 200, { body, headers: this.#headers });
    } else {
      this.#stream.end(toEvent({ done: true, ...summary }));
    }
  };

  readonly fail = (error: PlatformError): void => {
    this.#tell(toErrorBody(error), error.status, {});
  };

  readonly tick = (nowMs: number): void => this.#stream?.tick(nowMs);

  #summarise(end: JobEnd): GenerateSummary {
    const { spec } = this.#call.form;
    const { usage, finish_reason } = end.outcome;
    const latency = latencyOf({ id: this.#job, admitMs: spec.admit_ms, end });
    return {
      model: spec.request.model,
      finish_reason: finish_reason ?? null,
      prompt_tokens: usage?.prompt_tokens ?? 0,
      completion_tokens: usage?.completion_tokens ?? 0,
      total_tokens: usage?.total_tokens ?? 0,
      ttft_seconds: latency.ttft_seconds,
      tpot_seconds: latency.tpot_seconds,
      total_seconds: latency.total_seconds,
    };
  }

  #tell(error: ErrorBody, status: number, headers: Headers): void {
    this.#services.events.errorTold(error.code);
    if (this.#stream?.hasBegun === true) this.#stream.end(toEvent({ error }));
    else sendError(this.#exchange, status, { error, headers: { ...this.#headers, ...headers } });
  }
}

function textOf(data: string): string {
  return deltasSchema
    .parse(JSON.parse(data))
    .map(({ text = "" }) => text)
    .join("");
}

function toEvent(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}
