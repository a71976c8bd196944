import { bytesOf, spellingOf, VOCABULARY_SIZE } from "./vocabulary.ts";
import type { Prose } from "./prose.ts";

/** How likely a token was, and others in its place. The values are made up, but reproducible. */
export interface TokenLogprob {
  readonly id: number;
  readonly logprob: number;
  readonly alternatives: readonly { readonly id: number; readonly logprob: number }[];
}

/** What the draws are for; above those of the prose itself. */
const LOGPROB_DRAW = 100;

/** Make up the log probability of `id` as the next token of `prose`, and `count` alternatives. */
export function makeLogprob(prose: Prose, id: number, count: number): TokenLogprob {
  const logprob = -(prose.draw(LOGPROB_DRAW) % 1_000) / 1_000;
  const others = Array.from({ length: Math.max(0, count - 1) }, (_, index) => ({
    id: (id + 1 + (prose.draw(LOGPROB_DRAW + index + 1) % (VOCABULARY_SIZE - 1))) % VOCABULARY_SIZE,
    logprob: logprob - 0.75 * (index + 1),
  }));
  return { id, logprob, alternatives: count === 0 ? [] : [{ id, logprob }, ...others] };
}

/** Write log probabilities as `/v1/chat/completions` does. */
export function chatLogprobs(tokens: readonly TokenLogprob[]): object {
  return {
    content: tokens.map((token) => ({
      ...chatEntry(token),
      top_logprobs: token.alternatives.map((alternative) => chatEntry(alternative)),
    })),
  };
}

function chatEntry({ id, logprob }: { readonly id: number; readonly logprob: number }): object {
  return { token: spellingOf(id), logprob, bytes: [...bytesOf(id)] };
}

/** Write log probabilities as `/v1/completions` does; `offset` is where their text begins. */
export function completionLogprobs(tokens: readonly TokenLogprob[], offset: number): object {
  const spellings = tokens.map(({ id }) => spellingOf(id));
  let end = offset;
  return {
    tokens: spellings,
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ alternatives }) =>
      alternatives.length === 0
        ? null
        : Object.fromEntries(alternatives.map(({ id, logprob }) => [spellingOf(id), logprob])),
    ),
    text_offset: spellings.map((spelling) => {
      const start = end;
      end += spelling.length;
      return start;
    }),
  };
}
