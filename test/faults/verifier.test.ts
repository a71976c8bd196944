import { describe, expect, test } from "vitest";

import { makeCase } from "./job-case.ts";
import type { LedgerEntry, LedgerJob } from "./ledger.ts";
import type { SeenEvent, Transcript } from "./transcript.ts";
import { toMeter } from "./usage-check.ts";
import { verify, type AcceptedJob, type RunRecord } from "./verifier.ts";

const ID = "job_abcdef_0123456789abcdef0123456789abcdef";
const OTHER = "job_abcdef_fedcba9876543210fedcba9876543210";
const TOKENS = 12;
const CASE = makeCase("a job to check the checker with", TOKENS);
const WORDS = CASE.expected.text.match(/\S+\s*|\s+/g) ?? [];

const delta = (id: string, content: string): LedgerEntry => ({
  id,
  type: "delta",
  data: JSON.stringify([{ index: 0, delta: { content } }]),
});

const attempt = (epoch: number, reset: boolean): LedgerEntry => ({
  id: `${epoch}-0`,
  type: "attempt",
  data: JSON.stringify({ epoch, reason: reset ? "worker_lost" : "first", from: 0, reset }),
});

const ending = (id: string, type = "completed", tokens = TOKENS): LedgerEntry => ({
  id,
  type,
  data: JSON.stringify({
    at: { accepted: 1, ended: 2 },
    attempts: 1,
    outcome: { usage: { prompt_tokens: 1, completion_tokens: tokens, total_tokens: tokens + 1 } },
  }),
});

/** What a faultless reader of such a log sees. */
const see = (log: readonly LedgerEntry[]): SeenEvent[] =>
  log.map(({ id, type, data }) => {
    const parsed = JSON.parse(data);
    return {
      id,
      type:
        type === "attempt"
          ? "attempt.started"
          : type === "delta"
            ? "output.delta"
            : "job.completed",
      text: type === "delta" ? parsed[0].delta.content : "",
      reset: parsed.reset === true,
      reason: parsed.reason ?? "",
      atMs: 0,
    };
  });

const LOG: readonly LedgerEntry[] = [
  attempt(1, false),
  ...WORDS.map((word, at) => delta(`1-${at + 1}`, word)),
  ending(`1-${WORDS.length + 1}`),
];

const NOT_BEGUN = { spec: "{}", begun: 0, attempts: 0, deaths: 0, log: [] };

/** A try of the job with another tenant's key. */
const REFUSED = { job: ID, way: `GET /v1/jobs/${ID}`, status: 404, isLeak: false };

/** A run of one job, right in everything but what a test changes about it. */
function run(
  changes: {
    readonly log?: readonly LedgerEntry[];
    readonly job?: Partial<LedgerJob> | null;
    readonly seen?: readonly SeenEvent[];
    readonly transcript?: Partial<Transcript>;
    readonly accepted?: Partial<AcceptedJob>;
    readonly record?: Partial<RunRecord>;
    readonly others?: ReadonlyMap<string, LedgerJob>;
  } = {},
): RunRecord {
  const log = changes.log ?? LOG;
  const job: LedgerJob = {
    state: "completed",
    spec: "{}",
    begun: 1,
    attempts: 1,
    deaths: 0,
    log,
    ...changes.job,
  };
  const events = changes.seen ?? see(LOG);
  const transcript: Transcript = {
    events,
    connections: 1,
    end: "ended",
    oddities: [],
    ...changes.transcript,
  };
  const jobs = new Map(changes.job === null ? [] : [[ID, job]]);
  for (const [id, other] of changes.others ?? []) jobs.set(id, other);
  return {
    accepted: [{ id: ID, job: CASE, transcript, end: "completed", ...changes.accepted }],
    ledger: { jobs, listed: [], metered: toMeter(jobs) },
    oddities: [],
    crossings: [REFUSED],
    webhooks: null,
    ...changes.record,
  };
}

const faultsOf = (record: RunRecord): string[] => [
  ...new Set(verify(record).map(({ fault }) => fault)),
];

