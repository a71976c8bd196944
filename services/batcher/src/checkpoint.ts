import { batchUsageSchema } from "@headrace/contract";
import { z } from "zod";

/** Of the batchers that write such a checkpoint; one that does not know a later one's leaves it alone. */
const VERSION = 1;

const checkpointSchema = z.object({
  version: z.literal(VERSION),
  /** Place, in the order of the lines, of the first that was never submitted. */
  next: z.int().min(0),
  /** Places before it of lines that have no result in a segment. */
  open: z.array(z.int().min(0)),
  completed: z.int().min(0),
  failed: z.int().min(0),
  usage: batchUsageSchema,
  /** GPU time so far, ms. */
  gpuMs: z.number().min(0),
});
/** All that the next claim of a batch needs to go on, beside the segments written with it. */
export type Checkpoint = Omit<z.infer<typeof checkpointSchema>, "version">;

/** Where a batch begins. */
export const BEGINNING: Checkpoint = {
  next: 0,
  open: [],
  completed: 0,
  failed: 0,
  usage: {
    input_tokens: 0,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: 0,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: 0,
  },
  gpuMs: 0,
};

export function writeCheckpoint(checkpoint: Checkpoint): string {
  return JSON.stringify({ version: VERSION, ...checkpoint });
}

/** @returns null for one that a later version wrote */
export function readCheckpoint(text: string | null): Checkpoint | null {
  if (text === null) return BEGINNING;
  const parsed = checkpointSchema.safeParse(JSON.parse(text));
  return parsed.success ? parsed.data : null;
}
