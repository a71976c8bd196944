import {
  isTerminal,
  jobDeletedSchema,
  jobListSchema,
  jobSchema,
  latencySchema,
  modelListSchema,
  timelineSchema,
  usageReportSchema,
  type Job,
  type JobDeleted,
  type JobEvent,
  type JobList,
  type JobStatus,
  type Latency,
  type Model,
  type Submit,
  type Timeline,
  type UsageGroup,
  type UsageReport,
} from "@headrace/contract";

import { Admin } from "./admin.ts";
import { Batches, Files } from "./batches.ts";
import { HeadraceError } from "./error.ts";
import { JobFeed, type FeedOptions, type JobEventItem } from "./job-feed.ts";
import { TextFold, type TextPiece } from "./text-fold.ts";
import { DEFAULT_TIMING, Outage, type OnRetry, type Timing } from "./timing.ts";
import { Transport } from "./transport.ts";
import { Webhooks } from "./webhooks.ts";

export interface HeadraceOptions {
  /** Where Headrace serves, without `/v1`: `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly apiKey: string;
  /** Replaces the global `fetch`, as for a proxy. */
  readonly fetch?: typeof fetch;
  readonly timing?: Partial<Timing>;
  /** Told before each further try of a call, and each further connection for events. */
  readonly onRetry?: OnRetry;
}

/** What every call takes: aborting the signal rejects with the signal's reason. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Which jobs to list. */
export interface JobQuery {
  readonly status?: JobStatus | undefined;
  readonly model?: string | undefined;
  /** Jobs per page, 1 to 100. */
  readonly limit?: number | undefined;
  /** Id of the last job of the page before. */
  readonly after?: string | undefined;
}

/** What usage to sum up, and how. */
export interface UsageQuery {
  /** First and last day, UTC, as `2026-11-25`: the last 30 days unless given. */
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  /** What to tell apart: all of it unless given. */
  readonly groupBy?: readonly UsageGroup[] | undefined;
  /** Another tenant, for keys with scope `admin`. */
  readonly tenant?: string | undefined;
}

/** How long one long poll is held; under the idle timeouts of common proxies (60 s). */
const POLL_SECONDS = 20;
/** What a timer can hold. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * A client of Headrace's API.
 *
 * Calls are tried up to five times where that can help (no connection, 429, 502, 503, 504), with
 * growing pauses and no less than the server asks for. Reading events and waiting survive five
 * minutes without a server. Answers are checked against the contract.
 *
 * @example
 * const headrace = new Headrace({ url: "http://127.0.0.1:8080", apiKey });
 * const job = await headrace.submit({ endpoint: "/v1/chat/completions", request });
 * for await (const { text } of headrace.text(job.id)) process.stdout.write(text);
 */
export class Headrace {
  /** Where events are sent, and what became of them. */
  readonly webhooks: Webhooks;
  /** The input of batches, and what these have written. */
  readonly files: Files;
  readonly batches: Batches;
  /** Keys, tenants and the audit log, for operators. */
  readonly admin: Admin;
  readonly #transport: Transport;

