import { isTerminal, jobEndSchema, jobStatusSchema, parseCursor } from "@headrace/contract";
import { z } from "zod";

import { contentOf } from "../bench/chat-stream.ts";
import type { Expectation, JobFault } from "./finding.ts";
import type { LedgerEntry, LedgerJob } from "./ledger.ts";

/** A log's types of entry that are not the end. */
const OPEN_TYPES: ReadonlySet<string> = new Set(["attempt", "delta", "vectors"]);

const attemptSchema = z.looseObject({ reset: z.boolean() });

/** Check that the job ended once, as it should, and what was counted. */
export function findEndFaults({ state, log }: LedgerJob, expectation: Expectation): JobFault[] {
  if (!isTerminal(jobStatusSchema.parse(state))) return [["not_ended", `it is ${state}`]];
  const ends = log.filter(({ type }) => !OPEN_TYPES.has(type));
  const [end] = ends;
  if (end === undefined || ends.length > 1 || log.at(-1) !== end || end.type !== state) {
    const order = log.map(({ id, type }) => `${id} ${type}`).slice(-5);
    return [["ends", `${ends.length} ends, state ${state}: … ${order.join(", ")}`]];
  }
  const { outcome } = jobEndSchema.parse(JSON.parse(end.data));
  if (expectation.end !== null && state !== expectation.end) {
    return [["wrong_end", `${state}: ${JSON.stringify(outcome.error ?? null)}`]];
  }
  const counted = outcome.usage?.completion_tokens ?? 0;
  return state === "completed" && counted !== expectation.tokens
    ? [["wrong_usage", `counted ${counted} of ${expectation.tokens} tokens`]]
    : [];
}

/** Check that the log's entries follow each other, and that they say the right text. */
export function findLogFaults({ state, log }: LedgerJob, { text }: Expectation): JobFault[] {
  const faults: JobFault[] = [];
  let said = "";
  let before: LedgerEntry | null = null;
  for (const entry of log) {
    if (before !== null && !isNext(entry.id, before.id)) {
      faults.push(["log_gap", `${entry.id} after ${before.id}`]);
    }
    before = entry;
    if (entry.type === "delta") said += contentOf({ choices: JSON.parse(entry.data) });
    if (entry.type === "attempt" && attemptSchema.parse(JSON.parse(entry.data)).reset) said = "";
  }
  const isRight = state === "completed" ? said === text : text.startsWith(said);
  return isRight ? faults : [...faults, ["wrong_text", difference(said, text)]];
}

/** Whether nothing can be missing between two entries: the next one, or a new attempt's first. */
export function isNext(id: string, before: string): boolean {
  const [next, last] = [parseCursor(id), parseCursor(before)];
  if (next.epoch === last.epoch) return next.index === last.index + 1;
  return next.epoch > last.epoch && next.index === 0;
}

/** Tell where two texts part, for a person to see. */
export function difference(said: string, text: string): string {
  let at = 0;
  while (at < said.length && said[at] === text[at]) at += 1;
  const around = (whole: string): string => JSON.stringify(whole.slice(at, at + 30));
  return `from character ${at} of ${said.length}: ${around(said)} instead of ${around(text)}`;
}
