import { PlatformError } from "@headrace/contract";
import { z } from "zod";

/**
 * Wait for an answer of Redis: what it did not answer is the queue's absence to a caller, not a bug
 * of ours.
 *
 * @throws PlatformError `queue_unavailable` for whatever kept Redis from answering
 */
export async function guard<Answer>(answer: Promise<Answer>): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof PlatformError || error instanceof z.ZodError) throw error;
    throw new PlatformError("queue_unavailable", "the queue cannot be reached; try again shortly", {
      cause: error,
    });
  }
}
