import { setTimeout as delay } from "node:timers/promises";

import type { ClaimedDelivery, DeliveryReport, WebhookBroker } from "@headrace/broker";
import { signWebhook, webhookEventSchema, type WebhookFailure } from "@headrace/contract";

import type { WebhookEvents } from "./events.ts";
import { LONGEST_LIFE_MS } from "./ladder.ts";
import { SendFailure, type Sender } from "./sender.ts";
import { GONE, judge, type TryResult } from "./verdict.ts";

/** How often Redis is asked for what is due, when nothing was just now. */
const LOOK_MS = 200;
/** How long to leave Redis alone when it does not answer. */
const OUTAGE_MS = 1_000;
/** How long what is being sent may go on once the process is told to stop. */
const DRAIN_MS = 5_000;

/** What a courier works with. */
export interface CourierTools {
  readonly broker: WebhookBroker;
  readonly sender: Sender;
  readonly events: WebhookEvents;
  readonly report: (error: Error) => void;
  /** Webhooks to send at once. */
  readonly maxInFlight: number;
  /** The time that signatures carry, ms. */
  readonly now?: () => number;
}

/**
 * Takes what is due, sends it, and says what came of it: at least once, under one id.
 *
 * A process that dies in between leaves a lease behind; once that is over, another sends it again.
 */
export class Courier {
  readonly #tools: CourierTools;
  readonly #now: () => number;
  readonly #underWay = new Set<Promise<void>>();
  readonly #hurry = new AbortController();
  #woken = Promise.withResolvers<void>();

  constructor(tools: CourierTools) {
    this.#tools = tools;
    this.#now = tools.now ?? Date.now;
  }

  /** Webhooks being sent. */
  get inFlight(): number {
    return this.#underWay.size;
  }

  /** Deliver until the signal is aborted, then let what is under way end, for at most 5 s. */
  async run(signal: AbortSignal): Promise<void> {
    const onStop = (): void => this.#woken.resolve();
    signal.addEventListener("abort", onStop, { once: true });
    while (!signal.aborted) {
      this.#woken = Promise.withResolvers();
      await this.#rest(await this.#takeDue());
    }
    const timer = setTimeout(() => this.#hurry.abort(), DRAIN_MS);
    await Promise.all(this.#underWay);
    clearTimeout(timer);
  }

  /** Deliver what is due just now. @returns how many tries were made, or given up without one */
  async deliverDue(): Promise<number> {
    const { deliveries } = await this.#claim();
    await Promise.all(deliveries.map((delivery) => this.#deliver(delivery)));
    return deliveries.length;
  }

  async #claim(): ReturnType<WebhookBroker["claim"]> {
    const { broker, maxInFlight } = this.#tools;
    return broker.claim(maxInFlight - this.#underWay.size);
  }

  /** @returns how long to wait for more, ms: 0 when there may be more already */
  async #takeDue(): Promise<number> {
    if (this.#underWay.size >= this.#tools.maxInFlight) return LOOK_MS;
    try {
      const { deliveries, nextMs } = await this.#claim();
      for (const delivery of deliveries) this.#start(delivery);
      return deliveries.length > 0 ? 0 : Math.min(Math.max(nextMs ?? LOOK_MS, 1), LOOK_MS);
    } catch (error) {
      this.#tools.report(new Error("no webhook can be taken, to be repeated", { cause: error }));
      return OUTAGE_MS;
    }
  }

  /** Wait for so long, or until a delivery has ended: its place may be another's. */
  async #rest(ms: number): Promise<void> {
    if (ms === 0) return;
    const timer = new AbortController();
    await Promise.race([
      delay(ms, undefined, { signal: timer.signal }).catch(() => undefined),
      this.#woken.promise,
    ]);
    timer.abort();
  }

  #start(delivery: ClaimedDelivery): void {
    const work = this.#deliver(delivery)
      .catch((error: unknown) => {
        const message = "a webhook is left until its lease is over";
        this.#tools.report(new Error(message, { cause: error }));
      })
      .finally(() => {
        this.#underWay.delete(work);
        this.#woken.resolve();
      });
    this.#underWay.add(work);
  }

  async #deliver(delivery: ClaimedDelivery): Promise<void> {
    const { broker, events } = this.#tools;
    events.claimed(delivery);
    const recipient = await broker.findRecipient(delivery);
    if ("failure" in recipient) return this.#settle(delivery, giveUp(recipient.failure));
    if (delivery.ageMs > LONGEST_LIFE_MS) return this.#settle(delivery, giveUp("exhausted"));
    const startedAtMs = this.#now();
    const sentAt = performance.now();
    const result = await this.#try(delivery, recipient, startedAtMs);
    if (result === null) return this.#settle(delivery, PUT_OFF);
    if ("answer" in result && result.answer.status === GONE && delivery.endpoint !== null) {
      // Before the delivery ends: if this process dies here, the receiver is asked again.
      await broker.disableGone(delivery, recipient.url);
      events.endpointGone(delivery);
    }
    const tookMs = performance.now() - sentAt;
    await this.#settle(delivery, judge(result, { tries: delivery.tries + 1, startedAtMs, tookMs }));
  }

  /** @returns null when the process has no more time to wait for the answer */
  async #try(
    { body }: ClaimedDelivery,
    { url, secrets }: { readonly url: string; readonly secrets: readonly string[] },
    nowMs: number,
  ): Promise<TryResult | null> {
    if (secrets.length === 0) return { error: "secret_missing" };
    const { id } = webhookEventSchema.parse(JSON.parse(body));
    const timestamp = Math.floor(nowMs / 1_000);
    const headers = {
      "content-type": "application/json",
      "user-agent": "Headrace-Webhooks/1",
      "webhook-id": id,
      "webhook-timestamp": String(timestamp),
      "webhook-signature": await signWebhook({ id, timestamp, body }, secrets),
    };
    try {
      return {
        answer: await this.#tools.sender.send({ url, headers, body }, this.#hurry.signal),
      };
    } catch (error) {
      if (error instanceof SendFailure) return { error: error.error };
      if (this.#hurry.signal.aborted) return null;
      throw error;
    }
  }

  async #settle(delivery: ClaimedDelivery, report: DeliveryReport): Promise<void> {
    const { broker, events } = this.#tools;
    if (await broker.settle(delivery, report)) events.settled(delivery, report);
    else events.leaseLost(delivery);
  }
}

/** The process stops: another sends it, as if this one had not begun. */
const PUT_OFF: DeliveryReport = {
  settlement: { state: "pending", retryMs: 0 },
  health: "unknown",
  pauseMs: 0,
  made: null,
};

function giveUp(failure: WebhookFailure): DeliveryReport {
  return { settlement: { state: "failed", failure }, health: "unknown", pauseMs: 0, made: null };
}
