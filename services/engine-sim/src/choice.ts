import type { GenerationRequest } from "./generation-request.ts";
import { makeLogprob, type TokenLogprob } from "./logprobs.ts";
import { OutputText } from "./output-text.ts";
import type { FinishReason, Sequence, SequenceSink } from "./sequence.ts";

/** Who passes a choice's news on to the client. */
export interface ChoiceListener {
  /** There is more to hand out. */
  advanced(choice: Choice): void;
  /** There will be no more. */
  ended(choice: Choice): void;
}

/** What a choice has that was not handed out yet. */
export interface ChoiceNews {
  readonly text: string;
  readonly ids: readonly number[];
  readonly logprobs: readonly TokenLogprob[];
  /** Characters handed out before. */
  readonly offset: number;
}

/** How a choice ended. */
export interface ChoiceEnd {
  readonly finishReason: FinishReason;
  readonly stopReason: string | number | null;
}

/** One choice of a response: gathers a sequence's tokens until they are handed out. */
export class Choice implements SequenceSink {
  readonly index: number;
  readonly promptIds: readonly number[];
  end: ChoiceEnd | null = null;
  tokens = 0;
  sequence: Sequence | null = null;
  readonly #request: GenerationRequest;
  readonly #listener: ChoiceListener;
  readonly #output: OutputText;
  #text = "";
  #ids: number[] = [];
  #logprobs: TokenLogprob[] = [];
  #offset = 0;
  #stopReason: string | number | null = null;

  constructor(
    place: { readonly index: number; readonly promptIds: readonly number[] },
    request: GenerationRequest,
    listener: ChoiceListener,
  ) {
    this.index = place.index;
    this.promptIds = place.promptIds;
    this.#request = request;
    this.#listener = listener;
    this.#output = new OutputText(place.promptIds, request.stopRules);
  }

  /** Whether anything waits to be handed out. */
  get hasNews(): boolean {
    return this.#ids.length > 0;
  }

  token(sequence: Sequence, id: number, finish: FinishReason | null): boolean {
    const { topLogprobs, stopTokenIds } = this.#request;
    const step = this.#output.take(id, finish !== null);
    const stopped = step.stopReason !== null;
    this.tokens += 1;
    this.#text += step.text;
    this.#ids.push(id);
    if (topLogprobs !== null) this.#logprobs.push(makeLogprob(sequence.prose, id, topLogprobs));
    if (stopped) this.#stopReason = step.stopReason;
    else if (finish === "stop" && stopTokenIds.includes(id)) this.#stopReason = id;
    // The last token waits for `finished`, so that it leaves together with the reason.
    if (finish === null && !stopped) this.#listener.advanced(this);
    return stopped;
  }

  finished(sequence: Sequence, reason: FinishReason): void {
    this.sequence = sequence;
    this.end = { finishReason: reason, stopReason: this.#stopReason };
    this.#listener.ended(this);
  }

  /** Give everything that was not handed out yet, and count it as handed out. */
  takeNews(): ChoiceNews {
    const news = {
      text: this.#text,
      ids: this.#ids,
      logprobs: this.#logprobs,
      offset: this.#offset,
    };
    this.#offset += this.#text.length;
    this.#text = "";
    this.#ids = [];
    this.#logprobs = [];
    return news;
  }
}
