/** A fault that a test of its own inflicts, with what must come of it. */
export interface Citation {
  readonly fault: string;
  readonly outcome: string;
  /** From the root of the repository. */
  readonly file: string;
  /** Words of the test's name. */
  readonly test: string;
}

const BROKER = "packages/broker/src";
const INGRESS = "services/ingress/src";
const WEBHOOKS = "services/webhooks/src";
const SINGLE = "test/faults/single-faults.test.ts";
const TROUBLE = "test/e2e/trouble.test.ts";

/** Faults one at a time: every one of them is part of `npm test`. */
export const CITATIONS: readonly Citation[] = [
  {
    fault: "a worker is killed",
    outcome: "another takes its job within 25 s",
    file: TROUBLE,
    test: "that is killed loses no job",
  },
  {
    fault: "a worker is told to stop",
    outcome: "it is gone within 2 s, its job goes on elsewhere, no attempt burned",
    file: TROUBLE,
    test: "that is told to stop hands its jobs to another",
  },
  {
    fault: "a worker loses its job to another",
    outcome: "it can neither write nor end it",
    file: `${BROKER}/trouble.test.ts`,
    test: "that was overtaken can neither write nor end the job",
  },
  {
    fault: "a worker is paused between fetch and claim",
    outcome: "it claims nothing that is another's by then",
    file: `${BROKER}/trouble.test.ts`,
    test: "is not taken over by a fetch that lost its lock",
  },
  {
    fault: "three holders of a job die",
    outcome: "it fails with `worker_crashed`",
    file: `${BROKER}/trouble.test.ts`,
    test: "whose third holder dies fails the job",
  },
  {
    fault: "Redis goes away",
    outcome: "503 within 2 s, and back to work by itself",
    file: TROUBLE,
    test: "may go away: 503 within 2 s",
  },
  {
    fault: "Redis freezes",
    outcome: "503 within 2 s",
    file: TROUBLE,
    test: "may freeze: 503 within 2 s",
  },
  {
    fault: "Redis is slow",
    outcome: "submits are slow, not wrong",
    file: SINGLE,
    test: "makes submits slow, not wrong",
  },
  {
    fault: "Redis is full",
    outcome: "what is under way ends; new jobs are refused; then the queue goes on",
    file: `${BROKER}/full.test.ts`,
    test: "lets jobs that are under way end",
  },
  {
    fault: "Redis is full for longer than a lock lives",
    outcome: "running jobs stay with their workers; few errors a second",
    file: `${BROKER}/full.test.ts`,
    test: "leaves running jobs to their workers",
  },
  {
    fault: "Redis evicts keys",
    outcome: "ingress and worker refuse it",
    file: SINGLE,
    test: "is refused by a worker",
  },
  {
    fault: "`SCRIPT FLUSH` and `CLIENT KILL`, again and again",
    outcome: "every job right, every reader whole",
    file: SINGLE,
    test: "while Redis forgets its scripts and drops every connection",
  },
  {
    fault: "`READONLY`",
    outcome: "every job right, every reader whole",
    file: SINGLE,
    test: "while Redis is somebody's replica",
  },
  {
    fault: "`MISCONF`: a full disk",
    outcome: "every job right, every reader whole",
    file: SINGLE,
    test: "while Redis cannot write to its disk",
  },
  {
    fault: "`LOADING`",
    outcome: "every job right, every reader whole",
    file: SINGLE,
    test: "while Redis loads what it had written",
  },
  {
    fault: "Redis loses its last second",
    outcome: "readers are reset, never spliced; no attempt burned",
    file: `${BROKER}/lost-memory.test.ts`,
    test: "voids what readers were shown of a job when it lost",
  },
  {
    fault: "Redis forgets a claim",
    outcome: "two holders of one epoch cannot both write",
    file: `${BROKER}/lost-memory.test.ts`,
    test: "can neither write nor end the job beside the one that has its epoch now",
  },
  {
    fault: "Redis does not answer a submit",
    outcome: "a refused job does not run after all",
    file: `${BROKER}/trouble.test.ts`,
    test: "does not run after all",
  },
  {
    fault: "Redis forgets a claim, and not the fetch before it",
    outcome: "its worker gives the job back at once",
    file: `${BROKER}/lost-memory.test.ts`,
    test: "puts its job back into the queue at once",
  },
  {
    fault: "a worker meets a job of a later version of Headrace",
    outcome: "it hands the job back, no attempt burned",
    file: `${BROKER}/versions.test.ts`,
    test: "is left to a worker that can read it",
  },
  {
    fault: "a worker meets more such jobs than it has slots",
    outcome: "those behind them run",
    file: `${BROKER}/versions.test.ts`,
    test: "does not keep those behind it from running",
  },
  {
    fault: "every reply to every script is lost once",
    outcome: "nothing is done or charged twice",
    file: `${BROKER}/lost-replies.test.ts`,
    test: "does nothing twice",
  },
  {
    fault: "the engine is full (503)",
    outcome: "the job goes back, no attempt burned",
    file: TROUBLE,
    test: "may be full: jobs go back",
  },
  {
    fault: "the engine fails (500), cuts, talks garbage",
    outcome: "the job is tried again",
    file: TROUBLE,
    test: "may break off (%s): the job is tried again",
  },
  {
    fault: "the engine stalls",
    outcome: "it is given up, and the job tried again",
    file: SINGLE,
    test: "that stalls in the middle is given up",
  },
  {
    fault: "the engine ignores that its caller left",
    outcome: "the slot is free all the same",
    file: SINGLE,
    test: "that ignores its caller's leaving does not keep the slot",
  },
  {
    fault: "a reader takes nothing",
    outcome: "it costs no memory, and is disconnected in the end",
    file: `${INGRESS}/job-events.test.ts`,
    test: "is disconnected when it takes nothing for too long",
  },
  {
    fault: "a webhooks process is killed between a receiver's answer and writing it down",
    outcome: "the event is sent again, under the same id",
    file: SINGLE,
    test: "that is killed between a receiver's answer and writing it down",
  },
  {
    fault: "a receiver of webhooks is down for an hour",
    outcome: "it is told once it is back, under one id; no other waits a second for it",
    file: `${WEBHOOKS}/courier.test.ts`,
    test: "gets its webhook, under one id, and delays no other by a second",
  },
  {
    fault: "a receiver of webhooks hangs",
    outcome: "others are told within a second",
    file: `${WEBHOOKS}/fairness.test.ts`,
    test: "a receiver that hangs delays the tenant's others",
  },
  {
    fault: "a receiver of webhooks answers 500, 400, 410, 429 or a redirect",
    outcome:
      "the ladder is followed, 410 disables, `Retry-After` is honoured, no redirect is followed",
    file: `${WEBHOOKS}/courier.test.ts`,
    test: "is tried again as the ladder says, ten times in all",
  },
  {
    fault: "a webhook's URL leads into a private network, by spelling, name or rebinding",
    outcome: "nothing is connected to",
    file: `${WEBHOOKS}/sender.test.ts`,
    test: "is not connected to when a name comes to mean it",
  },
  {
    fault: "messages to readers are lost",
    outcome: "a second's delay, no gap",
    file: `${BROKER}/life-of-a-job.test.ts`,
    test: "reaches a reader whose messages are all lost",
  },
];
