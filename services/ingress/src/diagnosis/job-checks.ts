import type { ModelInspection } from "@headrace/broker";
import type { Finding } from "@headrace/contract";

import { count, fault, ok, someOf, warning } from "./finding.ts";

/** The sweep mends it within a few passes, if there is one. */
const SWEEP_ADVICE =
  "an ingress mends this within 20 s; if it stays, look in the ingress' log for why its sweep fails";

/** Judge a model's jobs: stuck ones, and those that queue and ledger disagree about. */
export function checkJobs(model: ModelInspection): Finding[] {
  const findings = [...checkStuck(model), ...checkAgreement(model)];
  if (findings.length > 0) return findings;
  const { openCount, seenCount } = model;
  const looked = seenCount < openCount ? `; ${seenCount} of them were looked at` : "";
  return [
    ok(
      "jobs",
      `${count(openCount, "open job")} of ${model.names[0] ?? ""}: none is stuck, queue and ledger agree${looked}`,
    ),
  ];
}

function checkStuck({ unheld, overdueCount, workers }: ModelInspection): Finding[] {
  const findings: Finding[] = [];
  if (unheld.length > 0) {
    findings.push(
      fault(
        "jobs",
        `${count(unheld.length, "job")} in progress that no worker holds: ${someOf(unheld)}`,
        workers.length === 0
          ? "their workers are gone: start one, and it takes them up within 20 s"
          : "their workers are gone: another takes them up within 20 s; if not, look in its log",
      ),
    );
  }
  if (overdueCount > 0) {
    findings.push(
      fault(
        "jobs",
        `${count(overdueCount, "job")} past the deadline, and not expired: nobody sweeps`,
        SWEEP_ADVICE,
      ),
    );
  }
  return findings;
}

function checkAgreement({ unqueued, missing, leftover }: ModelInspection): Finding[] {
  const findings: Finding[] = [];
  if (unqueued.length > 0) {
    findings.push(
      fault(
        "queue",
        `${count(unqueued.length, "job")} accepted that the queue does not have: ${someOf(unqueued)}`,
        SWEEP_ADVICE,
      ),
    );
  }
  if (missing.length > 0) {
    findings.push(
      warning(
        "queue",
        `${count(missing.length, "job")} listed as open that the ledger does not have: ${someOf(missing)}`,
        SWEEP_ADVICE,
      ),
    );
  }
  if (leftover.length > 0) {
    findings.push(
      warning(
        "queue",
        `${count(leftover.length, "job")} queued that ended: ${someOf(leftover)}`,
        SWEEP_ADVICE,
      ),
    );
  }
  return findings;
}
