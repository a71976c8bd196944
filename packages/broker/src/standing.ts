import { modelCodeOf, type JobId } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { keys } from "./keys.ts";
import { script } from "./script.ts";

const position = script(
  "position",
  z.tuple([z.int(), z.int(), z.int(), z.int(), z.literal([0, 1])]),
);

/** Where a queued job stands, and why it is not running. */
export interface Standing {
  /** Jobs that go first; null when it is on its way between queue and worker. */
  readonly ahead: number | null;
  /** Seconds until it starts at the rate of the last minute; null when nothing started lately. */
  readonly etaSeconds: number | null;
  readonly reason: "backlog" | "no_worker" | "dispatching";
}

/** What the scripts count of a queue, in the order they reply. */
export interface QueueCounts {
  readonly ahead: number;
  readonly starts: number;
  readonly spanMs: number;
  readonly workers: number;
  /** A worker with room waits for jobs: what comes starts at once. */
  readonly isIdle: boolean;
}

/** Tell where a queued job stands now. */
export async function readStanding(redis: Redis, job: JobId, version: string): Promise<Standing> {
  const code = modelCodeOf(job);
  const [ahead, starts, spanMs, workers, idle] = await position(
    redis,
    [
      keys.queue(code, version, "wait"),
      keys.queue(code, version, "prioritized"),
      keys.flow(code),
      keys.workers(code),
      keys.idle(code, version),
    ],
    [job],
  );
  return toStanding({ ahead, starts, spanMs, workers, isIdle: idle === 1 });
}

/**
 * Judge a wait by the drain rate: (jobs ahead + this one) / (starts per second lately). While a
 * worker waits for jobs, what starts is what came, and tells nothing of how fast they could.
 *
 * Little's law over the last minute; a fleet that has just grown or shrunk is behind its estimate.
 */
export function toStanding(counts: QueueCounts): Standing {
  const { ahead, starts, spanMs, workers, isIdle } = counts;
  if (ahead < 0) return { ahead: null, etaSeconds: null, reason: "dispatching" };
  if (isIdle) return { ahead, etaSeconds: 0, reason: "dispatching" };
  if (workers === 0) return { ahead, etaSeconds: null, reason: "no_worker" };
  const secondsPerStart = starts > 0 ? spanMs / 1_000 / starts : null;
  const etaSeconds = secondsPerStart === null ? null : (ahead + 1) * secondsPerStart;
  return { ahead, etaSeconds, reason: "backlog" };
}
