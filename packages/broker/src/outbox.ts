import {
  jobEndSchema,
  jobIdSchema,
  type JobEnd,
  type JobId,
  type ModelCode,
  type TerminalStatus,
} from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { jobOwnerSchema, type JobOwner } from "./job-owner.ts";
import { keys } from "./keys.ts";
import type { Report } from "./redis.ts";

/** A job that has ended, with all that what comes after its end needs: its entry may be gone. */
export interface EndedJob {
  readonly id: JobId;
  readonly owner: JobOwner;
  readonly status: TerminalStatus;
  /** Entries of output that stand, each at least one token. */
  readonly shown: number;
  /** What attempts that did not end it have cost of the GPU's time, ms. */
  readonly gpuMs: number;
  readonly end: JobEnd;
  /** What is kept of it in Redis, bytes; null where an earlier build, or its Redis, does not tell. */
  readonly keptBytes: number | null;
  /** It has been told of before, and this is the rest of the GPU's time that it has cost. */
  readonly isRest: boolean;
  /** Place in the outbox: of two jobs of a model, the one that ended later has the greater. */
  readonly place: OutboxPlace;
}

/** A stream's entry id, in its parts. */
export interface OutboxPlace {
  readonly ms: number;
  readonly sequence: number;
}

const json = z.string().transform((text): unknown => JSON.parse(text));

const fieldsSchema = z.object({
  job: jobIdSchema,
  owner: json.pipe(jobOwnerSchema),
  status: z.enum(["completed", "failed", "cancelled", "expired"]),
  shown: z.string().transform(Number),
  gpu_ms: z.string().transform(Number),
  end: json.pipe(jobEndSchema),
  rest: z.string().optional(),
  kept: z.string().optional(),
});

/** The head of a model's outbox. */
export interface OutboxPage {
  readonly jobs: readonly EndedJob[];
  /** Whether there may be more behind it. */
  readonly isFull: boolean;
  /** Place of the last entry, also of one that cannot be read; null when there is none. */
  readonly last: OutboxPlace | null;
}

/**
 * Read the oldest ended jobs of a model that are still in its outbox. One that cannot be read is
 * reported and left out: it would keep all behind it from being read.
 */
export async function readOutbox(
  redis: Redis,
  code: ModelCode,
  { limit, report }: { readonly limit: number; readonly report: Report },
): Promise<OutboxPage> {
  const entries = await redis.xrange(keys.outbox(code), "-", "+", "COUNT", limit);
  const jobs: EndedJob[] = [];
  let last: OutboxPlace | null = null;
  for (const [id, fields] of entries) {
    last = parsePlace(id);
    try {
      jobs.push({ ...parseFields(fields), place: last });
    } catch (cause) {
      report(new Error(`entry ${id} of the outbox of ${code} cannot be read`, { cause }));
    }
  }
  return { jobs, isFull: entries.length === limit, last };
}

/** Remove what stands in the outbox up to this place. Removing it again does nothing. */
export async function trimOutbox(
  redis: Redis,
  code: ModelCode,
  { ms, sequence }: OutboxPlace,
): Promise<void> {
  await redis.xtrim(keys.outbox(code), "MINID", `${ms}-${sequence + 1}`);
}

function parseFields(fields: readonly string[]): Omit<EndedJob, "place"> {
  const named = new Map<string, string>();
  for (let at = 0; at + 1 < fields.length; at += 2) {
    named.set(fields[at] ?? "", fields[at + 1] ?? "");
  }
  const { job, gpu_ms: gpuMs, rest, kept, ...told } = fieldsSchema.parse(Object.fromEntries(named));
  // A key that is there takes some: 0 is a Redis that does not tell.
  const keptBytes = Number(kept ?? 0) || null;
  return { id: job, gpuMs, keptBytes, isRest: rest !== undefined, ...told };
}

function parsePlace(id: string): OutboxPlace {
  const [ms, sequence] = id.split("-", 2).map(Number);
  return { ms: ms ?? 0, sequence: sequence ?? 0 };
}
