import { encode, isSpecial, SPECIAL, TOKEN_TEXT } from "./vocabulary.ts";
import { WORDS } from "./words.ts";

type Slot = keyof typeof WORDS | "comma" | "period" | "dash" | "paragraph";
type Template = readonly Slot[];

const SENTENCES: readonly Template[] = [
  template("opener noun verb determiner adjective noun period"),
  template("opener adjective noun verb determiner noun preposition determiner noun period"),
  template("lead comma determiner noun verb determiner noun preposition determiner noun period"),
  template(`opener noun verb determiner noun comma conjunction determiner noun adverb verb determiner
    adjective noun period`),
  template(
    "opener noun adverb verb determiner noun conjunction determiner noun verb determiner noun period",
  ),
  template(`opener noun preposition determiner adjective noun verb determiner noun comma conjunction
    determiner adjective noun verb determiner noun period`),
  template("lead determiner noun dash determiner adjective noun dash verb determiner noun period"),
  template("lead comma determiner adjective noun verb determiner noun period emoji"),
];

/** What follows text that is not the engine's own and is not at the end of a sentence. */
const FOLLOW_ON: Template = template(
  "preposition determiner adjective noun comma determiner noun verb determiner noun period",
);

/**
 * One sentence in this many is the last. Sentences are some fourteen tokens long, so that responses
 * come to about 150 tokens in the mean, geometrically spread as natural lengths roughly are.
 */
const SENTENCES_PER_RESPONSE = 11;

/** One sentence in this many opens a new paragraph. */
const SENTENCES_PER_PARAGRAPH = 7;

/** What each draw is for; distinct numbers keep draws from one hash independent. */
const DRAW = { word: 1, sentence: 2, paragraph: 3, end: 4 } as const;

/**
 * Writes prose of which every token is a pure function of the seed and all ids before it.
 *
 * A fold over ids: a rolling hash that draws the words, and the place in the sentence. So whoever
 * feeds it the prompt and the first k ids of a text gets the rest of that text; each id costs O(1).
 */
export class Prose {
  #hash: number;
  #template: Template = FOLLOW_ON;
  #position = 0;
  #word: readonly number[] = [];
  #index = 0;
  #isLineStart = false;
  #mayEndHere = false;

  constructor(seed: number) {
    this.#hash = finish(seed ^ Math.floor(seed / 2 ** 32));
    this.#startSentence(true);
  }

  /** Tell the next id; `mayEnd` false asks for what comes in place of the end of the text. */
  next(mayEnd: boolean): number {
    if (mayEnd && this.#mayEndHere) return SPECIAL.end;
    return this.#word[this.#index] ?? SPECIAL.end;
  }

  /** Take note of an id, the engine's own or the prompt's. */
  advance(id: number): void {
    this.#hash = mix(this.#hash, id);
    this.#mayEndHere = false;
    if (id !== this.#word[this.#index]) {
      this.#followForeign(id);
    } else if (++this.#index === this.#word.length) {
      this.#completeWord();
    }
  }

  /** A number below 2³² that depends on every id so far and on `purpose` alone. */
  draw(purpose: number): number {
    return finish(this.#hash + Math.imul(purpose, 0x9e3779b1));
  }

  #completeWord(): void {
    this.#isLineStart = this.#template[this.#position] === "paragraph";
    this.#position += 1;
    if (this.#position < this.#template.length) {
      this.#chooseWord();
      return;
    }
    this.#startSentence(false);
    this.#mayEndHere = this.draw(DRAW.end) % SENTENCES_PER_RESPONSE === 0;
  }

  #followForeign(id: number): void {
    const text = TOKEN_TEXT[id] ?? "";
    if (isSpecial(id) || text.endsWith("\n")) {
      this.#startSentence(true);
    } else if (/[.!?]$/.test(text)) {
      this.#startSentence(false);
    } else {
      this.#template = FOLLOW_ON;
      this.#position = 0;
      this.#isLineStart = false;
      this.#chooseWord();
    }
  }

  #startSentence(isLineStart: boolean): void {
    const opensParagraph =
      !isLineStart && this.draw(DRAW.paragraph) % SENTENCES_PER_PARAGRAPH === 0;
    const choices = opensParagraph ? PARAGRAPH_SENTENCES : SENTENCES;
    this.#template = pick(choices, this.draw(DRAW.sentence));
    this.#position = 0;
    this.#isLineStart = isLineStart;
    this.#chooseWord();
  }

  #chooseWord(): void {
    const slot = this.#template[this.#position] ?? "period";
    const words = this.#isLineStart ? LINE_START_IDS[slot] : WORD_IDS[slot];
    this.#word = pick(words, this.draw(DRAW.word));
    this.#index = 0;
  }
}

const PARAGRAPH_SENTENCES: readonly Template[] = SENTENCES.map((slots) => ["paragraph", ...slots]);

type WordIds = Readonly<Record<Slot, readonly (readonly number[])[]>>;

const WORD_IDS = spell(" ");
const LINE_START_IDS = spell("");

function spell(space: string): WordIds {
  const words = (list: readonly string[]): number[][] => list.map((word) => encode(space + word));
  return {
    opener: words(WORDS.opener),
    determiner: words(WORDS.determiner),
    noun: words(WORDS.noun),
    adjective: words(WORDS.adjective),
    verb: words(WORDS.verb),
    adverb: words(WORDS.adverb),
    preposition: words(WORDS.preposition),
    conjunction: words(WORDS.conjunction),
    lead: words(WORDS.lead),
    emoji: words(WORDS.emoji),
    dash: words(["—"]),
    comma: [encode(",")],
    period: [encode(".")],
    paragraph: [encode("\n\n")],
  };
}

function template(slots: string): Template {
  return slots.split(/\s+/).map((slot) => {
    if (!isSlot(slot)) throw new Error(`no slot is called ${slot}`);
    return slot;
  });
}

function isSlot(name: string): name is Slot {
  return name in WORDS || ["comma", "period", "dash", "paragraph"].includes(name);
}

function pick<Choice>(choices: readonly Choice[], draw: number): Choice {
  const choice = choices[draw % choices.length];
  if (choice === undefined) throw new Error("nothing to choose from");
  return choice;
}

/** One round of MurmurHash3 (32 bit, public domain): cheap, and every bit of the past counts. */
function mix(hash: number, id: number): number {
  const word = Math.imul(rotate(Math.imul(id + 1, 0xcc9e2d51), 15), 0x1b873593);
  return (Math.imul(rotate(hash ^ word, 13), 5) + 0xe6546b64) | 0;
}

/** MurmurHash3's finisher, as an unsigned number. */
function finish(hash: number): number {
  let bits = hash ^ (hash >>> 16);
  bits = Math.imul(bits, 0x85ebca6b);
  bits ^= bits >>> 13;
  bits = Math.imul(bits, 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

function rotate(bits: number, by: number): number {
  return (bits << by) | (bits >>> (32 - by));
}
