import { openObjects } from "@headrace/storage";
import { createLog, readEnvironment, runService, whenAborted } from "@headrace/runtime";

import { environmentSchema } from "./environment.ts";
import { Ingress } from "./ingress.ts";

const NAME = "ingress";
/** What closing takes once the last caller has gone. */
const CLOSE_MS = 5_000;

await runService(createLog(NAME, "info"), async (signal, stopWithin) => {
  const environment = readEnvironment(environmentSchema);
  const { INGRESS_UNREADY_MS: unreadyMs, INGRESS_GRACE_MS: graceMs } = environment;
  stopWithin(unreadyMs + graceMs + CLOSE_MS);
  const ingress = await Ingress.start({
    host: environment.INGRESS_HOST,
    port: environment.INGRESS_PORT,
    operationsPort: environment.INGRESS_OPERATIONS_PORT,
    redisUrl: environment.REDIS_URL,
    durability: environment.HEADRACE_DURABILITY,
    apiKey: environment.HEADRACE_API_KEY,
    bodyLimitBytes: environment.INGRESS_BODY_LIMIT_BYTES,
    objects:
      environment.STORAGE_URL === undefined ? null : await openObjects(environment.STORAGE_URL),
    fileLimitBytes: environment.BATCH_FILE_BYTES,
    connectionLimits: { connections: environment.INGRESS_MAX_CONNECTIONS },
    maxStreams: environment.INGRESS_MAX_STREAMS,
    tenantStreamShare: environment.INGRESS_TENANT_STREAM_SHARE,
    metricsPeers: environment.INGRESS_METRICS_PEERS,
    corsOrigins: environment.INGRESS_CORS_ORIGINS,
    isBehindTls: environment.INGRESS_BEHIND_TLS === "true",
    addressLimit: environment.INGRESS_ADDRESS_REQUESTS_PER_MINUTE,
    tenantShare: environment.INGRESS_TENANT_MEMORY_SHARE,
    trustedProxies: environment.INGRESS_TRUSTED_PROXIES,
    receivers: environment.WEBHOOKS_ALLOW,
    pricing: {
      gpuHourPrice: environment.HEADRACE_GPU_HOUR_PRICE,
      currency: environment.HEADRACE_CURRENCY ?? null,
    },
    unreadyMs,
    patience: { graceMs },
    defaultModel: environment.HEADRACE_DEFAULT_MODEL ?? null,
    contentFilter: {
      url: environment.INGRESS_CONTENT_FILTER_URL ?? null,
      token: environment.INGRESS_CONTENT_FILTER_TOKEN ?? null,
      modulePath: environment.INGRESS_CONTENT_FILTER_MODULE ?? null,
      timeoutMs: environment.INGRESS_CONTENT_FILTER_TIMEOUT_MS,
      passesOnFailure: environment.INGRESS_CONTENT_FILTER_ON_FAILURE === "allow",
    },
    log: createLog(NAME, environment.LOG_LEVEL),
  });
  await whenAborted(signal);
  await ingress.close();
});
