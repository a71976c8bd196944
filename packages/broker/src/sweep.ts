import { jobIdSchema, type JobId, type ModelCode } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { BookingSweep } from "./booking-sweep.ts";
import { cancelJob } from "./cancel.ts";
import type { JobQueues } from "./job-queue.ts";
import { endingKeys, keys } from "./keys.ts";
import type { ModelRegistry } from "./model-registry.ts";
import type { Report } from "./redis.ts";
import { script } from "./script.ts";
import { takeSlot, takeTenants } from "./slot-lease.ts";

const lease = script("lease", z.literal([0, 1]));
const expire = script("expire", z.literal([0, 1]));
const auditOpen = script("audit-open", z.array(z.union([z.int(), z.string()])));
const auditQueue = script("audit-queue", z.array(z.union([z.int(), z.string()])));
const auditAttached = script("audit-attached", z.array(z.union([z.int(), z.string()])));
const forgetVersion = script("forget-version", z.literal([0, 1]));

/** How often a process tries to sweep; whichever comes first does it for all. */
const INTERVAL_MS = 5_000;
/** Jobs looked at in one script call: about 3 ms of Redis. */
const PAGE = 500;
/** Pages of one list in one pass: a long queue is gone through over several passes. */
const PAGES_PER_PASS = 10;
/** A job may be accepted and not yet added, or ended and not yet acknowledged, for this long. */
const GRACE_MS = 5_000;
/** A queued job without an entry is left alone this long, in case its entry is only late. */
const FORGOTTEN_MS = 60_000;
/** An ingress renews its leases three times within this. */
const INGRESS_LEASE_MS = 15_000;

/** What one pass mended. */
export interface SweepCounts {
  expired: number;
  requeued: number;
  removed: number;
  detached: number;
  unbooked: number;
}

/**
 * Mends whatever broke between the steps of a job's way: the ledger decides, BullMQ follows.
 *
 * One process at a time sweeps a slot, under a lease; every step is idempotent, so a sweeper that
 * loses its lease half-way does no harm.
 */
export class Sweep {
  readonly #redis: Redis;
  readonly #queues: JobQueues;
  readonly #models: ModelRegistry;
  readonly #ingress: string;
  readonly #report: Report;
  /** Where the next pass goes on in each long list, by the list's key. */
  readonly #places = new Map<string, number>();
  /** Ingresses whose lease was missing in the last pass, with their slot. */
  readonly #suspects = new Set<string>();
  readonly #bookings: BookingSweep;
  #timer: NodeJS.Timeout | null = null;
  #leases: NodeJS.Timeout | null = null;
  #pass: Promise<void> = Promise.resolve();

  constructor(
    tools: { readonly redis: Redis; readonly queues: JobQueues; readonly models: ModelRegistry },
    ingress: string,
    report: Report,
  ) {
    this.#redis = tools.redis;
    this.#queues = tools.queues;
    this.#models = tools.models;
    this.#ingress = ingress;
    this.#report = report;
    this.#bookings = new BookingSweep(tools.redis);
  }