  /** @throws TypeError for a URL that is none, or a key that no header can carry */
  constructor(options: HeadraceOptions) {
    this.#transport = new Transport({
      url: options.url,
      apiKey: options.apiKey,
      fetch: options.fetch ?? globalThis.fetch,
      timing: { ...DEFAULT_TIMING, ...options.timing },
      onRetry: options.onRetry ?? (() => undefined),
    });
    this.webhooks = new Webhooks(this.#transport);
    this.files = new Files(this.#transport);
    this.batches = new Batches(this.#transport);
    this.admin = new Admin(this.#transport);
  }

  /**
   * Queue a generation. Repeating under one key makes one job, and a key is made up when none is
   * given, so that the client's own tries cannot make two.
   *
   * @throws HeadraceError `request_invalid`, `model_not_found`, `idempotency_key_reused`, …
   */
  async submit(
    submit: Submit,
    options: CallOptions & { readonly idempotencyKey?: string } = {},
  ): Promise<Job> {
    const key = options.idempotencyKey ?? globalThis.crypto.randomUUID();
    return this.#transport.json(
      {
        method: "POST",
        path: "/v1/jobs",
        headers: { "idempotency-key": key },
        body: submit,
        signal: options.signal,
      },
      jobSchema,
    );
  }

  /**
   * Look at a job; with `waitSeconds` the server answers when it has ended, or after that long.
   *
   * @throws HeadraceError `job_not_found`
   */
  async get(
    id: string,
    { waitSeconds, signal }: CallOptions & { readonly waitSeconds?: number } = {},
  ): Promise<Job> {
    return this.#transport.json(
      {
        method: "GET",
        path: jobPath(id),
        query: { wait: waitSeconds },
        heldMs: (waitSeconds ?? 0) * 1_000,
        signal,
      },
      jobSchema,
    );
  }

  /** Get one page of jobs, newest first. */
  async list(query: JobQuery = {}, { signal }: CallOptions = {}): Promise<JobList> {
    return this.#transport.json(
      { method: "GET", path: "/v1/jobs", query: { ...query }, signal },
      jobListSchema,
    );
  }

  /**
   * Go through all jobs, newest first, fetching page after page.
   *
   * @yields each job once
   */
  async *listAll(query: JobQuery = {}, options: CallOptions = {}): AsyncGenerator<Job, void> {
    let after = query.after;
    for (;;) {
      const page = await this.list({ ...query, after }, options);
      yield* page.data;
      if (!page.has_more || page.last_id === null) return;
      after = page.last_id;
    }
  }

  /** Stop a job; one that has ended stays as it is. @throws HeadraceError `job_not_found` */
  async cancel(id: string, { signal }: CallOptions = {}): Promise<Job> {
    const path = `${jobPath(id)}/cancel`;
    return this.#transport.json({ method: "POST", path, signal }, jobSchema);
  }

  /**
   * Run a failed, expired or cancelled job again, as a new job that names it in `retry_of`.
   * Repeating under one key makes one job, as with `submit`.
   *
   * @throws HeadraceError `job_not_found`, `job_not_ended`, `job_completed`
   */
  async retry(
    id: string,
    { signal, idempotencyKey }: CallOptions & { readonly idempotencyKey?: string } = {},
  ): Promise<Job> {
    const key = idempotencyKey ?? globalThis.crypto.randomUUID();
    return this.#transport.json(
      {
        method: "POST",
        path: `${jobPath(id)}/retry`,
        headers: { "idempotency-key": key },
        signal,
      },
      jobSchema,
    );
  }

  /**
   * Remove an ended job and everything stored of it.
   *
   * @throws HeadraceError `job_not_found`, also when an earlier try did remove it but its answer
   *   was lost; `job_not_ended`
   */
  async delete(id: string, { signal }: CallOptions = {}): Promise<JobDeleted> {
    return this.#transport.json({ method: "DELETE", path: jobPath(id), signal }, jobDeletedSchema);
  }

  /** Tell where an ended job's time went. @throws HeadraceError `job_not_found`, `job_not_ended` */
  async latency(id: string, { signal }: CallOptions = {}): Promise<Latency> {
    return this.#transport.json(
      { method: "GET", path: `${jobPath(id)}/latency`, signal },
      latencySchema,
    );
  }

  /** Tell what happened to a job, attempt by attempt. @throws HeadraceError `job_not_found` */
  async timeline(id: string, { signal }: CallOptions = {}): Promise<Timeline> {
    return this.#transport.json(
      { method: "GET", path: `${jobPath(id)}/timeline`, signal },
      timelineSchema,
    );
  }

  /** List the models that jobs may ask for. */
  async models({ signal }: CallOptions = {}): Promise<Model[]> {
    const list = await this.#transport.json(
      { method: "GET", path: "/v1/models", signal },
      modelListSchema,
    );
    return list.data;
  }

  /**
   * Sum up what a tenant has used, as of a second ago.
   *
   * @throws HeadraceError `request_invalid` for days that make no sense, `scope_missing` for another
   *   tenant's without scope `admin`
   */
  async usage(
    { groupBy, ...query }: UsageQuery = {},
    { signal }: CallOptions = {},
  ): Promise<UsageReport> {
    return this.#transport.json(
      {
        method: "GET",
        path: "/v1/usage",
        query: { ...query, group_by: groupBy?.join(",") },
        signal,
      },
      usageReportSchema,
    );
  }

  /**
   * Wait until a job has ended, however it ends.
   *
   * @throws HeadraceError `job_not_found`; `wait_timeout` when `timeoutMs` (24 days) is over: the job goes on
   */
  async wait(
    id: string,
    { signal, timeoutMs = LONGEST_TIMER_MS }: CallOptions & { readonly timeoutMs?: number } = {},
  ): Promise<Job> {
    const timeout = new AbortController();
    const timer = setTimeout(
      () => timeout.abort(toWaitTimeout(id, timeoutMs)),
      Math.min(timeoutMs, LONGEST_TIMER_MS),
    );
    try {
      return await this.#poll(id, AbortSignal.any([timeout.signal, ...(signal ? [signal] : [])]));
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Follow a job's events, from the first or from after a known one, to the terminal one.
   *
   * Connections that break are replaced without a gap or a repeat; `job.queued`, which has no id,
   * may come again.
   *
   * @throws HeadraceError `job_not_found`; `connection_lost` and its kind after five minutes
   */
  events(
    id: string,
    options: Omit<FeedOptions, "job"> = {},
  ): AsyncGenerator<JobEventItem, void, undefined> {
    return new JobFeed(this.#transport, { ...options, job: id }).read();
  }

  /**
   * Follow the text of a job's first choice. A piece with `reset` voids what came before.
   *
   * @yields pieces as they come, never an empty one that is no reset
   * @throws HeadraceError with the job's own error when it does not complete
   */
  async *text(id: string, options: CallOptions = {}): AsyncGenerator<TextPiece, void, undefined> {
    const fold = new TextFold();
    for await (const { event } of this.events(id, options)) {
      const piece = fold.take(event);
      if (piece !== null) yield piece;
      assertNotFailed(event);
    }
  }

  async #poll(id: string, signal: AbortSignal): Promise<Job> {
    const outage = new Outage(this.#transport.timing, this.#transport.onRetry);
    for (;;) {
      try {
        const job = await this.get(id, { signal, waitSeconds: POLL_SECONDS });
        if (isTerminal(job.status)) return job;
        outage.end();
      } catch (error) {
        await outage.pause(error, signal);
      }
    }
  }
}

function toWaitTimeout(id: string, timeoutMs: number): HeadraceError {
  const fields = { status: null, code: "wait_timeout", retryable: true };
  return new HeadraceError(`${id} has not ended after ${timeoutMs / 1_000} s`, fields);
}

function jobPath(id: string): string {
  return `/v1/jobs/${encodeURIComponent(id)}`;
}

function assertNotFailed(event: JobEvent): void {
  const fields = { status: null, retryable: false };
  if (event.type === "job.cancelled") {
    throw new HeadraceError("the job was cancelled", { ...fields, code: "job_cancelled" });
  }
  if (event.type === "job.failed" || event.type === "job.expired") {
    const { message, code, param } = event.error;
    throw new HeadraceError(message, { ...fields, code, param });
  }
}
