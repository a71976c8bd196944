import { setTimeout as delay } from "node:timers/promises";

import { request, type Dispatcher } from "undici";
import { z } from "zod";

import type { JobCase } from "./job-case.ts";

/** Pause before a submit is repeated: shorter than what the server asks for, to be the harder case. */
const PAUSE_MS = 200;
const ANSWER_MS = 10_000;
/** What says that a job was not accepted, or that asking again with the same key is safe. */
const REFUSALS: ReadonlySet<number> = new Set([429, 503]);

const submittedSchema = z.looseObject({ id: z.string() });

/** What came of a submit. */
export interface Submitted {
  /** Null when the run was over before the job was accepted. */
  readonly id: string | null;
  /** Answers of 429 and 503. */
  readonly refusals: number;
  /** Tries that had no answer at all. */
  readonly unanswered: number;
  /** Answers that the API should never give to a submit, as "<status> <body>". */
  readonly oddities: readonly string[];
}

/** Where and how to submit. */
export interface SubmitterOptions {
  /** Addresses of ingresses. Each try goes to the next. */
  readonly urls: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly dispatcher: Dispatcher;
  readonly signal: AbortSignal;
}

/** What is submitted, and which of the addresses is the first to be asked. */
export interface SubmitCall {
  readonly job: JobCase;
  readonly turn: number;
  readonly idempotencyKey: string;
}

/** Submit a job, and ask again under its key until it is accepted. Never throws. */
export async function submitJob(
  { job, turn, idempotencyKey }: SubmitCall,
  { urls, headers, dispatcher, signal }: SubmitterOptions,
): Promise<Submitted> {
  const oddities: string[] = [];
  let refusals = 0;
  let unanswered = 0;
  for (let tries = 0; !signal.aborted; tries += 1) {
    const url = urls[(turn + tries) % urls.length] ?? "";
    try {
      const { statusCode, body } = await request(`${url}/v1/jobs`, {
        method: "POST",
        dispatcher,
        signal,
        headersTimeout: ANSWER_MS,
        bodyTimeout: ANSWER_MS,
        headers: { ...headers, "idempotency-key": idempotencyKey },
        body: JSON.stringify(job.submit),
      });
      const text = await body.text();
      // A job that an earlier try made may have ended by now, and is then answered with 200.
      if (statusCode === 202 || statusCode === 200) {
        return { id: submittedSchema.parse(JSON.parse(text)).id, refusals, unanswered, oddities };
      }
      if (!REFUSALS.has(statusCode)) {
        oddities.push(`${statusCode} ${text}`);
        return { id: null, refusals, unanswered, oddities };
      }
      refusals += 1;
    } catch {
      unanswered += 1;
    }
    await delay(PAUSE_MS, undefined, { signal }).catch(() => {});
  }
  return { id: null, refusals, unanswered, oddities };
}
