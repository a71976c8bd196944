import type { FaultName, Finding } from "./finding.ts";
import type { Crossing } from "./intruder.ts";
import { findEndFaults, findLogFaults } from "./log-check.ts";
import type { JobCase } from "./job-case.ts";
import type { Ledger } from "./ledger.ts";
import { findReaderFaults } from "./transcript-check.ts";
import type { Transcript } from "./transcript.ts";
import { findMeterFaults } from "./usage-check.ts";
import { findWebhookFaults, type WebhookRecord } from "./webhook-check.ts";

/** A job whose submit was answered with its id. */
export interface AcceptedJob {
  readonly id: string;
  readonly job: JobCase;
  readonly transcript: Transcript;
  /** How it must end; null where more than one end is right. */
  readonly end: "completed" | "failed" | "cancelled" | "expired" | null;
}

/** All there is to know of a run once it is over. */
export interface RunRecord {
  readonly accepted: readonly AcceptedJob[];
  readonly ledger: Ledger;
  /** Answers to submits that the API should never give. */
  readonly oddities: readonly string[];
  /** Tries of jobs' ids with another tenant's key. */
  readonly crossings: readonly Crossing[];
  /** What was received of jobs that name a webhook; null where none does. */
  readonly webhooks: WebhookRecord | null;
}

/** At least so many of all jobs must have been tried in vain: under faults many tries go unanswered. */
const TRIED_SHARE = 0.1;

/**
 * Check a run against what must always hold: I1, I2, I3, I4, I5, I6, I7 and I8 of DESIGN.md, as far as
 * jobs, their readers and those who should not read them can show it.
 *
 * Equal means equal to the text that can be computed from the prompt, not plausible.
 */
export function verify(record: RunRecord): Finding[] {
  const { accepted, ledger, oddities, crossings } = record;
  const findings = oddities.map((detail): Finding => ({
    fault: "odd_answer",
    subject: "submit",
    detail,
  }));
  for (const entry of accepted) findings.push(...verifyJob(entry, record));
  const known = new Set(accepted.map(({ id }) => id));
  for (const [id, { state }] of ledger.jobs) {
    // What was refused may have been accepted all the same, as long as it is cancelled then.
    if (known.has(id) || state === "cancelled") continue;
    findings.push({ fault: "ghost", subject: id, detail: `${state}, and nobody was told of it` });
  }
  for (const place of ledger.listed) {
    findings.push({ fault: "leftover", subject: place, detail: "still listed" });
  }
  findings.push(...findMeterFaults(ledger.jobs, ledger.metered));
  return [...findings, ...findLeaks(crossings, accepted.length)];
}

function findLeaks(crossings: readonly Crossing[], jobs: number): Finding[] {
  const leaks = crossings
    .filter(({ isLeak }) => isLeak)
    .map(({ job, way, status }): Finding => ({
      fault: "leak",
      subject: job,
      detail: `${way} with another tenant's key: ${status}`,
    }));
  const tried = crossings.filter(({ status }) => status === 404).length;
  if (tried >= jobs * TRIED_SHARE) return leaks;
  return [
    ...leaks,
    { fault: "untried", subject: "leaks", detail: `${tried} tries of ${jobs} jobs` },
  ];
}

function verifyJob(
  { id, job, transcript, end }: AcceptedJob,
  { ledger, webhooks }: RunRecord,
): Finding[] {
  const entry = ledger.jobs.get(id);
  const toFinding = ([fault, detail]: readonly [FaultName, string]): Finding => ({
    fault,
    subject: id,
    detail,
  });
  const odd = transcript.oddities.map((detail) => toFinding(["odd_answer", detail]));
  if (entry === undefined) return [...odd, toFinding(["lost", "the ledger does not know it"])];
  const expectation = { ...job.expected, end };
  return [
    ...odd,
    ...[
      ...findEndFaults(entry, expectation),
      ...findLogFaults(entry, expectation),
      ...findReaderFaults(transcript, expectation),
      ...(webhooks === null || job.submit.webhook === undefined
        ? []
        : findWebhookFaults(id, entry.state, webhooks)),
    ].map(toFinding),
  ];
}
