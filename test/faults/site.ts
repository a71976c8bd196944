import { setTimeout as delay } from "node:timers/promises";

import { newKeySchema, newWebhookSecretSchema } from "@headrace/contract";
import { Redis } from "ioredis";

import { Platform, type PlatformOptions } from "../platform.ts";
import { WebhookSink } from "../webhook-sink.ts";
import type { Finding } from "./finding.ts";
import { readLedger, type Ledger, type LedgerJob } from "./ledger.ts";
import { Load, type LoadOptions } from "./load.ts";
import type { RunContext } from "./run.ts";
import { verify } from "./verifier.ts";
import { subjectOf, type WebhookRecord } from "./webhook-check.ts";

const LOOK_MS = 50;
/** Whose jobs make a load, in turn. */
const TENANTS = ["north", "south"] as const;

/** A platform that faults are inflicted on, and what looks at it from outside. */
export class Site {
  readonly platform: Platform;
  /** Straight to the platform's Redis, past every proxy. */
  readonly redis: Redis;
  readonly #context: RunContext;
  #keys: Promise<string[]> | null = null;
  #ledger: Ledger | null = null;
  #sink: WebhookSink | null = null;
  /** What webhooks are signed with, by the key of the tenant whose they are. */
  readonly #secrets = new Map<string, string>();

  constructor(platform: Platform, context: RunContext) {
    this.platform = platform;
    this.#context = context;
    this.redis = new Redis(platform.redis.url, { replyMapping: "legacy" });
    // Redis is killed as part of the run: commands fail or wait, which is all there is to know.
    this.redis.on("error", () => {});
  }

  /** Make a load on the ingresses there are now, of two tenants' jobs. */
  load(options: Pick<LoadOptions, "outstanding"> & Partial<LoadOptions>): Load {
    const urls = this.platform.ingresses.map(({ url }) => url);
    const keys = (): Promise<string[]> => (this.#keys ??= this.#makeKeys());
    return new Load({ urls, keys, signal: this.#context.signal, ...options });
  }

  /**
   * Open a receiver for jobs' webhooks: what it gets is checked as well. Jobs name its `url`, and the
   * tenants of loads have the secrets for it.
   */
  async openSink(): Promise<WebhookSink> {
    this.#sink = await WebhookSink.open();
    return this.#sink;
  }

  /** Close what looks at the platform. */
  async close(): Promise<void> {
    this.redis.disconnect();
    await this.#sink?.close();
  }

  /** Wait for the run's work, or until it is told to end. @throws Error saying which process died */
  async bounded<Value>(work: Promise<Value>): Promise<Value> {
    const { signal } = this.#context;
    const { promise, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => {
      const ends = this.platform.services.flatMap((service) => service.findEnd() ?? []);
      reject(new Error(["the run was ended", ...ends].join("\n"), { cause: signal.reason }));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      return await Promise.race([work, promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Wait until the platform is at rest, and check all that loads have seen against the ledger. */
  async verify(...loads: readonly Load[]): Promise<Finding[]> {
    const accepted = loads.flatMap((load) => load.accepted);
    const oddities = loads.flatMap((load) => load.oddities);
    const crossings = loads.flatMap((load) => load.crossings);
    this.#context.say(`checking ${accepted.length} jobs and their readers`);
    this.#ledger = await readLedger(this.redis);
    const webhooks = await this.#collectWebhooks(loads);
    return verify({ accepted, oddities, crossings, webhooks, ledger: this.#ledger });
  }

  /** Attempts beyond the first of each job, whether they counted or not. After `verify`. */
  countReattempts(): number {
    return this.#sum(({ begun }) => begun);
  }

  /** Attempts beyond the first of each job that counted against it. After `verify`. */
  countBurnedAttempts(): number {
    return this.#sum(({ attempts }) => attempts);
  }

  /** Jobs of the ledger of which something holds. After `verify`. */
  countJobs(holds: (job: LedgerJob) => boolean): number {
    return [...(this.#ledger?.jobs.values() ?? [])].filter(holds).length;
  }

  /** Wait until the engine runs exactly so many generations. */
  async whenEngineRuns(count: number): Promise<void> {
    const { signal } = this.#context;
    while (!signal.aborted && (await this.platform.engineCounts()).running !== count) {
      await delay(LOOK_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** Wait until all jobs that name a webhook were told of, or the run is told to end. */
  async #collectWebhooks(loads: readonly Load[]): Promise<WebhookRecord | null> {
    const sink = this.#sink;
    if (sink === null) return null;
    const { signal } = this.#context;
    const asking = loads.flatMap(({ accepted }) =>
      accepted.flatMap(({ id, job }) => (job.submit.webhook === undefined ? [] : [id])),
    );
    this.#context.say(`waiting for the webhooks of ${asking.length} jobs`);
    const isTold = (id: string): boolean =>
      sink.received.some(({ body }) => subjectOf(body) === id);
    while (!signal.aborted && !asking.every(isTold)) {
      await delay(LOOK_MS, undefined, { signal }).catch(() => {});
    }
    const ownerOf = (id: string): string =>
      loads.map((load) => load.ownerOf(id)).find((owner) => owner !== "") ?? "";
    return {
      received: sink.received,
      secretOf: (id) => this.#secrets.get(ownerOf(id)) ?? "",
    };
  }

  #makeKeys(): Promise<string[]> {
    return Promise.all(TENANTS.map((tenant) => this.#makeKey(tenant)));
  }

  /** Make a tenant's key, asking again while a fault that has begun already stands in the way. */
  async #makeKey(tenant: string): Promise<string> {
    const { signal } = this.#context;
    const body = JSON.stringify({ name: `load of ${tenant}`, tenant });
    for (;;) {
      signal.throwIfAborted();
      const answer = await this.platform.call("/admin/v1/keys", { method: "POST", body, signal });
      if (answer.status === 201) {
        const { key } = newKeySchema.parse(await answer.json());
        if (this.#sink !== null) this.#secrets.set(key, await this.#makeSecret(key));
        return key;
      }
      const text = await answer.text();
      if (answer.status !== 503) throw new Error(`a key for ${tenant}: ${answer.status} ${text}`);
      await delay(LOOK_MS, undefined, { signal });
    }
  }

  async #makeSecret(key: string): Promise<string> {
    const answer = await this.platform.call("/v1/webhook_secret", {
      method: "POST",
      headers: { authorization: `Bearer ${key}` },
      body: "{}",
      signal: this.#context.signal,
    });
    return newWebhookSecretSchema.parse(await answer.json()).signing_secret;
  }

  #sum(attemptsOf: (job: LedgerJob) => number): number {
    const jobs = this.#ledger?.jobs.values() ?? [];
    return Iterator.from(jobs).reduce((sum, job) => sum + Math.max(attemptsOf(job) - 1, 0), 0);
  }
}

/** Start a platform, do the run's work on it, and stop all of it, however the work ends. */
export async function withSite<Found>(
  context: RunContext,
  options: PlatformOptions,
  work: (site: Site) => Promise<Found>,
): Promise<Found> {
  const platform = await Platform.start(options);
  const site = new Site(platform, context);
  try {
    return await work(site);
  } finally {
    await site.close();
    await platform.stop();
  }
}