  /** Sweep every 5 s until stopped, telling `onPass` what each pass mended. */
  start(onPass: (counts: SweepCounts) => void): void {
    // Apart from the passes: a long one must not cost this ingress its callers.
    this.#leases = setInterval(() => this.#renewLeases().catch(this.#report), INTERVAL_MS);
    const tick = (): void => {
      this.#pass = this.run().then(onPass).catch(this.#report);
      void this.#pass.finally(() => {
        if (this.#timer !== null) this.#timer = setTimeout(tick, INTERVAL_MS);
      });
    };
    this.#timer = setTimeout(tick, INTERVAL_MS);
  }

  /** Stop, and wait for the pass under way. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#leases !== null) clearInterval(this.#leases);
    this.#timer = null;
    await this.#pass;
  }

  /** Make one pass over every slot that no other process is sweeping. */
  async run(): Promise<SweepCounts> {
    await this.#renewLeases();
    const counts = { expired: 0, requeued: 0, removed: 0, detached: 0, unbooked: 0 };
    const servedVersions = new Map<ModelCode, Set<string>>();
    for (const { code, version } of (await this.#models.list()).values()) {
      servedVersions.set(code, (servedVersions.get(code) ?? new Set()).add(version));
    }
    for (const [code, served] of servedVersions) {
      if (!(await takeSlot(this.#redis, code, this.#ingress))) continue;
      counts.expired += await this.#expireOverdue(code);
      counts.detached += await this.#cancelDetached(code);
      counts.requeued += await this.#requeueMissing(code);
      counts.removed += await this.#removeEndedOfAll(code, served);
    }
    if (await takeTenants(this.#redis, this.#ingress)) {
      counts.unbooked += await this.#bookings.run(await this.#redisNowMs());
    }
    return counts;
  }

  async #renewLeases(): Promise<void> {
    const codes = new Set([...(await this.#models.list()).values()].map(({ code }) => code));
    await Promise.all(
      [...codes].map((code) =>
        lease(this.#redis, [keys.lease(code, this.#ingress)], [this.#ingress, INGRESS_LEASE_MS]),
      ),
    );
  }

  async #expireOverdue(code: ModelCode): Promise<number> {
    let expired = 0;
    const nowMs = await this.#redisNowMs();
    for (let page = 0; page < PAGES_PER_PASS; page += 1) {
      const overdue = await this.#redis.zrangebyscore(
        keys.deadline(code),
        "-inf",
        nowMs,
        "LIMIT",
        0,
        PAGE,
      );
      for (const job of jobIdSchema.array().parse(overdue)) {
        const version = await this.#redis.hget(keys.entry(job), "version");
        if ((await expire(this.#redis, endingKeys(job), [job, keys.slot(code)])) === 0) continue;
        expired += 1;
        if (version !== null) await this.#queues.removeEnded(job, version);
      }
      if (overdue.length < PAGE) break;
    }
    return expired;
  }

  /** Twice without a lease is gone; once, Redis may have been away for longer than leases live. */
  async #cancelDetached(code: ModelCode): Promise<number> {
    const list = keys.attached(code);
    const missing = new Set<string>();
    const cancelled = await this.#walk(list, async (from) => {
      const [seen, ...found] = await auditAttached(
        this.#redis,
        [list],
        [keys.slot(code), from, PAGE],
      );
      let mended = 0;
      for (let at = 0; at < found.length; at += 2) {
        const attachedTo = String(found[at + 1]);
        const ingress = `${code} ${attachedTo.split(" ")[0]}`;
        missing.add(ingress);
        if (!this.#suspects.has(ingress)) continue;
        await this.#cancel(jobIdSchema.parse(found[at]), attachedTo);
        mended += 1;
      }
      return { seen: Number(seen), mended };
    });
    for (const suspect of this.#suspects) {
      if (suspect.startsWith(`${code} `) && !missing.has(suspect)) this.#suspects.delete(suspect);
    }
    for (const ingress of missing) this.#suspects.add(ingress);
    return cancelled;
  }

  /** Unless its caller has come back meanwhile, to another ingress. */
  async #cancel(job: JobId, attachedTo: string): Promise<void> {
    const version = await this.#redis.hget(keys.entry(job), "version");
    if (version === null) return;
    const tools = { redis: this.#redis, queues: this.#queues };
    await cancelJob(tools, { job, version, attachedTo });
  }

  async #requeueMissing(code: ModelCode): Promise<number> {
    return this.#walk(keys.open(code), async (from) => {
      const [seen, ...found] = await auditOpen(
        this.#redis,
        [keys.open(code)],
        [keys.slot(code), from, PAGE, GRACE_MS],
      );
      for (let at = 0; at < found.length; at += 4) {
        const job = jobIdSchema.parse(found[at]);
        const version = String(found[at + 1]);
        // In no list, yet perhaps not gone: a leftover would make the add a silent no-op.
        await this.#queues.remove(job, version);
        await this.#redis.zadd(keys.versions(code), "NX", 0, version);
        const place = {
          class: Number(found[at + 2]),
          score: String(found[at + 3]),
          isAwaited: true,
        };
        await this.#queues.add(job, version, place);
      }
      return { seen: Number(seen), mended: found.length / 4 };
    });
  }

  /** Of all versions that jobs wait for: workers may have moved on from some of them. */
  async #removeEndedOfAll(code: ModelCode, served: ReadonlySet<string>): Promise<number> {
    const waitedFor = await this.#redis.zrange(keys.versions(code), "0", "-1");
    let removed = 0;
    for (const version of new Set([...served, ...waitedFor])) {
      removed += await this.#removeEnded(code, version);
      if (served.has(version)) continue;
      await this.#forgetVersion(code, version);
    }
    return removed;
  }

  /** An operator's settings stay: the version may come back. */
  async #forgetVersion(code: ModelCode, version: string): Promise<void> {
    const lists = ["prioritized", "wait", "active"];
    const leftovers = ["id", "pc", "events", "marker", "stalled", "stalled-check"];
    const ofQueue = [...lists, ...leftovers].map((name) => keys.queue(code, version, name));
    await forgetVersion(
      this.#redis,
      [keys.versions(code), ...ofQueue, keys.turns(code, version), keys.others(code, version)],
      [version, FORGOTTEN_MS],
    );
  }

  async #removeEnded(code: ModelCode, version: string): Promise<number> {
    const list = (name: string): string => keys.queue(code, version, name);
    return this.#walk(list("prioritized"), async (from) => {
      const [seen, ...found] = await auditQueue(
        this.#redis,
        [list("prioritized"), list("wait"), list("active")],
        [keys.slot(code), list(""), from, PAGE, FORGOTTEN_MS],
      );
      const jobs = jobIdSchema.array().parse(found);
      for (const job of jobs) await this.#queues.remove(job, version);
      return { seen: Number(seen), mended: jobs.length };
    });
  }

  /** Go on through a long list where the last pass stopped, for at most a pass' worth of pages. */
  async #walk(
    list: string,
    visit: (from: number) => Promise<{ seen: number; mended: number }>,
  ): Promise<number> {
    let mendedInAll = 0;
    for (let page = 0; page < PAGES_PER_PASS; page += 1) {
      const from = this.#places.get(list) ?? 0;
      const { seen, mended } = await visit(from);
      mendedInAll += mended;
      if (seen < PAGE) {
        this.#places.delete(list);
        break;
      }
      this.#places.set(list, from + PAGE);
    }
    return mendedInAll;
  }

  /** Leases were written by Redis' clock, so they are judged by it. */
  async #redisNowMs(): Promise<number> {
    const [seconds, microseconds] = await this.#redis.time();
    return Number(seconds) * 1_000 + Number(microseconds) / 1_000;
  }
}
