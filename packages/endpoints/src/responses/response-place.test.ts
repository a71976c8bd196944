import type { LogEntry } from "@headrace/broker";
import { isAfter, type Cursor, type JobId } from "@headrace/contract";
import * as fc from "fast-check";
import { expect, test } from "vitest";

import type { LogReader } from "../log-reader.ts";
import { findPlace } from "./response-place.ts";
import type { ResponseEvent } from "./response-translator.ts";
import type { ResponseJob } from "./response-view.ts";
import { attempt, ends, responseJob, says, tell } from "./test-translation.ts";

/** A log that is held in a list. */
class ListedLog implements LogReader {
  readonly entries: readonly LogEntry[];

  constructor(entries: readonly LogEntry[]) {
    this.entries = entries;
  }

  async readLog(_job: JobId, after: Cursor, limit: number): Promise<LogEntry[]> {
    return this.entries.filter(({ cursor }) => isAfter(cursor, after)).slice(0, limit);
  }
}

/** What a reader is told who has all events up to one. */
async function resume(
  log: ListedLog,
  job: ResponseJob,
  known: number,
): Promise<readonly ResponseEvent[]> {
  const { translator, pending, after } = await findPlace(log, job, known);
  const rest = log.entries
    .filter(({ cursor }) => isAfter(cursor, after))
    .flatMap((entry) => translator.take(entry))
    .filter((event) => event.sequence_number > known);
  return [...pending, ...rest];
}

/** What an engine may say in one delta. */
const delta = fc.oneof(
  fc.record({ content: fc.string({ maxLength: 4 }) }),
  fc.record({ reasoning: fc.string({ maxLength: 4 }) }),
  fc.record({ refusal: fc.string({ maxLength: 4 }) }),
  fc.record({ content: fc.string({ maxLength: 3 }), reasoning: fc.string({ maxLength: 3 }) }),
  fc.tuple(fc.nat(2), fc.string({ maxLength: 3 })).map(([index, text]) => ({
    tool_calls: [{ index, function: { name: "f", arguments: text } }],
  })),
);

/** A log of one to three attempts, each going on from the last, and its end. */
const log = fc
  .record({
    attempts: fc.array(fc.array(delta, { maxLength: 8 }), { minLength: 1, maxLength: 3 }),
    leap: fc.constantFrom(1, 1_001),
    end: fc.constantFrom("completed", "failed", "cancelled"),
    finish: fc.constantFrom("stop", "length", null),
  })
  .map(({ attempts, leap, end, finish }) => {
    const entries: LogEntry[] = [];
    let from = 0;
    let calls = 0;
    for (const [at, deltas] of attempts.entries()) {
      const epoch = 1 + at * leap;
      entries.push(attempt(epoch, { from }));
      for (const [index, said] of deltas.entries()) {
        entries.push(says(`${epoch}-${index + 1}`, inOrder(said)));
      }
      from += deltas.length;
    }
    const epoch = 1 + (attempts.length - 1) * leap;
    const last = attempts.at(-1)?.length ?? 0;
    entries.push(says(`${epoch}-${last + 1}`, {}, { finish_reason: finish }));
    entries.push(ends(`${epoch}-${last + 2}`, end));
    return entries;

    // Calls follow each other: one never goes on after a later one.
    function inOrder(said: object): object {
      if (!("tool_calls" in said) || !Array.isArray(said.tool_calls)) return said;
      const [call] = said.tool_calls;
      calls = Math.max(calls, Number(call.index));
      return { tool_calls: [{ ...call, index: calls }] };
    }
  });

test("going on after any event leaves no gap and repeats nothing", async () => {
  const property = fc.asyncProperty(log, fc.boolean(), async (entries, isBackground) => {
    const job = responseJob({}, { isBackground });
    const events = tell(job, entries);
    const numbers = events.map((event) => event.sequence_number);

    expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
    for (const [at, known] of numbers.entries()) {
      expect(await resume(new ListedLog(entries), job, known)).toEqual(events.slice(at + 1));
    }
  });
  await fc.assert(property, { numRuns: 60 });
}, 30_000);

test("going on after an event is the same in the middle of an attempt that goes on", async () => {
  const job = responseJob({}, { isBackground: true });
  const first = [attempt(1), says("1-1", { content: "Hel" })];
  const whole = [...first, attempt(2, { from: 1 }), says("2-1", { content: "lo" })];
  const known = tell(job, first).at(-1)?.sequence_number ?? -1;

  const rest = await resume(new ListedLog(whole), job, known);

  expect(rest).toMatchObject([{ type: "response.output_text.delta", delta: "lo" }]);
});

test("a reader of a job that starts over before any output goes on with what it has", async () => {
  const job = responseJob({}, { isBackground: true });
  const later = new ListedLog([
    attempt(2),
    says("2-1", { content: "Hi" }),
    ends("2-2", "completed"),
  ]);

  for (const known of [0, 1, 2]) {
    const rest = await resume(later, job, known);
    expect(rest).toEqual(tell(job, later.entries).slice(known + 1));
  }
});

test("an event that was voided, lost, or never told is refused", async () => {
  const job = responseJob({}, { isBackground: true });
  const shown = [attempt(1), says("1-1", { content: "a" }), says("1-2", { content: "b" })];
  const lastNumber = tell(job, shown).at(-1)?.sequence_number ?? -1;
  const logs = {
    startedOver: [attempt(2, { reset: true }), says("2-1", { content: "c" })],
    lostTheLast: shown.slice(0, 2),
    wentOnWithoutIt: [...shown.slice(0, 2), attempt(1_002, { from: 1 })],
    empty: [],
  };

  for (const entries of Object.values(logs)) {
    await expect(findPlace(new ListedLog(entries), job, lastNumber)).rejects.toMatchObject({
      code: "request_invalid",
      param: "starting_after",
    });
  }
  await expect(findPlace(new ListedLog(shown), job, lastNumber + 1)).rejects.toThrow(/number/);
  await expect(findPlace(new ListedLog(shown), job, 2 ** 24 - 2)).rejects.toThrow(/number/);
});

test("a long log is read in pages", async () => {
  const job = responseJob();
  const entries = [
    attempt(1),
    ...Array.from({ length: 600 }, (_, at) => says(`1-${at + 1}`, { content: `${at} ` })),
    ends("1-601", "completed"),
  ];
  const events = tell(job, entries);

  const rest = await resume(new ListedLog(entries), job, events.at(-5)?.sequence_number ?? -1);

  expect(rest).toEqual(events.slice(-4));
});
