import type { LogEntry } from "@headrace/broker";
import {
  jobEndSchema,
  toErrorBody,
  type ErrorBody,
  type JobId,
  type PlatformError,
  type TerminalStatus,
} from "@headrace/contract";
import { type ResponseEvent, ResponseTranslator, toCallError } from "@headrace/endpoints";

import { sendError, sendJson, type Headers } from "../answer.ts";
import { EventStream } from "../event-stream.ts";
import type { Exchange } from "../exchange.ts";
import { forgetOnceDelivered } from "../job-answer.ts";
import type { Services } from "../services.ts";
import { JOB_HEADER, NO_RETRY, type Delivery } from "../synchronous-call.ts";
import { writeEvents } from "./response-event-stream.ts";
import type { ResponseForm } from "./response-form.ts";

/** What both kinds of answer have in common: the job, and what it says. */
class Account {
  readonly services: Services;
  readonly exchange: Exchange;
  readonly #form: ResponseForm;
  headers: Headers = {};
  #job: JobId | null = null;
  #translator: ResponseTranslator | null = null;

  constructor(services: Services, exchange: Exchange, form: ResponseForm) {
    this.services = services;
    this.exchange = exchange;
    this.#form = form;
  }

  /** What the job has said. @throws TypeError before the job is known */
  get translator(): ResponseTranslator {
    if (this.#translator === null) throw new TypeError("the job is not known yet");
    return this.#translator;
  }

  open(id: JobId, acceptedAtMs: number): void {
    const { spec } = this.#form.form;
    this.headers = { [JOB_HEADER]: id };
    this.#job = id;
    this.#translator = new ResponseTranslator({ id, spec, acceptedAtMs });
  }

  /** The job has ended. What is not to be stored is deleted once the caller has the answer. */
  settle(): void {
    const { isStored, form } = this.#form;
    if (isStored || this.#job === null) return;
    const owned = { tenant: form.spec.tenant, id: this.#job };
    forgetOnceDelivered(this.services, this.exchange, owned);
  }

  refuse(error: ErrorBody, status: number, headers: Headers): void {
    this.services.events.errorTold(error.code);
    sendError(this.exchange, status, { error, headers: { ...this.headers, ...headers } });
  }
}

/** Answers a synchronous call with its whole response, once the job has ended. */
export class WholeResponse implements Delivery {
  readonly #account: Account;

  constructor(services: Services, exchange: Exchange, form: ResponseForm) {
    this.#account = new Account(services, exchange, form);
  }

  readonly begin = (job: JobId, _onRoom: () => void, acceptedAtMs: number): void => {
    this.#account.open(job, acceptedAtMs);
  };

  readonly take = (entry: LogEntry): boolean => {
    this.#account.translator.take(entry);
    return true;
  };

  readonly reset = (): boolean => {
    this.#account.translator.reset();
    return true;
  };

  readonly end = (status: TerminalStatus, entry: LogEntry): void => {
    const { translator, exchange, headers } = this.#account;
    this.#account.settle();
    const failure = toCallError(status, jobEndSchema.parse(JSON.parse(entry.data)));
    if (failure !== null) return this.#account.refuse(failure.error, failure.status, NO_RETRY);
    translator.take(entry);
    sendJson(exchange, 200, { body: translator.response, headers });
  };

  readonly fail = (error: PlatformError): void => {
    this.#account.refuse(toErrorBody(error), error.status, {});
  };

  readonly tick = (): void => {};
}

/**
 * Answers a synchronous call with OpenAI's stream of events.
 *
 * As with chats, the head is sent with the first output, so that a job that fails before any is
 * answered with an HTTP error; or after 15 s without. From then on a failure is an `error` event and
 * `response.failed`.
 */
export class StreamedResponse implements Delivery {
  readonly #account: Account;
  #stream: EventStream | null = null;
  /** Told once there is output. */
  #held: ResponseEvent[] = [];

  constructor(services: Services, exchange: Exchange, form: ResponseForm) {
    this.#account = new Account(services, exchange, form);
  }

  readonly begin = (job: JobId, onRoom: () => void, acceptedAtMs: number): void => {
    const { services, exchange } = this.#account;
    this.#account.open(job, acceptedAtMs);
    this.#held = this.#account.translator.begin();
    this.#stream = new EventStream(exchange, services.patience, {
      onRoom,
      headers: this.#account.headers,
    });
  };

  readonly take = (entry: LogEntry): boolean => {
    const { translator, services, exchange } = this.#account;
    if (translator.isVoiding(entry)) {
      throw new TypeError("a stream that cannot be reset was reset");
    }
    const isFirst = !translator.hasOutput;
    this.#held.push(...translator.take(entry));
    if (!translator.hasOutput) return true;
    const hasRoom = this.#stream?.write(this.#release()) ?? true;
    if (isFirst) services.events.firstOutputSent(exchange);
    return hasRoom;
  };

  readonly reset = (): boolean => {
    const { translator } = this.#account;
    if (translator.hasOutput) return false;
    translator.reset();
    return true;
  };

  readonly end = (status: TerminalStatus, entry: LogEntry): void => {
    const { translator, services } = this.#account;
    this.#account.settle();
    const failure = toCallError(status, jobEndSchema.parse(JSON.parse(entry.data)));
    if (failure !== null && this.#stream?.hasBegun !== true) {
      return this.#account.refuse(failure.error, failure.status, NO_RETRY);
    }
    if (failure !== null) services.events.errorTold(failure.error.code);
    this.#held.push(...translator.take(entry));
    this.#stream?.end(this.#release());
  };

  readonly fail = (error: PlatformError): void => {
    const body = toErrorBody(error);
    if (this.#stream?.hasBegun !== true) return this.#account.refuse(body, error.status, {});
    this.#account.services.events.errorTold(error.code);
    this.#held.push(...this.#account.translator.breakOff(body));
    this.#stream.end(this.#release());
  };

  readonly tick = (nowMs: number): void => this.#stream?.tick(nowMs);

  #release(): string {
    const text = writeEvents(this.#held);
    this.#held = [];
    return text;
  }
}
