import { WebhookBroker } from "@headrace/broker";
import { AddressPolicy } from "@headrace/receivers";
import { createReport, OperationsServer, type Log, type Metrics } from "@headrace/runtime";

import { Courier } from "./courier.ts";
import type { WebhooksEnvironment } from "./environment.ts";
import { WebhookEvents } from "./events.ts";
import { createResolver } from "./resolver.ts";
import { Sender } from "./sender.ts";

/** What a webhooks process is started with. */
export interface WebhooksOptions {
  readonly environment: WebhooksEnvironment;
  readonly log: Log;
  readonly metrics: Metrics;
}

/**
 * Deliver webhooks until the signal is aborted. Any number of such processes may run side by side.
 *
 * @throws PlatformError `queue_unavailable` when Redis is away for 30 s at the start, or unfit
 */
export async function deliverWebhooks(
  { environment, log, metrics }: WebhooksOptions,
  signal: AbortSignal,
): Promise<void> {
  const report = createReport(log);
  const broker = await WebhookBroker.open({ redisUrl: environment.REDIS_URL, report });
  try {
    const courier = createCourier({ environment, log, metrics }, broker);
    const operations = await OperationsServer.listen({
      host: environment.WEBHOOKS_OPERATIONS_HOST,
      port: environment.WEBHOOKS_OPERATIONS_PORT,
      metrics,
      assertReady: () => broker.ping(),
    });
    log.info({ operationsPort: operations.port }, "delivering");
    try {
      await courier.run(signal);
    } finally {
      await operations.close();
    }
  } finally {
    broker.close();
  }
}

function createCourier(
  { environment, log, metrics }: WebhooksOptions,
  broker: WebhookBroker,
): Courier {
  const policy = new AddressPolicy(environment.WEBHOOKS_ALLOW);
  const courier: Courier = new Courier({
    broker,
    sender: new Sender(policy, createResolver()),
    events: new WebhookEvents(metrics, log, () => courier.inFlight),
    report: createReport(log),
    maxInFlight: environment.WEBHOOKS_MAX_IN_FLIGHT,
  });
  return courier;
}
