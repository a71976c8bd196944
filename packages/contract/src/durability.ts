import { z } from "zod";

/**
 * What a 202 is worth, as `HEADRACE_DURABILITY` names it:
 *
 * - `redis`: Redis has the job. What its append-only file loses in a power cut is lost: with
 *   `appendfsync everysec` about the last second.
 * - `redis-always`: Redis has the job on its disk (`appendfsync always`).
 * - `replicated`: Redis and one replica have it, so that it outlives a failover.
 */
export const durabilitySchema = z.enum(["redis", "redis-always", "replicated"]);
export type Durability = z.infer<typeof durabilitySchema>;
