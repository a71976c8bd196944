import { isAfter, parseCursor } from "@headrace/contract";

import type { Expectation, JobFault } from "./finding.ts";
import { difference, isNext } from "./log-check.ts";
import type { SeenEvent, Transcript } from "./transcript.ts";

/** Check what a reader saw: no gap, no repeat, one end, and at every moment a beginning of the text. */
export function findReaderFaults(transcript: Transcript, expectation: Expectation): JobFault[] {
  const { events, end } = transcript;
  const faults: JobFault[] = [];
  if (end !== "ended") faults.push(["stranded_reader", `${end} after ${events.length} events`]);
  faults.push(...findOrderFaults(events), ...findTextFaults(events, expectation));
  const ends = events.filter(isEnd);
  if (end === "ended" && (ends.length !== 1 || events.at(-1) !== ends[0])) {
    faults.push(["reader_ends", `${ends.length} ends, last came ${events.at(-1)?.type}`]);
  }
  return faults;
}

/** A reset voids all that came before, and with it the order. */
function findOrderFaults(events: readonly SeenEvent[]): JobFault[] {
  const faults: JobFault[] = [];
  let last = "";
  for (const { id, reset } of events.filter((event) => event.id !== "")) {
    if (last !== "" && !reset && !isNext(id, last)) {
      const isNew = isAfter(parseCursor(id), parseCursor(last));
      faults.push([isNew ? "gap" : "repeat", `${id} after ${last}`]);
    }
    last = id;
  }
  return faults;
}

function findTextFaults(events: readonly SeenEvent[], { text }: Expectation): JobFault[] {
  let shown = "";
  for (const event of events) {
    if (event.reset) shown = "";
    shown += event.text;
    if (!text.startsWith(shown)) return [["shown_text", difference(shown, text)]];
  }
  const isWhole = events.at(-1)?.type !== "job.completed" || shown === text;
  return isWhole ? [] : [["shown_text", difference(shown, text)]];
}

function isEnd({ type }: SeenEvent): boolean {
  return type !== "job.queued" && type !== "attempt.started" && type !== "output.delta";
}
