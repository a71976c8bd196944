/** What a request says of where its text ends. */
export interface StopRules {
  /** Stop strings, in the order in which they are looked for. */
  readonly stops: readonly string[];
  /** Whether the stop string itself is part of the text. */
  readonly includesStop: boolean;
  /** Stop strings that end within the text of so many tokens do not count. */
  readonly minTokens: number;
}

/** A text that is gone on with. */
export interface BegunText {
  readonly text: string;
  /** How many of its tokens there are. */
  readonly tokens: number;
  /** How much of it readers have: they may lack what might begin a stop string. */
  readonly shownLength: number;
}

/** What may be shown now, and the stop string that ended the text. */
export interface ScannedText {
  readonly text: string;
  readonly stop: string | null;
}

/**
 * Ends a text at its first stop string as the engine would have, had it said all of it itself.
 *
 * An engine that goes on does not know the text before the seam, and a stop string may lie across
 * it. So it is told of none; here all of them are looked for, in the end of the old text and in the
 * new. While more may come, the last (longest − 1) characters are held back, since they may begin one.
 */
export class StopScanner {
  readonly #rules: StopRules;
  readonly #reach: number;
  /** The end of the text: what is not shown, and what a stop string may reach back into. */
  #window: string;
  /** How much of the window is shown. */
  #shown: number;
  #tokens: number;

  constructor(rules: StopRules, { text, tokens, shownLength }: BegunText) {
    this.#rules = rules;
    this.#reach = Math.max(0, ...rules.stops.map((stop) => stop.length - 1));
    const from = Math.max(0, Math.min(shownLength, text.length - this.#reach));
    this.#window = text.slice(from);
    this.#shown = shownLength - from;
    this.#tokens = tokens;
  }

  /** Give what of the begun text may be shown: all of it when `isLast`. */
  begin(isLast: boolean): string {
    return this.#release(isLast);
  }

  /** Take the text of the next tokens; `isLast` when it ends here anyhow. */
  take(text: string, tokens: number, isLast: boolean): ScannedText {
    const before = this.#window.length;
    this.#window += text;
    this.#tokens += tokens;
    const end = this.#tokens > this.#rules.minTokens ? this.#findStop(before) : null;
    return end ?? { text: this.#release(isLast), stop: null };
  }

  #findStop(before: number): ScannedText | null {
    const { stops, includesStop } = this.#rules;
    for (const stop of stops) {
      const at = this.#window.indexOf(stop, Math.max(0, before - stop.length + 1));
      if (at < 0) continue;
      return { text: this.#window.slice(this.#shown, includesStop ? at + stop.length : at), stop };
    }
    return null;
  }

  #release(isLast: boolean): string {
    const keep = isLast ? 0 : this.#reach;
    let end = Math.max(this.#shown, this.#window.length - keep);
    // Half a surrogate pair is no character.
    if (end > this.#shown && !isLast && isHighSurrogate(this.#window.charCodeAt(end - 1))) end -= 1;
    const text = this.#window.slice(this.#shown, end);
    const forgotten = Math.max(0, Math.min(end, this.#window.length - this.#reach));
    this.#window = this.#window.slice(forgotten);
    this.#shown = end - forgotten;
    return text;
  }
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff;
}
