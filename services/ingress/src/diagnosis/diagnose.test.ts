import type { Inspection, ModelInspection, RedisInspection, WorkerStatus } from "@headrace/broker";
import { findJobId, type Durability, type Finding } from "@headrace/contract";
import { describe, expect, test } from "vitest";

import { judge } from "./diagnose.ts";

const GIBIBYTE = 2 ** 30;
const job = findJobId("job_aaaaaa_00000000000000000000000000") ?? expect.unreachable();

const worker: WorkerStatus = {
  worker: "w-gpu-1",
  version: "v1",
  clockOffsetMs: 3,
  engine: { kind: "vllm", version: "0.19.0", silentMs: 0, error: null },
};
const broken = { ...worker.engine, silentMs: 12_300, error: "connect ECONNREFUSED" };

const redis: RedisInspection = {
  version: "7.2.4",
  evictionPolicy: "noeviction",
  usedBytes: GIBIBYTE / 2,
  limitBytes: 4 * GIBIBYTE,
  machineBytes: 8 * GIBIBYTE,
  hasAppendOnlyFile: true,
  syncPolicy: "everysec",
  canWriteFile: true,
  canWriteSnapshot: true,
  isReplica: false,
  isPrimaryReached: false,
  replicas: [],
};

const ANSWERING = { isOnline: true, silentSeconds: 1 };
const FROZEN = { isOnline: true, silentSeconds: 12 };

const model: ModelInspection = {
  names: ["acme/model", "alias"],
  openCount: 3,
  seenCount: 3,
  waiting: new Map([["v1", 2]]),
  unheld: [],
  unqueued: [],
  missing: [],
  leftover: [],
  overdueCount: 0,
  workers: [worker],
};

function inspection(
  parts: {
    redis?: Partial<RedisInspection>;
    model?: Partial<ModelInspection>;
    offsetMs?: number;
  } = {},
): Inspection {
  return {
    redis: { ...redis, ...parts.redis },
    clock: { redisNowMs: 0, offsetMs: parts.offsetMs ?? 1, errorMs: 0 },
    models: [{ ...model, ...parts.model }],
    unknownWorkers: [],
  };
}

/** What is not well, as `check level: found`. */
function troubles(found: Inspection, durability: Durability = "redis"): string[] {
  const bad = judge(found, durability).filter(({ level }) => level !== "ok");
  expect(bad.filter(({ advice }) => advice === null)).toEqual([]);
  return bad.map(({ check, level, found: text }) => `${check} ${level}: ${text}`);
}

