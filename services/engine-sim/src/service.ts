import type { IncomingMessage, ServerResponse } from "node:http";
import { ApiError } from "./api-error.ts";
import type { Engine } from "./engine.ts";
import type { FaultBook, FaultPlan } from "./faults.ts";
import type { EngineSimSettings } from "./settings.ts";

/** What the routes of one engine share. */
export interface Service {
  readonly settings: EngineSimSettings;
  readonly engine: Engine;
  readonly faults: FaultBook;
  readonly maxModelLen: number;
  /** The names requests may use; the first is the one answers and metrics carry by default. */
  readonly modelNames: readonly [string, ...string[]];
}

/** One call as its handler gets it. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
  /** By the process' monotonic clock. */
  readonly arrivedAtMs: number;
}

/** Answers one kind of call; throws `ApiError` to refuse it. */
type Handler = (exchange: Exchange) => Promise<void> | void;

/** Handlers by method and path, as in `GET /health`. */
export type Routes = Readonly<Record<string, Handler>>;

/** Give the name to answer with, refusing a model that is not served. */
export function resolveModel(service: Service, model: string | null | undefined): string {
  if (model === null || model === undefined || model === "") return service.modelNames[0];
  if (service.modelNames.includes(model)) return model;
  throw new ApiError(404, `The model \`${model}\` does not exist.`, { param: "model" });
}

/** Refuse a priority where the scheduling policy knows none. */
export function requirePolicy({ settings }: Service, priority: number): void {
  if (priority === 0 || settings.schedulingPolicy === "priority") return;
  throw new ApiError(
    400,
    `Got priority ${priority} but Priority scheduling is not enabled. ` +
      `Start the server with --scheduling-policy priority.`,
    { param: "priority" },
  );
}

/** Refuse what the queue limits do not admit. */
export function requireAdmission(service: Service, sequences: number): void {
  const reason = service.engine.findRefusal(sequences);
  if (reason === null) return;
  const limit =
    reason === "queued_reqs"
      ? `max_num_queued_reqs=${service.settings.maxNumQueuedReqs}`
      : `max_num_queued_tokens=${service.settings.maxNumQueuedTokens}`;
  throw new ApiError(503, `The request queue is full (${limit}). Try again later.`);
}

/** Carry out the faults that strike before any work; true when the call stays unanswered. */
export function failEarly(faults: FaultPlan): boolean {
  if (faults.refusal !== undefined) {
    const { status, retryAfterSeconds } = faults.refusal;
    throw new ApiError(status, `Fault requested: ${status}.`, { retryAfterSeconds });
  }
  return faults.hangs === true;
}