const without = <Item>(items: readonly Item[], at: number): Item[] =>
  items.filter((_item, nth) => nth !== at);

const doubled = <Item>(items: readonly Item[], at: number): Item[] =>
  items.flatMap((item, nth) => (nth === at ? [item, item] : [item]));

describe("the verifier finds nothing wrong", () => {
  test("with a job that went well", () => {
    expect(WORDS.length).toBeGreaterThan(4);
    expect(verify(run())).toEqual([]);
  });

  test("with an attempt that was voided, read before or after", () => {
    const shown = [attempt(1, false), delta("1-1", WORDS[0] ?? "")];
    const second = [
      attempt(2, true),
      ...WORDS.map((word, at) => delta(`2-${at + 1}`, word)),
      ending(`2-${WORDS.length + 1}`),
    ];

    expect(verify(run({ log: second, seen: see([...shown, ...second]) }))).toEqual([]);
    expect(verify(run({ log: second, seen: see(second) }))).toEqual([]);
  });

  test("with an attempt that goes on where the one before it stopped", () => {
    const log = [
      attempt(1, false),
      delta("1-1", WORDS[0] ?? ""),
      attempt(2, false),
      ...WORDS.slice(1).map((word, at) => delta(`2-${at + 1}`, word)),
      ending(`2-${WORDS.length}`),
    ];

    expect(verify(run({ log, seen: see(log) }))).toEqual([]);
  });

  test("with a job that was refused and cancelled", () => {
    const cancelled = { ...NOT_BEGUN, state: "cancelled" };

    expect(verify(run({ others: new Map([[OTHER, cancelled]]) }))).toEqual([]);
  });
});

