import { modelCodeOf, type JobId, type Priority } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { costOf } from "./cost.ts";
import { toOwner } from "./job-owner.ts";
import { QUEUE_CLASSES } from "./job-queue.ts";
import type { KeptSpec } from "./kept-spec.ts";
import { endingKeys, keys } from "./keys.ts";
import { script } from "./script.ts";
import { toStanding, type Standing } from "./standing.ts";
import type { Submission, Submitted } from "./submission.ts";

const acceptance = z.tuple([
  z.string(),
  z.string(),
  z.string(),
  z.string(),
  z.int(),
  z.int(),
  z.int(),
  z.int(),
  z.int(),
  z.int(),
  z.literal([0, 1]),
  z.literal([0, 1]),
]);
const accept = script("accept", acceptance);
/** What the ledger says of a job that it was to take in; `lua/accept.lua` names the parts. */
export type Acceptance = z.infer<typeof acceptance>;

/** Fewer starts than this in a minute say little of when the next will be. */
const RATE_EVIDENCE = 10;
/** The script's word for a job that it did not make. */
export const REFUSED = "refused";

/** A job that is booked. */
interface BookedJob {
  readonly id: JobId;
  readonly submission: Submission;
  readonly kept: KeptSpec;
  /** Which run of Redis this is taken to be; "" for not known. */
  readonly run: string;
}

/** Have the ledger take in a job, once. From the reply on it is not lost. */
export async function acceptJob(
  redis: Redis,
  { id, submission, kept, run }: BookedJob,
): Promise<Acceptance> {
  const { spec, model, deadlineMs, retentionMs, attachedTo } = submission;
  const code = modelCodeOf(id);
  const [entry, , open, deadline, attached] = endingKeys(id);
  return accept(
    redis,
    [
      ...[entry, open, deadline, attached].filter((key) => key !== undefined),
      keys.flow(code),
      keys.workers(code),
      keys.queue(code, model.version, "prioritized"),
      keys.versions(code),
      keys.idle(code, model.version),
      keys.turns(code, model.version),
      keys.queue(code, model.version, "wait"),
      keys.picky(code, model.version),
    ],
    [
      id,
      kept.head,
      deadlineMs,
      retentionMs,
      QUEUE_CLASSES[spec.priority],
      model.version,
      attachedTo?.split(" ")[0] ?? "",
      attachedTo ?? "",
      submission.canRestart ? "" : "1",
      run,
      JSON.stringify(toOwner(id, submission)),
      costOf(spec, model),
      submission.weight,
      spec.tenant,
      RATE_EVIDENCE,
      kept.request,
      submission.batch ?? "",
    ],
  );
}

/** Tell from the reply where a job stands that waits in the queue. */
export function toStandingOf(accepted: Acceptance, priority: Priority): Standing {
  const [, , , , ahead, peers, starts, sooner, spanMs, workers, idle] = accepted;
  return toStanding(
    { ahead, peers, starts, sooner, spanMs, workers, isIdle: idle === 1 },
    priority,
  );
}

/** When it was accepted, and the latest that it may start. */
export function toInstants(
  acceptedAt: string,
  deadlineAt: string,
): Pick<Submitted, "acceptedAtMs" | "deadlineAtMs"> {
  return { acceptedAtMs: Number(acceptedAt), deadlineAtMs: Number(deadlineAt) };
}