describe("a diagnosis", () => {
  test("is well when all is", () => {
    const findings = judge(inspection(), "redis");

    expect(findings.map(({ level }) => level)).toEqual(findings.map(() => "ok"));
    expect(findings.map(({ check, found }) => `${check}: ${found}`)).toEqual([
      "redis: Redis 7.2.4 keeps every key",
      "persistence: the append-only file is synced every second; HEADRACE_DURABILITY is redis",
      "memory: Redis uses 512.0 MiB of 4.0 GiB (13 %)",
      "clock: the clock of this ingress is 0.001 s behind Redis'",
      "workers: 1 worker of acme/model",
      "engines: the engines of acme/model answer: vllm 0.19.0",
      "jobs: 3 open jobs of acme/model: none is stuck, queue and ledger agree",
    ]);
  });

  test.for([
    [
      { redis: { evictionPolicy: "allkeys-lru" } },
      "redis",
      /^redis fault: Redis 7.2.4 evicts keys/,
    ],
    [
      { redis: { hasAppendOnlyFile: false } },
      "redis",
      /^persistence fault: .* no append-only file/,
    ],
    [{ redis: { canWriteFile: false } }, "redis", /^persistence fault: Redis could not write/],
    [
      { redis: { canWriteSnapshot: false } },
      "redis",
      /^persistence fault: Redis could not write its last snapshot/,
    ],
    [{ redis: { syncPolicy: "no" } }, "redis", /^persistence warning: .*appendfsync no/],
    [{}, "redis-always", /^persistence fault: .*redis-always, but .* only every second/],
    [{}, "replicated", /^replicas fault: no replica is connected/],
    [
      { redis: { isReplica: true, isPrimaryReached: true } },
      "redis",
      /^redis fault: this Redis is a replica, and refuses every job$/,
    ],
    [
      { redis: { isReplica: true } },
      "redis",
      /^redis fault: this Redis is a replica, .* cannot reach its primary$/,
    ],
    [
      { redis: { replicas: [FROZEN] } },
      "replicated",
      /^replicas fault: 1 replica connected, and none has answered for 12 s: every job is refused/,
    ],
    [
      { redis: { replicas: [FROZEN] } },
      "redis",
      /^replicas warning: .* none has answered for 12 s$/,
    ],
    [
      { redis: { replicas: [ANSWERING, FROZEN] } },
      "replicated",
      /^replicas warning: 2 replicas connected, and only 1 answering/,
    ],
    [
      { redis: { replicas: [{ isOnline: false, silentSeconds: 0 }] } },
      "replicated",
      /^replicas fault: 1 replica connected, and none has caught up yet/,
    ],
    [
      { redis: { usedBytes: 2.5 * GIBIBYTE } },
      "redis",
      /^memory warning: .*2.5 GiB of 4.0 GiB \(63 %\)/,
    ],
    [
      { redis: { usedBytes: 3 * GIBIBYTE } },
      "redis",
      /^memory fault: .*75 %\): submits are refused/,
    ],
    [
      { redis: { usedBytes: 7 * GIBIBYTE, limitBytes: 0 } },
      "redis",
      /^memory warning: .*of the machine's 8.0 GiB \(88 %; maxmemory is not set\)/,
    ],
    [{ offsetMs: -90_000 }, "redis", /^clock warning: .*this ingress is 90.000 s ahead/],
    [
      { model: { workers: [{ ...worker, clockOffsetMs: 5_000 }] } },
      "redis",
      /^clock warning: the clock of w-gpu-1 is 5.000 s behind/,
    ],
    [
      { model: { workers: [] } },
      "redis",
      /^workers fault: 2 jobs of acme\/model wait for version v1/,
    ],
    [
      { model: { waiting: new Map([["v0", 1]]) } },
      "redis",
      /^workers fault: 1 job of acme\/model wait for version v0, which no worker serves/,
    ],
    [
      { model: { workers: [{ ...worker, engine: broken }] } },
      "redis",
      /^engines fault: the engine of w-gpu-1 has not answered for 12 s: connect ECONNREFUSED/,
    ],
    [
      {
        model: {
          workers: [worker, { ...worker, engine: { ...worker.engine, version: "0.20.0" } }],
        },
      },
      "redis",
      /^engines warning: .* differ: vllm 0.19.0, vllm 0.20.0/,
    ],
    [
      { model: { unheld: [job] } },
      "redis",
      /^jobs fault: 1 job in progress that no worker holds: job_/,
    ],
    [{ model: { overdueCount: 2 } }, "redis", /^jobs fault: 2 jobs past the deadline/],
    [{ model: { unqueued: [job, job, job, job] } }, "redis", /^queue fault: 4 jobs .* and 1 more/],
    [{ model: { missing: [job] } }, "redis", /^queue warning: 1 job listed as open/],
    [{ model: { leftover: [job] } }, "redis", /^queue warning: 1 job queued that ended/],
  ] as const)("tells of %j at level %s", ([parts, durability, expected]) => {
    const found = troubles(inspection(parts), durability);

    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(expected);
  });

  test("says that engines answer only where all do", () => {
    const one = { ...worker, worker: "w-gpu-2", engine: broken };
    const findings = judge(inspection({ model: { workers: [worker, one] } }), "redis");

    expect(
      findings.filter(({ check }) => check === "engines").map(({ level, found }) => [level, found]),
    ).toEqual([["fault", "the engine of w-gpu-2 has not answered for 12 s: connect ECONNREFUSED"]]);
  });

  test("speaks of maxmemory only where it is set", () => {
    const filling = { usedBytes: 7 * GIBIBYTE, limitBytes: 0 };
    const advice = judge(inspection({ redis: filling }), "redis").find(
      ({ check }) => check === "memory",
    );

    expect(advice).toMatchObject({
      level: "warning",
      found: "Redis uses 7.0 GiB of the machine's 8.0 GiB (88 %; maxmemory is not set)",
      advice: expect.stringMatching(/^set maxmemory/),
    });
  });

  test("asks for no file where replicas keep the jobs, and for no worker where nothing waits", () => {
    const managed = { hasAppendOnlyFile: false, syncPolicy: null, replicas: [ANSWERING] };
    const idle = { workers: [], waiting: new Map<string, number>(), openCount: 0 };

    expect(troubles(inspection({ redis: managed, model: idle }), "replicated")).toEqual([]);
  });

  test("says when there is no model yet", () => {
    const findings: Finding[] = judge({ ...inspection(), models: [] }, "redis");

    expect(findings.at(-1)).toMatchObject({ check: "workers", level: "warning" });
  });

  test("says when there is a worker, and nobody knows its model", () => {
    const unknownWorkers = ["w-gpu-1", "w-gpu-2"];
    const found = troubles({ ...inspection(), models: [], unknownWorkers });

    expect(found).toEqual([
      "workers fault: 2 workers are there, and their models are not known: w-gpu-1, w-gpu-2",
    ]);
  });
});
