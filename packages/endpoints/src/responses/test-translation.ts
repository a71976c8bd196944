import type { LogEntry, LogEntryType } from "@headrace/broker";
import { modelCodeSchema, newJobId, parseCursor } from "@headrace/contract";

import { ResponseTranslator, type ResponseEvent } from "./response-translator.ts";
import type { ResponseJob } from "./response-view.ts";

const ACCEPTED_AT_MS = 1_764_000_000_000;

/** A job that is to be shown as a response. */
export function responseJob(
  request: object = {},
  { isBackground = false }: { readonly isBackground?: boolean } = {},
): ResponseJob {
  return {
    id: newJobId(modelCodeSchema.parse("ab12")),
    acceptedAtMs: ACCEPTED_AT_MS,
    spec: {
      request: { model: "m", messages: [{ role: "user", content: "Hi" }], ...request },
      metadata: {},
      response: {
        is_background: isBackground,
        is_stored: true,
        has_instructions: false,
        echo: {},
      },
    },
  };
}

/** An entry of a log. */
export function entry(id: string, type: LogEntryType, data: unknown): LogEntry {
  return { id, cursor: parseCursor(id), type, data: JSON.stringify(data) };
}

/** An entry that opens an attempt. */
export function attempt(epoch: number, { from = 0, reset = false } = {}): LogEntry {
  return entry(`${epoch}-0`, "attempt", { epoch, reason: "first", from, reset });
}

/** An entry of one choice's output. */
export function says(id: string, delta: object, more: object = {}): LogEntry {
  return entry(id, "delta", [{ index: 0, delta, finish_reason: null, ...more }]);
}

/** The entry that ends a job. */
export function ends(
  id: string,
  status: "completed" | "failed" | "cancelled" | "expired",
  outcome: object = {},
): LogEntry {
  const at = { accepted: ACCEPTED_AT_MS, ended: ACCEPTED_AT_MS + 2_500 };
  return entry(id, status, { at, attempts: 1, outcome });
}

/** All events of a response, from its first on. */
export function tell(job: ResponseJob, entries: readonly LogEntry[]): ResponseEvent[] {
  const translator = new ResponseTranslator(job);
  return [...translator.begin(), ...entries.flatMap((each) => translator.take(each))];
}
