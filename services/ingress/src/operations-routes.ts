import { PlatformError, type Demand } from "@headrace/contract";

import { sendJson, sendText } from "./answer.ts";
import { diagnose } from "./diagnosis/diagnose.ts";
import type { Exchange, Route } from "./exchange.ts";
import { mergedMetrics } from "./metrics-page.ts";
import type { Services } from "./services.ts";

/** Where the diagnosis is: on the operations port, and beside the API where that serves metrics. */
export const DIAGNOSIS_PATH = "/internal/diagnosis";

/** What those who scale workers are told, in the same places. */
export const DEMAND_PATH = "/internal/demand";

/** How long `/readyz` gives Redis to answer, ms: probes wait a second or two. */
const READY_MS = 1_000;

/** What those who run the process ask it. */
export function operationsRoutes(services: Services, metricsPeers: readonly string[]): Route[] {
  const ready = new SharedCheck(() => assertReady(services));
  const routes: Route[] = [
    {
      path: "/healthz",
      isOpen: true,
      isProbe: true,
      methods: { GET: (exchange) => sendJson(exchange, 200, { body: { status: "ok" } }) },
    },
    {
      path: "/readyz",
      isOpen: true,
      isProbe: true,
      methods: { GET: (exchange) => answerReady(exchange, ready) },
    },
  ];
  if (metricsPeers.length === 0) return routes;
  const metrics = (exchange: Exchange): Promise<void> =>
    answerMetrics(services, exchange, metricsPeers);
  const diagnosis = (exchange: Exchange): Promise<void> => answerDiagnosis(services, exchange);
  const demand = (exchange: Exchange): Promise<void> => answerDemand(services, exchange);
  return [
    ...routes,
    { path: "/metrics", isOpen: true, methods: { GET: metrics } },
    { path: DIAGNOSIS_PATH, isOpen: true, methods: { GET: diagnosis } },
    { path: DEMAND_PATH, isOpen: true, methods: { GET: demand } },
  ];
}

/**
 * Tell whether the process can take jobs in.
 *
 * @throws PlatformError `queue_unavailable` when Redis is away, silent or unfit, or the process stops
 */
export async function assertReady({ broker, readers }: Services): Promise<void> {
  if (readers.isStopping) throw new PlatformError("queue_unavailable", "this server is stopping");
  try {
    await broker.assertReady(READY_MS);
    await broker.assertConfirmable();
  } catch (error) {
    if (error instanceof PlatformError) throw error;
    throw new PlatformError("queue_unavailable", "Redis does not answer", { cause: error });
  }
}

/** However many ask at once, Redis is asked by one of them. */
class SharedCheck {
  readonly #check: () => Promise<void>;
  #underWay: Promise<void> | null = null;

  constructor(check: () => Promise<void>) {
    this.#check = check;
  }

  /** @throws whatever the check that is under way throws, or a new one */
  run(): Promise<void> {
    this.#underWay ??= this.#check().finally(() => (this.#underWay = null));
    return this.#underWay;
  }
}

async function answerReady(exchange: Exchange, ready: SharedCheck): Promise<void> {
  try {
    await ready.run();
  } catch (error) {
    // The operator's port tells causes as well; strangers need not know where our Redis is.
    const why = error instanceof PlatformError ? `: ${error.message}` : "";
    throw new PlatformError("queue_unavailable", `not ready to take jobs in${why}`, {
      cause: error,
    });
  }
  sendJson(exchange, 200, { body: { status: "ready" } });
}

async function answerMetrics(
  { metrics }: Services,
  exchange: Exchange,
  peers: readonly string[],
): Promise<void> {
  assertLocal(exchange);
  sendText(exchange, 200, {
    text: await mergedMetrics(await metrics.text(), peers),
    headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
  });
}

async function answerDiagnosis(services: Services, exchange: Exchange): Promise<void> {
  assertLocal(exchange);
  sendJson(exchange, 200, { body: await diagnose(services.broker, services.durability) });
}

async function answerDemand(services: Services, exchange: Exchange): Promise<void> {
  assertLocal(exchange);
  sendJson(exchange, 200, { body: await readDemand(services) });
}

/** Tell what is asked of each model. @throws PlatformError `queue_unavailable` */
export async function readDemand({ broker }: Services): Promise<Demand> {
  return { object: "demand", models: await broker.readDemand() };
}

/** To others there is no such page. */
function assertLocal(exchange: Exchange): void {
  if (isLocal(exchange)) return;
  throw new PlatformError("route_not_found", "there is no such path; see /docs");
}

const LOOPBACK = /^(::ffff:)?127\.|^::1$/;

/** Whether the caller is on this machine itself, and not behind a proxy that is. */
function isLocal({ request }: Exchange): boolean {
  const { headers } = request;
  const isForwarded = headers["x-forwarded-for"] ?? headers["forwarded"] ?? headers["via"];
  return isForwarded === undefined && LOOPBACK.test(request.socket.remoteAddress ?? "");
}
