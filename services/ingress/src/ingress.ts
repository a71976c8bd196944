import { setTimeout as delay } from "node:timers/promises";

import { IngressBroker } from "@headrace/broker";
import type { Durability } from "@headrace/contract";
import { AddressPolicy, AllowList } from "@headrace/receivers";
import { createReport, Metrics, OperationsServer, type Log } from "@headrace/runtime";
import type { ObjectStore } from "@headrace/storage";

import { AddressLimit } from "./address-limit.ts";
import { recordDenial } from "./admin-route.ts";
import { gainAllowance } from "./allowance-headers.ts";
import { BodyShares } from "./body-shares.ts";
import { createApp, type Gate } from "./app.ts";
import { Authentication } from "./authentication.ts";
import type { Caller } from "./caller.ts";
import { CommonHeaders } from "./common-headers.ts";
import type { Reviewer } from "./content-filter/content-filter.ts";
import { openReviewer, toContentFilter, type ContentFilterConfig } from "./content-filter/open.ts";
import { diagnose } from "./diagnosis/diagnose.ts";
import { batchRoutes } from "./batches/batch-routes.ts";
import { Events } from "./events.ts";
import type { Exchange, Route } from "./exchange.ts";
import { fileRoutes } from "./files/file-routes.ts";
import { FileStore } from "./files/file-store.ts";
import { generationRoutes } from "./generation-routes.ts";
import { CONNECTION_LIMITS, HttpServer, namePort, type ConnectionLimits } from "./http-server.ts";
import { jobRoutes } from "./job-routes.ts";
import { keyRoutes } from "./key-routes.ts";
import { modelRoutes } from "./model-routes.ts";
import { OpenCalls } from "./open-calls.ts";
import { plainRoutes } from "./plain-server/plain-routes.ts";
import {
  assertReady,
  DEMAND_PATH,
  DIAGNOSIS_PATH,
  operationsRoutes,
  readDemand,
} from "./operations-routes.ts";
import { allOperations, describeApi } from "./reference/document.ts";
import { referenceRoutes } from "./reference-routes.ts";
import { PATIENCE, Readers, TENANT_STREAM_SHARE, type Patience } from "./readers.ts";
import type { Pricing, Services } from "./services.ts";
import { tenantRoutes } from "./tenant-routes.ts";
import { TenantTurns, type TurnLimits } from "./tenant-turns.ts";
import { usageRoutes } from "./usage-routes.ts";
import { responseRoutes } from "./responses/response-routes.ts";
import { webhookRoutes } from "./webhook-routes.ts";

/** How long a starting process gives Redis before it serves without, ms. */
const START_MS = 2_000;

/** Requests a minute from one address where nothing is said: more than a process takes in of honest work. */
const ADDRESS_LIMIT = 600_000;
/** What of one tenant is read at once, and how much more may wait. Each may be megabytes. */
const READS = { atOnce: 8, waiting: 1_024 };

const UNPRICED: Pricing = { gpuHourPrice: 0, currency: null };

export interface IngressConfig {
  readonly host: string;
  /** 0 lets the system choose, as for the operations port. */
  readonly port: number;
  readonly operationsPort: number;
  readonly redisUrl: string;
  readonly durability: Durability;
  readonly apiKey: string;
  readonly bodyLimitBytes: number;
  /** Where files are kept; null where there is no storage. */
  readonly objects: ObjectStore | null;
  /** Largest file that may be uploaded. */
  readonly fileLimitBytes: number;
  readonly maxStreams: number;
  /** The part of them that one tenant may have; three quarters where nothing is said. */
  readonly tenantStreamShare?: number;
  /** URLs of other processes' metrics, to be served with ours to local callers. */
  readonly metricsPeers: readonly string[];
  /** Origins whose pages may call from a browser. */
  readonly corsOrigins: readonly string[];
  readonly isBehindTls: boolean;
  /**
   * Requests a minute from one address; 0 = any number. Where nothing is said there is a generous limit,
   * that each process holds by itself.
   */
  readonly addressLimit?: number | undefined;
  /** What one tenant's jobs may take of Redis; 1 = all. @see IngressBrokerOptions */
  readonly tenantShare?: number;
  /** Proxies that are believed where a caller is; none where nothing is said. */
  readonly trustedProxies?: readonly string[];
  /** Receivers of webhooks that are not on the Internet; none where nothing is said. */
  readonly receivers?: AllowList;
  /** Free of charge where nothing is said. */
  readonly pricing?: Pricing;
  /** The model of calls that name none. */
  readonly defaultModel: string | null;
  readonly contentFilter: ContentFilterConfig;
  readonly log: Log;
  readonly patience?: Partial<Patience>;
  readonly connectionLimits?: Partial<ConnectionLimits>;
  /** What of one tenant is read at once. Tests lower it. */
  readonly reads?: TurnLimits;
  /** How long a process that is to stop serves on while it says that it is not ready, ms. */
  readonly unreadyMs?: number;
}

