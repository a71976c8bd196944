import { randomUUID } from "node:crypto";

import type { GenerationRequest } from "./generation-request.ts";
import { makeLogprob, type TokenLogprob } from "./logprobs.ts";
import { OutputText, StreamDecoder, type TextStep } from "./output-text.ts";
import type { Script, ScriptPlace } from "./script.ts";
import type { FinishReason, Sequence, SequenceSink } from "./sequence.ts";

/** Who passes a choice's news on to the client. */
export interface ChoiceListener {
  /** There is more to hand out. */
  advanced(choice: Choice): void;
  /** There will be no more. */
  ended(choice: Choice): void;
}

/** What is new of a call: its name once, its arguments as they come. */
export interface CallNews {
  readonly index: number;
  /** Present where the call begins. */
  readonly begin?: { readonly id: string; readonly name: string };
  arguments: string;
}

/** What a choice has that was not handed out yet. */
export interface ChoiceNews {
  readonly text: string;
  readonly reasoning: string;
  readonly calls: readonly CallNews[];
  readonly ids: readonly number[];
  readonly logprobs: readonly TokenLogprob[];
  /** Characters handed out before. */
  readonly offset: number;
}

/** How a choice ended. */
export interface ChoiceEnd {
  readonly finishReason: FinishReason | "tool_calls";
  readonly stopReason: string | number | null;
}

/** One choice of a response: gathers a sequence's tokens until they are handed out. */
export class Choice implements SequenceSink {
  readonly index: number;
  readonly promptIds: readonly number[];
  end: ChoiceEnd | null = null;
  tokens = 0;
  sequence: Sequence | null = null;
  /** What it says before its prose, or in its place. */
  readonly script: Script | null;
  readonly #request: GenerationRequest;
  readonly #listener: ChoiceListener;
  readonly #output: OutputText;
  /** Of the script: what may be a stop string is no matter there. */
  readonly #scripted: StreamDecoder;
  #text = "";
  #reasoning = "";
  #calls: CallNews[] = [];
  #hasCalled = false;
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
    const seed = request.seed + (place.index % request.n);
    this.script = request.plan?.script(place.promptIds, seed) ?? null;
    this.#scripted = new StreamDecoder(place.promptIds);
    const before = [...place.promptIds, ...(this.script?.ids ?? [])];
    this.#output = new OutputText(before, request.stopRules);
  }

  /** Whether anything waits to be handed out. */
  get hasNews(): boolean {
    return this.#ids.length > 0;
  }

  token(sequence: Sequence, id: number, finish: FinishReason | null): boolean {
    const { topLogprobs, stopTokenIds } = this.#request;
    const place = this.script?.placeOf(this.tokens) ?? null;
    const step =
      place === null
        ? this.#output.take(id, finish !== null)
        : this.#recite(place, this.#scripted.take(id));
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
    const isCall = this.#hasCalled && reason === "stop" && this.#request.plan?.isNamed === false;
    this.end = { finishReason: isCall ? "tool_calls" : reason, stopReason: this.#stopReason };
    this.#listener.ended(this);
  }

  /** Give everything that was not handed out yet, and count it as handed out. */
  takeNews(): ChoiceNews {
    const news = {
      text: this.#text,
      reasoning: this.#reasoning,
      calls: this.#calls,
      ids: this.#ids,
      logprobs: this.#logprobs,
      offset: this.#offset,
    };
    this.#offset += this.#text.length;
    this.#text = "";
    this.#reasoning = "";
    this.#calls = [];
    this.#ids = [];
    this.#logprobs = [];
    return news;
  }

  /** Take a token of the script. @returns what it adds to the content */
  #recite({ segment, call, isHeader, endsHeader }: ScriptPlace, text: string): TextStep {
    switch (segment.kind) {
      case "content":
        return { text, stopReason: null };
      case "reasoning":
        this.#reasoning += text;
        break;
      case "call":
        if (endsHeader) {
          const id = `chatcmpl-tool-${randomUUID().replaceAll("-", "")}`;
          this.#calls.push({ index: call, begin: { id, name: segment.name }, arguments: "" });
          this.#hasCalled = true;
        } else if (!isHeader) {
          this.#addArguments(call, text);
        }
    }
    return NO_TEXT;
  }

  #addArguments(index: number, text: string): void {
    const last = this.#calls.at(-1);
    if (last?.index === index) last.arguments += text;
    else this.#calls.push({ index, arguments: text });
  }
}

const NO_TEXT: TextStep = { text: "", stopReason: null };
