import { modelCodeOf, type Priority } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import type { JobRecord } from "./job-record.ts";
import { QUEUE_CLASSES } from "./job-queue.ts";
import { keys } from "./keys.ts";
import { script } from "./script.ts";

const position = script(
  "position",
  z.tuple([z.int(), z.int(), z.int(), z.int(), z.int(), z.int(), z.literal([0, 1])]),
);

/** Least share of all starts that a class has while it waits, as `lua/include/turn.lua` gives it. */
const LEAST_SHARES = { interactive: 1, standard: 0.2, batch: 0.05 } as const;

/** Where a queued job stands, and why it is not running. */
export interface Standing {
  /** Jobs that go first; null when it is on its way between queue and worker. */
  readonly ahead: number | null;
  /** Seconds until it starts, judged by the last minute; null when nothing started lately. */
  readonly etaSeconds: number | null;
  readonly reason: "backlog" | "no_worker" | "dispatching";
}

/** What the scripts count of a queue, in the order they reply. */
export interface QueueCounts {
  readonly ahead: number;
  /** How many of those ahead are of the job's own class. */
  readonly peers: number;
  readonly starts: number;
  /** How many of the starts were of classes before the job's. */
  readonly sooner: number;
  readonly spanMs: number;
  readonly workers: number;
  /** A worker with room waits for jobs: what comes starts at once. */
  readonly isIdle: boolean;
}

/** Tell where a queued job stands now. */
export async function readStanding(
  redis: Redis,
  { id, version, spec }: Pick<JobRecord, "id" | "version" | "spec">,
): Promise<Standing> {
  const code = modelCodeOf(id);
  const [ahead, peers, starts, sooner, spanMs, workers, idle] = await position(
    redis,
    [
      keys.queue(code, version, "wait"),
      keys.queue(code, version, "prioritized"),
      keys.flow(code),
      keys.workers(code),
      keys.idle(code, version),
    ],
    [id, QUEUE_CLASSES[spec.priority]],
  );
  const isIdle = idle === 1;
  return toStanding({ ahead, peers, starts, sooner, spanMs, workers, isIdle }, spec.priority);
}

/**
 * Judge a wait by the drain rate. While a worker waits for jobs, what starts is what came, and tells
 * nothing of how fast they could.
 *
 * Jobs of the classes before it that are yet to come go first too, as many as came lately: what is
 * ahead drains at the rate that these leave. A lower class has its share of all starts, though: its
 * jobs drain at no less than that.
 *
 * Little's law over the last minute; a fleet that has just grown or shrunk is behind its estimate.
 */
export function toStanding(counts: QueueCounts, priority: Priority): Standing {
  const { ahead, peers, starts, sooner, spanMs, workers, isIdle } = counts;
  if (ahead < 0) return { ahead: null, etaSeconds: null, reason: "dispatching" };
  if (isIdle) return { ahead, etaSeconds: 0, reason: "dispatching" };
  if (workers === 0) return { ahead, etaSeconds: null, reason: "no_worker" };
  if (starts === 0) return { ahead, etaSeconds: null, reason: "backlog" };
  const perSecond = starts / (spanMs / 1_000);
  const behindOthers = (ahead + 1) / (perSecond * (1 - sooner / starts));
  const byItsShare = (peers + 1) / (perSecond * LEAST_SHARES[priority]);
  return { ahead, etaSeconds: Math.min(behindOthers, byItsShare), reason: "backlog" };
}