interface IngressParts {
  readonly routes: readonly Route[];
  readonly server: HttpServer;
  readonly unreadyMs: number;
  readonly operations: OperationsServer;
  readonly services: Services;
}

/** The HTTP front door: takes jobs in, hands their output out. Keeps nothing itself. */
export class Ingress {
  /** What it answers. */
  readonly routes: readonly Route[];
  readonly #server: HttpServer;
  readonly #operations: OperationsServer;
  readonly #services: Services;
  readonly #unreadyMs: number;

  private constructor({ routes, server, operations, services, unreadyMs }: IngressParts) {
    this.routes = routes;
    this.#server = server;
    this.#operations = operations;
    this.#services = services;
    this.#unreadyMs = unreadyMs;
  }

  /**
   * Serve. While Redis is away it serves all the same, and answers 503.
   *
   * @throws ConfigurationError when a port cannot be had, or the content filter is none
   * @throws PlatformError `queue_unavailable` when Redis is there and unfit to hold jobs
   */
  static async start(config: IngressConfig): Promise<Ingress> {
    const reviewer = await openReviewer(config.contentFilter, config.bodyLimitBytes);
    const services = createServices(config, reviewer);
    try {
      await refuseUnfit(services.broker, config.log);
      const operations = await openOperations(config, services);
      const routes = allRoutes(services, config);
      const server = await openServer(config, services, routes).catch(async (error: unknown) => {
        await operations.close();
        throw error;
      });
      services.metrics.gauge(
        "headrace_open_connections",
        "Connections to the API",
        () => server.connections,
      );
      services.broker.startSweep((counts) => services.events.sweepPassed(counts));
      const { unreadyMs = 0 } = config;
      const ingress = new Ingress({ routes, server, operations, services, unreadyMs });
      const { port, operationsPort } = ingress;
      const { host, durability } = config;
      config.log.info({ host, port, operationsPort, durability }, "listening");
      return ingress;
    } catch (error) {
      await services.readers.stop();
      await services.broker.close();
      throw error;
    }
  }

  get port(): number {
    return this.#server.port;
  }

  get operationsPort(): number {
    return this.#operations.port;
  }

