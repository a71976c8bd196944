import {
  isAnswering,
  type Inspection,
  type RedisInspection,
  type ReplicaState,
} from "@headrace/broker";
import type { Durability, Finding } from "@headrace/contract";

import { count, fault, ok, warning } from "./finding.ts";

/** From here on submits are refused. */
const FULL = 0.7;
/** From here on it is time to do something. */
const FILLING = 0.6;
/** A process' clock is used for what people read; the ledger's instants are all Redis'. */
const CLOCK_WARNING_MS = 1_000;
const MEBIBYTE = 1_048_576;
const GIBIBYTE = 1_024 * MEBIBYTE;

/** Judge the server that holds everything. */
export function checkRedis({ redis, clock }: Inspection, durability: Durability): Finding[] {
  return [
    ...(redis.isReplica ? [checkRole(redis)] : []),
    checkEviction(redis),
    checkPersistence(redis, durability),
    ...(durability === "replicated" || redis.replicas.length > 0
      ? [checkReplicas(redis, durability)]
      : []),
    checkMemory(redis),
    checkClock("this ingress", clock.offsetMs),
  ];
}

/** Judge a process' clock against Redis'. */
export function checkClock(whose: string, offsetMs: number): Finding {
  const off = `the clock of ${whose} is ${Math.abs(offsetMs / 1_000).toFixed(3)} s ${offsetMs < 0 ? "ahead of" : "behind"} Redis'`;
  if (Math.abs(offsetMs) < CLOCK_WARNING_MS) return ok("clock", off);
  return warning("clock", off, "have both hosts follow a time server (chrony, systemd-timesyncd)");
}

function checkRole({ isPrimaryReached }: RedisInspection): Finding {
  const found = "this Redis is a replica, and refuses every job";
  return fault(
    "redis",
    isPrimaryReached ? found : `${found}; it cannot reach its primary`,
    "point REDIS_URL at the primary",
  );
}

function checkEviction({ version, evictionPolicy }: RedisInspection): Finding {
  if (evictionPolicy === "noeviction") return ok("redis", `Redis ${version} keeps every key`);
  return fault(
    "redis",
    `Redis ${version} evicts keys when it is full (maxmemory-policy ${evictionPolicy}), and jobs with them`,
    "set maxmemory-policy to noeviction",
  );
}

function checkPersistence(redis: RedisInspection, durability: Durability): Finding {
  const { hasAppendOnlyFile, canWriteFile, canWriteSnapshot, syncPolicy } = redis;
  if (!canWriteSnapshot) {
    return fault(
      "persistence",
      "Redis could not write its last snapshot; unless stop-writes-on-bgsave-error is no, it refuses every job until it can",
      "see that its disk has space and works; or make no snapshots (save set to nothing), where an append-only file keeps the jobs",
    );
  }
  if (!hasAppendOnlyFile) {
    const found = "Redis has no append-only file";
    if (durability === "replicated") return ok("persistence", `${found}; replicas keep the jobs`);
    return fault(
      "persistence",
      `${found}: a restart loses every job`,
      "set appendonly to yes, or HEADRACE_DURABILITY to replicated where there is a replica",
    );
  }
  if (!canWriteFile) {
    return fault(
      "persistence",
      "Redis could not write its append-only file, and refuses every job until it can",
      "see that its disk has space and works",
    );
  }
  return judgeSync(syncPolicy, durability);
}

function judgeSync(policy: string | null, durability: Durability): Finding {
  const level = `HEADRACE_DURABILITY is ${durability}`;
  switch (policy) {
    case "always":
      return ok("persistence", `the append-only file is synced before each answer; ${level}`);
    case "everysec":
      if (durability !== "redis-always") {
        return ok("persistence", `the append-only file is synced every second; ${level}`);
      }
      return fault(
        "persistence",
        `${level}, but the append-only file is synced only every second`,
        "set appendfsync to always",
      );
    case null:
      return ok(
        "persistence",
        `there is an append-only file; Redis does not tell how it is synced`,
      );
    default:
      return warning(
        "persistence",
        `the append-only file is synced when the system likes (appendfsync ${policy}): a power cut may cost half a minute of jobs`,
        "set appendfsync to everysec or always",
      );
  }
}

function checkReplicas({ replicas }: RedisInspection, durability: Durability): Finding {
  const level = `HEADRACE_DURABILITY is ${durability}`;
  if (replicas.length === 0) {
    return fault(
      "replicas",
      `no replica is connected, and ${level}: every job is refused`,
      "start a replica, or choose another level",
    );
  }
  const connected = `${count(replicas.length, "replica")} connected`;
  const answering = replicas.filter((replica) => isAnswering(replica)).length;
  if (answering === replicas.length) return ok("replicas", connected);
  const advice = "see that each replica runs, and that its link to Redis works";
  if (answering > 0) {
    return warning("replicas", `${connected}, and only ${answering} answering`, advice);
  }
  const found = `${connected}, and none has ${describeSilence(replicas)}`;
  return durability === "replicated"
    ? fault("replicas", `${found}: every job is refused, since ${level}`, advice)
    : warning("replicas", found, advice);
}

function describeSilence(replicas: readonly ReplicaState[]): string {
  const silent = replicas.filter(({ isOnline }) => isOnline);
  if (silent.length === 0) return "caught up yet";
  return `answered for ${Math.min(...silent.map(({ silentSeconds }) => silentSeconds))} s`;
}

function checkMemory({ usedBytes, limitBytes, machineBytes }: RedisInspection): Finding {
  const limit = limitBytes || machineBytes;
  const share = limit === 0 ? 0 : usedBytes / limit;
  const of = limitBytes === 0 ? "of the machine's" : "of";
  const found = `Redis uses ${toSize(usedBytes)} ${of} ${toSize(limit)} (${Math.round(share * 100)} %${limitBytes === 0 ? "; maxmemory is not set" : ""})`;
  if (share < FILLING) return ok("memory", found);
  if (limitBytes === 0) {
    return warning(
      "memory",
      found,
      "set maxmemory, so that submits are refused before the machine's memory is used up",
    );
  }
  const advice =
    "give Redis more memory (maxmemory), or keep ended jobs for a shorter time (retention_seconds)";
  if (share < FULL) {
    return warning(
      "memory",
      `${found}; from ${FULL * 100} % of maxmemory on submits are refused`,
      advice,
    );
  }
  return fault("memory", `${found}: submits are refused from ${FULL * 100} % on`, advice);
}

function toSize(bytes: number): string {
  return bytes < GIBIBYTE
    ? `${(bytes / MEBIBYTE).toFixed(1)} MiB`
    : `${(bytes / GIBIBYTE).toFixed(1)} GiB`;
}
