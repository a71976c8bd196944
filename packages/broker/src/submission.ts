import type { BatchId, EngineRequest, JobId, JobSpec, KeyLimits } from "@headrace/contract";

import type { Allowance } from "./allowance.ts";
import type { KnownModel } from "./model-registry.ts";
import type { Standing } from "./standing.ts";

/** A job on its way in. */
export interface Submission {
  readonly spec: JobSpec;
  readonly model: KnownModel;
  /** What the caller asked for, where the operator's filter made another request of it. */
  readonly askedRequest?: EngineRequest;
  /** How long the job may wait to start, ms. */
  readonly deadlineMs: number;
  /** How long it is kept once ended, ms; 0 = until delivered. */
  readonly retentionMs: number;
  /** Whether a second attempt may void output that was shown, where it cannot go on from it. */
  readonly canRestart: boolean;
  /** The caller's `Idempotency-Key`. */
  readonly idempotencyKey: string | null;
  /** Of the tenant's share between tenants whose jobs wait in the same class: 1 for most. */
  readonly weight: number;
  /** Set for a synchronous call, `<ingress> <call>`: the job lives only as long as that. */
  readonly attachedTo: string | null;
  /**
   * Set for a call of OpenAI's SDK: how often it has made the call before. It repeats calls by itself
   * and names no key, so the body is taken for one, for ten minutes.
   */
  readonly sdkTry?: number;
  /** What the caller's key may use; null = anything. */
  readonly limits: KeyLimits | null;
  /** What was reserved for it when it was booked, by a call before this one. */
  readonly reservedTokens?: number;
  /** The batch that it is a line of: nobody is told of its end but the batcher. @see LineDesk */
  readonly batch?: BatchId;
  /** Where the caller is, for limits by address. */
  readonly address?: string;
  /** Told what is left of the limits, before anything else comes of it; not where there are none. */
  readonly onAllowance?: (allowance: Allowance) => void;
}

export interface Submitted {
  readonly id: JobId;
  /** False when an earlier request with the same key had made the job. */
  readonly isNew: boolean;
  /** By Redis' clock, ms: as every later read of the job says. */
  readonly acceptedAtMs: number;
  readonly deadlineAtMs: number;
  /** Null unless the job waits in the queue. */
  readonly standing: Standing | null;
}
