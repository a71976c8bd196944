import { timingSafeEqual } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";

import {
  DEFAULT_TENANT,
  DEFAULT_WEIGHT,
  PlatformError,
  type KeyLimits,
  type Scope,
} from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { parseKey, type StoredKey } from "./api-key-record.ts";
import { readRedisMs } from "./clock.ts";
import { guard } from "./guard.ts";
import { keys } from "./keys.ts";
import type { Report } from "./redis.ts";
import { script } from "./script.ts";
import { parseSettings } from "./tenant-desk.ts";

const markUsed = script("mark-used", z.int());

/** How often Redis is asked whether any key has changed. */
const CHECK_MS = 500;
/**
 * How long what is known may be acted upon: a key that is revoked is refused everywhere within a
 * second, however late a timer or Redis is.
 */
const TRUST_MS = 900;
/** How often it is noted which keys were used. */
const NOTE_USE_MS = 60_000;
/** Ids in one command to Redis. */
const PAGE = 500;
/** Least time between two looks for ids not seen before: a flood of made-up ones costs Redis no more. */
const LOOK_UP_MS = 10;
/** Ids that wait to be looked up. */
const MOST_WAITING = 2_000;
/** Ids remembered that there is no key of. */
const MOST_UNKNOWN = 10_000;

/** What a valid key lets its caller do. */
export interface KeyGrant {
  readonly id: string;
  /** Tells the secret that was presented from the key's others, and nothing of it. */
  readonly secret: string;
  readonly tenant: string;
  readonly scopes: ReadonlySet<Scope>;
  readonly limits: KeyLimits | null;
}

/** One of a key's secrets. */
interface SeenSecret {
  readonly digest: Buffer;
  readonly untilMs: number;
  readonly grant: KeyGrant;
}

/** Told of a key that has ended, or of one of its secrets that has. */
export type KeyEndListener = (id: string, secret: string | null) => void;

/** A key as it is kept at hand. Not more of them than the registry holds. */
interface Seen {
  /** As Redis has it: what has not changed need not be read again. */
  readonly text: string;
  readonly stored: StoredKey;
  readonly secrets: readonly SeenSecret[];
}

/**
 * The keys that this process has met, so that checking one costs no round trip.
 *
 * Twice a second Redis is asked when keys last changed; if it was since, all that are at hand are
 * read anew. There is no message to be lost. A key or secret not seen before is looked up at once.
 */
export class ApiKeyCache {
  readonly #redis: Redis;
  readonly #report: Report;
  readonly #onEnded: KeyEndListener;
  readonly #timer: NodeJS.Timeout;
  readonly #seen = new Map<string, Seen>();
  /** Of the tenants of the keys at hand, and of the one that has the environment's. */
  readonly #weights = new Map<string, number>([[DEFAULT_TENANT, DEFAULT_WEIGHT]]);
  readonly #unknown = new Set<string>();
  readonly #waiting = new Map<string, PromiseWithResolvers<void>>();
  readonly #used = new Set<string>();
  #version: string | null | undefined;
  #checkedAtMs = Number.NEGATIVE_INFINITY;
  #notedAtMs = performance.now();
  #lookedUpAtMs = Number.NEGATIVE_INFINITY;
  /** Redis' clock less the process' monotonic one, ms. */
  #offsetMs = 0;
  /** By Redis' clock: what was to end by then is told of. */
  #endsToldMs: number | null = null;
  #checking: Promise<void> | null = null;
  #isLookingUp = false;

  /**
   * Check from now on, until closed.
   *
   * @param onEnded told within a second of every key at hand that expired, was revoked or deleted, or lost
   *   a scope, and of every secret that ended, before its time or at it
   */
  constructor(redis: Redis, report: Report, onEnded: KeyEndListener) {
    this.#onEnded = onEnded;
    this.#redis = redis;
    this.#report = report;
    this.#timer = setInterval(() => void this.#tick(), CHECK_MS);
  }

  /** What the tenant of a key that was verified weighs in fair shares. */
  weightOf(tenant: string): number {
    return this.#weights.get(tenant) ?? DEFAULT_WEIGHT;
  }

