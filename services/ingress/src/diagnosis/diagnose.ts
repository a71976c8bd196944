import type { Inspection, IngressBroker } from "@headrace/broker";
import { PlatformError, type Diagnosis, type Durability, type Finding } from "@headrace/contract";

import { count, fault, someOf, warning } from "./finding.ts";
import { checkJobs } from "./job-checks.ts";
import { checkRedis } from "./redis-checks.ts";
import { checkWorkers } from "./worker-checks.ts";

/**
 * Tell those who run Headrace what is wrong with it, and how to mend it. Changes nothing.
 *
 * Looked at from an ingress, since only the broker touches Redis; what engines say, workers tell.
 */
export async function diagnose(broker: IngressBroker, durability: Durability): Promise<Diagnosis> {
  const findings = await findAll(broker, durability);
  return {
    object: "diagnosis",
    durability,
    is_well: findings.every(({ level }) => level === "ok"),
    findings,
  };
}

async function findAll(broker: IngressBroker, durability: Durability): Promise<Finding[]> {
  try {
    return judge(await broker.inspect(), durability);
  } catch (error) {
    if (!(error instanceof PlatformError) || error.code !== "queue_unavailable") throw error;
    const { cause } = error;
    return [
      fault(
        "redis",
        `Redis does not answer: ${describeSilence(cause ?? error)}`,
        "see that it runs, and that REDIS_URL of the ingress leads to it; jobs are refused until then",
      ),
    ];
  }
}

function describeSilence(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return "code" in cause && cause.code === "ECONNREFUSED"
    ? "the connection is refused"
    : cause.message;
}

/** Judge what was found. */
export function judge(inspection: Inspection, durability: Durability): Finding[] {
  const { models, unknownWorkers } = inspection;
  const ofModels = models.flatMap((model) => [...checkWorkers(model), ...checkJobs(model)]);
  const ofNone = unknownWorkers.length > 0 ? unknownModel(unknownWorkers) : NO_MODEL;
  return [...checkRedis(inspection, durability), ...(models.length > 0 ? ofModels : [ofNone])];
}

function unknownModel(workers: readonly string[]): Finding {
  return fault(
    "workers",
    `${count(workers.length, "worker")} ${workers.length === 1 ? "is" : "are"} there, and their models are not known: ${someOf(workers)}`,
    "Redis has lost its keys: workers enter their models again within 5 s; one that does not says why in its log",
  );
}

const NO_MODEL = warning(
  "workers",
  "no worker has ever offered a model",
  "start a worker beside an engine; its log says what it waits for",
);
