import type { ChoiceDelta, JobSpec, Usage } from "@headrace/contract";

import { carriedFields } from "./continuable.ts";
import { limitsSchema, stopsOf, type Limits } from "./limits.ts";
import { CannotContinue, type Seam } from "./seam.ts";
import { StopScanner } from "./stop-scanner.ts";

/** What the API of completions takes for a limit where none is given. */
const COMPLETION_MAX_TOKENS = 16;

/**
 * The rest of a job's output, which the engine says as a completion of the ids so far.
 *
 * Its text is put into deltas of the job's own endpoint, its end is found as if the engine had said
 * all of it, and its tokens are counted from the first on.
 */
export class Continuation {
  readonly #isChat: boolean;
  readonly #seam: Seam;
  readonly #scanner: StopScanner;
  /** The engine's request; null when nothing is left to generate. */
  readonly request: Readonly<Record<string, unknown>> | null;
  #tokens: number;
  #isOver = false;

  /**
   * @param modelLength most tokens of prompt and output together; null when the engine does not say
   * @throws CannotContinue when nobody knows how much is left to generate
   */
  constructor({ endpoint, request }: JobSpec, seam: Seam, modelLength: number | null) {
    const limits = limitsSchema.parse(request);
    const tokens = seam.ids.length;
    const minTokens = limits.min_tokens ?? 0;
    this.#isChat = endpoint === "/v1/chat/completions";
    this.#seam = seam;
    this.#tokens = tokens;
    this.#scanner = new StopScanner(
      {
        stops: stopsOf(limits),
        includesStop: limits.include_stop_str_in_output === true,
        minTokens,
      },
      { text: seam.text, tokens, shownLength: seam.shownLength },
    );
    const left =
      seam.finishReason !== null
        ? 0
        : tokensLeft(this.#isChat ? chatLimit(limits) : completionLimit(limits), {
            made: tokens,
            room: modelLength === null ? null : modelLength - seam.promptIds.length - tokens,
          });
    this.request =
      left <= 0
        ? null
        : {
            ...carriedFields(request),
            prompt: [...seam.promptIds, ...seam.ids],
            max_tokens: left,
            ...(minTokens > tokens ? { min_tokens: minTokens - tokens } : {}),
            ...(request["return_token_ids"] === true ? { return_token_ids: true } : {}),
          };
  }

  /** Whether a stop string has ended the text: the engine, which does not know it, must be stopped. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Say what readers lack of the text before the seam, with the end when nothing is left. */
  begin(): ChoiceDelta[] {
    if (this.#seam.finishReason !== null) return [];
    const isLast = this.request === null;
    const text = this.#scanner.begin(isLast);
    if (text === "" && !isLast) return [];
    return [this.#says(text, isLast ? { finish_reason: "length" } : {})];
  }

  /** Take one event of the engine's. @returns what it means to the job's readers */
  take(choices: readonly ChoiceDelta[], ids: readonly number[]): ChoiceDelta[] {
    this.#tokens += ids.length;
    return choices.map((choice) => {
      const isLast = Boolean(choice.finish_reason);
      const { text, stop } = this.#scanner.take(choice.text ?? "", ids.length, isLast);
      if (stop === null) return this.#says(text, choice);
      this.#isOver = true;
      return this.#says(text, { ...choice, finish_reason: "stop", stop_reason: stop });
    });
  }

  /** Count the tokens of all attempts. @param rest what the engine says of the last one's */
  usage(rest: Usage | null): Usage {
    const prompt = this.#seam.promptIds.length;
    const completion =
      rest?.completion_tokens === undefined
        ? this.#tokens
        : this.#seam.ids.length + rest.completion_tokens;
    return {
      prompt_tokens: prompt,
      completion_tokens: completion,
      total_tokens: prompt + completion,
    };
  }

  #says(text: string, choice: Readonly<Record<string, unknown>>): ChoiceDelta {
    const { finish_reason: reason, stop_reason: stop, token_ids: ids = null } = choice;
    const end = typeof reason === "string" ? { stop_reason: stop ?? null } : {};
    return {
      index: 0,
      ...(this.#isChat ? { delta: { content: text } } : { text }),
      logprobs: null,
      finish_reason: typeof reason === "string" ? reason : null,
      ...end,
      token_ids: ids,
    };
  }
}

function chatLimit({ max_completion_tokens: limit, max_tokens: older }: Limits): number | null {
  return limit ?? older ?? null;
}

function completionLimit({ max_tokens: limit }: Limits): number {
  return limit ?? COMPLETION_MAX_TOKENS;
}

/** How many tokens may still be generated: of the limit, and of the model's length. */
function tokensLeft(
  limit: number | null,
  { made, room }: { readonly made: number; readonly room: number | null },
): number {
  if (limit === null && room === null) {
    throw new CannotContinue("neither the request nor the engine says how long the output may be");
  }
  return Math.min(
    limit === null ? Number.POSITIVE_INFINITY : limit - made,
    room ?? Number.POSITIVE_INFINITY,
  );
}