  /**
   * Check a key by its id and its SHA-256.
   *
   * The digest is compared with every secret the key has, each in constant time: how far a guess is
   * right, or which secret it is like, shows in no timing. That an id is known may show: ids are no
   * secret.
   *
   * @returns null for an unknown, revoked or expired key, and for a wrong secret
   * @throws PlatformError `queue_unavailable` when Redis does not say what is valid now
   */
  async verify(id: string, digest: Buffer): Promise<KeyGrant | null> {
    if (performance.now() - this.#checkedAtMs > TRUST_MS) await guard(this.#check());
    let grant = this.#findGrant(id, digest);
    if (grant === null && !this.#unknown.has(id)) {
      // Unseen, or rotated a moment ago: a new secret is valid at once.
      await guard(this.#lookUp(id));
      grant = this.#findGrant(id, digest);
    }
    const seen = this.#seen.get(id);
    if (seen === undefined || !isLive(seen.stored, this.#redisNowMs)) return null;
    if (grant !== null) this.#used.add(id);
    return grant;
  }

  /** Stop, having noted which keys were used if Redis takes it. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#noteUse();
  }

  get #redisNowMs(): number {
    return performance.now() + this.#offsetMs;
  }

  #findGrant(id: string, digest: Buffer): KeyGrant | null {
    let grant: KeyGrant | null = null;
    for (const secret of this.#seen.get(id)?.secrets ?? []) {
      const isSame = timingSafeEqual(secret.digest, digest);
      if (isSame && this.#redisNowMs < secret.untilMs) ({ grant } = secret);
    }
    return grant;
  }

  async #tick(): Promise<void> {
    this.#tellEnds();
    if (this.#redis.status !== "ready") return;
    try {
      await this.#check();
    } catch (error) {
      this.#report(new Error("asking which API keys are valid, to be repeated", { cause: error }));
    }
    if (performance.now() - this.#notedAtMs >= NOTE_USE_MS) await this.#noteUse();
  }

  /** Tell of what has ended at its time since this was done last, whether Redis is there or not. */
  #tellEnds(): void {
    const nowMs = this.#redisNowMs;
    const toldMs = this.#endsToldMs ?? nowMs;
    this.#endsToldMs = nowMs;
    const hasEnded = (atMs: number | null): boolean =>
      atMs !== null && toldMs < atMs && atMs <= nowMs;
    for (const [id, { stored, secrets }] of this.#seen) {
      if (hasEnded(stored.expiresAtMs)) this.#onEnded(id, null);
      for (const { untilMs, grant } of secrets) {
        if (hasEnded(untilMs)) this.#onEnded(id, grant.secret);
      }
    }
  }

  #check(): Promise<void> {
    this.#checking ??= this.#checkNow().finally(() => (this.#checking = null));
    return this.#checking;
  }

  async #checkNow(): Promise<void> {
    const askedAtMs = performance.now();
    const [version, redisMs] = await Promise.all([
      this.#redis.get(keys.apiKeysVersion),
      readRedisMs(this.#redis),
    ]);
    this.#offsetMs = redisMs - performance.now();
    if (version !== this.#version) {
      this.#unknown.clear();
      await this.#readTenants([...this.#weights.keys()]);
      // Replies come in order: what was being looked up when the version was asked for is among
      // the keys at hand by now.
      await this.#readKeys([...this.#seen.keys()]);
      this.#version = version;
    }
    this.#checkedAtMs = askedAtMs;
  }

  /** Have an id looked up together with others that wait. */
  async #lookUp(id: string): Promise<void> {
    const known = this.#waiting.get(id);
    if (known !== undefined) return known.promise;
    if (this.#waiting.size >= MOST_WAITING) {
      const message = `${MOST_WAITING} API keys wait to be looked up; try again`;
      throw new PlatformError("queue_unavailable", message);
    }
    const waiting = Promise.withResolvers<void>();
    this.#waiting.set(id, waiting);
    if (!this.#isLookingUp) void this.#lookUpAll();
    return waiting.promise;
  }

  async #lookUpAll(): Promise<void> {
    this.#isLookingUp = true;
    while (this.#waiting.size > 0) {
      const pauseMs = this.#lookedUpAtMs + LOOK_UP_MS - performance.now();
      if (pauseMs > 0) await delay(pauseMs);
      this.#lookedUpAtMs = performance.now();
      const batch = [...this.#waiting].slice(0, PAGE);
      const ids = batch.map(([id]) => id);
      try {
        await this.#readKeys(ids);
        for (const [, { resolve }] of batch) resolve();
      } catch (error) {
        for (const [, { reject }] of batch) reject(error);
      }
      for (const id of ids) this.#waiting.delete(id);
    }
    this.#isLookingUp = false;
  }

  async #readKeys(ids: readonly string[]): Promise<void> {
    for (let at = 0; at < ids.length; at += PAGE) {
      const page = ids.slice(at, at + PAGE);
      const texts = await this.#redis.hmget(keys.apiKeys, ...page);
      const found = page.map((id, index) => this.#toSeen(id, texts[index] ?? null));
      const tenants = found.flatMap((seen) => (seen === null ? [] : [seen.stored.tenant]));
      await this.#readTenants(tenants.filter((tenant) => !this.#weights.has(tenant)));
      for (const [index, id] of page.entries()) this.#keep(id, found[index] ?? null);
    }
  }

  #toSeen(id: string, text: string | null): Seen | null {
    const before = this.#seen.get(id);
    if (text === null) return null;
    if (before?.text === text) return before;
    try {
      return toSeen(id, text);
    } catch (error) {
      // A later version wrote it: that is no reason to refuse the others.
      this.#report(new Error("an API key that cannot be read is refused", { cause: error }));
      return null;
    }
  }

  #keep(id: string, seen: Seen | null): void {
    const before = this.#seen.get(id);
    // What an unchanged one loses by the clock is told of by the clock.
    if (before !== undefined && before !== seen) {
      for (const secret of lostBy(before, seen, this.#redisNowMs)) this.#onEnded(id, secret);
    }
    if (seen !== null) {
      this.#seen.set(id, seen);
      return;
    }
    this.#seen.delete(id);
    const [oldest] = this.#unknown;
    if (this.#unknown.size >= MOST_UNKNOWN && oldest !== undefined) this.#unknown.delete(oldest);
    this.#unknown.add(id);
  }

  async #readTenants(names: readonly string[]): Promise<void> {
    for (let at = 0; at < names.length; at += PAGE) {
      const page = names.slice(at, at + PAGE);
      const texts = await this.#redis.hmget(keys.tenantSettings, ...page);
      for (const [index, name] of page.entries()) {
        this.#weights.set(name, parseSettings(texts[index] ?? null).weight);
      }
    }
  }

  async #noteUse(): Promise<void> {
    const ids = [...this.#used];
    this.#used.clear();
    this.#notedAtMs = performance.now();
    if (this.#redis.status !== "ready") return;
    try {
      for (let at = 0; at < ids.length; at += PAGE) {
        await markUsed(this.#redis, [keys.apiKeys, keys.apiKeysUsed], ids.slice(at, at + PAGE));
      }
    } catch (error) {
      this.#report(new Error("noting which API keys were used", { cause: error }));
    }
  }
}

function toSeen(id: string, text: string): Seen {
  const stored = parseKey(text);
  const { tenant, limits, digest, earlier } = stored;
  const scopes = new Set(stored.scopes);
  const secrets = [{ digest, untilMs: Number.POSITIVE_INFINITY }, ...earlier];
  return {
    text,
    stored,
    secrets: secrets.map((secret) => ({
      digest: Buffer.from(secret.digest, "base64url"),
      untilMs: secret.untilMs,
      grant: { id, secret: secret.digest, tenant, scopes, limits },
    })),
  };
}

function isLive({ revokedAtMs, expiresAtMs }: StoredKey, nowMs: number): boolean {
  return revokedAtMs === null && (expiresAtMs === null || nowMs < expiresAtMs);
}

/**
 * Which of a key's secrets somebody could call with who cannot any more, or not for all that they could;
 * null stands for every one.
 */
function lostBy({ stored, secrets }: Seen, now: Seen | null, nowMs: number): (string | null)[] {
  if (stored.revokedAtMs !== null) return [];
  if (now === null || !isLive(now.stored, nowMs)) return [null];
  if (!stored.scopes.every((scope) => now.stored.scopes.includes(scope))) return [null];
  const isValid = ({ untilMs }: SeenSecret): boolean => untilMs > nowMs;
  const left = new Set(now.secrets.filter(isValid).map(({ grant }) => grant.secret));
  return secrets
    .filter(isValid)
    .map(({ grant }) => grant.secret)
    .filter((secret) => !left.has(secret));
}
