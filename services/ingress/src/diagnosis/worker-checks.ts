import type { ModelInspection, WorkerStatus } from "@headrace/broker";
import type { Finding } from "@headrace/contract";

import { count, fault, ok, someOf, warning } from "./finding.ts";
import { checkClock } from "./redis-checks.ts";

/** Judge a model's workers, and what they say of their engines. */
export function checkWorkers(model: ModelInspection): Finding[] {
  const { workers } = model;
  const name = model.names[0] ?? "";
  return [
    ...checkPresence(model, name),
    ...workers.filter(({ engine }) => engine.error !== null).map((worker) => silentEngine(worker)),
    ...checkEngines(workers, name),
    ...workers
      .map(({ worker, clockOffsetMs }) => checkClock(worker, clockOffsetMs))
      .filter(({ level }) => level !== "ok"),
  ];
}

function checkPresence({ waiting, workers }: ModelInspection, name: string): Finding[] {
  const served = new Set(workers.map(({ version }) => version));
  const unserved = [...waiting].filter(([version]) => !served.has(version));
  if (unserved.length > 0) {
    return unserved.map(([version, jobs]) =>
      fault(
        "workers",
        `${count(jobs, "job")} of ${name} wait for version ${version}, which no worker serves`,
        `start a worker with WORKER_MODEL_VERSION=${version} beside an engine that serves ${name}`,
      ),
    );
  }
  if (workers.length > 0) return [ok("workers", `${count(workers.length, "worker")} of ${name}`)];
  return [ok("workers", `${name} has no worker, and no job waits for one`)];
}

function silentEngine({ worker, engine }: WorkerStatus): Finding {
  const seconds = (engine.silentMs / 1_000).toFixed(0);
  return fault(
    "engines",
    `the engine of ${worker} has not answered for ${seconds} s: ${engine.error}`,
    "look at the engine's log; its jobs go back to the queue until it answers",
  );
}

function checkEngines(workers: readonly WorkerStatus[], name: string): Finding[] {
  const silent = workers.filter(({ engine }) => engine.error !== null);
  if (silent.length === workers.length) return [];
  const kinds = [...new Set(workers.map(({ engine }) => describeEngine(engine)))].toSorted();
  const [only] = kinds;
  if (kinds.length === 1 && silent.length > 0) return [];
  if (kinds.length === 1) return [ok("engines", `the engines of ${name} answer: ${only}`)];
  return [
    warning(
      "engines",
      `the engines of ${name} differ: ${someOf(kinds)}`,
      "run one version: another may answer the same request otherwise",
    ),
  ];
}

function describeEngine({ kind, version }: WorkerStatus["engine"]): string {
  return version === null ? kind : `${kind} ${version}`;
}
