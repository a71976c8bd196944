import { COMMON_WORDS, PIECES, WORDS } from "./words.ts";

/** Ids 0 to 255 are the single bytes, so that any UTF-8 text has tokens. */
const BYTE_TOKENS = 256;

/** Tokens that no text spells: they mark turns, and decode to nothing. */
export const SPECIAL = {
  end: 256,
  begin: 257,
  system: 258,
  user: 259,
  assistant: 260,
  tool: 261,
} as const;

const SPECIAL_SPELLING: readonly string[] = Object.keys(SPECIAL).map((name) => `<|${name}|>`);
const FIRST_WORD = BYTE_TOKENS + SPECIAL_SPELLING.length;
const LETTERS = /^[a-z-]+$/i;

const spellings: readonly string[] = [...new Set(wordSpellings())];

/** How many ids there are; valid ids are 0 to one less. */
export const VOCABULARY_SIZE = FIRST_WORD + spellings.length;

const tokenBytes: readonly Uint8Array[] = Array.from({ length: VOCABULARY_SIZE }, (_, id) =>
  id < BYTE_TOKENS ? Uint8Array.of(id) : Buffer.from(spellings[id - FIRST_WORD] ?? ""),
);

/** The text of each id that is text by itself; `null` for a byte that is only part of a character. */
export const TOKEN_TEXT: readonly (string | null)[] = tokenBytes.map((bytes, id) =>
  id < BYTE_TOKENS && id > 0x7f ? null : Buffer.from(bytes).toString(),
);

const trie = buildTrie();

/**
 * Spell `text` in ids, taking the longest known token at each byte.
 *
 * Linear in the text. Exact: decoding the ids gives back every well-formed string.
 */
export function encode(text: string): number[] {
  const bytes = Buffer.from(text);
  const ids: number[] = [];
  let at = 0;
  while (at < bytes.length) {
    const id = longestToken(bytes, at);
    ids.push(id);
    at += id < BYTE_TOKENS ? 1 : bytesOf(id).length;
  }
  return ids;
}

/** Tell the bytes an id stands for: none for special tokens and for ids out of range. */
export function bytesOf(id: number): Uint8Array {
  return tokenBytes[id] ?? NO_BYTES;
}

/** Say whether an id marks a turn rather than text. */
export function isSpecial(id: number): boolean {
  return id >= BYTE_TOKENS && id < FIRST_WORD;
}

/** Spell an id as a person would read it in a listing: special tokens by name, bytes as decoded. */
export function spellingOf(id: number): string {
  const special = SPECIAL_SPELLING[id - BYTE_TOKENS];
  return special ?? Buffer.from(bytesOf(id)).toString();
}

/** Spell ids as `/detokenize` does: text, with special tokens by name. */
export function spell(ids: readonly number[]): string {
  return Buffer.concat(
    ids.map((id) => (isSpecial(id) ? Buffer.from(spellingOf(id)) : bytesOf(id))),
  ).toString();
}

const NO_BYTES = new Uint8Array(0);

function wordSpellings(): string[] {
  const slots = Object.values(WORDS)
    .flat()
    .filter((word) => LETTERS.test(word));
  const letters = Array.from({ length: 26 }, (_, index) => String.fromCharCode(97 + index));
  const capitals = [...WORDS.opener, ...WORDS.lead, "I", "What", "How", "Why", "Please", "Write"];
  return [
    ...slots.map((word) => ` ${word}`),
    ...COMMON_WORDS.map((word) => ` ${word}`),
    ...letters.map((letter) => ` ${letter}`),
    ...capitals,
    ...PIECES,
    "\n\n",
  ];
}

interface Trie {
  /** Next node by `node * 256 + byte`; 0 is the root, and so means none. */
  readonly next: Int32Array;
  /** The token that ends at each node, or -1. */
  readonly token: Int32Array;
}

function buildTrie(): Trie {
  const nodes = 1 + tokenBytes.slice(FIRST_WORD).reduce((sum, bytes) => sum + bytes.length, 0);
  const next = new Int32Array(nodes * 256);
  const token = new Int32Array(nodes).fill(-1);
  let used = 1;
  for (let id = FIRST_WORD; id < VOCABULARY_SIZE; id++) {
    let node = 0;
    for (const byte of bytesOf(id)) {
      const edge = node * 256 + byte;
      if (next[edge] === 0) next[edge] = used++;
      node = next[edge] ?? 0;
    }
    token[node] = id;
  }
  return { next, token };
}

function longestToken(bytes: Uint8Array, from: number): number {
  let best = bytes[from] ?? 0;
  let node = 0;
  for (let at = from; at < bytes.length; at++) {
    node = trie.next[node * 256 + (bytes[at] ?? 0)] ?? 0;
    if (node === 0) break;
    const token = trie.token[node] ?? -1;
    if (token >= 0) best = token;
  }
  return best;
}
