import { z } from "zod";

/** Digits and letters without i, l, o, u: ids survive being read aloud (Crockford's base 32). */
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
/** 26 characters of 5 bits hold the 128 random bits. */
const RANDOM_LENGTH = 26;
const RANDOM_BYTES = 16;

/**
 * Short opaque name of a model's slot in Redis. Model names contain `:` and `/`, and one name may
 * one day own several slots, so keys are built from codes.
 */
export const modelCodeSchema = z
  .string()
  .regex(/^[0-9a-z]{4,12}$/, "expected 4 to 12 digits and lower-case letters")
  .brand("ModelCode");
export type ModelCode = z.infer<typeof modelCodeSchema>;

/** `job_<model code>_<128 random bits>`: every Redis key of a job derives from its id. */
export const jobIdSchema = z
  .string()
  .regex(
    new RegExp(`^job_[0-9a-z]{4,12}_[${ALPHABET}]{${RANDOM_LENGTH}}$`),
    "expected job_<code>_<26 characters>",
  )
  .brand("JobId");
export type JobId = z.infer<typeof jobIdSchema>;

/** Make an id that nobody can guess, for a job of the model behind `code`. */
export function newJobId(code: ModelCode): JobId {
  return jobIdSchema.parse(`job_${code}_${randomText()}`);
}

/** Tell which model's slot a job lives in. */
export function modelCodeOf(job: JobId): ModelCode {
  return modelCodeSchema.parse(job.slice("job_".length, job.lastIndexOf("_")));
}

/** Read an id that came from outside. @returns null when it cannot be one */
export function findJobId(text: unknown): JobId | null {
  const parsed = jobIdSchema.safeParse(text);
  return parsed.success ? parsed.data : null;
}

/** Random bytes not yet used: asking for 16 at a time took a twentieth of an ingress' time. */
const pool = new Uint8Array(256 * RANDOM_BYTES);
let poolAt = pool.length;

function randomBytes(): Uint8Array {
  if (poolAt === pool.length) {
    // The web's generator, not Node's: the client, too, imports this file, and runs in browsers.
    globalThis.crypto.getRandomValues(pool);
    poolAt = 0;
  }
  poolAt += RANDOM_BYTES;
  return pool.subarray(poolAt - RANDOM_BYTES, poolAt);
}

function randomText(): string {
  let text = "";
  let bits = 0;
  let bitCount = 0;
  for (const byte of randomBytes()) {
    bits = (bits << 8) | byte;
    bitCount += 8;
    while (bitCount >= 5) {
      bitCount -= 5;
      text += ALPHABET.charAt((bits >> bitCount) & 31);
    }
    bits &= (1 << bitCount) - 1;
  }
  return text + ALPHABET.charAt((bits << (5 - bitCount)) & 31);
}
