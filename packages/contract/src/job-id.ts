import { z } from "zod";

import { ALPHABET, randomText, writeBits } from "./random-text.ts";

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
  return jobIdSchema.parse(`job_${code}_${randomText(RANDOM_BYTES)}`);
}

/** Make the id that 128 given bits stand for. @param bits 16 bytes that nobody can guess */
export function jobIdOf(code: ModelCode, bits: Uint8Array): JobId {
  return jobIdSchema.parse(`job_${code}_${writeBits(bits)}`);
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
