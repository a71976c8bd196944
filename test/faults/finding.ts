/** What can be wrong with a run, each with the promise of DESIGN.md that it breaks. */
const FAULTS = {
  /** Accepted, and unknown to the ledger. */
  lost: "I1",
  /** Open although the run is over. */
  not_ended: "I1",
  /** More or fewer than one terminal entry, or something after it. */
  ends: "I1",
  /** Ended otherwise than it should, through no fault of its own. */
  wrong_end: "I1",
  /** The log's text is not what the engine says to this prompt. */
  wrong_text: "I2",
  /** The log's entries do not follow each other. */
  log_gap: "I2",
  /** A reader's entries do not follow each other. */
  gap: "I3",
  /** A reader was given an entry twice, or one from before. */
  repeat: "I3",
  /** What a reader was shown is not the text, or no beginning of it. */
  shown_text: "I3",
  /** A reader was given more or fewer than one end, or something after it. */
  reader_ends: "I3",
  /** A reader waited in vain. */
  stranded_reader: "I3",
  /** Nobody was told of its end, although its submitter asked for it. */
  untold: "I4",
  /** It was told of under more than one id. */
  webhook_ids: "I4",
  /** What was told does not verify with its tenant's secret. */
  forged_webhook: "I4",
  /** It was told of otherwise than it ended. */
  wrong_webhook: "I4",
  /** Another tenant's key was told something of a job, or could do something to it. */
  leak: "I5",
  /** Hardly anybody tried another tenant's ids: that nothing leaked says nothing. */
  untried: "I5",
  /** Still listed somewhere although it has ended: memory that nothing frees. */
  leftover: "I6",
  /** An answer that nobody should be given. */
  odd_answer: "I7",
  /** A job ran that nobody was told of. */
  ghost: "I7",
  /** The counted tokens are not those of the text. */
  wrong_usage: "I8",
} as const;

export type FaultName = keyof typeof FAULTS;

/** One thing that is wrong. */
export interface Finding {
  readonly fault: FaultName;
  /** The job, or what else it is about. */
  readonly subject: string;
  readonly detail: string;
}

/** What must come of a job. */
export interface Expectation {
  readonly text: string;
  readonly tokens: number;
  /** How it must end; null where more than one end is right. */
  readonly end: string | null;
}

/** A fault of one job, and what of it. */
export type JobFault = readonly [fault: FaultName, detail: string];

/** Count the findings of these kinds. */
export function countFaults(findings: readonly Finding[], names: readonly FaultName[]): number {
  return findings.filter(({ fault }) => names.includes(fault)).length;
}
