/** Digits and letters without i, l, o, u: they survive being read aloud (Crockford's base 32). */
export const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/** Make a text that nobody can guess: a character for every five random bits, the last rounded up. */
export function randomText(byteCount: number): string {
  return writeBits(randomBytes(byteCount));
}

/** Write bytes as text: a character for every five bits, the last rounded up. */
export function writeBits(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let bitCount = 0;
  for (const byte of bytes) {
    bits = (bits << 8) | byte;
    bitCount += 8;
    while (bitCount >= 5) {
      bitCount -= 5;
      text += ALPHABET.charAt((bits >> bitCount) & 31);
    }
    bits &= (1 << bitCount) - 1;
  }
  return bitCount === 0 ? text : text + ALPHABET.charAt((bits << (5 - bitCount)) & 31);
}

/** Random bytes not yet used: asking for 16 at a time took a twentieth of an ingress' time. */
const pool = new Uint8Array(4_096);
let poolAt = pool.length;

function randomBytes(count: number): Uint8Array {
  if (poolAt + count > pool.length) {
    // The web's generator, not Node's: the client, too, imports this file, and runs in browsers.
    globalThis.crypto.getRandomValues(pool);
    poolAt = 0;
  }
  poolAt += count;
  return pool.subarray(poolAt - count, poolAt);
}
