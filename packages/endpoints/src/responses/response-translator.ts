import { isTerminalEntry, type LogEntry } from "@headrace/broker";
import {
  choiceDeltaSchema,
  jobEndSchema,
  PlatformError,
  toErrorBody,
  type ErrorBody,
  type JobEnd,
  type Response,
  type TerminalStatus,
} from "@headrace/contract";
import { z } from "zod";

import { findError } from "../job-error.ts";
import { OutputEvents, type EventBody } from "./output-events.ts";
import { toResponse, type ResponseJob, type ResponseState } from "./response-view.ts";
import { SequenceNumbers } from "./sequence-numbers.ts";

/** An event of OpenAI's, as its stream carries it. */
export type ResponseEvent = EventBody & { readonly sequence_number: number };

const deltasSchema = z.array(choiceDeltaSchema);
const attemptSchema = z.object({ reset: z.boolean() });

/**
 * Translates a job's log, entry by entry, into the events of its response.
 *
 * A pure function of the job and of the entries so far: whoever reads the log again gets the same
 * events under the same numbers, on whichever ingress. `response` is what they come to.
 */
export class ResponseTranslator {
  readonly #job: ResponseJob;
  readonly #key: string;
  readonly #numbers: SequenceNumbers;
  #output: OutputEvents;
  #events: ResponseEvent[] = [];
  #response: Response;
  #finishReason: string | null = null;
  #hasStarted = false;
  #hasOutput = false;

  constructor(job: ResponseJob) {
    this.#job = job;
    this.#key = job.id.slice(job.id.lastIndexOf("_") + 1);
    this.#numbers = new SequenceNumbers(this.#preamble.length);
    this.#output = this.#newOutput();
    this.#response = toResponse(job, { status: this.#isBackground ? "queued" : "in_progress" });
  }

  /** The response as of the entries so far. */
  get response(): Response {
    return this.#response;
  }

  /** Whether anything was told that a new attempt might not repeat. */
  get hasOutput(): boolean {
    return this.#hasOutput;
  }

  /** The number of the first event that tells of output, unless a later attempt makes it. */
  get firstOutputNumber(): number {
    return this.#preamble.length;
  }

  /** What is told before any attempt. */
  begin(): ResponseEvent[] {
    return this.#preamble
      .filter((type) => type !== "response.in_progress")
      .map((type) => this.#introduce(type));
  }

  /** Whether an entry voids what was told. A stream cannot take it back. */
  isVoiding({ type, data }: LogEntry): boolean {
    return type === "attempt" && this.#hasOutput && readAttempt(data).reset;
  }

  /**
   * Take the next entry. @returns the events that it makes
   *
   * @throws TypeError, ZodError for what no engine should say
   */
  take({ type, cursor, data }: LogEntry): ResponseEvent[] {
    this.#events = [];
    this.#numbers.enter(cursor.epoch);
    if (isTerminalEntry(type)) return this.end(type, jobEndSchema.parse(JSON.parse(data)));
    switch (type) {
      case "attempt":
        this.#startAttempt(readAttempt(data).reset);
        break;
      case "delta":
        for (const choice of deltasSchema.parse(JSON.parse(data))) {
          if (choice.index !== 0) continue;
          this.#output.take(choice);
          this.#finishReason = choice.finish_reason || this.#finishReason;
        }
        break;
      case "vectors":
        throw new TypeError("a response has no vectors");
    }
    return this.#events;
  }

  /** Forget what was told of output: it comes again. */
  reset(): void {
    this.#output = this.#newOutput();
    this.#finishReason = null;
    this.#hasOutput = false;
  }

  /** End the response as its job ended. @returns the events that tell of it */
  end(status: TerminalStatus, end: JobEnd): ResponseEvent[] {
    this.#events = [];
    const ended = { endedAtMs: end.at.ended, usage: end.outcome.usage ?? null };
    switch (status) {
      case "completed": {
        const incompleteReason = INCOMPLETE[this.#finishReason ?? ""] ?? null;
        const outcome = incompleteReason === null ? "completed" : "incomplete";
        this.#output.close(outcome);
        this.#conclude(`response.${outcome}`, { ...ended, status: outcome, incompleteReason });
        break;
      }
      case "cancelled":
        // OpenAI has no event for this, and its package throws at one that it does not know.
        this.#output.abandon();
        this.#conclude("response.incomplete", { ...ended, status });
        break;
      case "failed":
      case "expired":
        this.#fail(findError(status, end) ?? UNEXPLAINED, ended);
    }
    return this.#events;
  }

  /**
   * Break the telling off: what was told is void, or there is no telling what comes. Whether the
   * response itself has failed is for the caller to know.
   *
   * @returns an `error` event, and `response.failed`
   */
  breakOff(error: ErrorBody): ResponseEvent[] {
    this.#events = [];
    this.#numbers.breakOff();
    this.#fail(error, {});
    return this.#events;
  }

  get #isBackground(): boolean {
    return this.#job.spec.response?.is_background === true;
  }

  get #preamble(): readonly string[] {
    return this.#isBackground ? BACKGROUND_PREAMBLE : PREAMBLE;
  }

  #startAttempt(isReset: boolean): void {
    if (isReset) this.reset();
    if (this.#hasStarted) return;
    this.#hasStarted = true;
    this.#response = toResponse(this.#job, { status: "in_progress" });
    this.#events.push(this.#introduce("response.in_progress"));
  }

  /** An event of the preamble: its number is its place there, whichever attempt comes to be. */
  #introduce(type: string): ResponseEvent {
    return { type, sequence_number: this.#preamble.indexOf(type), response: this.#response };
  }

  #fail(error: ErrorBody, ended: Omit<ResponseState, "status">): void {
    const { code, message, param } = error;
    this.#output.abandon();
    // Flat as OpenAI's types have it, and nested as its servers send it: clients read the one or the other.
    this.#emit({ type: "error", code, message, param, error });
    this.#conclude("response.failed", { ...ended, status: "failed", error });
  }

  #newOutput(): OutputEvents {
    return new OutputEvents(this.#key, (event) => {
      this.#hasOutput = true;
      this.#emit(event);
    });
  }

  #conclude(type: string, state: ResponseState): void {
    this.#response = toResponse(this.#job, { ...state, output: this.#output.items });
    this.#emit({ type, response: this.#response });
  }

  #emit({ type, ...fields }: EventBody): void {
    this.#events.push({ type, sequence_number: this.#numbers.next(), ...fields });
  }
}

const PREAMBLE = ["response.created", "response.in_progress"];
const BACKGROUND_PREAMBLE = ["response.created", "response.queued", "response.in_progress"];

const INCOMPLETE: Readonly<Record<string, "max_output_tokens" | "content_filter">> = {
  length: "max_output_tokens",
  content_filter: "content_filter",
};

const UNEXPLAINED = toErrorBody(new PlatformError("engine_failed", "the response failed"));

function readAttempt(data: string): z.infer<typeof attemptSchema> {
  return attemptSchema.parse(JSON.parse(data));
}
