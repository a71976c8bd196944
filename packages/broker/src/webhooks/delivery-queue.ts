import { randomUUID } from "node:crypto";

import type { WebhookFailure, WebhookTry } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { keys } from "../keys.ts";
import { script } from "../script.ts";
import type { DeskClock } from "./desk.ts";
import { parseTries, writeTries } from "./delivery-record.ts";

/** Each is id, tenant, endpoint, url, event, tries, history, age and how much it is overdue. */
const claimedSchema = z.tuple([
  z.string(),
  z.string(),
  z.string(),
  z.string(),
  z.string(),
  z.coerce.number(),
  z.string(),
  z.coerce.number(),
  z.coerce.number(),
]);
const claim = script("webhook-claim", z.tuple([z.int()], claimedSchema));
const settle = script("webhook-settle", z.literal([0, 1]));

/** A try takes 15 s at most, and saying what came of it some more: a process that lives settles in time. */
const LEASE_MS = 20_000;
/** Circuits' pauses are spread by this much to either side. */
const JITTER = 0.2;

/** A delivery that this process has to make, and nobody else until its lease is over. */
export interface ClaimedDelivery {
  readonly id: string;
  readonly tenant: string;
  /** Null for the webhook of a single job. */
  readonly endpoint: string | null;
  /** Null for an endpoint's, which says itself where it is. */
  readonly url: string | null;
  /** The body to send. */
  readonly body: string;
  /** Tries before this one, since it was first due or replayed. */
  readonly tries: number;
  readonly history: readonly WebhookTry[];
  /** Since it was first due, or replayed. */
  readonly ageMs: number;
  readonly overdueMs: number;
  readonly token: string;
}

/** How a receiver does: `full` asks for less. */
export type ReceiverHealth = "well" | "ill" | "full" | "unknown";

/** What came of a delivery. */
export type Settlement =
  | { readonly state: "delivered" }
  | { readonly state: "failed"; readonly failure: WebhookFailure }
  | { readonly state: "pending"; readonly retryMs: number };

/** What a process tells of a delivery that it claimed. */
export interface Report {
  readonly settlement: Settlement;
  readonly health: ReceiverHealth;
  /** How long the receiver asks to be left alone. */
  readonly pauseMs: number;
  /** Null when no try was made. */
  readonly made: WebhookTry | null;
}

/** What is due, for the processes that deliver it. */
export class DeliveryQueue {
  readonly #redis: Redis;
  readonly #clock: DeskClock;

  constructor(redis: Redis, clock: DeskClock = null) {
    this.#redis = redis;
    this.#clock = clock;
  }

  /**
   * Take up to `most` deliveries that are due, fairly between tenants and receivers.
   *
   * @returns them, and how long until more may be due: ms, null when nothing waits
   */
  async claim(
    most: number,
  ): Promise<{ readonly deliveries: ClaimedDelivery[]; readonly nextMs: number | null }> {
    const token = randomUUID();
    const args = [keys.webhookSlot, this.#clock?.() ?? "", most, LEASE_MS, token];
    const [waitMs, ...claimed] = await claim(this.#redis, [keys.webhookTenants], args);
    const deliveries = claimed.map(
      ([id, tenant, endpoint, url, body, tries, history, ageMs, overdueMs]) => ({
        id,
        tenant,
        endpoint: endpoint === "" ? null : endpoint,
        url: url === "" ? null : url,
        body,
        tries,
        history: parseTries(history),
        ageMs,
        overdueMs,
        token,
      }),
    );
    return { deliveries, nextMs: waitMs === -1 ? null : waitMs };
  }

  /**
   * Say what came of a delivery. May be repeated when the answer was lost.
   *
   * @returns false when the lease had run out: another process delivers it again
   */
  async settle(delivery: ClaimedDelivery, report: Report): Promise<boolean> {
    const { settlement, health, pauseMs, made } = report;
    const history = made === null ? delivery.history : [...delivery.history, made];
    const args = [
      keys.webhookSlot,
      this.#clock?.() ?? "",
      delivery.id,
      delivery.token,
      settlement.state,
      settlement.state === "failed" ? settlement.failure : "",
      settlement.state === "pending" ? settlement.retryMs : 0,
      delivery.tries + (made === null ? 0 : 1),
      writeTries(history),
      health,
      pauseMs,
      1 - JITTER + Math.random() * 2 * JITTER,
    ];
    return (await settle(this.#redis, [keys.webhookTenants], args)) === 1;
  }
}
