import { PlatformError, type Endpoint, type EngineRequest } from "@headrace/contract";
import { parseJson, REQUESTS_BY_ENDPOINT } from "@headrace/endpoints";
import { z } from "zod";

import type { Events } from "../events.ts";
import { Shares } from "../shares.ts";

/** What a filter is asked about: a job, before it is queued. */
export interface Prompt {
  readonly endpoint: Endpoint;
  readonly model: string;
  readonly tenant: string;
  /** The body for the engine, as the caller sent it. */
  readonly request: EngineRequest;
}

/** Whoever can say what to do with a prompt, however it is asked. */
export interface Reviewer {
  /**
   * Ask. What it takes beyond the signal's end is not waited for.
   *
   * @returns the verdict as JSON, unchecked
   * @throws FilterFailure when there is none
   */
  review(prompt: Prompt, signal: AbortSignal): Promise<Buffer>;
}

/** What went wrong with a filter, in words that hold nothing of what it was asked or said. */
export class FilterFailure extends Error {
  override readonly name = "FilterFailure";
  /** Whether the filter had said that the prompt must not pass as it is. */
  readonly isWithheld: boolean;

  constructor(message: string, { isWithheld = false } = {}) {
    super(message);
    this.isWithheld = isWithheld;
  }
}

/** Longest message of a filter that is told to a caller. */
const LONGEST_MESSAGE = 1_000;

const verdictSchema = z.discriminatedUnion("action", [
  z.object({ action: z.literal("allow") }),
  // Who says "reject" has rejected, and who says "redact" has withheld, whatever else is wrong.
  z.object({ action: z.literal("reject"), message: z.unknown().optional() }),
  z.object({ action: z.literal("redact"), request: z.unknown().optional() }),
]);
type Verdict = z.infer<typeof verdictSchema>;

/** A verdict that can be followed, or why there is none. */
type Judgement =
  | Exclude<Verdict, { action: "redact" }>
  | { readonly action: "redact"; readonly request: EngineRequest }
  | { readonly action: "failed"; readonly failure: FilterFailure };

/** What a redaction may not change: who answers, and how the answer is read, are settled by then. */
const SETTLED_FIELDS = ["model", "stream", "stream_options", "n"] as const;

/** Prompts under review at once, and of them one tenant's. Each holds a whole request. */
const MOST_REVIEWS = 512;
const MOST_OF_A_TENANT = 256;

export interface ContentFilterOptions {
  readonly reviewer: Reviewer;
  /** Longest that one review may take, ms. */
  readonly timeoutMs: number;
  /** Whether prompts are let through that could not be reviewed. */
  readonly passesOnFailure: boolean;
  readonly events: Events;
}

/**
 * Asks a reviewer about each prompt, and does as it says.
 *
 * A reviewer that cannot be asked, is silent, or answers with something else than a verdict has
 * failed: the prompt is refused, or let through where the operator chose so. A redaction that
 * cannot be used always refuses: the reviewer has said that the prompt must not pass as it is.
 */
export class ContentFilter {
  readonly #options: ContentFilterOptions;
  readonly #reviews = new Shares({
    whole: MOST_REVIEWS,
    share: MOST_OF_A_TENANT,
    what: "prompts under review",
  });

  constructor(options: ContentFilterOptions) {
    this.#options = options;
  }

  /**
   * Have a prompt reviewed.
   *
   * @returns the request to queue: the one given, or what the filter made of it
   * @throws PlatformError `content_rejected`, in the filter's words where it has some
   * @throws PlatformError `content_filter_unavailable` when the filter failed; `share_exceeded` or
   *   `queue_unavailable` when too many prompts are under review, of the tenant's or in all
   */
  async review(prompt: Prompt): Promise<EngineRequest> {
    const { events, passesOnFailure } = this.#options;
    const startedAtMs = performance.now();
    const judgement = await this.#judge(prompt);
    events.promptReviewed(judgement.action, performance.now() - startedAtMs);
    switch (judgement.action) {
      case "allow":
        return prompt.request;
      case "redact":
        return judgement.request;
      case "reject":
        throw new PlatformError("content_rejected", toMessage(judgement.message));
      case "failed": {
        const { message, isWithheld } = judgement.failure;
        events.contentFilterFailed(message);
        if (passesOnFailure && !isWithheld) return prompt.request;
        throw new PlatformError("content_filter_unavailable", NO_VERDICT);
      }
    }
  }

  async #judge(prompt: Prompt): Promise<Judgement> {
    try {
      const verdict = readVerdict(await this.#reviewWithin(prompt));
      if (verdict.action !== "redact") return verdict;
      return { action: "redact", request: readRedaction(verdict.request, prompt) };
    } catch (error) {
      if (!(error instanceof FilterFailure)) throw error;
      return { action: "failed", failure: error };
    }
  }

  async #reviewWithin(prompt: Prompt): Promise<Buffer> {
    const { reviewer, timeoutMs } = this.#options;
    // Too many are no failure of the filter's: nobody may get past it by keeping it busy.
    this.#reviews.take(prompt.tenant);
    const controller = new AbortController();
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      late.reject(new FilterFailure(`no verdict within ${timeoutMs} ms`));
      controller.abort();
    }, timeoutMs);
    try {
      return await Promise.race([reviewer.review(prompt, controller.signal), late.promise]);
    } finally {
      clearTimeout(timer);
      this.#reviews.give(prompt.tenant);
    }
  }
}

/** @throws FilterFailure */
function readVerdict(bytes: Buffer): Verdict {
  const parsed = verdictSchema.safeParse(readJson(bytes));
  if (parsed.success) return parsed.data;
  throw new FilterFailure("the answer is no verdict");
}

function toMessage(said: unknown): string {
  return typeof said === "string" && said !== "" ? said.slice(0, LONGEST_MESSAGE) : REFUSAL;
}

/** The bounds and bans of what callers send hold for a filter's requests as well. */
function readJson(bytes: Buffer): unknown {
  try {
    return parseJson(bytes);
  } catch (error) {
    if (!(error instanceof PlatformError)) throw error;
    throw new FilterFailure("the answer is not JSON that we take");
  }
}

/** @throws FilterFailure for a request that cannot stand for the one it was made of */
function readRedaction(redacted: unknown, { endpoint, request }: Prompt): EngineRequest {
  const parsed = REQUESTS_BY_ENDPOINT[endpoint].safeParse(redacted);
  if (!parsed.success) {
    throw new FilterFailure(`the redacted request is none that ${endpoint} takes`, {
      isWithheld: true,
    });
  }
  const changed = SETTLED_FIELDS.find(
    (field) => JSON.stringify(parsed.data[field]) !== JSON.stringify(request[field]),
  );
  if (changed === undefined) return parsed.data;
  throw new FilterFailure(`the redacted request has another ${changed}`, { isWithheld: true });
}

const REFUSAL = "the operator's content filter refuses this prompt";
const NO_VERDICT =
  "the operator's content filter gave no verdict; the prompt was not queued, try again";