describe("the verifier names", () => {
  const last = LOG.length - 1;
  test.for<[string, RunRecord, string[]]>([
    ["a lost job", run({ job: null }), ["lost"]],
    [
      "a job that never ended",
      run({
        job: { state: "in_progress" },
        log: LOG.slice(0, -1),
        seen: see(LOG).slice(0, -1),
        transcript: { end: "gave_up" },
      }),
      ["not_ended", "stranded_reader"],
    ],
    ["two ends", run({ log: [...LOG, ending(`1-${WORDS.length + 2}`)] }), ["ends"]],
    ["output after the end", run({ log: [...LOG, delta(`1-${WORDS.length + 2}`, "")] }), ["ends"]],
    ["an end that the state belies", run({ job: { state: "failed" } }), ["ends"]],
    [
      "a failure without fault",
      run({
        job: { state: "failed" },
        log: [attempt(1, false), ending("1-1", "failed")],
        seen: see([attempt(1, false), ending("1-1")]).map((event) =>
          event.type === "job.completed" ? { ...event, type: "job.failed" } : event,
        ),
      }),
      ["wrong_end"],
    ],
    ["a wrong word", run({ log: LOG.with(2, delta("1-2", "Lorem ")) }), ["wrong_text"]],
    ["an entry that is missing", run({ log: without(LOG, 2) }), ["log_gap", "wrong_text"]],
    [
      "text that stops short",
      run({ log: [...LOG.slice(0, -2), ending(`1-${WORDS.length}`)] }),
      ["wrong_text"],
    ],
    ["an entry that is there twice", run({ log: doubled(LOG, 3) }), ["log_gap", "wrong_text"]],
    [
      "usage counted twice",
      run({ log: LOG.with(last, ending(`1-${last}`, "completed", TOKENS * 2)) }),
      ["wrong_usage"],
    ],
    ["an event that a reader missed", run({ seen: without(see(LOG), 2) }), ["gap", "shown_text"]],
    [
      "an event that a reader was given twice",
      run({ seen: doubled(see(LOG), 2) }),
      ["repeat", "shown_text"],
    ],
    [
      "a token twice in one entry",
      run({
        seen: see(LOG).map((event, at) =>
          at === 2 ? { ...event, text: event.text + event.text } : event,
        ),
      }),
      ["shown_text"],
    ],
    [
      "two attempts spliced together",
      run({
        seen: see([
          ...LOG.slice(0, 3),
          attempt(2, false),
          ...LOG.slice(1, -1).map((entry, at) => ({ ...entry, id: `2-${at + 1}` })),
          ending(`2-${last}`),
        ]),
      }),
      ["shown_text"],
    ],
    ["two ends for a reader", run({ seen: doubled(see(LOG), last) }), ["repeat", "reader_ends"]],
    [
      "a reader that waits in vain",
      run({ seen: see(LOG).slice(0, -1), transcript: { end: "gave_up" } }),
      ["stranded_reader"],
    ],
    ["a reader whose job is gone", run({ transcript: { end: "gone" } }), ["stranded_reader"]],
    ["an odd answer to a reader", run({ transcript: { oddities: ["500 oops"] } }), ["odd_answer"]],
    ["an odd answer to a submit", run({ record: { oddities: ["500 oops"] } }), ["odd_answer"]],
    [
      "a job that runs though it was refused",
      run({
        others: new Map([[OTHER, { ...NOT_BEGUN, state: "completed" }]]),
      }),
      ["ghost"],
    ],
  ])("%s", ([, record, faults]) => {
    expect(faultsOf(record).toSorted()).toEqual(faults.toSorted());
  });

  test.for([
    ["a job that was counted twice", { jobs: 2, input_tokens: 2, output_tokens: 2 * TOKENS }, 3],
    ["a job that was not counted", { jobs: 0, input_tokens: 0, output_tokens: 0 }, 3],
    ["tokens too many", { jobs: 1, input_tokens: 1, output_tokens: TOKENS + 1 }, 1],
  ] as const)("%s", ([_what, metered, count]) => {
    const record = run();

    const findings = verify({ ...record, ledger: { ...record.ledger, metered } });

    expect(findings.map(({ fault }) => fault)).toEqual(
      Array.from({ length: count }, () => "wrong_usage"),
    );
  });

  test("what a cancelled job's caller had been given, uncounted", () => {
    const request = { model: "m", messages: [{ role: "user", content: "x".repeat(40) }] };
    const spec = { tenant: "t", endpoint: "/v1/chat/completions", priority: "batch" };
    const more = { on_retry: "reset", metadata: {}, admit_ms: 0, request };
    const log = [attempt(1, false), delta("1-1", "a"), delta("1-2", "b"), ending("1-3", "x")];
    const job = { ...NOT_BEGUN, spec: JSON.stringify({ ...spec, ...more }), log };

    const voided = [...log.slice(0, 3), attempt(2, true), delta("2-1", "c")];

    const meter = (changes: object): unknown =>
      toMeter(new Map([[ID, { ...job, state: "cancelled", ...changes }]]));
    expect(meter({})).toEqual({ jobs: 1, input_tokens: 14, output_tokens: 2 });
    expect(meter({ log: voided })).toEqual({ jobs: 1, input_tokens: 14, output_tokens: 1 });
    expect(meter({ log: [] })).toEqual({ jobs: 1, input_tokens: 0, output_tokens: 0 });
    expect(meter({ state: "queued" })).toEqual({ jobs: 0, input_tokens: 0, output_tokens: 0 });
  });

  test("what another tenant's key was told", () => {
    const leaks = [{ ...REFUSED, status: 200, isLeak: true }, REFUSED];

    expect(faultsOf(run({ record: { crossings: leaks } }))).toEqual(["leak"]);
  });

  test("that nobody tried another tenant's ids, or none had an answer", () => {
    const unanswered = [{ ...REFUSED, status: null }];

    expect(faultsOf(run({ record: { crossings: [] } }))).toEqual(["untried"]);
    expect(faultsOf(run({ record: { crossings: unanswered } }))).toEqual(["untried"]);
  });

  test("what is still listed though it has ended", () => {
    const record = run();
    const ledger = { ...record.ledger, listed: [`${ID} in hr:{abcdef}:open`] };

    expect(faultsOf({ ...record, ledger })).toEqual(["leftover"]);
  });
});
