import type { LogEntry } from "@headrace/broker";
import type { JobId, PlatformError, TerminalStatus } from "@headrace/contract";
import { ResultCollector, toCallError } from "@headrace/endpoints";

import { sendError, sendJson, toErrorAnswer, type Headers } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import type { Services } from "./services.ts";
import type { CallForm } from "./submission-form.ts";
import { JOB_HEADER, NO_RETRY, type Delivery } from "./synchronous-call.ts";

/** Answers a synchronous call with its whole response, once the job has ended. */
export class WholeDelivery implements Delivery {
  readonly #services: Services;
  readonly #exchange: Exchange;
  readonly #form: CallForm["form"];
  #collector: ResultCollector | null = null;
  #headers: Headers = {};

  constructor(services: Services, exchange: Exchange, { form }: CallForm) {
    this.#services = services;
    this.#exchange = exchange;
    this.#form = form;
  }

  readonly begin = (job: JobId): void => {
    this.#headers = { [JOB_HEADER]: job };
    const { endpoint, request } = this.#form.spec;
    this.#collector = new ResultCollector({ id: job, endpoint, model: request.model });
  };

  readonly reset = (): boolean => {
    this.#collector?.reset();
    return true;
  };

  readonly take = (entry: LogEntry): boolean => {
    this.#collector?.take(entry);
    return true;
  };

  readonly end = (status: TerminalStatus, entry: LogEntry): void => {
    const ending = this.#collector?.take(entry) ?? null;
    const failure = ending && toCallError(status, ending.end);
    if (failure === null) {
      sendJson(this.#exchange, 200, { body: ending?.result ?? {}, headers: this.#headers });
      return;
    }
    this.#services.events.errorTold(failure.error.code);
    sendError(this.#exchange, failure.status, {
      error: failure.error,
      headers: { ...this.#headers, ...NO_RETRY },
    });
  };

  readonly fail = (error: PlatformError): void => {
    this.#services.events.errorTold(error.code);
    sendError(this.#exchange, error.status, { ...toErrorAnswer(error), headers: this.#headers });
  };

  readonly tick = (): void => {};
}
