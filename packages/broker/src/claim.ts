import { modelCodeOf, type JobId, type JobSpec } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { readSpec } from "./kept-spec.ts";
import { endingKeys, keys } from "./keys.ts";
import { script } from "./script.ts";

const claim = script(
  "claim",
  z.union([
    z.tuple([
      z.literal("claimed"),
      z.int(),
      z.int(),
      z.string(),
      z.literal([0, 1]),
      z.int(),
      z.literal([0, 1]),
      z.string(),
      z.literal([0, 1]),
    ]),
    z.tuple([z.literal(["absent", "ended", "expired", "failed", "unlocked"])]),
  ]),
);

/** A job whose third holder dies is failed: it may be what kills them. */
const DEATH_LIMIT = 3;

/** A claim to a job: what its end or its release must name. */
export interface Claim {
  readonly job: JobId;
  /** `<worker>:<number>`: which of the worker's fetches brought it. */
  readonly token: string;
  readonly epoch: number;
}

/** One attempt at a job, held by this worker until it is finished, released or lost. */
export interface Attempt extends Claim {
  /** Attempts so far that count, this one included. */
  readonly attempts: number;
  readonly spec: JobSpec;
  /** A job that has shown output must not start over: it fails instead. */
  readonly isFragile: boolean;
  /**
   * How many output entries of earlier attempts stand, for this one to go on from; 0 when it starts
   * (over).
   */
  readonly from: number;
  /**
   * One more holder that dies fails the job. It must be alone with its worker: then nobody dies with
   * it, and its worker not with others.
   */
  readonly isSuspect: boolean;
  /** Nobody reads along: it is a line of a batch, of which only what it came to is of use. */
  readonly isUnread: boolean;
}

/** Who claims a job. */
export interface Claimant {
  /** `<worker>:<number>`, new for each fetch; claiming again with it changes nothing. */
  readonly token: string;
  /** Version of the model that the worker serves. */
  readonly version: string;
  /** Whether its engine can go on from token ids. */
  readonly hasTokenIds: boolean;
  /** Key that holds the token as long as the job is this worker's; null to take it anyhow. */
  readonly lock: string | null;
}

/**
 * Why a job that BullMQ offered is not this worker's to run: there is no entry, it is over, or the
 * lock has run out and it is another's.
 */
export type Unclaimable = "absent" | "ended" | "expired" | "failed" | "unlocked";

/**
 * Open a new attempt at a job that BullMQ has handed to this worker.
 *
 * It goes on from what earlier attempts showed where they kept token ids of the same version of the
 * model; it starts over otherwise, and a job that must not start over ends.
 *
 * @returns a claim alone for a job that this version of Headrace cannot read: a later one made it,
 *   and a worker of that one can run it
 */
export async function claimJob(
  redis: Redis,
  job: JobId,
  { token, version, hasTokenIds, lock }: Claimant,
): Promise<Attempt | Claim | Unclaimable> {
  const code = modelCodeOf(job);
  const reply = await claim(
    redis,
    [
      ...endingKeys(job),
      keys.flow(code),
      keys.turns(code, version),
      keys.queue(code, version, "prioritized"),
      ...(lock === null ? [] : [lock]),
    ],
    [job, keys.slot(code), token, DEATH_LIMIT, version, hasTokenIds ? "1" : ""],
  );
  if (reply[0] !== "claimed") return reply[0];
  const [, epoch, attempts, head, fragile, from, suspect, request, line] = reply;
  const spec = readSpec({ head, request });
  if (spec === null) return { job, token, epoch };
  return {
    job,
    token,
    epoch,
    attempts,
    spec,
    isFragile: fragile === 1,
    from,
    isSuspect: suspect === 1,
    isUnread: line === 1,
  };
}
