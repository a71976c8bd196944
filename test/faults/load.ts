import { Agent } from "undici";

import { API_KEY } from "../platform.ts";
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
  /** Answers of 429 and 503 to submits. */
  refusals = 0;
  /** Submits that had no answer at all. */
  unanswered = 0;
  readonly #options: LoadOptions;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  /** Put all the jobs through. */
  async run(jobs: Iterable<JobCase>): Promise<void> {
    const dispatcher = new Agent({ connections: null, pipelining: 1 });
    const inTurn = Iterator.from(jobs);
    let turn = 0;
    const headers = { authorization: `Bearer ${API_KEY}`, "content-type": "application/json" };
    const { urls, readerUrls, signal, outstanding } = this.#options;
    const common = { urls, signal, dispatcher, headers };
    const readers = { ...common, urls: readerUrls ?? urls };
    const work = async (): Promise<void> => {
      for (const job of inTurn) {
        const place = turn++;
        const { id, refusals, unanswered, oddities } = await submitJob(job, place, common);
        this.refusals += refusals;
        this.unanswered += unanswered;
        this.oddities.push(...oddities);
        if (id === null) continue;
        this.progress.advance();
        const onEvent = (event: SeenEvent): void => this.#options.onEvent?.(id, event);
        const first = readerUrls === undefined ? place : 0;
        this.#keep(id, job, await readJob(id, first, { ...readers, onEvent }));
      }
    };
    try {
      await Promise.all(Array.from({ length: outstanding }, work));
    } finally {
      await dispatcher.destroy();
    }
  }

  #keep(id: string, job: JobCase, transcript: Transcript): void {
    const { end = "completed" } = this.#options;
    this.accepted.push({ id, job, transcript, end });
  }
}
