import { PlatformError } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { readInfo } from "./redis-info.ts";

/** Sharded publish and subscribe, and `XTRIM MINID` in its present form, came with 7.0. */
const OLDEST_MAJOR = 7;

/** A replica answers once a second: one that has been silent for longer confirms nothing either. */
const REPLICA_SILENCE_SECONDS = 3;

/** How a primary finds one of its replicas. */
export interface ReplicaState {
  /** False while it still copies what was there before it came. */
  readonly isOnline: boolean;
  /** Since it last answered. */
  readonly silentSeconds: number;
}

/**
 * Refuse a Redis that cannot take jobs, or would lose them silently: a replica, one that evicts
 * keys, or is older than 7.0.
 *
 * @throws PlatformError `queue_unavailable` naming what was found and what is needed
 */
export async function assertFit(redis: Redis): Promise<void> {
  const info = await readInfo(redis);
  const version = versionOf(info);
  if (Number.parseInt(version, 10) < OLDEST_MAJOR) {
    throw unfit(`Redis is ${version}; Headrace needs ${OLDEST_MAJOR}.0 or later, or any Valkey`);
  }
  assertKeeping(info);
}

/**
 * Refuse what may become of a Redis while it serves: a replica, or one that evicts keys.
 *
 * @param info with at least the sections `memory` and `replication`
 * @throws PlatformError `queue_unavailable` naming what was found and what is needed
 */
export function assertKeeping(info: ReadonlyMap<string, string>): void {
  if (isReplica(info)) throw unfit("this Redis is a replica; point REDIS_URL at the primary");
  const policy = info.get("maxmemory_policy");
  if (policy !== "noeviction") {
    throw unfit(
      `Redis evicts keys (maxmemory-policy ${policy}) and would lose accepted jobs: set it to noeviction`,
    );
  }
}

/** The server's version: Valkey's own where it is one. */
export function versionOf(info: ReadonlyMap<string, string>): string {
  return info.get("valkey_version") ?? info.get("redis_version") ?? "unknown";
}

/**
 * Refuse a Redis that does not sync before it answers, as far as it tells.
 *
 * @returns whether it does tell
 * @throws PlatformError `queue_unavailable` naming what was found and what is needed
 */
export async function assertAlwaysSynced(redis: Redis): Promise<boolean> {
  const info = await readInfo(redis, "persistence");
  if (info.get("aof_enabled") !== "1") {
    throw unfit(
      "HEADRACE_DURABILITY is redis-always, but Redis has no append-only file: set appendonly to yes and appendfsync to always",
    );
  }
  const policy = await findSyncPolicy(redis);
  if (policy !== null && policy !== "always") {
    throw unfit(
      `HEADRACE_DURABILITY is redis-always, but Redis has appendfsync ${policy}: set it to always`,
    );
  }
  return policy !== null;
}

/** Read when Redis syncs its append-only file. @returns null where that may not be read */
export async function findSyncPolicy(redis: Redis): Promise<string | null> {
  try {
    const reply = await redis.call("CONFIG", "GET", "appendfsync");
    return z.array(z.string()).parse(reply)[1] ?? null;
  } catch (error) {
    // Managed Redis has no CONFIG, and users may be denied it.
    if (error instanceof Error && error.name === "ReplyError") return null;
    throw error;
  }
}

/** Whether the server that says so takes writes only from another one. */
export function isReplica(info: ReadonlyMap<string, string>): boolean {
  return info.get("role") === "slave";
}

/** Read how a primary finds its replicas. */
export function readReplicas(info: ReadonlyMap<string, string>): ReplicaState[] {
  return [...info]
    .filter(([name]) => /^slave\d+$/.test(name))
    .map(([, state]) => ({
      isOnline: state.includes("state=online"),
      silentSeconds: Number(/lag=(\d+)/.exec(state)?.[1] ?? 0),
    }));
}

/** Whether a replica can confirm what was written. */
export function isAnswering({ isOnline, silentSeconds }: ReplicaState): boolean {
  return isOnline && silentSeconds <= REPLICA_SILENCE_SECONDS;
}

/** Refuse a Redis that no replica answers just now. @throws PlatformError `queue_unavailable` */
export async function assertReplicated(redis: Redis): Promise<void> {
  const replicas = readReplicas(await readInfo(redis, "replication"));
  if (replicas.some((replica) => isAnswering(replica))) return;
  const level = "HEADRACE_DURABILITY is replicated";
  if (replicas.length === 0) throw unfit(`${level}, but no replica is connected to Redis`);
  const silent = replicas.filter(({ isOnline }) => isOnline);
  if (silent.length === 0) throw unfit(`${level}, but no replica has caught up with Redis yet`);
  const seconds = Math.min(...silent.map(({ silentSeconds }) => silentSeconds));
  throw unfit(`${level}, but no replica has answered for ${seconds} s`);
}

function unfit(message: string): PlatformError {
  return new PlatformError("queue_unavailable", message);
}
