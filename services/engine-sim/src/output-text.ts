import { bytesOf, TOKEN_TEXT } from "./vocabulary.ts";

/** Decodes ids one by one, keeping back the bytes of a character that is not whole yet. */
export class StreamDecoder {
  #held: Uint8Array;
  #isForeign: boolean;

  /**
   * Start after `promptIds`. As in vLLM, a character that the prompt began belongs to the prompt:
   * its remaining bytes give no text.
   */
  constructor(promptIds: readonly number[]) {
    const tail = Buffer.concat(promptIds.slice(-LONGEST_CHARACTER_BYTES).map(bytesOf));
    this.#held = tail.subarray(wholeCharacters(tail));
    this.#isForeign = this.#held.length > 0;
  }

  /** Take the next id and give the text that is now complete, often that of the id itself. */
  take(id: number): string {
    if (this.#held.length === 0) {
      const text = TOKEN_TEXT[id];
      if (typeof text === "string") return text;
    }
    const bytes = Buffer.concat([this.#held, bytesOf(id)]);
    const whole = wholeCharacters(bytes);
    this.#held = bytes.subarray(whole);
    const text = bytes.toString("utf8", 0, whole);
    if (!this.#isForeign || text === "") return text;
    this.#isForeign = false;
    return text.slice((text.codePointAt(0) ?? 0) > 0xffff ? 2 : 1);
  }
}

const LONGEST_CHARACTER_BYTES = 4;

/** Count the leading bytes that end on a character boundary; the rest begins one. */
function wholeCharacters(bytes: Uint8Array): number {
  const from = Math.max(0, bytes.length - LONGEST_CHARACTER_BYTES + 1);
  for (let at = bytes.length - 1; at >= from; at--) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x80) return bytes.length;
    if (byte >= 0xc0) return at + characterBytes(byte) > bytes.length ? at : bytes.length;
  }
  return bytes.length;
}

/** The length that a lead byte announces; 1 for bytes that lead nothing (RFC 3629). */
function characterBytes(lead: number): number {
  if (lead >= 0xf5 || lead < 0xc2) return 1;
  if (lead >= 0xf0) return 4;
  return lead >= 0xe0 ? 3 : 2;
}

/** What a stop needs to know of a request. */
export interface StopRules {
  readonly stop: readonly string[];
  /** Stop strings count only in the text of later tokens than this many. */
  readonly minTokens: number;
  readonly includeStop: boolean;
}

/** What one token did to the text. */
export interface TextStep {
  /** Text that may be handed out now. */
  readonly text: string;
  /** The stop string that ended the text, or `null`. */
  readonly stopReason: string | null;
}

/**
 * Turns the ids of one choice into text, watching for stop strings.
 *
 * While more may come, the last (longest stop - 1) characters are held back, since they may begin a
 * stop string: ids run ahead of text, as they do in vLLM. Cost per id does not grow with the text.
 */
export class OutputText {
  readonly #decoder: StreamDecoder;
  readonly #rules: StopRules;
  readonly #heldCharacters: number;
  #held = "";
  #tokens = 0;

  constructor(promptIds: readonly number[], rules: StopRules) {
    this.#decoder = new StreamDecoder(promptIds);
    this.#rules = rules;
    this.#heldCharacters = Math.max(0, ...rules.stop.map((stop) => stop.length - 1));
  }

  /** Take the next id; `isLast` releases everything held. */
  take(id: number, isLast: boolean): TextStep {
    const fresh = this.#decoder.take(id);
    this.#tokens += 1;
    if (this.#rules.stop.length === 0) return { text: fresh, stopReason: null };

    const previous = this.#held.length;
    this.#held += fresh;
    const stopped = this.#tokens > this.#rules.minTokens ? this.#findStop(previous) : null;
    if (stopped !== null) return stopped;
    return { text: this.#release(isLast ? 0 : this.#heldCharacters), stopReason: null };
  }

  #findStop(previous: number): TextStep | null {
    for (const stop of this.#rules.stop) {
      const at = this.#held.indexOf(stop, Math.max(0, previous - stop.length + 1));
      if (at < 0) continue;
      const end = this.#rules.includeStop ? at + stop.length : at;
      return { text: this.#held.slice(0, end), stopReason: stop };
    }
    return null;
  }

  #release(keep: number): string {
    let cut = Math.max(0, this.#held.length - keep);
    if (isHighSurrogate(this.#held.charCodeAt(cut - 1))) cut -= 1;
    const text = this.#held.slice(0, cut);
    this.#held = this.#held.slice(cut);
    return text;
  }
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff;
}