  /**
   * Stop so that nobody is cut who ends in time: be unready for as long as load balancers take to notice, then accept
   * nothing more, send readers of jobs away to come back elsewhere, let synchronous calls finish for
   * their grace, and close everything.
   */
  async close(): Promise<void> {
    const { readers, patience, broker, openCalls } = this.#services;
    readers.expectStop();
    this.#server.turnAway();
    if (this.#unreadyMs > 0) await delay(this.#unreadyMs);
    const graceEndsAtMs = performance.now() + patience.graceMs;
    this.#server.stopAccepting();
    await readers.stop();
    await this.#server.finish(Math.max(0, graceEndsAtMs - performance.now()));
    openCalls.close();
    await this.#operations.close();
    await broker.close();
  }
}

function createServices(config: IngressConfig, reviewer: Reviewer | null): Services {
  const patience: Patience = { ...PATIENCE, ...config.patience };
  const metrics = new Metrics("ingress");
  const { maxStreams: most, tenantStreamShare: tenantShare = TENANT_STREAM_SHARE } = config;
  const readers = new Readers({ most, tenantShare }, patience);
  metrics.gauge("headrace_open_streams", "Connections held open for a job", () => readers.count);
  const { redisUrl, durability, addressLimit = 0, pricing = UNPRICED } = config;
  const openCalls = new OpenCalls();
  const broker = new IngressBroker({
    redisUrl,
    durability,
    addressLimit,
    ...(config.tenantShare === undefined ? {} : { tenantShare: config.tenantShare }),
    gpuHourPrice: pricing.gpuHourPrice,
    report: createReport(config.log),
    onAudited: (record) => events.audited(record),
    onKeyEnded: (id, secret) => openCalls.cut(id, secret),
  });
  metrics.gauge(
    "headrace_redis_memory_ratio",
    "Redis' memory in use over its maxmemory, 0 without one; submits are refused from 0.7 on",
    () => broker.memoryFullness,
  );
  const events = new Events(metrics, config.log);
  return {
    broker,
    readers,
    events,
    openCalls,
    metrics,
    patience,
    reads: new TenantTurns(config.reads ?? READS),
    bodyLimitBytes: config.bodyLimitBytes,
    fileStore: new FileStore(config.objects, config.fileLimitBytes),
    durability,
    pricing,
    receivers: new AddressPolicy(config.receivers ?? new AllowList([])),
    defaultModel: config.defaultModel,
    contentFilter: toContentFilter(reviewer, config.contentFilter, events),
  };
}

/** Be sure that a Redis that answers can be trusted with jobs; one that is away may come yet. */
async function refuseUnfit(broker: IngressBroker, log: Log): Promise<void> {
  try {
    await broker.assertReady(START_MS);
  } catch (error) {
    if (await answers(broker)) await broker.assertReady(START_MS);
    else log.warn({ error }, "Redis is away; serving 503 until it comes");
  }
}

async function answers(broker: IngressBroker): Promise<boolean> {
  try {
    await broker.ping();
    return true;
  } catch {
    return false;
  }
}

function openOperations(config: IngressConfig, services: Services): Promise<OperationsServer> {
  const { host, operationsPort: port } = config;
  return namePort(
    { host, port, variable: "INGRESS_OPERATIONS_PORT" },
    OperationsServer.listen({
      host,
      port,
      metrics: services.metrics,
      assertReady: () => assertReady(services),
      pages: {
        [DIAGNOSIS_PATH]: () => diagnose(services.broker, services.durability),
        [DEMAND_PATH]: () => readDemand(services),
      },
    }),
  );
}

function openServer(
  config: IngressConfig,
  services: Services,
  routes: readonly Route[],
): Promise<HttpServer> {
  const commonHeaders = new CommonHeaders(config);
  const { addressLimit = ADDRESS_LIMIT } = config;
  const gate: Gate = {
    authentication: new Authentication(config.apiKey, services.broker.knownKeys),
    events: services.events,
    openCalls: services.openCalls,
    commonHeaders,
    trustedProxies: config.trustedProxies ?? [],
    bodyLimitBytes: config.bodyLimitBytes,
    bodies: new BodyShares(config.bodyLimitBytes),
    addressLimit: addressLimit === 0 ? null : new AddressLimit(addressLimit),
    reads: services.reads,
    onReading: (exchange, caller) => tellAllowance(services, exchange, caller),
    onDenied: (exchange, caller, action) => recordDenial(services, exchange, { caller, action }),
  };
  const onRequest = createApp(routes, gate);
  return HttpServer.listen(config, {
    onRequest,
    commonHeaders,
    limits: { ...CONNECTION_LIMITS, ...config.connectionLimits },
    onDropped: () => services.events.connectionDropped(),
  });
}

/** Tell a key that has limits what is left of them, with whatever it reads. */
async function tellAllowance(
  { broker }: Services,
  { gainedHeaders }: Exchange,
  { tenant, keyId, limits }: Caller,
): Promise<void> {
  if (limits === null) return;
  try {
    gainAllowance(gainedHeaders, await broker.readAllowance({ tenant, keyId, limits }));
  } catch {
    // The answer itself says that Redis is away, where it needs it.
  }
}

/** Every route, the busiest first: Express tries them in turn. */
function allRoutes(services: Services, config: IngressConfig): Route[] {
  const operations = allOperations({ hasMetrics: config.metricsPeers.length > 0 });
  for (const { path, replies } of operations) {
    for (const status of Object.keys(replies)) services.events.expectAnswer(path, status);
  }
  return [
    ...jobRoutes(services),
    ...generationRoutes(services),
    ...fileRoutes(services),
    ...batchRoutes(services),
    ...responseRoutes(services),
    ...modelRoutes(services),
    ...usageRoutes(services),
    ...plainRoutes(services),
    ...webhookRoutes(services),
    ...operationsRoutes(services, config.metricsPeers),
    ...keyRoutes(services),
    ...tenantRoutes(services),
    ...referenceRoutes(describeApi(operations, config.bodyLimitBytes)),
  ];
}
