import { pino } from "pino";

/** Where a process tells what happened. Prompts, outputs, keys and secrets never go here. */
export interface Log {
  readonly debug: (fields: object, message: string) => void;
  readonly info: (fields: object, message: string) => void;
  readonly warn: (fields: object, message: string) => void;
  readonly error: (fields: object, message: string) => void;
}

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Log as JSON lines on standard output, under the process' name. Errors go under `error`. */
export function createLog(name: string, level: LogLevel): Log {
  return pino({
    name,
    level,
    errorKey: "error",
    serializers: { error: describeError },
    base: { name },
    timestamp: pino.stdTimeFunctions.isoTime,
  });
}

/** Message, code and cause: a stack names our files, and says nothing to an operator. */
function describeError(error: unknown): object {
  if (!(error instanceof Error)) return { message: String(error) };
  const code = "code" in error ? { code: error.code } : {};
  const cause = error.cause === undefined ? {} : { cause: describeError(error.cause) };
  return { message: error.message, ...code, ...cause };
}

/** How often one message may recur before it is only counted. */
const REPEAT_MS = 5_000;
/** Distinct messages remembered; more only means that some repeat sooner. */
const REMEMBERED = 100;

/**
 * Make a reporter of failures that happen outside any call. A Redis outage makes hundreds a second
 * of one kind: each kind is logged once in five seconds, with how many were left out.
 */
export function createReport(log: Log, now: () => number = Date.now): (error: Error) => void {
  const seen = new Map<string, { loggedAtMs: number; leftOut: number }>();
  return (error) => {
    const cause = error.cause instanceof Error ? error.cause.message : "";
    const kind = `${error.message.replaceAll(/job_\w+/g, "job")} ${cause}`;
    const before = seen.get(kind);
    if (before !== undefined && now() - before.loggedAtMs < REPEAT_MS) {
      before.leftOut += 1;
      return;
    }
    if (before === undefined && seen.size >= REMEMBERED) seen.clear();
    seen.set(kind, { loggedAtMs: now(), leftOut: 0 });
    log.warn({ error, alike: before?.leftOut ?? 0 }, error.message);
  };
}
