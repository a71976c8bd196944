import { randomUUID } from "node:crypto";

import {
  DeliveryLog,
  EndpointRegistry,
  WebhookBroker,
  WebhookDesk,
  type EndpointRecord,
  type Occurrence,
} from "@headrace/broker";
import { AddressPolicy, AllowList } from "@headrace/receivers";
import { Metrics, type Log } from "@headrace/runtime";
import { redisTest } from "@headrace/testkit";

import { Courier } from "../courier.ts";
import { WebhookEvents } from "../events.ts";
import { createResolver } from "../resolver.ts";
import { Sender } from "../sender.ts";
import { Receiver } from "./receiver.ts";

export const TENANT = "acme";

/** Time that passes only when the test says so. */
export class VirtualClock {
  nowMs = Date.now();
  readonly now = (): number => this.nowMs;

  advance(ms: number): void {
    this.nowMs += ms;
  }
}

const SILENT: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** What may be chosen of a courier under test. */
export interface CourierChoices {
  readonly sendMs?: number;
  readonly maxInFlight?: number;
  /** Left out, it goes by the test's clock; null for the real one. */
  readonly clock?: null;
  /** Left out, it has one of its own. */
  readonly broker?: WebhookBroker;
}

/** Tenants' endpoints, the way in for events, their log, and couriers, on a Redis of the test's own. */
export const webhooksTest = redisTest
  .extend("clock", async ({}) => new VirtualClock())
  .extend("registry", async ({ redis, clock }) => new EndpointRegistry(redis, clock.now))
  .extend("desk", async ({ redis, registry, clock }) => new WebhookDesk(redis, registry, clock.now))
  .extend("log", async ({ redis, clock }) => new DeliveryLog(redis, clock.now))
  .extend("startReceiver", async ({}, { onCleanup }) => {
    const receivers: Receiver[] = [];
    onCleanup(async () => {
      await Promise.all(receivers.map((receiver) => receiver.close()));
    });
    return async (): Promise<Receiver> => {
      const receiver = await Receiver.start();
      receivers.push(receiver);
      return receiver;
    };
  })
  .extend("openBroker", async ({ redisServer, redis, clock }, { onCleanup }) => {
    await redis.ping();
    const brokers: WebhookBroker[] = [];
    onCleanup(() => {
      for (const broker of brokers) broker.close();
    });
    return async ({ clock: real }: CourierChoices = {}): Promise<WebhookBroker> => {
      const broker = await WebhookBroker.open({
        redisUrl: redisServer.url,
        report: fail,
        ...(real === null ? {} : { now: clock.now }),
      });
      brokers.push(broker);
      return broker;
    };
  })
  .extend("openCourier", async ({ openBroker, clock }) => {
    return async (choices: CourierChoices = {}): Promise<Courier> => {
      const broker = choices.broker ?? (await openBroker(choices));
      const policy = new AddressPolicy(new AllowList(["127.0.0.1"]));
      return new Courier({
        broker,
        sender: new Sender(policy, createResolver(), choices.sendMs),
        events: new WebhookEvents(new Metrics("webhooks"), SILENT, () => 0),
        report: fail,
        maxInFlight: choices.maxInFlight ?? 512,
        ...(choices.clock === null ? {} : { now: clock.now }),
      });
    };
  })
  .extend("listenAt", async ({ registry }) => {
    return async (receiver: Receiver, tenant = TENANT): Promise<EndpointRecord> =>
      registry.create(tenant, { url: receiver.url, event_types: ["job.*"] });
  });

function fail(error: Error): void {
  throw error;
}

/** The secret that events to an endpoint are signed with now. */
export function secretOf({ secrets }: Pick<EndpointRecord, "secrets">): string {
  const [newest] = secrets;
  return newest?.secret ?? "";
}

/** A job that ended, of which nothing is known but that. */
export function jobEnded(clock: VirtualClock, choices: Partial<Occurrence> = {}): Occurrence {
  return {
    tenant: TENANT,
    type: "job.completed",
    subject: `job_test_${randomUUID()}`,
    atMs: clock.nowMs,
    webhook: null,
    ...choices,
  };
}
