import { modelCodeOf, START, type Cursor, type JobId, type ModelCode } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { Follower, type Reader } from "./follower.ts";
import { keys } from "./keys.ts";
import { script } from "./script.ts";
import { toLogEntry } from "./token-log.ts";

const watch = script("watch", z.string().nullable());

/** How long a caller waits for a subscription, which itself waits for Redis as long as it takes. */
const LISTEN_MS = 1_000;
/** Most ingresses that are sent copies of one job's entries; the readers of others poll. */
const WATCHER_LIMIT = 16;
/** A reader that has heard nothing for this long reads the log again. */
const SILENCE_MS = 1_000;
/** How often silence is looked for. */
const WATCHDOG_MS = 250;

/**
 * The entries that workers send to this ingress, and the readers they are for.
 *
 * Nothing is ever only in a message: each is a copy of log entries, so a lost one costs its readers
 * a second at the most, and a reader that falls behind reads the log instead of being buffered for.
 */
export class Inbox {
  readonly #commands: Redis;
  readonly #subscriber: Redis;
  readonly #ingress: string;
  readonly #followers = new Map<string, Set<Follower>>();
  readonly #subscriptions = new Map<ModelCode, Promise<unknown>>();
  readonly #watchdog: NodeJS.Timeout;

  /** `ingress` is this process' own name: no other process may share it. */
  constructor(commands: Redis, subscriber: Redis, ingress: string) {
    this.#commands = commands;
    this.#subscriber = subscriber;
    this.#ingress = ingress;
    subscriber.on("smessage", (_channel: string, message: string) => this.#receive(message));
    subscriber.on("ready", () => this.#catchUp(0));
    this.#watchdog = setInterval(() => this.#catchUp(SILENCE_MS), WATCHDOG_MS);
  }

  /** Readers now attached, of all jobs. */
  get readerCount(): number {
    return this.#followers.values().reduce((sum, followers) => sum + followers.size, 0);
  }

  /** Hear of jobs of this model from now on. Awaited before the first job that counts on it. */
  async listen(code: ModelCode): Promise<void> {
    let subscription = this.#subscriptions.get(code);
    if (subscription === undefined) {
      subscription = this.#subscriber.ssubscribe(keys.inbox(code, this.#ingress));
      this.#subscriptions.set(code, subscription);
      // A failed subscription must not be remembered as one.
      subscription.catch(() => this.#subscriptions.delete(code));
    }
    await withinPatience(subscription);
  }

  /**
   * Follow a job from `after`: replay what the log has, then go on live, with no gap and no repeat
   * between the two.
   *
   * Subscribes before it reads, so that an entry is in the read, in a message, or in both.
   */
  async follow(job: JobId, after: Cursor, reader: Reader): Promise<Follower> {
    const follower = this.#attach(job, after, reader);
    try {
      await this.listen(modelCodeOf(job));
      await watch(this.#commands, [keys.entry(job)], [this.#ingress, WATCHER_LIMIT]);
    } catch (error) {
      follower.close();
      throw error;
    }
    follower.catchUp();
    return follower;
  }

  /** Follow a job that this ingress is about to accept, naming itself its watcher. */
  followNew(job: JobId, reader: Reader): Follower {
    return this.#attach(job, START, reader);
  }

  close(): void {
    clearInterval(this.#watchdog);
    for (const followers of this.#followers.values()) {
      for (const follower of followers) follower.close();
    }
  }

  #attach(job: JobId, after: Cursor, reader: Reader): Follower {
    const followers = this.#followers.get(job) ?? new Set();
    this.#followers.set(job, followers);
    const follower = new Follower(this.#commands, { job, after, reader }, () => {
      followers.delete(follower);
      if (followers.size === 0 && this.#followers.get(job) === followers) {
        this.#followers.delete(job);
      }
    });
    followers.add(follower);
    return follower;
  }

  #receive(message: string): void {
    for (const line of message.split("\n")) {
      const [job = "", cursor = "", type = "", data = ""] = line.split("\t", 4);
      const followers = this.#followers.get(job);
      if (followers === undefined) continue;
      const entry = toLogEntry(cursor, type, data);
      for (const follower of followers) {
        if (entry === null) follower.catchUp();
        else follower.receive(entry);
      }
    }
  }

  #catchUp(silentForMs: number): void {
    const before = performance.now() - silentForMs;
    for (const followers of this.#followers.values()) {
      for (const follower of followers) {
        if (follower.heardAtMs <= before) follower.catchUp();
      }
    }
  }
}

async function withinPatience(subscription: Promise<unknown>): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`not subscribed in ${LISTEN_MS} ms`)), LISTEN_MS);
  try {
    await Promise.race([subscription, promise]);
  } finally {
    clearTimeout(timer);
  }
}
