import { Agent } from "undici";

import { tryCrossing, type Crossing } from "./intruder.ts";
import type { JobCase } from "./job-case.ts";
import { readJob } from "./reader.ts";
import { Progress } from "./schedule.ts";
import { submitJob } from "./submitter.ts";
import type { SeenEvent, Transcript } from "./transcript.ts";
import type { AcceptedJob } from "./verifier.ts";

/** How a load is put on the platform. */
export interface LoadOptions {
  /** Addresses of ingresses, used in turn. */
  readonly urls: readonly string[];
  /** Makes keys of tenants, whose jobs are submitted in turn; each also tries the next one's ids. */
  readonly keys: () => Promise<readonly string[]>;
  /** Addresses that every reader tries in this order; if nothing is said, those of the submits in turn. */
  readonly readerUrls?: readonly string[];
  /** Most jobs that are accepted and not yet ended, each with its reader. */
  readonly outstanding: number;
  /** Aborted when the run has taken too long. */
  readonly signal: AbortSignal;
  /** How the jobs must end; "completed" if nothing is said, null for any way. */
  readonly end?: AcceptedJob["end"];
  readonly onEvent?: (id: string, event: SeenEvent) => void;
}

/** Submits jobs and reads the events of each from its acceptance to its end. */
export class Load {
  /** Jobs accepted so far. */
  readonly progress = new Progress();
  readonly accepted: AcceptedJob[] = [];
  readonly oddities: string[] = [];
  /** What came of trying each job's id with another tenant's key. */
  readonly crossings: Crossing[] = [];
  /** Answers of 429 and 503 to submits. */
  refusals = 0;
  /** Submits that had no answer at all. */
  unanswered = 0;
  readonly #options: LoadOptions;
  readonly #owners = new Map<string, string>();
  #keys: readonly string[] = [];
  #idempotencyKey = "";

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  /** The key of whoever submitted the job. */
  ownerOf(id: string): string {
    return this.#owners.get(id) ?? "";
  }

  /** Put all the jobs through. */
  async run(jobs: Iterable<JobCase>): Promise<void> {
    this.#keys = await this.#options.keys();
    const dispatcher = new Agent({ connections: null, pipelining: 1 });
    const inTurn = Iterator.from(jobs);
    let turn = 0;
    const work = async (): Promise<void> => {
      for (const job of inTurn) await this.#put(job, turn++, dispatcher);
    };
    try {
      await Promise.all(Array.from({ length: this.#options.outstanding }, work));
    } finally {
      await dispatcher.destroy();
    }
  }

  /** Submit a job, and read it to its end, while another tenant tries to. */
  async #put(job: JobCase, turn: number, dispatcher: Agent): Promise<void> {
    const keys = this.#keys;
    const { urls, readerUrls, signal } = this.#options;
    const key = keys[turn % keys.length] ?? "";
    const common = { signal, dispatcher, headers: headersOf(key) };
    // The next tenants' jobs have the same: each tenant has its own.
    if (turn % keys.length === 0) this.#idempotencyKey = job.name;
    const call = { job, turn, idempotencyKey: this.#idempotencyKey };
    const { id, refusals, unanswered, oddities } = await submitJob(call, { ...common, urls });
    this.refusals += refusals;
    this.unanswered += unanswered;
    this.oddities.push(...oddities);
    if (id === null) return;
    this.#owners.set(id, key);
    this.progress.advance();
    const onEvent = (event: SeenEvent): void => this.#options.onEvent?.(id, event);
    const first = readerUrls === undefined ? turn : 0;
    const reading = readJob(id, first, { ...common, urls: readerUrls ?? urls, onEvent });
    await this.#tryAsOther(id, turn, dispatcher);
    this.#keep(id, job, await reading);
    await this.#tryAsOther(id, turn + 1, dispatcher);
  }

  async #tryAsOther(job: string, turn: number, dispatcher: Agent): Promise<void> {
    const keys = this.#keys;
    const { urls, signal } = this.#options;
    const other = keys[(keys.indexOf(this.ownerOf(job)) + 1) % keys.length] ?? "";
    const place = { job, turn, url: urls[turn % urls.length] ?? "" };
    this.crossings.push(
      await tryCrossing(place, { headers: headersOf(other), dispatcher, signal }),
    );
  }

  #keep(id: string, job: JobCase, transcript: Transcript): void {
    const { end = "completed" } = this.#options;
    this.accepted.push({ id, job, transcript, end });
  }
}

function headersOf(key: string): Readonly<Record<string, string>> {
  return { authorization: `Bearer ${key}`, "content-type": "application/json" };
}
